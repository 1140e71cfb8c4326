#!/usr/bin/env bash
# The life of a stack and of a preview, with stand-ins for AWS, GitHub and Neon.
cd "$(dirname "$0")" && . ../suite.sh

tools=$root/target/peers/sam/tools
python_environment "$tools" "$root/deploy/requirements.txt" ../sam/requirements.txt
need jq jq
export PATH="$tools/bin:$PATH" PYTHONDONTWRITEBYTECODE=1

check "from the first deployment to the deletion" python3 walk_through.py
check "branches of Neon's" python3 neon.py
close
