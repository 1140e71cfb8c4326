#!/usr/bin/env bash
# The functions take their configuration from Secrets Manager, as moto serves it.
set -euo pipefail
cd "$(dirname "$0")"
. ../suite.sh

need python3 python3 python3-venv
venv=../../../target/peers/moto
python3 -m venv "$venv" || { need pip python3-venv python3-pip; python3 -m venv "$venv"; }
"$venv/bin/pip" install --quiet --disable-pip-version-check --requirement requirements.txt
MOTO_SERVER=$(cd "$venv/bin" && pwd)/moto_server
export MOTO_SERVER
cargo_suite moto
