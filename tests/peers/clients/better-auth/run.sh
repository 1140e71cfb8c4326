#!/usr/bin/env bash
# Users sign up with a real Better Auth server and call the API with its tokens.
cd "$(dirname "$0")" && . ../../suite.sh

node_packages
cargo_suite clients::better_auth
