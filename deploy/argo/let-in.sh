#!/bin/sh
# A team's consent: lets the bridges find and run hooks in one namespace, and nowhere else.
#
#   let-in.sh TEAM [WORKFLOWS]       WORKFLOWS: the bridges' namespace, tenantry-argo without
#   let-in.sh --out TEAM             takes it back
#
# It needs the rights of whoever owns the namespace TEAM, since what it gives is theirs (deploy/bridge/team.yaml).
set -eu
cd "$(dirname "$0")/../bridge"
if [ "${1:-}" = --out ]; then
	exec kubectl -n "${2:?give the namespace of the team}" delete -f team.yaml
fi
team=${1:?give the namespace of the team}
sed "s/namespace: argo}/namespace: ${2:-tenantry-argo}}/" team.yaml | kubectl -n "$team" apply -f -
