# What the suites share. To be sourced.

# Installs Debian packages.
install() {
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

# Installs Debian packages where a command is missing: need COMMAND PACKAGE...
need() {
    command -v "$1" >/dev/null || install "${@:2}"
}

# Makes a Python environment with what the suite's requirements.txt pins, and prints its folder.
python_environment() {
    local folder
    folder=$(cd ../../.. && pwd)/target/peers/$(basename "$PWD")
    need python3 python3 python3-venv >&2
    python3 -m venv "$folder" >/dev/null || { install python3-venv >&2 && python3 -m venv "$folder" >&2; }
    "$folder/bin/pip" install --quiet --disable-pip-version-check --requirement requirements.txt >&2
    echo "$folder"
}

# Runs the tests of one module of tests/peers/main.rs, and closes with the counts.
cargo_suite() {
    local output status=0
    output=$(mktemp)
    (cd ../../.. && cargo test --locked --package tests --features peers --test peers -- --nocapture "$1::") 2>&1 |
        tee "$output" || status=$?
    sed -n 's/^test result: .* \([0-9]*\) passed; \([0-9]*\) failed; \([0-9]*\) ignored.*/\1 passed, \2 failed, \3 skipped/p' \
        "$output"
    rm -f "$output"
    return "$status"
}
