#!/usr/bin/env bash
# Deploys built functions and rolls them back. Needs the AWS CLI, python3 and openssl.
#
#   deploy/functions.sh deploy STACK PACKAGE...             deploy what deploy/build.sh has built
#   deploy/functions.sh roll-back STACK PACKAGE [VERSION]   to VERSION, or to the previously promoted one
#   deploy/functions.sh stage STACK PACKAGE...              upload code before `sam deploy` (see stack.sh)
#
# `deploy` publishes each function whose code or configuration differs from what its alias `live` serves. The
# new version gets a tenth of the traffic for CANARY_SECONDS (default 300; 0 for no canary), then all of it
# unless an alarm goes off. Programs are read from $BOOTSTRAPS/PACKAGE/bootstrap (default target/lambda).
set -euo pipefail
# Also exit on errors in $(…): if packing a program fails, the previous program's archive must not be
# uploaded.
shopt -s inherit_errexit
cd "$(dirname "$0")/.."

# Prints the names of the alarms in the template's DeploymentPreference.
watched_alarms() { # STACK
    awk -v stack="$1" '
        $1 == "Alarms:" { gsub(/[^A-Za-z0-9]|Ref/, " "); split($0, names, " "); for (i in names) watched[names[i]] }
        /^  [A-Za-z0-9]+:/ { id = $1; sub(/:/, "", id) }
        $1 == "AlarmName:" && id in watched { sub(/.*StackName}/, ""); print stack $0 }' template.yaml
}

# Prints the names of the functions that are built from a package.
functions_of() { # STACK PACKAGE
    awk -v stack="$1" -v package="$2" '$1 == "Binary:" { binary = $2 }
        $1 == "FunctionName:" && binary == package { sub(/.*StackName}/, ""); print stack $0 }' template.yaml
}

require() { # PACKAGE
    [ -n "$(functions_of - "$1")" ] || { echo "template.yaml has no function built from $1" >&2; exit 1; }
}

# Tests whether the function exists. Some functions of the template have a condition.
in_stack() { # FUNCTION
    local response
    response=$(aws lambda get-function-configuration --function-name "$1" --qualifier '$LATEST' 2>&1) && return
    [[ $response == *ResourceNotFoundException* ]] || { echo "$response" >&2; exit 1; }
    return 1
}

# Prints the hash of the code and everything else that a version is a copy of, on one line.
configuration() { # FUNCTION QUALIFIER
    aws lambda get-function-configuration --function-name "$1" --qualifier "$2" --output json | python3 -c '
import json, sys
found = json.load(sys.stdin)
settings = """Architectures Description Environment EphemeralStorage Handler Layers LoggingConfig MemorySize Role
    Runtime Timeout TracingConfig VpcConfig""".split()
print(found["CodeSha256"], json.dumps({name: found.get(name) for name in settings}, sort_keys=True))'
}

# Prints version, revision, weights and description of the alias `live`, on one line.
alias_of() { # FUNCTION
    aws lambda get-alias --function-name "$1" --name live --output text --query 'join(`" "`, [
        FunctionVersion,
        RevisionId,
        to_string(not_null(RoutingConfig.AdditionalVersionWeights, `{}`)),
        not_null(Description, `""`)])'
}

