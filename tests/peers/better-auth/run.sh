#!/usr/bin/env bash
# Users who sign up with a real Better Auth server call the API with the tokens it gives.
set -euo pipefail
cd "$(dirname "$0")"
. ../suite.sh

need npm nodejs npm
npm ci --no-audit --no-fund
cargo_suite better_auth
