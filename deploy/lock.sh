#!/usr/bin/env bash
# Writes deploy/requirements.txt from deploy/requirements.in. Needs uv.
set -euo pipefail
cd "$(dirname "$0")"

compile() { # OPTION
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
        --no-emit-index-url "$1" requirements.in
}

{
    echo "# Generated from requirements.in by deploy/lock.sh."
    compile --strip-extras
    # pip also requires a separate pin for a package with extras.
    compile --no-strip-extras | awk '/^[^ ]/ { extras = /\[/ } extras'
} >requirements.new
mv requirements.new requirements.txt
