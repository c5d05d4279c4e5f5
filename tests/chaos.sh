#!/usr/bin/env bash
# Runs the chaos test alone: chaos.sh [SEED] [MINUTES] [postgres|sqlite]. Without a seed it takes one from the clock, and
# prints it; without a store it takes PostgreSQL with two managers.
set -euo pipefail
cd "$(dirname "$0")/.."
testbed/install.sh
testbed/build.sh
export TENANTRY_TESTBED=$PWD/testbed/bin/testbed
export TENANTRY_CHAOS_SEED=${1:-$(date +%s)} TENANTRY_CHAOS_MINUTES=${2:-10} TENANTRY_CHAOS_STORE=${3:-postgres}
case $TENANTRY_CHAOS_STORE in
  sqlite) ;;
  postgres) tests/postgres.sh ;;
  *) echo "STORE is postgres or sqlite" >&2 && exit 2 ;;
esac
# The tests of the command line are only built: they bring the program along.
cargo test --locked --workspace --test e2e --test cli --no-run
exec cargo test --locked --workspace --test e2e -- chaos --nocapture
