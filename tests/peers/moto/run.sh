#!/usr/bin/env bash
# The functions take their configuration from Secrets Manager, as moto serves it.
set -euo pipefail
cd "$(dirname "$0")"
. ../suite.sh

MOTO_SERVER=$(python_environment)/bin/moto_server
export MOTO_SERVER
cargo_suite moto
