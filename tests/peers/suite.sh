# What the suites share. To be sourced.

# Installs Debian packages where a command is missing: need COMMAND PACKAGE...
need() {
    local command=$1
    shift
    command -v "$command" >/dev/null && return
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
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
