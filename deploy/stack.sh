#!/usr/bin/env bash
# Deploys a whole stack with the functions that deploy/build.sh has built: stack.sh STACK CONFIG-ENV
# [PARAMETER=VALUE...]
#
# CONFIG-ENV is a section of samconfig.toml. The given parameters replace the section's `parameter_overrides`.
# A parameter that is not given keeps its value, or gets its default if the stack is new. ROLE_ARN is the role
# that CloudFormation assumes, if set. Needs SAM's CLI and what deploy/functions.sh needs.
set -euo pipefail
cd "$(dirname "$0")/.."

stack=$1 config_env=$2
packed=target/deploy
cd functions
packages=(*)
cd ..
mkdir -p "$packed"
for package in "${packages[@]}"; do
    deploy/zip.py "${BOOTSTRAPS:-target/lambda}/$package/bootstrap" "$packed/$package.zip"
done
sed -E 's|CodeUri: functions/([a-z-]+)$|CodeUri: \1.zip|' template.yaml >"$packed/template.yaml"

# CloudFormation compares the template with what it last deployed, not with what is in service now. So the
# code is uploaded first, and the new Release makes Lambda publish a version even if CloudFormation sees no
# change.
deploy/functions.sh stage "$stack" "${packages[@]}"
# SAM would look for samconfig.toml next to the packed template.
sam deploy --template-file "$packed/template.yaml" --config-file "$PWD/samconfig.toml" --config-env "$config_env" \
    --stack-name "$stack" ${ROLE_ARN:+--role-arn "$ROLE_ARN"} \
    --parameter-overrides "${@:3}" Release="$(git rev-parse --short=7 HEAD)-$(date -u +%H%M%S)"
# Deploys the functions that CloudFormation left at other code. `exec`, so that signals reach the script.
exec deploy/functions.sh deploy "$stack" "${packages[@]}"
