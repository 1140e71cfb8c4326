#!/usr/bin/env bash
# Runs the suites against third-party software, each tests/peers/<name>/run.sh, or those named as arguments.
# A suite installs what it needs, pinned, and closes with a line "N passed, N failed, N skipped"; so does this script.
set -uo pipefail
cd "$(dirname "$0")"

passed=0 failed=0 skipped=0
shopt -s nullglob
suites=("$@")
[ $# -gt 0 ] || for script in */run.sh; do suites+=("$(dirname "$script")"); done

output=$(mktemp)
trap 'rm -f "$output"' EXIT
for suite in "${suites[@]}"; do
    printf '\n=== peers: %s\n' "$suite"
    bash "$suite/run.sh" 2>&1 | tee "$output"
    status=${PIPESTATUS[0]}
    if [[ $(tail -n 1 "$output") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
        passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
        skipped=$((skipped + BASH_REMATCH[3]))
        [ "$status" -eq 0 ] || [ "${BASH_REMATCH[2]}" -gt 0 ] || failed=$((failed + 1))
    else
        echo "the suite $suite broke off with status $status"
        failed=$((failed + 1))
    fi
done
printf '\n%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
