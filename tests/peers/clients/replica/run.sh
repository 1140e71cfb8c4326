#!/usr/bin/env bash
# Tests replica.ts, an offline-first client, against an API that this script starts. SEED repeats one of the
# random runs.
cd "$(dirname "$0")" && . ../../suite.sh

if [ -z "${TASK_API_URL:-}" ]; then
    recent_node
    node_packages
    exec cargo run --quiet --locked --package tests --example with-api -- bash "$PWD/run.sh"
fi

replica() {
    npx --no-install openapi-typescript "$root/openapi.json" --output node_modules/.client/openapi.d.ts &&
        npx --no-install tsc --project . || return
    local status=0
    node --test --test-reporter tap node_modules/.replica/test.js >node_modules/.replica/tap || status=$?
    cat node_modules/.replica/tap
    awk '/^# (pass|fail|skipped) / { count[$2] = $3 }
        END { printf "%d passed, %d failed, %d skipped\n", count["pass"], count["fail"], count["skipped"] }' \
        node_modules/.replica/tap
    return "$status"
}

check "replica" replica
close
