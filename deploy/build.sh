#!/usr/bin/env bash
# Builds functions for Lambda, into target/lambda/PACKAGE/bootstrap: build.sh [PACKAGE...], or all if none is named.
# ARCHITECTURE is arm64 (the default) or x86_64. Needs the tools of deploy/requirements.txt.
set -euo pipefail
cd "$(dirname "$0")/.."

architecture=${ARCHITECTURE:-arm64}
[ $# -gt 0 ] || { cd functions && set -- * && cd ..; }
# One by one: built together, packages share the features that any of them asks for.
for package in "$@"; do
    cargo lambda build --locked --release "--${architecture/_/-}" --package "$package"
done
