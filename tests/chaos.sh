#!/usr/bin/env bash
# Runs the chaos test alone: chaos.sh [SEED] [MINUTES]. Without a seed it takes one from the clock, and prints it.
set -euo pipefail
cd "$(dirname "$0")/.."
testbed/install.sh
testbed/build.sh
export TENANTRY_TESTBED=$PWD/testbed/bin/testbed
export TENANTRY_CHAOS_SEED=${1:-$(date +%s)} TENANTRY_CHAOS_MINUTES=${2:-10}
exec cargo test --locked --workspace --test e2e -- chaos --nocapture
