#!/usr/bin/env bash
# Tests examples/web in Chromium, with Better Auth and an API that accepts its tokens. SCREENSHOTS=docs takes
# the screenshots of the documentation instead; the folder is relative to the root of the repository.
cd "$(dirname "$0")" && . ../../suite.sh

example=$root/examples/web
if [ -z "${BETTER_AUTH_URL:-}" ]; then
    need chromium chromium
    recent_node
    node_packages
    (cd "$example" && node_packages)
    rm -rf "$work" && mkdir -p "$work"
    port=$(node -p 'const s = require("net").createServer().listen(0); const { port } = s.address(); s.close(); port')
    export BETTER_AUTH_URL=http://localhost:$port WORK=$work
    exec cargo run --quiet --locked --package tests --example with-api -- \
        CORS_ALLOWED_ORIGINS="$BETTER_AUTH_URL" JWT_JWKS_URL="$BETTER_AUTH_URL/api/auth/jwks" \
        JWT_ISSUER="$BETTER_AUTH_URL" JWT_AUDIENCE="$BETTER_AUTH_URL" bash "$PWD/run.sh"
fi

check "types and build" env VITE_API_URL="$TASK_API_URL" npm run build --prefix "$example" --silent
check "Chromium" env ${SCREENSHOTS:+SCREENSHOTS="$root/$SCREENSHOTS"} npx --no-install playwright test
close
