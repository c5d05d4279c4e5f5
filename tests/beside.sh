#!/usr/bin/env bash
# Runs test programs that are built, several beside each other: most of them wait more than they compute.
#
#   tests/beside.sh LIST      each line of LIST: package, program's name, its package's folder, the program
#
# What a program printed comes in one piece when it has ended, as cargo prints it (tests/summary.awk reads both).
# Each runs in its package's folder, as under `cargo test`.
set -euo pipefail
list=$1
kept=$(mktemp -d)
# How long each took the last time, in seconds: the longest begin first, those that nobody knows before them.
took=target/tests-took
touch "$took"
# Hundreds of databases come and go in a minute: that in memory, where there is room, spares a disk a third of the time.
spare=$(df --output=avail -B1M /dev/shm 2>/dev/null | tail -1) || spare=0
if [ -z "${TMPDIR:-}" ] && [ "${spare:-0}" -ge 4096 ] && memory=$(mktemp -d /dev/shm/tenantry-XXXXXX 2>/dev/null); then
  # PostgreSQL's own user has to pass through.
  chmod 711 "$memory"
else
  memory=
fi
trap 'rm -rf "$kept" ${memory:+"$memory"}' EXIT

# Twice as many as there are cores: somebody always has something to compute.
beside=$(($(nproc) * 2))

one() {
  local package=$1 name=$2 folder=$3 program=$4 status=0 said began=$SECONDS
  said="$kept/$(basename "$program")"
  (cd "$folder" && CARGO_MANIFEST_DIR=$folder CARGO_PKG_NAME=$package TMPDIR=${memory:-${TMPDIR:-/tmp}} exec "$program") >"$said" 2>&1 || status=$?
  if [ "$status" != 0 ]; then
    printf 'error: test failed, to rerun pass `-p %s` (%s)\n' "$package" "$name" >>"$said"
    [ "$status" -lt 128 ] || echo "  process didn't exit successfully: $program (signal: $((status - 128)))" >>"$said"
    : >"$kept/failed"
  fi
  echo "$package/$name $((SECONDS - began))" >>"$kept/took"
  # One at a time prints.
  flock "$kept" sh -c 'printf "\n     Running %s (%s)\n" "$1" "$2"; cat "$3"' - "$name" "$package" "$said"
}
export -f one
export kept memory

awk -v TOOK="$took" '
  BEGIN { while ((getline line <TOOK) > 0) { split(line, part, " "); took[part[1]] = part[2] } }
  { name = $1 "/" $2; print (name in took) ? took[name] : 999, $0 }' "$list" |
  sort -k1,1nr -s | cut -d' ' -f2- | xargs -P "$beside" -L 1 bash -c 'one "$@"' -
cp "$kept/took" "$took"
[ ! -e "$kept/failed" ]
