#!/usr/bin/env bash
# Runs the tests: `fast` (no cluster), `cluster` (the test bed), `all` (both).
# As root on Debian it installs what they need; elsewhere it says what is missing and leaves those tests out, which
# the runner then counts as ignored.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-all}
export CARGO_BUILD_JOBS=${CARGO_BUILD_JOBS:-2}
status=0

if [ "$what" != cluster ]; then
  cargo test --locked --workspace --exclude tenantry-e2e --no-fail-fast || status=$?
fi

if [ "$what" != fast ]; then
  cargo build --locked -p tenantry
  if testbed/install.sh && testbed/build.sh; then
    export TENANTRY_TESTBED=$PWD/testbed/bin/testbed
  else
    # Exit code 3: this machine is not one the test bed can be installed on; anything else is a failure of ours.
    [ $? = 3 ] || exit 1
    echo "the test bed cannot be used here (see above): its tests are left out" >&2
  fi
  cargo test --locked -p tenantry-e2e --no-fail-fast || status=$?
fi
exit "$status"
