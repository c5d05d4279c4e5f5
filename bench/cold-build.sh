#!/usr/bin/env bash
# How long `make demo` builds on a machine that has never built it, and what that time goes to.
#
#   bench/cold-build.sh            a target folder of its own, removed afterwards; sources of crates are fetched before
#   CORES=2 TOP=15 bench/cold-build.sh
set -euo pipefail
cd "$(dirname "$0")/.."
cores=${CORES:-2}
target=$(mktemp -d)
trap 'rm -rf "$target"' EXIT

cargo fetch --locked
echo "load before: $(cut -d' ' -f1-3 /proc/loadavg)" >&2
began=$(date +%s)
CARGO_TARGET_DIR=$target CARGO_BUILD_JOBS=$cores taskset -c "0-$((cores - 1))" \
  cargo build --locked -p tenantry --timings >&2
echo "cold build: $(($(date +%s) - began)) s on $cores cores"
echo "load after: $(cut -d' ' -f1-3 /proc/loadavg)" >&2

# The report's data is one JavaScript array: a unit each, with its name and its seconds.
python3 - "$target"/cargo-timings/cargo-timing.html "${TOP:-15}" <<'PY'
import json, re, sys

page = open(sys.argv[1], encoding="utf-8").read()
units = json.loads(re.search(r"UNIT_DATA = (\[.*?\]);", page, re.S).group(1))
crates = {}
for unit in units:
    crates[unit["name"]] = crates.get(unit["name"], 0) + unit["duration"]
total = sum(crates.values())
print(f"{len(units)} units, {total:.0f} s of compiling; the largest:")
for name, seconds in sorted(crates.items(), key=lambda entry: -entry[1])[: int(sys.argv[2])]:
    print(f"  {seconds:7.1f} s  {100 * seconds / total:4.1f} %  {name}")
PY
