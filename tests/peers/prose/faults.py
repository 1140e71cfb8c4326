"""The checks find each kind of fault, and nothing in a folder without one."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "aws/sam"))

from counted import run  # noqa: E402
from prose import CHECKS, WIDTH, lexer, rules, texts  # noqa: E402

SOUND = {
    "README.md": "# Title\n\n## A part\n\nSee [the part](#a-part), [docs](docs/a.md#a-heading) and `src/lib.rs`.\n",
    "docs/a.md": "# A heading\n\nBack to [the code](../src/lib.rs).\n",
    "src/lib.rs": "//! Reads `src/lib.rs`.\n\npub const PLACE: &str = \"the place is fine\";\n",
}
LONG = "word " * (WIDTH // 5) + "word"
# A comment of each language.
LANGUAGES = {
    "a.c": "// {}\n", "a.css": "/* {} */\n", "a.env": "# {}\n", "a.html": "<!-- {} -->\n", "a.http": "# {}\n",
    "a.js": "// {}\n", "a.mjs": "/* {} */\n", "a.py": '"""{}"""\n', "a.rs": "/// {}\n", "a.sh": "# {}\n",
    "a.sql": "create function f() returns int language sql as $$\n-- {}\nselect 1\n$$;\n", "a.toml": "# {}\n",
    "a.ts": "// {}\n", "a.tsx": "const a = <p>{{/* {} */}}</p>;\n", "a.yaml": "# {}\n", "a.yml": "a: b # {}\n",
    "bin/a": "#!/bin/sh\n# {}\n",
}
# What is added to a file, the check, and a part of what it prints.
FAULTS = [
    ("docs/a.md", LONG, "markdown", "MD013"),
    ("docs/a.md", "```\ncode\n```", "markdown", "MD040"),
    ("docs/a.md", "# A heading", "markdown", "MD025"),
    ("docs/a.md", "[there](#nowhere)", "markdown", "MD051"),
    ("docs/a.md", "[there](nowhere.md)", "links", "nowhere.md"),
    ("docs/a.md", "[there](../README.md#nowhere)", "links", "README.md#nowhere"),
    ("docs/a.md", "![a picture](nowhere.png)", "links", "nowhere.png"),
    ("docs/a.md", "Look into `src/nowhere.rs`.", "paths", "docs/a.md:5: `src/nowhere.rs`"),
    ("src/lib.rs", "// Look into `store/nowhere.rs`.", "paths", "src/lib.rs:4: `store/nowhere.rs`"),
    ("docs/a.md", "A connexion is recieved.", "spelling", "recieved"),
    ("src/lib.rs", "// The colour.", "spelling", "colour"),
    ("docs/a.md", "One line\nis read\nanew.", "words", "docs/a.md:7: \"anew\": write again"),
    ("docs/a.md", "| a | b |\n|---|---|\n| is read | anew |", "words", "docs/a.md:7: \"anew\""),
    ("src/lib.rs", "// One line\n// is\n// read anew.", "words", "src/lib.rs:6: \"anew\""),
    ("src/lib.rs", "const A: &str = \"it is\n    read anew\";", "words", "src/lib.rs:5: \"anew\""),
    ("src/lib.rs", "#[error(\"it is read anew\")]", "words", "src/lib.rs:4: \"anew\""),
    ("src/lib.rs", "fn a_file_is_read_anew() {}", "words", "src/lib.rs:4: \"anew\""),
]


class Faults(unittest.TestCase):
    def setUp(self):
        self.start_from_sound_folder()

    def start_from_sound_folder(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory())).resolve()
        for path, text in SOUND.items():
            self.write(path, text)

    def write(self, path: str, text: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text)

    def test_a_folder_without_a_fault_passes(self):
        for name, check in CHECKS.items():
            self.assertEqual(list(check(self.folder)), [], name)

    def test_every_kind_of_fault_is_found(self):
        for path, fault, check, found in FAULTS:
            with self.subTest(path=path, fault=fault):
                self.start_from_sound_folder()
                gap = "\n" if path.endswith(".md") else ""
                self.write(path, f"{SOUND[path]}{gap}{fault}\n")
                self.assertIn(found, "".join(CHECKS[check](self.folder)))

    def test_comments_are_read_in_every_language(self):
        for path, comment in LANGUAGES.items():
            self.write(path, comment.format(LONG))
            self.assertIn(f"{path}:", "".join(CHECKS["width"](self.folder)))

    def test_what_cannot_be_wrapped_is_not_too_wide(self):
        self.write("a.py", f"# https://example.com/{'a' * WIDTH}\nA = '{LONG}'\n")
        self.write("a.md", f"# A\n\n<https://example.com/{'a' * WIDTH}>\n\n| {LONG} |\n| --- |\n")
        self.assertEqual([*CHECKS["width"](self.folder), *CHECKS["markdown"](self.folder)], [])

    def test_code_is_not_read_as_words(self):
        self.write("a.md", "# A\n\nUse `anew`:\n\n```sh\nanew\n```\n")
        self.write("src/lib.rs", "/// Use `anew`.\nfn anew() {}\n")
        self.assertEqual(list(CHECKS["words"](self.folder)), [])

    def test_every_rule_finds_its_example_and_not_its_counterexample(self):
        for rule in rules():
            self.assertRegex(rule.as_in, rule.find)
            self.assertNotRegex(rule.not_in, rule.find)

    def test_a_language_without_a_lexer_is_an_error(self):
        with self.assertRaisesRegex(Exception, "no lexer"):
            lexer("a.unknown", "")

    def test_the_texts_of_the_repository_are_read(self):
        suffixes = {Path(text.path).suffix for text in texts(Path(sys.argv[1])) if text.kind != "name"}
        self.assertLessEqual({".css", ".html", ".md", ".mjs", ".py", ".rs", ".sh", ".sql", ".toml", ".ts", ".tsx",
                              ".yaml", ".yml"}, suffixes)


if __name__ == "__main__":
    run(sys.modules["__main__"])
