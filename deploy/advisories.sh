#!/usr/bin/env bash
# Checks the license, the source and the security advisories of every crate in Cargo.lock.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo deny --log-level error check licenses sources
if cargo deny fetch db; then
    cargo deny --log-level error check advisories
else
    echo "::warning::advisories: skipped, because the advisory database can't be fetched"
fi
