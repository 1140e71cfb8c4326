#!/usr/bin/env bash
# Builds functions for Lambda: build.sh [PACKAGE...]
#
# Builds all functions if no package is given, each as target/lambda/PACKAGE/bootstrap. ARCHITECTURE is arm64
# (the default) or x86_64. Needs the tools in deploy/requirements.txt.
set -euo pipefail
cd "$(dirname "$0")/.."

architecture=${ARCHITECTURE:-arm64}
[ $# -gt 0 ] || { cd functions && set -- * && cd ..; }
# One at a time, because packages that are built together get each other's features of shared dependencies.
for package in "$@"; do
    cargo lambda build --locked --release "--${architecture/_/-}" --package "$package"
done
