#!/usr/bin/env bash
# Runs the tests: `fast` (those that need no cluster and no minutes) or `all`.
#
# As root on Debian it installs what they need and builds the test bed; elsewhere it says what is missing, and the tests
# that need it count as ignored. Everything is built and run by one cargo call: a second one with other packages would
# choose other features of the same dependencies and build half of them again.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-all}
export CARGO_BUILD_JOBS=${CARGO_BUILD_JOBS:-2}
output=$(mktemp)
bed=
cluster="unit$$"

take_down() {
  local used=$bed
  bed=
  [ -z "$used" ] || "$used" down "$cluster" 2>"$output.down" || cat "$output.down" >&2
}
trap 'take_down; rm -f "$output" "$output.down" "$output.list"' EXIT

# What tests without a cluster call: the example's hooks (python3), the guides (curl), certificates (openssl).
missing=
for program in python3 curl openssl; do
  command -v "$program" >/dev/null || missing="$missing $program"
done
if [ -n "$missing" ]; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "install$missing first: the tests of the guides, of the example and of TLS call them" >&2
    exit 2
  fi
  apt-get update -qq
  # shellcheck disable=SC2086 # a list of words
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

# The server of the tests on PostgreSQL; where it cannot be had they count as ignored.
tests/postgres.sh

# Built first: compilers beside a starting cluster would make its deadlines pass.
cargo test --locked --workspace --no-run

if [ "$what" = all ]; then
  if testbed/install.sh argo-cd && testbed/build.sh && testbed/build.sh argo-workflows nats argo-events argo-cd helm; then
    # Static, small and stripped, as it is shipped: what is built for the tests above is none of it.
    deploy/bridge/build-image.sh
    bed=$PWD/testbed/bin/testbed
    export TENANTRY_TESTBED=$bed
    # For the tests of the room that speaks to Kubernetes; the end-to-end tests start clusters of their own.
    "$bed" up "$cluster" >/dev/null
    TENANTRY_TEST_KUBECONFIG=$("$bed" kubeconfig "$cluster")
    export TENANTRY_TEST_KUBECONFIG
  else
    # Exit code 3: this machine is not one the test bed can be installed on; anything else is a failure of ours.
    [ $? = 3 ] || exit 1
    echo "the test bed cannot be used here (see above): its tests are left out" >&2
  fi
fi

# The fast run lives through a tenth of the simulators' seeds, and leaves out what takes long (docs/testing.md).
[ "$what" = all ] || export TENANTRY_SIM_SEEDS=${TENANTRY_SIM_SEEDS:-1000}

status=0
if [ "$what" = all ]; then
  export TENANTRY_LONG=1
  cargo test --locked --workspace --no-fail-fast 2>&1 | tee "$output" || status=$?
else
  # The same programs, several beside each other. Not so above: tests whose clusters share the cores would wait in vain.
  cargo test --locked --workspace --no-run --message-format=json 2>/dev/null | python3 tests/programs.py >"$output.list"
  tests/beside.sh "$output.list" 2>&1 | tee "$output" || status=$?
fi

# Before the summary: what a person reads last is what failed, why, and how many tests passed.
take_down
awk -v MOST=60 -f tests/summary.awk "$output"
exit "$status"
