#!/usr/bin/env bash
# The texts that people read, in all files that git tracks: line width, words and phrases to avoid, spelling,
# links, and paths in backquotes. sample.py draws comments and messages for a review.
cd "$(dirname "$0")" && . ../suite.sh

python_environment "$work/tools" requirements.txt
recent_node
node_packages
export PATH="$work/tools/bin:$PATH" PYTHONDONTWRITEBYTECODE=1

# A copy of the tracked files as they are in the working tree, without build outputs and installed packages.
rm -rf "$work/tree"
mkdir "$work/tree"
(cd "$root" && git ls-files -z | xargs -0 cp --parents --target-directory "$work/tree")

check "the checks find faults" python3 faults.py "$work/tree"
for name in width words paths spelling links markdown; do
    check "$name" python3 prose.py "$name" "$work/tree"
done
close
