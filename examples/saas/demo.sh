#!/usr/bin/env bash
# The whole life of one tenant environment, and twenty more, with the hooks of this folder.
#
#   examples/saas/demo.sh target/debug/tenantry     starts a manager and an agent of its own, in a temporary folder
#   TENANTRY_URL=… TENANTRY_TOKEN=… REGION=eu1 examples/saas/demo.sh tenantry     uses a running manager
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tenantry=${1:-tenantry}
region=${REGION:-local}
more=${MORE:-20}

command -v python3 >/dev/null || { echo "the example's hooks are Python programs: install python3" >&2; exit 2; }

if [ -z "${TENANTRY_URL:-}" ]; then
  scratch=$(mktemp -d)
  "$tenantry" up --temporary --region "$region" --templates "$here" --log warn --env-file "$scratch/env" &
  server=$!
  trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; rm -rf "$scratch"' EXIT
  for _ in $(seq 300); do
    [ -s "$scratch/env" ] && break
    kill -0 "$server" 2>/dev/null || { echo "tenantry up has ended; its message stands above" >&2; exit 1; }
    sleep 0.1
  done
  # Written whole and renamed, so that what is there is complete.
  set -a; . "$scratch/env"; set +a
fi

say() { printf '\n== %s\n' "$*" >&2; }

"$tenantry" tenant create acme --display-name "Acme Ltd" >/dev/null
say "create"
"$tenantry" env create -f "$here/environment.yaml" --region "$region" --wait >/dev/null
say "update: a smaller plan, one app less"
"$tenantry" env update acme/prod -f "$here/environment-update.yaml" --wait >/dev/null
say "suspend"
"$tenantry" env suspend acme/prod --reason "invoice overdue" --wait >/dev/null
say "resume"
"$tenantry" env resume acme/prod --wait >/dev/null
say "backup"
"$tenantry" env backup acme/prod --wait >/dev/null
say "restore"
"$tenantry" env restore acme/prod --reason "drill" --wait >/dev/null
say "an operation of the crm team"
"$tenantry" op run crm.reindex acme/prod --wait >/dev/null

say "twenty more environments"
"$tenantry" tenant create globex >/dev/null
waiting=()
for number in $(seq -w "$more"); do
  "$tenantry" env create "globex/e$number" -f "$here/environment-small.yaml" --region "$region" --wait >/dev/null &
  waiting+=($!)
done
failed=0
for pid in "${waiting[@]}"; do wait "$pid" || failed=1; done

say "decommission (with no time to bring it back), purge"
"$tenantry" env decommission acme/prod --retention 0s --reason "contract ended" --wait >/dev/null
"$tenantry" env purge acme/prod --confirm prod --reason "contract ended" >/dev/null

say "summary"
"$tenantry" op list --limit 100
"$tenantry" env list --show-purged
[ "$failed" = 0 ] || { echo "an environment could not be created" >&2; exit 1; }
