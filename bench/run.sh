#!/usr/bin/env bash
# Measures tenantry against peers, side by side (docs/benchmarks.md). Arguments go to the program: `bench/run.sh --help`.
#
#   TENANTRY_BIN=target/debug/tenantry bench/run.sh --sequential 3 --parallel 5 --processes 20     does it work at all?
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_BUILD_JOBS=${CARGO_BUILD_JOBS:-2}

# The agent that answers at once runs in the benchmark's own program, and takes its part of the cores: it is built as what is
# measured. With a program that is given, to see whether all of it works, the quick build will do.
if [ -z "${TENANTRY_BIN:-}" ]; then
  cargo build --locked --release -p tenantry -p tenantry-bench
  TENANTRY_BIN=$PWD/target/release/tenantry
  bench=target/release/tenantry-bench
  # What tests can end a program with must not be in it (docs/decisions/0031-named-failpoints.md).
  if grep -q TENANTRY_FAILPOINTS "$TENANTRY_BIN"; then
    echo "$TENANTRY_BIN has failpoints: a released program must not" >&2
    exit 1
  fi
else
  cargo build --locked -p tenantry-bench
  bench=target/debug/tenantry-bench
fi
export TENANTRY_BIN
# The simulator is a test program of the engine.
case "$*" in
*--only*) wanted=$* ;;
*) wanted=simulator ;;
esac
if [ -z "${TENANTRY_SIMULATOR:-}" ] && [[ $wanted == *simulator* ]]; then
  TENANTRY_SIMULATOR=$PWD/$(cargo test --locked -p tenantry-engine --test simulator --no-run 2>&1 | sed -n 's/.*Executable.*(\(.*\))/\1/p')
  export TENANTRY_SIMULATOR
fi
if [ -z "${TENANTRY_TESTBED:-}" ]; then
  if testbed/install.sh && testbed/build.sh; then
    export TENANTRY_TESTBED=$PWD/testbed/bin/testbed
  else
    # Exit code 3: this machine is not one the test bed can be installed on; anything else is a failure of ours.
    [ $? = 3 ] || exit 1
    echo "the test bed cannot be used here (see above): figures that need a cluster are left out" >&2
  fi
fi
# What Workflows run, and what looks for hooks: the program of the image.
case "$*" in
*--only*) wanted=$* ;;
*) wanted=discovery ;;
esac
if [ -n "${TENANTRY_TESTBED:-}" ] && [[ $wanted =~ discovery|argo|bridge|queued ]]; then
  deploy/bridge/build-image.sh >&2
  export TENANTRY_BRIDGE_BIN=$PWD/target/bridge-image/tenantry-bridge
  testbed/build.sh argo-workflows nats argo-events helm
fi
echo "binary: $TENANTRY_BIN; cores: $(nproc); load before: $(cut -d' ' -f1-3 /proc/loadavg)" >&2
status=0
"$bench" "$@" || status=$?
echo "load after: $(cut -d' ' -f1-3 /proc/loadavg)" >&2
exit $status
