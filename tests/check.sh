#!/usr/bin/env bash
# `make check`: what must hold of every commit besides the tests.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo fmt --all --check
cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items --quiet
gofmt_out=$(gofmt -l testbed)
[ -z "$gofmt_out" ] || { echo "not formatted: $gofmt_out" >&2; exit 1; }
command -v cargo-deny >/dev/null || cargo install --locked --quiet cargo-deny@0.20.2
cargo deny --log-level error check licenses bans sources
# The database of advisories lives in a public repository that a closed network does not reach.
if cargo deny --log-level error fetch db >/dev/null 2>&1; then
  cargo deny --log-level error check advisories
else
  echo "advisories: not checked (the database cannot be reached)"
fi
echo "check: all good"
