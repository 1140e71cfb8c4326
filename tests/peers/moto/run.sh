#!/usr/bin/env bash
# The functions take their configuration from Secrets Manager, as moto serves it.
cd "$(dirname "$0")" && . ../suite.sh

python_environment "$work" requirements.txt
export MOTO_SERVER=$work/bin/moto_server
cargo_suite moto
