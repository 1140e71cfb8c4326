#!/usr/bin/env bash
# Puts built functions into service, one or many at a time, and takes them out again.
#
#   deploy/functions.sh deploy STACK PACKAGE...              from target/lambda/PACKAGE/bootstrap, or that below BOOTSTRAPS
#   deploy/functions.sh roll-back STACK PACKAGE [VERSION]    to VERSION, or the one before the one in service
#
# A new version gets a tenth of the traffic for CANARY_SECONDS (300; 0 for none), and all of it if no alarm of the stack
# went off. Code that is in service already is left alone, so a repeat is harmless. Needs the AWS CLI, python3 and openssl.
set -euo pipefail
cd "$(dirname "$0")/.."

functions_of() { # PACKAGE: the names that the template gives its functions, without the stack's
    awk -v package="$1" '$1 == "Binary:" { binary = $2 }
        $1 == "FunctionName:" && binary == package { sub(/.*StackName}-/, ""); print }' template.yaml
}

in_service() { aws lambda get-alias --function-name "$1" --name live --query FunctionVersion --output text; }

# FUNCTION VERSION [OTHER-VERSION SHARE]
route() {
    local weights="{}"
    [ $# -eq 2 ] || weights="{\"$3\": $4}"
    aws lambda update-alias --function-name "$1" --name live --function-version "$2" \
        --routing-config "{\"AdditionalVersionWeights\": $weights}" >/dev/null
}

# Without a time or an owner in it, so that the same program makes the same file.
zip_of() {
    python3 - "$1" "$2" <<'PYTHON'
import sys, zipfile
with open(sys.argv[1], "rb") as program, zipfile.ZipFile(sys.argv[2], "w", zipfile.ZIP_DEFLATED) as archive:
    entry = zipfile.ZipInfo("bootstrap")
    entry.external_attr, entry.create_system, entry.compress_type = 0o100755 << 16, 3, zipfile.ZIP_DEFLATED
    archive.writestr(entry, program.read())
PYTHON
}

publish() { # FUNCTION ZIP SHA256: prints the new version
    aws lambda update-function-code --function-name "$1" --zip-file "fileb://$2" >/dev/null
    aws lambda wait function-updated-v2 --function-name "$1"
    aws lambda publish-version --function-name "$1" --code-sha256 "$3" --query Version --output text
}

# FUNCTION VERSION EVENT: fails where the function does.
invoke() {
    local answer error
    answer=$(mktemp)
    aws lambda wait published-version-active --function-name "$1" --qualifier "$2"
    error=$(aws lambda invoke --function-name "$1" --qualifier "$2" \
        --payload "fileb://$3" --query FunctionError --output text "$answer")
    [ "$error" = None ] || { echo "$1 version $2 fails: $(head -c 1000 "$answer")" >&2; return 1; }
}

alarms() {
    aws cloudwatch describe-alarms --alarm-names "$1-errors" "$1-latency" \
        --query "MetricAlarms[?StateValue=='ALARM'].AlarmName" --output text
}

deploy() {
    local stack=$1 package name function zip hash version
    local -A old=() new=()
    shift
    zip=$(mktemp -d)/function.zip
    for package in "$@"; do
        [ -n "$(functions_of "$package")" ] || { echo "template.yaml has no function made from $package" >&2; return 1; }
    done
    # The schema before the code that needs it.
    for package in $(printf '%s\n' "$@" | grep -x migrate) $(printf '%s\n' "$@" | grep -vx migrate); do
        zip_of "${BOOTSTRAPS:-target/lambda}/$package/bootstrap" "$zip"
        hash=$(openssl dgst -sha256 -binary "$zip" | base64)
        for name in $(functions_of "$package"); do
            function=$stack-$name
            if [ "$hash" = "$(aws lambda get-function-configuration --function-name "$function" --qualifier live \
                --query CodeSha256 --output text)" ]; then
                echo "$function is in service already"
                continue
            fi
            version=$(publish "$function" "$zip" "$hash")
            # For an endpoint a request without a valid token: enough to show that it starts and answers.
            invoke "$function" "$version" "events/$package.json"
            if [ "$package" = migrate ]; then
                route "$function" "$version"
                echo "$function $version has run"
            else
                old[$function]=$(in_service "$function") new[$function]=$version
            fi
        done
    done
    rm -r "$(dirname "$zip")"
    [ ${#new[@]} -gt 0 ] || return 0

    if [ "${CANARY_SECONDS:=300}" -gt 0 ]; then
        for function in "${!new[@]}"; do route "$function" "${old[$function]}" "${new[$function]}" 0.1; done
        sleep "$CANARY_SECONDS"
        if [ -n "$(alarms "$stack")" ]; then
            for function in "${!new[@]}"; do
                route "$function" "${old[$function]}"
                echo "$function stays at ${old[$function]}: $(alarms "$stack")" >&2
            done
            return 1
        fi
    fi
    for function in "${!new[@]}"; do
        route "$function" "${new[$function]}"
        echo "$function ${old[$function]} -> ${new[$function]}"
    done
}

roll_back() {
    local stack=$1 package=$2 function now to name
    [ -n "$(functions_of "$package")" ] || { echo "template.yaml has no function made from $package" >&2; return 1; }
    for name in $(functions_of "$package"); do
        function=$stack-$name
        now=$(in_service "$function")
        to=${3:-$(aws lambda list-versions-by-function --function-name "$function" \
            --query "Versions[?Version!='\$LATEST'].Version" --output text | tr '\t' '\n' | sort -n |
            awk -v now="$now" '$1 < now + 0 { before = $1 } END { print before }')}
        [ -n "$to" ] || { echo "$function has no version before $now" >&2; return 1; }
        route "$function" "$to"
        echo "$function $now -> $to"
    done
}

case "${1-} $#" in
"deploy "[!012]*) shift; deploy "$@" ;;
"roll-back "[34]) shift; roll_back "$@" ;;
*) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
