#!/usr/bin/env bash
# Deploys or deletes a separate stack for a pull request, with its own branch of the Neon database:
#
#   preview.sh up NAME [PARAMETER=VALUE...]
#   preview.sh down NAME
#
# NAME is the name of the stack, of the Neon branch and of the secret. `up` deploys what deploy/build.sh has
# built, and prints the base URL on its last line. Needs the variables of deploy/neon.py and, for `down`,
# AWS_REGION.
set -euo pipefail
cd "$(dirname "$0")/.."

name=$2
case $1 in
up)
    secret=$(deploy/neon.py create "$name" | python3 -c '
import json, secrets, sys
print(json.dumps(json.load(sys.stdin) | {"JWT_SECRET": secrets.token_hex(32)}))')
    if ! arn=$(aws secretsmanager describe-secret --secret-id "$name" --query ARN --output text 2>/dev/null); then
        # Passed through stdin, so that the process list doesn't show it.
        arn=$(aws secretsmanager create-secret --name "$name" --secret-string file:///dev/stdin --query ARN \
            --output text <<<"$secret")
    fi
    CANARY_SECONDS=0 deploy/stack.sh "$name" prod EnvironmentName=preview LogRetentionDays=7 \
        CanaryDeployments=false ReserveConcurrency=false Architecture="${ARCHITECTURE:-arm64}" \
        SecretArn="$arn" MigrationSecretArn="$arn" "${@:3}"
    aws cloudformation describe-stacks --stack-name "$name" --output text \
        --query "Stacks[0].Outputs[?OutputKey=='EnvelopeBaseUrl'].OutputValue"
    ;;
down)
    sam delete --stack-name "$name" --region "$AWS_REGION" --no-prompts
    aws secretsmanager delete-secret --secret-id "$name" --force-delete-without-recovery >/dev/null
    deploy/neon.py delete "$name"
    ;;
*) exit 2 ;;
esac
