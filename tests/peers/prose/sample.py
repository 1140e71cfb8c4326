"""Draws comments and messages at random, so that a review of the texts can't choose what it looks at.

Messages are strings of the code that is deployed or runs locally: log messages, errors and API texts.
The same seed and revision give the same sample. Needs the packages that requirements.txt pins.
"""

import argparse
import random
import re
import subprocess
import tempfile
from pathlib import Path

from prose import Text, texts

ROOT = Path(__file__).resolve().parents[3]
CODE = re.compile(r"(shared|local|openapi|functions/[^/]+)/src/.*(?<!/tests)\.rs")


def messages(tree: Path, found: list[Text]) -> list[Text]:
    """The messages of the code, without those of its tests, which come last in a file."""
    last = {}
    for path in {text.path for text in found}:
        code, _, tests = (tree / path).read_text().partition("\n#[cfg(test)]\nmod tests {")
        last[path] = code.count("\n") + 1 if tests else float("inf")
    return [text for text in found if text.kind == "message" and CODE.fullmatch(text.path)
            and "/tests/" not in text.path and text.line <= last[text.path]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--comments", type=int, default=40)
    parser.add_argument("--messages", type=int, default=20)
    parser.add_argument("--revision", default="HEAD")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as tree:
        archive = subprocess.run(["git", "-C", ROOT, "archive", arguments.revision], check=True, stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", tree], check=True, input=archive.stdout)
        found = list(texts(Path(tree)))
        comments = [text for text in found if text.kind == "comment" and " " in text.text]
        chance = random.Random(arguments.seed)
        for name, population, number in [("comments", comments, arguments.comments),
                                         ("messages", messages(Path(tree), found), arguments.messages)]:
            print(f"{number} of {len(population)} {name}:\n")
            for text in chance.sample(population, number):
                print(f"{text.path}:{text.line}\n    {' '.join(text.text.split())}\n")


if __name__ == "__main__":
    main()
