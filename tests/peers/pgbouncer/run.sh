#!/usr/bin/env bash
# The black-box suite over PgBouncer in transaction mode, as Neon's pooler is, with four server connections for each
# database and more processes of functions than that; and half a minute of load.
cd "$(dirname "$0")" && . ../suite.sh

PATH=$PATH:/usr/sbin
need pgbouncer pgbouncer
TEST_PGBOUNCER=$(command -v pgbouncer)
export TEST_PGBOUNCER
pgbouncer --version
LOAD_SECONDS=30 cargo_tests --test api
