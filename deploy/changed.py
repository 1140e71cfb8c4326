#!/usr/bin/env python3
"""Prints what a change affects: the package of each function to deploy, and `template` if `sam deploy` is needed.

Usage: git diff --name-only --no-renames BASE HEAD | deploy/changed.py

Reads `git diff --name-status -M` as well, and takes both paths of a rename. A function is affected by whatever is in
its package's folder, in that of a package of the workspace that it is built from, or below a path of
`package.metadata.deploy.inputs` in its Cargo.toml; and all of them by what configures the build.
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
    """The paths that each function's binary is made from, by the name of its package."""
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
            # What only tests are made from is not deployed.
            if dependency["kind"] != "dev" and "path" in dependency:
                yield from inputs(dependency["name"], seen)

    functions = [name for name, package in packages.items() if folder(package).startswith("functions/")]
    return {name: [*inputs(name, set()), *BUILD] for name in functions}


def changed(paths, metadata):
    """What to deploy for these paths, relative to the workspace."""
    inputs = inputs_by_function(metadata)
    functions = sorted(name for name in inputs if any(lies_in(path, inputs[name]) for path in paths))
    return functions + ["template"] * any(lies_in(path, TEMPLATE) for path in paths)


def workspace():
    command = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


if __name__ == "__main__":
    print("\n".join(changed(re.split(r"[\t\n]", sys.stdin.read()), workspace())))
