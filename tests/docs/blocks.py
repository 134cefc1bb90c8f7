"""The code blocks of README and docs: where they are, in which language, what they need."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LANGUAGES = {"sh", "python", "yaml", "json", "toml"}
NEEDS = {
    "network": "the package index",
    "hub": "the Hugging Face Hub",
    "gpu": "a GPU",
    "hours": "hours",
    "minutes": "more than a minute",
    "server": "a running server",
    "cluster": "a Ray cluster",
    "trainer": "a trainer that midway does not install",
    "verl": "verl in an environment of its own",
    "inspect": "inspect_ai",
    "run": "a run that takes hours to make",
    "terminal": "somebody at the keyboard",
    "editing": "a file that the reader writes",
}
_FENCE = re.compile(r"^(`{3,})(\w*)$")
_FILE = re.compile(r"^`([\w.-]+)`:$")
_MARK = re.compile(r"^<!-- (?:needs: (?P<needs>[\w, ]+)|(?P<slow>slow)) -->$")


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    """`text` is output or a drawing: nothing to run."""
    body: str
    needs: tuple[str, ...] = ()
    slow: bool = False
    file: str = ""
    """The name of the file that it is, where the page gives one."""

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page, in order. A mark stands in the line before its block, a file's name two lines before."""
    lines = page.read_text(encoding="utf-8").splitlines()
    at = 0
    while at < len(lines):
        opened = _FENCE.match(lines[at])
        if not opened:
            at += 1
            continue
        end = next(k for k in range(at + 1, len(lines)) if lines[k] == opened[1])
        mark = _MARK.match(lines[at - 1]) if at else None
        file = _FILE.match(lines[at - 2]) if at > 1 else None
        yield Block(
            page,
            at + 1,
            opened[2],
            "\n".join(lines[at + 1 : end]) + "\n",
            tuple(word.strip() for word in (mark["needs"] or "").split(",") if word.strip()) if mark else (),
            bool(mark and mark["slow"]),
            file[1] if file else "",
        )
        at = end + 1


def indented(page: Path) -> Iterator[int]:
    """Yield the lines at which code is indented instead of fenced, outside lists: no mark and no language can be given there."""
    fenced = listed = False
    before = ""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            fenced = not fenced
        if re.match(r"\s*([-*]|\d+\.) ", line):
            listed = True
        elif line.strip() and not line.startswith(" "):
            listed = False
        if not fenced and not listed and line.startswith("    ") and not before.strip():
            yield number
        before = line
