#!/usr/bin/env bash
# Runs `sam local` on the output of `sam build`: each function in a container, on a Docker engine that this
# script starts, with a database on this machine. run.sh calls it and provides the tools.
cd "$(dirname "$0")" && . ../../suite.sh

if [ -z "${TASK_API_DATABASE_URL:-}" ]; then
    if [ "$(id -u)" -ne 0 ]; then
        skip "sam local" "starting a Docker engine needs root"
        close
        exit
    fi
    need dockerd docker.io
    need ip iproute2
    need curl curl
    need socat socat
    need busybox busybox-static
    exec cargo run --quiet --locked --package tests --example with-api -- bash "$PWD/sam_local.sh"
fi

# Not in $work, because the path of a socket must be short.
engine=$(mktemp -d)
bridge=task-api-sam gateway=172.31.254.1
export DOCKER_HOST=unix://$engine/socket
processes=()

# Stops the processes in reverse order. The engine unmounts its file systems.
clean_up() {
    local index
    for ((index = ${#processes[@]} - 1; index >= 0; index--)); do
        kill "${processes[index]}" 2>/dev/null && wait "${processes[index]}" || true
    done
    ip link delete "$bridge" 2>/dev/null || true
    rm -rf "$engine"
}
trap clean_up EXIT

ask_engine() { curl --silent --show-error --fail --unix-socket "$engine/socket" "$@"; }

# Without firewall rules: the engine's own proxy and the bridge are enough.
start_engine() {
    ip link delete "$bridge" 2>/dev/null || true
    ip link add "$bridge" type bridge && ip address add "$gateway/24" dev "$bridge" || return
    ip link set "$bridge" up || return
    dockerd --host "$DOCKER_HOST" --data-root "$engine/data" --exec-root "$engine/run" --pidfile "$engine/pid" \
        --bridge "$bridge" --iptables=false --ip6tables=false >"$engine/log" 2>&1 &
    processes+=($!)
    for _ in {1..60}; do
        ! ask_engine http://docker/_ping >/dev/null 2>&1 || return 0
        kill -0 "${processes[-1]}" 2>/dev/null || return
        sleep 0.5
    done
    return 1
}

# Creates an image under the name of Amazon's, where SAM looks for it. It has a shell, with which SAM installs
# its emulator, and the libraries that a bootstrap is linked against.
import_image() {
    local files=$engine/image command libraries
    mkdir -p "$files"/{bin,etc,tmp,var/task,var/runtime} || return
    cp "$(command -v busybox)" "$files/bin/busybox" || return
    for command in sh mv chmod; do ln -s busybox "$files/bin/$command" || return; done
    libraries=$(ldd "$work/build/GetTaskFunction/bootstrap" | grep -o '/[^ ]*') || return
    xargs cp --dereference --parents --target-directory "$files" <<<"$libraries" || return
    tar --create --directory "$files" . >"$engine/image.tar" || return
    ask_engine --request POST --header "Content-Type: application/x-tar" --upload-file "$engine/image.tar" \
        "http://docker/images/create?fromSrc=-&repo=public.ecr.aws/lambda/provided&tag=al2023-x86_64"
}

# Options of every `sam local`.
options=(--template "$work/build/template.yaml" --config-file "$root/samconfig.toml" --parameter-overrides Architecture=x86_64 --skip-pull-image
    --add-host host.docker.internal:host-gateway --env-vars "$engine/env.json")

# Checks status and text of a function's response to a sample of events/: invoked FUNCTION EVENT STATUS TEXT
invoked() {
    local answer
    sed "s/REPLACE_WITH_A_TOKEN/$token/" "$root/events/$2" >"$engine/event.json" || return
    answer=$(sam local invoke "$1" --event "$engine/event.json" "${options[@]}") || return
    printf '%s\n' "$answer"
    [[ $answer == *"\"statusCode\": $3,"* && $answer == *"$4"* ]]
}

# Checks status and text of the response that curl gets from start-api: served STATUS TEXT CURL_ARGUMENT...
served() {
    local answer
    answer=$(curl --silent --show-error --write-out ' %{http_code}' --header "Authorization: Bearer $token" "${@:3}") ||
        return
    printf '%s\n' "$answer"
    [[ $answer == *"$2"*" $1" ]]
}

served_by_start_api() {
    local api=http://127.0.0.1:$port
    served 201 '"title":"Über SAM"' --header 'Content-Type: application/json' --data '{"title": "Über SAM"}' \
        "$api/plain/api/demo/tasks" &&
        served 200 '"title":"Über SAM"' "$api/api/demo/tasks?limit=1" &&
        served 403 FORBIDDEN "$api/api/another/tasks"
}

if ! start_engine; then
    reason=$(tail -n 1 "$engine/log" 2>/dev/null || echo "no bridge can be created")
    skip "sam local" "the Docker engine does not start: $reason"
    close
    exit
fi
check "image under the name of Amazon's" import_image

# PostgreSQL listens only on 127.0.0.1, but containers reach this machine through the bridge.
database_port=$(sed -E 's/.*:([0-9]+)\/.*/\1/' <<<"$TASK_API_DATABASE_URL")
socat "TCP-LISTEN:$database_port,bind=$gateway,fork,reuseaddr" "TCP:127.0.0.1:$database_port" &
processes+=($!)
cat >"$engine/env.json" <<JSON
{"Parameters": {"SECRET_ID": "", "DATABASE_URL": "${TASK_API_DATABASE_URL/127.0.0.1/host.docker.internal}",
                "JWT_SECRET": "$TASK_API_SECRET"}}
JSON
token=$(cd "$root" && JWT_SECRET=$TASK_API_SECRET cargo dev token --user demo)

check "sam local invoke CreateTaskFunction" invoked CreateTaskFunction create-task.json 201 ''
check "sam local invoke ListTasksFunction" invoked ListTasksFunction list-tasks.json 200 '\"total\":1'
check "sam local invoke, the plain contract" invoked ListTasksFunction list-tasks-plain.json 200 '[{\"id\":'

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
sam local start-api --port "$port" "${options[@]}" >"$engine/start-api" 2>&1 &
processes+=($!)
curl --silent --output /dev/null --retry 60 --retry-delay 1 --retry-connrefused "http://127.0.0.1:$port/health" || true
check "sam local start-api" served_by_start_api
[ "$failed" -eq 0 ] || tail -n 40 "$engine/start-api"
close
