#!/usr/bin/env bash
# Prints the test coverage of shared/ and functions/, including what runs in the functions' own processes.
# Installs what is missing: cargo-llvm-cov, and LLVM's tools in the version of rustc (rustup's component
# llvm-tools, or Debian's package llvm). Arguments are passed to `cargo llvm-cov report`.
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

# With this environment, the functions that the tests build and start as processes write their coverage as
# well.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target/coverage}
# shellcheck disable=SC1090
source <(cargo llvm-cov show-env --sh)
cargo llvm-cov clean --workspace
cargo test --workspace
cargo llvm-cov report --ignore-filename-regex '/(local|tests)/|/\.cargo/|/tests\.rs$' "$@"
