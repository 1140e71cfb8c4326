#!/usr/bin/env bash
# Installs the peers, with which the functions are compared, at pinned versions. Skips what is already
# installed.
cd "$(dirname "$0")" && . ../../peers/suite.sh
work=$root/target/benches

# installed PINS FOLDER: succeeds if FOLDER was installed from the pinned versions in the file PINS.
installed() {
    cmp -s "$1" "$2/$(basename "$1")"
}

install_fastapi() {
    local pins=fastapi/requirements.txt folder=$work/fastapi
    if ! installed "$pins" "$folder"; then
        rm -rf "$folder"
        mkdir -p "$folder"
        python_environment "$folder/venv" "$pins"
        "$folder/venv/bin/python" -m compileall -q "$folder/venv/lib"
        cp "$pins" "$folder"
    fi
    # Copied because its byte code, which is stored next to it, must not be in the source tree.
    cp fastapi/app.py "$folder"
    "$folder/venv/bin/python" -m compileall -q "$folder/app.py"
}

install_node() {
    local pins=node/package-lock.json folder=$work/node headers
    mkdir -p "$folder"
    if ! installed "$pins" "$folder" || [ ! -e node/node_modules/aws-lambda-ric/rapid-client.node ]; then
        echo "compiling aws-lambda-ric, which takes a minute or two"
        need npm nodejs npm
        need cmake cmake
        need autoreconf autoconf automake libtool
        need g++ g++
        need make make
        need python3 python3
        need xz xz-utils
        # Without this, node-gyp downloads Node's headers.
        headers=$(dirname "$(dirname "$(node -p process.execPath)")")
        [ ! -e "$headers/include/node/node.h" ] || export npm_config_nodedir=$headers
        (cd node && npm ci --ignore-scripts=false --no-audit --no-fund --loglevel=error)
        cp "$pins" "$folder"
    fi
    # pg calls `require`, which ES modules don't have. pg-native is optional and not installed.
    node/node_modules/.bin/esbuild node/app.mjs --bundle --minify --platform=node --format=esm --log-level=warning \
        --external:pg-native --outfile="$folder/app.mjs" \
        --banner:js='import{createRequire}from"node:module";const require=createRequire(import.meta.url);'
}

install_fastapi
install_node
