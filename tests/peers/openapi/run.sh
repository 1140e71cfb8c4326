#!/usr/bin/env bash
# openapi.json, /docs and the examples against software that nobody here wrote: a linter, Schemathesis, a generated
# TypeScript client, Chromium, curl and Node; beside an API of their own, or that which TASK_API_URL, TASK_API_USER and
# TASK_API_TOKEN name. A screenshot of /docs is left in target/peers/openapi.
cd "$(dirname "$0")" && . ../suite.sh

if [ -z "${TASK_API_URL:-}" ]; then
    python_environment "$work/venv" requirements.txt
    node_packages
    need chromium chromium
    exec cargo run --quiet --locked --package tests --example with-api -- bash "$PWD/run.sh"
fi

lint() {
    REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true npx --no-install redocly lint "$root/openapi.json"
}

client() {
    npx --no-install openapi-typescript "$root/openapi.json" --output node_modules/.client/openapi.d.ts &&
        npx --no-install tsc --project . &&
        node node_modules/.client/client.js
}

check "Redocly's linter" lint
# First, as they begin with a user who has no task.
check "examples" node examples.mjs
check "typed client" client
check "Chromium at /docs" env SCREENSHOT="$work/docs.png" node browser.mjs
check "Schemathesis" "$work/venv/bin/python" fuzz.py
close
