"""Extracts the texts that people read (comments, documents, messages, names of functions), and checks them.

    python3 prose.py CHECK FOLDER

runs one of CHECKS over the files in a folder. It prints each fault with its place, and fails if there is one.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename
from pygments.token import Comment, Name, String

HERE = Path(__file__).parent
WIDTH = 110

# Generated, or worded by others. typos.toml has the same list.
GENERATED = {"Cargo.lock", "LICENSE", "openapi.json", "package-lock.json", "requirements.txt"}
# Their checksums are stored in every database, so not even a comment may change.
APPLIED = {"migrations/V1__users_and_tasks.sql", "migrations/V2__functions_and_attempts.sql",
           "migrations/V3__revisions.sql"}
# They have faults as examples.
EXAMPLES = {"tests/peers/prose/faults.py", "tests/peers/prose/words.toml"}
# Files without prose of their own.
DATA = {".json", ".png"}
# Languages that Pygments doesn't recognize by the file's name. Comments of `ini` begin with #.
LANGUAGES = {".sql": "postgresql", ".env": "ini", ".example": "ini", ".http": "ini", ".in": "ini", ".npmrc": "ini",
             ".gitignore": "ini"}

MARKER = re.compile(r"^\s*(//[/!]?|#+|--|/\*+|\*/|\*(?= )|<!--|\"{3})\s?")
END = re.compile(r"\s*(\*/|-->|\"{3})?\s*$")
QUOTES = re.compile(r"^\w*#*[\"'`]|[\"'`]#*$")


class Text(NamedTuple):
    """A comment, a Markdown paragraph, a string of several words, or a function's name in words."""

    path: str
    line: int
    kind: str
    text: str

    def at(self, position: int) -> str:
        return f"{self.path}:{self.line + self.text.count(chr(10), 0, position)}"


class Rule(NamedTuple):
    """A line of words.toml."""

    find: re.Pattern[str]
    write: str
    as_in: str
    not_in: str


def files(folder: Path) -> list[str]:
    """The paths of the files to check."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in GENERATED)
    paths = (str(path.relative_to(folder)) for path in files if path.suffix not in DATA)
    return [path for path in paths if path not in EXAMPLES | APPLIED]


def lexer(path: str, text: str) -> Lexer:
    """The lexer of a file's language. Raises if there is none, so that no file is skipped silently."""
    name = Path(path).name
    if language := LANGUAGES.get(Path(path).suffix or name):
        return get_lexer_by_name(language, stripnl=False)
    if shebang := re.match(r"#!.*\b(bash|sh|python3)\b", text):
        return get_lexer_by_name(shebang[1], stripnl=False)
    return get_lexer_for_filename(name, stripnl=False)


@cache
def read(folder: Path, path: str) -> str:
    return (folder / path).read_text()


def texts(folder: Path) -> Iterator[Text]:
    for path in files(folder):
        yield from (paragraphs if path.endswith(".md") else source)(path, read(folder, path))


def paragraphs(path: str, text: str) -> Iterator[Text]:
    """The paragraphs, headings, list items and table cells of a Markdown file. Code stays in backquotes."""
    line = 0
    for block in MarkdownIt("commonmark").enable("table").parse(text):
        line = block.map[0] + 1 if block.map else line
        if block.type == "inline":
            parts = (f"`{it.content}`" if it.type == "code_inline" else
                     "\n" if it.type in ("softbreak", "hardbreak") else it.content for it in block.children)
            yield Text(path, line, "paragraph", "".join(parts))


def source(path: str, text: str) -> Iterator[Text]:
    """The comments, strings and names of functions in a file of code."""
    comments: dict[int, str] = {}
    beside_code: set[int] = set()
    string, started = "", 0
    line, code = 1, False
    for kind, value in lexer(path, text).get_tokens(text):
        if kind in String and kind not in String.Doc:
            started = started if string else line
            string += value
        elif string:
            yield from message(path, started, string)
            string = ""
        if is_comment(kind):
            for number, part in enumerate(value.removesuffix("\n").split("\n"), line):
                comments[number] = comments.get(number, "") + part
            if code:
                beside_code.add(line)
        elif kind in Name.Function and value.count("_") >= 3:
            yield Text(path, line, "name", value.replace("_", " "))
        line += value.count("\n")
        code = bool(value.rpartition("\n")[2].strip()) or code and "\n" not in value
    yield from message(path, started, string)
    yield from blocks(path, comments, beside_code)


