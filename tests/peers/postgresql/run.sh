#!/usr/bin/env bash
# The black-box suites on PostgreSQL 16 and 17, and all suites on 18: each version plans and checks in its own way, and
# direct negotiation of TLS begins with 17. The version that most machines have is tested by `cargo test`.
cd "$(dirname "$0")" && . ../suite.sh

if [ "$(uname -sm)" != "Linux x86_64" ]; then
    skip "PostgreSQL 16 to 18" "their builds are for Linux on x86-64"
    close
    exit
fi
node_packages

# The suites named as further arguments, on a version.
suites_on() {
    # The server's own account must be able to read it, whoever installed it.
    local programs=$work/programs-$1
    rm -rf "$programs"
    mkdir -p "$work"
    cp -r "node_modules/postgresql-$1/native" "$programs"
    PATH=$programs/bin:$PATH postgres --version
    PATH=$programs/bin:$PATH cargo_tests "${@:2}"
}

for version in 16 17; do
    check "the black-box suite on PostgreSQL $version" suites_on "$version" --test api
done
check "all suites on PostgreSQL 18" suites_on 18 --test api --test faults
close
