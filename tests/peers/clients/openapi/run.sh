#!/usr/bin/env bash
# Tests openapi.json, /docs and the examples with third-party software: a linter, Schemathesis, the TypeScript
# clients of three generators, Chromium, curl and Node.js. Starts an API, unless TASK_API_URL, TASK_API_USER
# and TASK_API_TOKEN name one. Leaves a screenshot of /docs in target/peers/openapi.
cd "$(dirname "$0")" && . ../../suite.sh

if [ -z "${TASK_API_URL:-}" ]; then
    python_environment "$work/venv" requirements.txt
    node_packages
    need chromium chromium
    exec cargo run --quiet --locked --package tests --example with-api -- bash "$PWD/run.sh"
fi

lint() {
    REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true npx --no-install redocly lint "$root/openapi.json"
}

# Generates three clients and type-checks them together with the code that uses them.
clients() {
    rm -rf generated
    npx --no-install openapi-typescript "$root/openapi.json" --output generated/openapi.d.ts &&
        npx --no-install openapi-ts --file hey-api.config.mjs &&
        npx --no-install orval --config orval.config.mjs &&
        npx --no-install tsc --project .
}

# Fails if a generator renders a due date as a union, or repeats more than a short description of the API.
generated_text() {
    ! grep -rnE "string \| string[^[]" generated/openapi.d.ts generated/hey-api generated/orval &&
        [ "$(sed '/\*\//q' generated/orval/index.ts | wc -l)" -le 15 ]
}

# hey-api chooses the first parameter that looks like one for paging.
pages_by_cursor() {
    local query=generated/hey-api-query/@tanstack/react-query.gen.ts
    [ "$(grep -c "cursor: pageParam" $query)" = 2 ] && ! grep "offset: pageParam" $query
}

check "Redocly's linter" lint
check "examples in the documents" node documents.mjs
check "generated clients type-check" clients
check "due dates and headers of generated clients" generated_text
check "hey-api's infinite queries page by cursor" pages_by_cursor
check "client of openapi-typescript" node generated/out/client.js
check "client of @hey-api/openapi-ts" node generated/out/hey-api.js
check "client of orval" node generated/out/orval.js
check "Chromium at /docs" env SCREENSHOT="$work/docs.png" node browser.mjs
check "Schemathesis" "$work/venv/bin/python" fuzz.py
close
