#!/usr/bin/env bash
# The texts that people read, in all files that git tracks: spelling, links, Markdown, and paths in backquotes.
cd "$(dirname "$0")" && . ../suite.sh

python_environment "$work/tools" requirements.txt
recent_node
node_packages
export PATH="$work/tools/bin:$PATH"
here=$PWD

spelling() { typos --config "$here/typos.toml" --format brief --color never "$1"; }
links() { (cd "$1" && lychee --config "$here/lychee.toml" .); }
markdown() { (cd "$1" && "$here/node_modules/.bin/markdownlint-cli2" --config "$here/.markdownlint-cli2.yaml" '**/*.md'); }

# Paths in backquotes that begin with a folder of the root must exist.
paths() {
    local found=0 place path
    while IFS=: read -r place path; do
        path=${path//\`/}
        [ -e "$root/$path" ] || { echo "$place: $path does not exist" && found=1; }
    done < <(cd "$1" && grep -rIoE "\`($(cd "$root" && git ls-files | sed -n 's#/.*##p' | sort -u | paste -sd '|'))/[A-Za-z0-9_./-]+\`" .)
    return "$found"
}

# A copy of the tracked files as they are in the working tree, without build outputs and installed packages.
rm -rf "$work/tree" "$work/faults"
mkdir "$work/tree" "$work/faults"
(cd "$root" && git ls-files -z | xargs -0 cp --parents --target-directory "$work/tree")

# One fault of each kind, to see that each check finds it.
printf '# A title\n\nRecieved by [nobody](nowhere.md) in `docs/%s`%s.\n' nowhere.md "$(printf ' word%.0s' {1..30})" \
    >"$work/faults/faults.md"
finds_a_fault() { ! "$1" "$work/faults"; }

for name in spelling links markdown paths; do
    check "$name" "$name" "$work/tree"
    check "$name: a fault is found" finds_a_fault "$name"
done
close