# The description of the alias lists the promoted versions, oldest first. Prints that list after VERSION is
# promoted.
record() { # DESCRIPTION VERSION
    local version versions=()
    [[ $1 =~ ^promoted(\ [0-9]+)+$ ]] || set -- "promoted" "$2"
    for version in ${1#promoted}; do
        [ "$version" != "$2" ] || break
        versions+=("$version")
    done
    versions+=("$2")
    # A description has at most 256 characters.
    [ ${#versions[@]} -le 20 ] || versions=("${versions[@]: -20}")
    echo "promoted ${versions[*]}"
}

# Changes the alias `live` and prints its new revision.
route() { # FUNCTION VERSION WEIGHTS [OPTION...]
    aws lambda update-alias --function-name "$1" --name live --function-version "$2" \
        --routing-config "{\"AdditionalVersionWeights\": $3}" --query RevisionId --output text "${@:4}"
}

# Packs a program and prints its hash in the form of Lambda's CodeSha256.
pack() { # PACKAGE ZIP
    deploy/zip.py "${BOOTSTRAPS:-target/lambda}/$1/bootstrap" "$2"
    openssl dgst -sha256 -binary "$2" | base64
}

# Uploads the archive as the code of $LATEST, unless $LATEST has the same code.
upload() { # FUNCTION ZIP SHA256 SHA256-OF-LATEST
    [ "$3" = "$4" ] || aws lambda update-function-code --function-name "$1" --zip-file "fileb://$2" >/dev/null
    aws lambda wait function-updated-v2 --function-name "$1"
}

# Invokes a version, and fails if it fails. By default, the CLI would stop reading after 60 s and invoke a
# long migration a second time.
invoke() { # FUNCTION VERSION EVENT
    local response error
    response=$(mktemp)
    aws lambda wait published-version-active --function-name "$1" --qualifier "$2"
    error=$(AWS_MAX_ATTEMPTS=1 aws lambda invoke --cli-read-timeout 330 --function-name "$1" --qualifier "$2" \
        --payload "fileb://$3" --query FunctionError --output text "$response")
    [ "$error" = None ] || { echo "$1 version $2 failed: $(head -c 1000 "$response")" >&2; return 1; }
    rm "$response"
}

# Prints which of these alarms are on.
alarms_on() { # ALARM...
    local states
    states=$(aws cloudwatch describe-alarms --alarm-names "$@" --output text \
        --query 'MetricAlarms[].[AlarmName, StateValue]')
    [ "$(wc -l <<<"$states")" -eq $# ] || { echo "not all of these alarms exist: $*" >&2; return 1; }
    awk '$2 == "ALARM" { print $1 }' <<<"$states"
}

# Prints which of these alarms have gone off since TIME.
alarms_since() { # TIME ALARM...
    local alarm
    for alarm in "${@:2}"; do
        aws cloudwatch describe-alarm-history --alarm-name "$alarm" --history-item-type StateUpdate --start-date "$1" \
            --output text --query "AlarmHistoryItems[?contains(HistorySummary, 'to ALARM')].[AlarmName]" | sort -u
    done
}

# By function, for the endpoints that are about to change: the version in service, the version to promote, the
# alias's revision, and the list of promoted versions.
declare -A old=() new=() revision=() promoted=()

# Gives all traffic back to the versions in service. In parallel, because GitHub kills a canceled job within
# ten seconds. Passes the revision, so that an alias that somebody else has changed is left alone.
take_back() {
    local function
    for function in "${!new[@]}"; do
        route "$function" "${old[$function]}" "{}" ${revision[$function]:+--revision-id "${revision[$function]}"} \
            >/dev/null && echo "$function stays at ${old[$function]}" >&2 &
    done
    wait
}

canary() { # STACK
    local function expected start on alarms
    mapfile -t alarms < <(watched_alarms "$1")
    [ ${#alarms[@]} -gt 0 ] || { echo "template.yaml has no alarm to watch" >&2; return 1; }
    start=$(date -u +%Y-%m-%dT%H:%M:%SZ)
    on=$(alarms_on "${alarms[@]}")
    [ -z "$on" ] || { echo "no canary while an alarm is on: ${on//$'\n'/ }" >&2; return 1; }
    for function in "${!new[@]}"; do
        expected=${revision[$function]}
        # Unknown until the response arrives, in case a signal interrupts the wait.
        revision[$function]=
        revision[$function]=$(route "$function" "${old[$function]}" "{\"${new[$function]}\": 0.1}" \
            --revision-id "$expected")
    done
    local end=$((SECONDS + CANARY_SECONDS))
    while [ -z "$on" ] && [ "$SECONDS" -lt "$end" ]; do
        # In the background, so that a signal is handled at once.
        sleep "${POLL_SECONDS:-10}" >/dev/null 2>&1 &
        wait $!
        on=$(alarms_on "${alarms[@]}")
    done
    # Also counts an alarm that went off and recovered between two polls.
    [ -n "$on" ] || on=$(alarms_since "$start" "${alarms[@]}")
    [ -z "$on" ] || { echo "alarm went off: ${on//$'\n'/ }" >&2; return 1; }
}

deploy() { # STACK PACKAGE...
    local stack=$1 package function zip hash live latest alias now at weights description version found=0
    shift
    for package in "$@"; do require "$package"; done
    zip=$(mktemp -d)/function.zip
    # migrate first, because the other functions may need the new schema.
    for package in $(printf '%s\n' "$@" | grep -x migrate) $(printf '%s\n' "$@" | grep -vx migrate); do
        hash=$(pack "$package" "$zip")
        for function in $(functions_of "$stack" "$package"); do
            in_stack "$function" || { echo "$function is not in the stack"; continue; }
            found=1
            live=$(configuration "$function" live)
            latest=$(configuration "$function" '$LATEST')
            alias=$(alias_of "$function")
            read -r now at weights description <<<"$alias"
            if [ "$live" = "$hash ${latest#* }" ]; then
                echo "$function is in service already"
                # Removes the weights of an interrupted canary, and records a version that CloudFormation
                # promoted.
                [ "$weights $description" = "{} $(record "$description" "$now")" ] ||
                    route "$function" "$now" "{}" --description "$(record "$description" "$now")" >/dev/null
                continue
            fi
            upload "$function" "$zip" "$hash" "${latest%% *}"
            version=$(aws lambda publish-version --function-name "$function" --code-sha256 "$hash" --query Version \
                --output text)
            # For an endpoint, the event is a request without a valid token: enough to check that it starts
            # and responds.
            invoke "$function" "$version" "events/$package.json"
            if [ "$package" = migrate ]; then
                route "$function" "$version" "{}" --description "$(record "$description" "$version")" >/dev/null
                echo "$function $version has run"
            else
                old[$function]=$now new[$function]=$version revision[$function]=$at
                promoted[$function]=$(record "$description" "$now")
            fi
        done
    done
    rm -r "$(dirname "$zip")"
    [ "$found" -eq 1 ] || return 1
    [ ${#new[@]} -gt 0 ] || return 0

    trap take_back EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    [ "${CANARY_SECONDS:=300}" -eq 0 ] || canary "$stack"
    for function in "${!new[@]}"; do
        route "$function" "${new[$function]}" "{}" --revision-id "${revision[$function]}" \
            --description "$(record "${promoted[$function]}" "${new[$function]}")" >/dev/null
        echo "$function ${old[$function]} -> ${new[$function]}"
        unset "new[$function]"
    done
}

# Uploads the built code as $LATEST. Also removes the weights of an interrupted canary, with which CodeDeploy
# rejects an alias.
stage() { # STACK PACKAGE...
    local stack=$1 package function zip hash latest alias now at weights description
    shift
    zip=$(mktemp -d)/function.zip
    for package in "$@"; do
        hash=$(pack "$package" "$zip")
        for function in $(functions_of "$stack" "$package"); do
            in_stack "$function" || continue
            latest=$(configuration "$function" '$LATEST')
            upload "$function" "$zip" "$hash" "${latest%% *}"
            alias=$(alias_of "$function")
            read -r now at weights description <<<"$alias"
            [ "$weights" = "{}" ] || route "$function" "$now" "{}" >/dev/null
        done
    done
    rm -r "$(dirname "$zip")"
}

roll_back() { # STACK PACKAGE [VERSION]
    local stack=$1 package=$2 function alias now at weights description to version
    require "$package"
    for function in $(functions_of "$stack" "$package"); do
        alias=$(alias_of "$function")
        read -r now at weights description <<<"$alias"
        to=${3-}
        # During a canary, goes back to the last promoted version, which ends the canary.
        [ -n "$to" ] || [ "$weights" = "{}" ] || to=$now
        if [ -z "$to" ]; then
            for version in ${description#promoted}; do
                [ "$version" != "$now" ] || break
                to=$version
            done
        fi
        [ -n "$to" ] || { echo "$function has no version that was promoted before $now" >&2; return 1; }
        route "$function" "$to" "{}" --description "$(record "$description" "$to")" >/dev/null
        echo "$function $now -> $to"
    done
}

usage() {
    sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

[ $# -ge 3 ] || usage
case $1 in
deploy | stage) "$@" ;;
roll-back) [ $# -le 4 ] || usage; roll_back "${@:2}" ;;
*) usage ;;
esac
