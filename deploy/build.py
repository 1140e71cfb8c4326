#!/usr/bin/env python3
"""Builds functions for Lambda: build.py [PACKAGE...]

Builds each function, or the packages given, as target/lambda/PACKAGE/bootstrap, and prints their names. Skips
a function whose inputs are those of its last build. ARCHITECTURE is arm64 (the default) or x86_64. Needs the
tools in deploy/requirements.txt.

Inputs of a function are its package's folder, the folders of the workspace packages that it depends on, the
paths in `package.metadata.deploy.inputs` of its Cargo.toml, and the files that configure the build.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ["Cargo.toml", "Cargo.lock", ".cargo", "rust-toolchain.toml", "deploy/build.py", "deploy/requirements.txt"]


def workspace():
    command = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


def inputs_by_function(metadata):
    """Returns the paths that each function's binary is built from, by package name."""
    packages = {package["name"]: package for package in metadata["packages"]}

    def folder(package):
        return str(Path(package["manifest_path"]).parent.relative_to(metadata["workspace_root"]))

    def inputs(name, seen):
        if name in seen or name not in packages:
            return
        seen.add(name)
        package = packages[name]
        yield folder(package)
        yield from ((package["metadata"] or {}).get("deploy") or {}).get("inputs", [])
        for dependency in package["dependencies"]:
            # Development dependencies are not part of a deployed binary.
            if dependency["kind"] != "dev" and "path" in dependency:
                yield from inputs(dependency["name"], seen)

    functions = [name for name, package in packages.items() if folder(package).startswith("functions/")]
    return {name: [*inputs(name, set()), *BUILD] for name in sorted(functions)}


def digest(paths, architecture):
    """Returns a hash of the content of all files in these paths."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *paths]
    listed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = hashlib.sha256(architecture.encode())
    for file in sorted(set(filter(None, listed.split("\0")))):
        content = (ROOT / file).read_bytes() if (ROOT / file).is_file() else b""
        found.update(f"\0{file}\0{len(content)}\0".encode() + content)
    return found.hexdigest()


def build(names):
    architecture = os.environ.get("ARCHITECTURE", "arm64")
    inputs = inputs_by_function(workspace())
    # One at a time, because packages that are built together get each other's features of shared
    # dependencies.
    for name in names or inputs:
        stamp, wanted = ROOT / f"target/lambda/{name}.inputs", digest(inputs[name], architecture)
        if not (stamp.is_file() and stamp.read_text() == wanted):
            stamp.unlink(missing_ok=True)
            command = ["cargo", "lambda", "build", "--locked", "--release", f"--{architecture.replace('_', '-')}"]
            subprocess.run([*command, "--package", name], cwd=ROOT, check=True, stdout=sys.stderr)
            stamp.write_text(wanted)
            print(name, flush=True)


if __name__ == "__main__":
    build(sys.argv[1:])
