#!/usr/bin/env bash
# Deploys a whole stack from what deploy/build.sh has built: stack.sh STACK CONFIG-ENV [PARAMETER=VALUE...]
#
# CONFIG-ENV is a section of samconfig.toml. A parameter that is not named keeps its value. ROLE_ARN is the role that
# CloudFormation assumes, if any. Needs SAM's CLI and what deploy/functions.sh needs.
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

# CloudFormation compares with what it last deployed, not with what is there. So the code is put in place for it, and a
# new release makes Lambda publish even if code and configuration are those of the latest version.
deploy/functions.sh stage "$stack" "${packages[@]}"
# SAM looks for the configuration beside the template, unless it is told.
sam deploy --template-file "$packed/template.yaml" --config-file "$PWD/samconfig.toml" --config-env "$config_env" \
    --stack-name "$stack" ${ROLE_ARN:+--role-arn "$ROLE_ARN"} \
    --parameter-overrides "${@:3}" Release="$(git rev-parse --short=7 HEAD)-$(date -u +%H%M%S)"
# Whatever CloudFormation took for unchanged and is not. In place of this shell, so that a signal reaches the script.
exec deploy/functions.sh deploy "$stack" "${packages[@]}"
