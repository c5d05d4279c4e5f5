#!/bin/sh
# A manager on this machine that tells a receiver what happens: starts both, makes an environment, shows what came, ends both.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
receiver='' manager=''
finish() {
	[ -z "$manager" ] || { kill "$manager" && wait "$manager"; } || true
	[ -z "$receiver" ] || { kill "$receiver" && wait "$receiver"; } || true
	rm -rf "$work"
}
trap finish EXIT
patiently() { # COMMAND...: until it succeeds
	n=0
	until "$@"; do
		n=$((n + 1))
		[ "$n" -lt 600 ] || { echo "try.sh: waited for: $*" >&2; exit 1; }
		sleep 0.1
	done
}

# One secret a line; a second one while the first is replaced.
echo "whsec_$(head -c 32 /dev/urandom | base64)" >"$work/secrets"
"$here/receiver.py" "$work/secrets" "$work/port" >"$work/came" &
receiver=$!
patiently test -s "$work/port"

cat >"$work/event-sinks.yaml" <<END
sinks:
  - name: portal
    types: [io.tenantry.environment., io.tenantry.operation.]
    http:
      url: http://127.0.0.1:$(cat "$work/port")/events
      signingSecretsFile: $work/secrets
END
tenantry up --temporary --log warn --templates "$here/../saas" --root "$work/root" --env-file "$work/env" \
	--event-sinks "$work/event-sinks.yaml" >"$work/up" &
manager=$!
patiently test -s "$work/env"
set -a
. "$work/env"
set +a

# A new sink is told what happens from now on.
patiently sh -c 'tenantry event sink list -o json | grep -q portal'
tenantry tenant create acme >/dev/null
tenantry env create acme/prod -f "$here/../saas/environment-small.yaml" --region local --wait >/dev/null
patiently grep -q 'operation.changed' "$work/came"
tenantry event sink list

# The same events once more, under the same ids: the receiver knows them and says nothing.
first=$(head -n 1 "$work/came" | cut -d ' ' -f 1)
tenantry event sink replay portal --from-position "$first" --reason "to try it"
cat "$work/came"
