#!/usr/bin/env bash
# The parts of the API suite that depend on sessions, through PgBouncer in transaction mode, like Neon's pooler,
# with four server connections for each database and more function processes than that. They run twice: with
# the distribution's PgBouncer, and with one that tracks prepared statements (1.21 or later, like Neon's).
cd "$(dirname "$0")" && . ../../suite.sh

PATH=$PATH:/usr/sbin

api_over() {
    "$1" --version
    local sessions=(erase failures health idempotency limits load round_trips tasks walls)
    TEST_PGBOUNCER=$1 LOAD_SECONDS=10 cargo_tests --test api -- "${sessions[@]/%/::}"
}

keeps_prepared_statements() {
    printf '1.21\n%s\n' "$("$1" --version | awk 'NR == 1 { print $2 }')" | sort --check --version-sort 2>/dev/null
}

# Builds Debian 13's PgBouncer from source, which apt verifies. Uses the same archive as apt does for this
# release.
build_newer() {
    local apt=$work/apt archive
    archive=$(. /etc/os-release && apt-get indextargets --format '$(REPO_URI)' \
        'Created-By: Packages' 'Origin: Debian' "Codename: $VERSION_CODENAME" | head -n 1)
    [ -n "$archive" ] || { echo "apt has no source for Debian's packages"; return 1; }
    install dpkg-dev gcc libevent-dev libssl-dev make pkg-config
    rm -rf "$apt" && mkdir -p "$apt/lists/partial" "$apt/source" && cd "$apt/source"
    cat >"$apt/debian.sources" <<END
Types: deb-src
URIs: $archive
Suites: trixie
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END
    local options=(-qq -o "Dir::Etc::sourcelist=$apt/debian.sources" -o Dir::Etc::sourceparts=/dev/null
        -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=)
    # Chained with && because `set -e` has no effect in a check's command.
    apt-get "${options[@]}" update &&
        apt-get "${options[@]}" source pgbouncer/trixie &&
        cd pgbouncer-*/ &&
        ./configure --quiet --without-cares &&
        make --silent --jobs=2 pgbouncer &&
        cp pgbouncer "$work/pgbouncer"
}

need pgbouncer pgbouncer
pgbouncer=$(command -v pgbouncer)
check "API suite through the distribution's PgBouncer" api_over "$pgbouncer"
one_connection() { TEST_PGBOUNCER=$pgbouncer TEST_PGBOUNCER_CONNECTIONS=1 LOAD_USERS=30 cargo_tests --test api -- load::; }
check "load of thirty users through one server connection" one_connection

if ! keeps_prepared_statements "$pgbouncer"; then
    pgbouncer=$work/pgbouncer
    [ -x "$pgbouncer" ] || check "build of PgBouncer 1.21 or later" build_newer
fi
check "API suite through a PgBouncer that tracks prepared statements" api_over "$pgbouncer"
close
