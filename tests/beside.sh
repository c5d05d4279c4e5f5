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
trap 'rm -rf "$kept"' EXIT

# One more than there are cores: somebody always has something to compute.
beside=$(($(nproc) + 1))

one() {
  local package=$1 name=$2 folder=$3 program=$4 status=0 said
  said="$kept/$(basename "$program")"
  (cd "$folder" && CARGO_MANIFEST_DIR=$folder CARGO_PKG_NAME=$package exec "$program") >"$said" 2>&1 || status=$?
  if [ "$status" != 0 ]; then
    printf 'error: test failed, to rerun pass `-p %s` (%s)\n' "$package" "$name" >>"$said"
    [ "$status" -lt 128 ] || echo "  process didn't exit successfully: $program (signal: $((status - 128)))" >>"$said"
    : >"$kept/failed"
  fi
  # One at a time prints.
  flock "$kept" sh -c 'printf "\n     Running %s (%s)\n" "$1" "$2"; cat "$3"' - "$name" "$package" "$said"
}
export -f one
export kept

xargs -P "$beside" -L 1 bash -c 'one "$@"' - <"$list"
[ ! -e "$kept/failed" ]