def is_comment(kind) -> bool:
    if kind in Comment:
        return kind not in Comment.Preproc and kind not in Comment.PreprocFile and kind is not Comment.Hashbang
    return kind in String.Doc


def message(path: str, line: int, string: str) -> Iterator[Text]:
    """A string with three words in a row, without quotation marks and backslashes at the ends of lines."""
    if re.search(r"[A-Za-z']+[,;:]?\s+[a-z']+[,;:]?\s+[a-z']+", string):
        yield Text(path, line, "message", QUOTES.sub("", re.sub(r"\\?\n\s*", "\n", string)))


def blocks(path: str, comments: dict[int, str], beside_code: set[int]) -> Iterator[Text]:
    """Joins the comments of adjacent lines, except for those beside code."""
    block: list[str] = []
    for line, comment in comments.items():
        block.append(END.sub("", MARKER.sub("", comment)))
        if line + 1 not in comments or line in beside_code or line + 1 in beside_code:
            yield Text(path, line - len(block) + 1, "comment", "\n".join(block))
            block = []


def without_code(text: str) -> str:
    return re.sub(r"`[^`]+`", lambda code: "`" + "\n" * code[0].count("\n") + "`", text)


def width(folder: Path) -> Iterator[str]:
    """Comments wider than WIDTH, except for tables and URLs. markdownlint checks the documents."""
    for text in texts(folder):
        if text.kind == "comment":
            lines = read(folder, text.path).split("\n")[text.line - 1:]
            for offset, (part, line) in enumerate(zip(text.text.split("\n"), lines)):
                if len(line) > WIDTH and " " in part and not part.startswith("|"):
                    yield f"{text.path}:{text.line + offset}: {len(line)} columns instead of at most {WIDTH}"


def rules() -> Iterator[Rule]:
    for rule in tomllib.loads((HERE / "words.toml").read_text())["rules"]:
        yield Rule(re.compile(rule["find"], re.IGNORECASE), rule["write"], rule["as_in"], rule.get("not_in", ""))


def words(folder: Path) -> Iterator[str]:
    every = list(rules())
    for text in texts(folder):
        prose = without_code(text.text).replace("\n", " ")
        for rule in every:
            for found in rule.find.finditer(prose):
                yield f"{text.at(found.start())}: \"{found[0]}\": write {rule.write}"


def paths(folder: Path) -> Iterator[str]:
    """Paths in backquotes that don't exist. They may start at any folder, such as `run/route.rs`."""
    everything = [path.relative_to(folder) for path in folder.rglob("*")]
    known = {"/".join(path.parts[start:]) for path in everything for start in range(len(path.parts))}
    top = {path.parts[0] for path in everything if len(path.parts) > 1}
    suffixes = {path.suffix for path in everything if path.suffix} - {".env", ".example", ".in", ".txt"}
    for text in texts(folder):
        if text.kind in ("comment", "paragraph"):
            for code in re.finditer(r"(?<!`)`([^`]+)`(?!`)", text.text):
                for path in re.findall(r"(?<!\S)[\w.-]+(?:/[\w.-]+)*/?(?!\S)", code[1]):
                    first, slash, _ = path.partition("/")
                    if (slash and (first in top or Path(path).suffix in suffixes)) and path.strip("/") not in known:
                        yield f"{text.at(code.start())}: `{path}`: no such file or folder"


def tool(*command: str) -> Callable[[Path], Iterator[str]]:
    """A check by a program that is run in the folder, prints what it finds, and fails if that is anything."""
    def check(folder: Path) -> Iterator[str]:
        run = subprocess.run(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if run.returncode != 0:
            yield run.stdout
    return check


CHECKS: dict[str, Callable[[Path], Iterator[str]]] = {
    "width": width,
    "words": words,
    "paths": paths,
    "spelling": tool("typos", "--config", f"{HERE}/typos.toml", "--format", "brief", "--color", "never", "."),
    "links": tool("lychee", "--config", f"{HERE}/lychee.toml", "."),
    "markdown": tool(f"{HERE}/node_modules/.bin/markdownlint-cli2", "--config", f"{HERE}/.markdownlint-cli2.yaml",
                     "**/*.md"),
}

if __name__ == "__main__":
    findings = list(CHECKS[sys.argv[1]](Path(sys.argv[2]).resolve()))
    print(*findings, sep="\n")
    sys.exit(bool(findings))
