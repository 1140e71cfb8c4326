#!/usr/bin/env bash
# The API suite on PostgreSQL 16 and 17, and the API and fault suites on 18. The versions differ in planning
# and checks, and direct TLS negotiation exists from 17 on. `cargo test` tests the version that is installed
# on this machine.
cd "$(dirname "$0")" && . ../../suite.sh

if [ "$(uname -sm)" != "Linux x86_64" ]; then
    skip "PostgreSQL 16 to 18" "the builds on npm are for Linux on x86-64"
    close
    exit
fi
node_packages

# Runs test targets on a version: suites_on VERSION CARGO_ARGUMENTS...
suites_on() {
    # Copied to a folder that the server's own account can read.
    local programs=$work/programs-$1
    rm -rf "$programs"
    mkdir -p "$work"
    cp -r "node_modules/postgresql-$1/native" "$programs"
    PATH=$programs/bin:$PATH postgres --version
    PATH=$programs/bin:$PATH cargo_tests "${@:2}"
}

for version in 16 17; do
    check "API suite on PostgreSQL $version" suites_on "$version" --test api
done
check "API and fault suites on PostgreSQL 18" suites_on 18 --test api --test faults
close
