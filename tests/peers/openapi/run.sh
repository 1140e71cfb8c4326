#!/usr/bin/env bash
# openapi.json, /docs and the examples against software that nobody here wrote: a linter, Schemathesis, a generated
# TypeScript client, Chromium, curl and Node, beside an API of their own. Where TASK_API_URL, TASK_API_USER and TASK_API_TOKEN are set, against that
# one. A screenshot of /docs is left in target/peers/openapi.
set -uo pipefail
cd "$(dirname "$0")"
root=$(cd ../../.. && pwd)
work=$root/target/peers/openapi
mkdir -p "$work"

# apt PACKAGE…
apt() {
    local sudo=()
    [ "$(id -u)" -eq 0 ] || sudo=(sudo)
    "${sudo[@]}" apt-get update -qq
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

install() {
    command -v npm >/dev/null || apt nodejs npm
    command -v chromium >/dev/null || apt chromium
    python3 -c 'import ensurepip' 2>/dev/null || apt python3 python3-venv
    [ -x "$work/venv/bin/python" ] || python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check --requirement requirements.txt
    npm ci --no-audit --no-fund --silent
}

if [ -z "${TASK_API_URL:-}" ]; then
    if ! install >"$work/install.log" 2>&1; then
        cat "$work/install.log"
        echo "0 passed, 1 failed, 0 skipped"
        exit 1
    fi
    exec cargo run --quiet --locked --package tests --example with-api -- bash "$PWD/run.sh"
fi

passed=0 failed=0
# check NAME COMMAND…
check() {
    printf -- '--- %s\n' "$1"
    if "${@:2}"; then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "$1: failed"; fi
}

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
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
