#!/usr/bin/env bash
# The black-box suite over PgBouncer in transaction mode, as Neon's pooler is, with four server connections for each
# database and more processes of functions than that; and half a minute of load.
set -uo pipefail
cd "$(dirname "$0")/../../.."

if ! command -v pgbouncer >/dev/null && ! [ -x /usr/sbin/pgbouncer ]; then
    sudo=$([ "$(id -u)" = 0 ] || echo sudo)
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends pgbouncer >/dev/null
fi
TEST_PGBOUNCER=$(PATH=$PATH:/usr/sbin command -v pgbouncer)
export TEST_PGBOUNCER
"$TEST_PGBOUNCER" --version | head -n 1

passed=0 failed=0 skipped=0
output=$(mktemp)
trap 'rm -f "$output"' EXIT
LOAD_SECONDS=30 cargo test --package tests --test api --locked 2>&1 | tee "$output"
status=${PIPESTATUS[0]}
while read -r line; do
    if [[ $line =~ ([0-9]+)\ passed\;\ ([0-9]+)\ failed\;\ ([0-9]+)\ ignored ]]; then
        passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
        skipped=$((skipped + BASH_REMATCH[3]))
    fi
done <"$output"
[ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
