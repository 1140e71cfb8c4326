#!/usr/bin/env bash
# The parts of the API suite that depend on the server (SQL, roles, planning), on PostgreSQL 16, 17 and 18, and
# on 18 also writes under load and what the fault suite knows about connections: direct TLS negotiation exists
# from 17 on. `cargo test` runs everything on the version that is installed on this machine.
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

for version in 16 17 18; do
    check "SQL on PostgreSQL $version" suites_on "$version" --test api -- lists:: migrate:: sql_functions:: walls::
done
check "writes on PostgreSQL 18" suites_on 18 --test api -- changes:: erase:: idempotency:: limits:: load:: tasks::
check "faults on PostgreSQL 18" suites_on 18 --test faults -- late_writes:: server:: tls::
close
