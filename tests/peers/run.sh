#!/usr/bin/env bash
# Runs the suites against third-party software, each tests/peers/<name>/run.sh, or those named as arguments.
# A suite installs what it needs, pinned, and closes with a line "N passed, N failed, N skipped"; so does this script.
cd "$(dirname "$0")" && . ./suite.sh

suites=("$@")
[ $# -gt 0 ] || for script in */run.sh; do suites+=("$(dirname "$script")"); done
for suite in "${suites[@]}"; do
    check "$suite" bash "$suite/run.sh"
done
close
