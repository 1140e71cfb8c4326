#!/usr/bin/env python3
"""Prints what a change affects: the package of each function to deploy, and `template` for the stack.

Usage: git diff --name-only --no-renames BASE HEAD | deploy/changed.py

Also accepts the output of `git diff --name-status -M`, and uses both paths of a rename.

A function is affected by a change in its package's folder, in the folder of a workspace package that it
depends on, or in a path listed in `package.metadata.deploy.inputs` of its Cargo.toml. Files that configure
the build affect all functions.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ["Cargo.toml", "Cargo.lock", ".cargo", "rust-toolchain.toml"]
TEMPLATE = ["template.yaml", "samconfig.toml"]


def lies_in(path, folders):
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def inputs_by_function(metadata):
    """Returns the paths that each function's binary is built from, by package name."""
    root = Path(metadata["workspace_root"])
    packages = {package["name"]: package for package in metadata["packages"]}

    def folder(package):
        return str(Path(package["manifest_path"]).parent.relative_to(root))

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
    return {name: [*inputs(name, set()), *BUILD] for name in functions}


def changed(paths, metadata):
    """Returns what to deploy if these paths, relative to the workspace, have changed."""
    inputs = inputs_by_function(metadata)
    functions = sorted(name for name in inputs if any(lies_in(path, inputs[name]) for path in paths))
    return functions + ["template"] * any(lies_in(path, TEMPLATE) for path in paths)


def workspace():
    command = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


if __name__ == "__main__":
    print("\n".join(changed(re.split(r"[\t\n]", sys.stdin.read()), workspace())))
