#!/usr/bin/env bash
# Gives every reader so many inputs that nobody wrote (1,000,000): reliability/fuzz.sh 10000000
# The same tests run with 1,000 inputs each in `cargo test`. FUZZ_FROM says which input is the first, so that a long search can go on.
set -euo pipefail
cd "$(dirname "$0")/.."
export FUZZ_INPUTS="${1:-1000000}"
# Many readers read files: in memory they are written a hundred times faster.
if [ -z "${TMPDIR:-}" ] && [ -w /dev/shm ]; then
  TMPDIR="$(mktemp -d -p /dev/shm)"
  export TMPDIR
  trap 'rm -rf "$TMPDIR"' EXIT
fi
# The framework, the data sets and the program: one test of this name for each reader.
cargo test --release --workspace --lib --bins -- a_reader_bears a_log_that_nobody_wrote --nocapture
