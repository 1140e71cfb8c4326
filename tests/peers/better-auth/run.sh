#!/usr/bin/env bash
# Users who sign up with a real Better Auth server call the API with the tokens it gives.
cd "$(dirname "$0")" && . ../suite.sh

node_packages
cargo_suite better_auth
