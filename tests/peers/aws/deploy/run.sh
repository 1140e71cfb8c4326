#!/usr/bin/env bash
# Runs the deployment scripts and workflows, from the first deployment of a stack to its deletion, and those
# of a preview, against stand-ins for AWS, GitHub and Neon.
cd "$(dirname "$0")" && . ../../suite.sh

tools=$root/target/peers/sam/tools
python_environment "$tools" "$root/deploy/requirements.txt" ../sam/requirements.txt
need jq jq
export PATH="$tools/bin:$PATH" PYTHONDONTWRITEBYTECODE=1 AWS_DEFAULT_REGION=eu-central-1

check "from the first deployment to the deletion" python3 walk_through.py
close
