#!/usr/bin/env bash
# The functions read their configuration from Secrets Manager, which moto simulates.
cd "$(dirname "$0")" && . ../../suite.sh

python_environment "$work" requirements.txt
export MOTO_SERVER=$work/bin/moto_server
cargo_suite aws::moto
