# Functions that the suites share. A suite's run.sh sources this file in its own folder.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# The suite's folder for generated files.
work=$root/target/peers/$(basename "$PWD")

# Installs Debian packages.
install() {
    local sudo=()
    [ "$(id -u)" -eq 0 ] || sudo=(sudo)
    "${sudo[@]}" apt-get update -qq
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

# Installs Debian packages if a command is missing: need COMMAND PACKAGE...
need() {
    command -v "$1" >/dev/null || install "${@:2}"
}

# Creates a Python environment with the packages in these files: python_environment FOLDER REQUIREMENTS...
python_environment() {
    local folder=$1 requirements
    need python3 python3 python3-venv
    python3 -m venv "$folder" >/dev/null || { install python3-venv && python3 -m venv "$folder"; }
    # One file at a time: if one has hashes, pip requires hashes for everything that the same command
    # installs.
    for requirements in "${@:2}"; do
        "$folder/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
    done
}

# Installs the packages of the suite's package-lock.json.
node_packages() {
    need npm nodejs npm
    npm ci --no-audit --no-fund --silent
}

# Installs Node.js from npm if this machine's is too old for Vite.
recent_node() {
    need npm nodejs npm
    local folder=$root/target/peers/node package
    node -e 'const [major, minor] = process.versions.node.split(".").map(Number);
        process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)' && return
    package=node-linux-$(node -p process.arch)
    npm install --no-audit --no-fund --silent --prefix "$folder" "$package@22.23.3"
    PATH=$folder/node_modules/$package/bin:$PATH
}

passed=0 failed=0 skipped=0 times=

# Runs a check and prints its name and output: check NAME COMMAND... If the last line of the output has
# counts, they are added; otherwise the check counts as one that passed or failed.
check() {
    local output status=0 start=$SECONDS
    output=$(mktemp)
    printf '\n--- %s\n' "$1"
    "${@:2}" 2>&1 | tee "$output" || status=$?
    if [[ $(tail -n 1 "$output") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
        passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2])) skipped=$((skipped + BASH_REMATCH[3]))
        [ "$status" -eq 0 ] || [ "${BASH_REMATCH[2]}" -gt 0 ] || failed=$((failed + 1))
    elif [ "$status" -eq 0 ]; then
        passed=$((passed + 1))
    else
        echo "FAILED: $1 (exit status $status)"
        failed=$((failed + 1))
    fi
    times+="$((SECONDS - start)) s: $1"$'\n'
    rm -f "$output"
}

# Reports a check that can't run on this machine: skip NAME REASON
skip() {
    printf '\n--- %s\nskipped: %s\n' "$1" "$2"
    skipped=$((skipped + 1))
}

# Prints the times and the counts of all checks. Fails if any check has failed.
close() {
    printf '\n%s%s passed, %s failed, %s skipped\n' "$times" "$passed" "$failed" "$skipped"
    [ "$failed" -eq 0 ]
}

# Runs `cargo test` on the package `tests` with these arguments, and prints the counts in the last line.
cargo_tests() {
    local output status=0
    output=$(mktemp)
    (cd "$root" && cargo test --locked --package tests "$@") 2>&1 | tee "$output" || status=$?
    awk '/^test result:/ { passed += $4; failed += $6; skipped += $8 }
        END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }' "$output"
    rm -f "$output"
    return "$status"
}

# Runs one module of tests/peers/main.rs, such as aws::moto, and prints the counts in the last line.
cargo_suite() {
    cargo_tests --features peers --test peers -- --nocapture "$1::"
}
