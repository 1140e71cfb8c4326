#!/usr/bin/env bash
# Runs the suites against third-party software: `run.sh` runs all of them, `run.sh NAME...` those named. A
# suite is a folder with a run.sh, here or in a group such as aws/, and installs what it needs, at pinned
# versions. The last line of a suite's output, and of this script's, is "N passed, N failed, N skipped"; the
# exit status is 0 if no check failed.
cd "$(dirname "$0")" && . ./suite.sh

shopt -s nullglob
[ $# -gt 0 ] || set -- '*'
for name in "$@"; do
    # A name without a wildcard stays in the list even if there is no such file.
    scripts=()
    for script in $name/run.sh */$name/run.sh; do [ ! -f "$script" ] || scripts+=("$script"); done
    [ ${#scripts[@]} -gt 0 ] || check "$name" false
    for script in "${scripts[@]}"; do
        check "$(basename "$(dirname "$script")")" bash "$script"
    done
done
close
