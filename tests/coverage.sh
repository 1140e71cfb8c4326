#!/usr/bin/env bash
# Prints the lines of shared/ and functions/ that the tests run through, the functions' own processes included.
# Needs cargo-llvm-cov, and LLVM's tools of rustc's version: rustup's component llvm-tools, or Debian's llvm package.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v cargo-llvm-cov >/dev/null || cargo install --locked cargo-llvm-cov
if ! find "$(rustc --print sysroot)" -name 'llvm-cov' -path '*/bin/*' | grep -q .; then
    version=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
    if ! command -v "llvm-cov-$version" >/dev/null; then
        rustup component add llvm-tools 2>/dev/null || { apt-get update -qq && apt-get install -y -qq "llvm-$version"; }
    fi
    if command -v "llvm-cov-$version" >/dev/null; then
        LLVM_COV=$(command -v "llvm-cov-$version")
        LLVM_PROFDATA=$(command -v "llvm-profdata-$version")
        export LLVM_COV LLVM_PROFDATA
    fi
fi

# The functions are processes of their own: with this environment they are built and write what they ran, too.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target/coverage}
# shellcheck disable=SC1090
source <(cargo llvm-cov show-env --sh)
cargo llvm-cov clean --workspace
cargo test --workspace
cargo llvm-cov report --ignore-filename-regex '/(local|tests)/|/\.cargo/|/tests\.rs$' "$@"
