#!/usr/bin/env bash
# Runs the suites against third-party software: `run.sh` runs all of them, `run.sh NAME...` those named, each
# of which is tests/peers/NAME/run.sh. A suite installs what it needs, at pinned versions. The last line of a
# suite's output, and of this script's, is "N passed, N failed, N skipped"; the exit status is 0 if no check
# failed.
cd "$(dirname "$0")" && . ./suite.sh

suites=("$@")
[ $# -gt 0 ] || for script in */run.sh; do suites+=("$(dirname "$script")"); done
for suite in "${suites[@]}"; do
    check "$suite" bash "$suite/run.sh"
done
close
