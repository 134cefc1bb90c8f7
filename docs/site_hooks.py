"""What the site needs besides MkDocs, so that it asks no other server for anything.

- A link to a file that is no page (outside docs/, or an example report's Markdown) leads to a copy of it in the site.
  On GitHub the same link leads to the file itself.
- Material's `offline` plugin takes a script from a content network; docs/site_worker.js takes its place.
"""

from __future__ import annotations

import html
import re
import shutil
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((\.\./[^)#\s]+|example-report/[^)#\s]+|report/[^)#\s]+\.html)\)")
TEXT = {".md", ".py", ".yaml", ".yml", ".toml", ".json", ".cff", ""}
SHIM = '<script src="https://unpkg.com/iframe-worker/shim"></script>'
_wanted: set[Path] = set()


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Lead links to other files to `files/`. Raises SystemExit for a file that is not there."""

    def inside(found: re.Match[str]) -> str:
        target = (ROOT / "docs" / found[2]).resolve()
        if not target.exists():
            raise SystemExit(f"a page links to {found[2]}, which is not there")
        _wanted.add(target)
        return f'<a href="files/{stored(target)}">{found[1]}</a>'

    return LINK.sub(inside, markdown)


def stored(target: Path) -> str:
    """Return where a file lies in the site, below `files/`."""
    end = ".html" if target.is_dir() else ".txt" if target.suffix in TEXT else ""
    return target.relative_to(ROOT).as_posix() + end


def on_post_page(output: str, **_: Any) -> str:
    """Put midway's own worker in the place of the one from a content network."""
    return output.replace(SHIM, '<script src="site_worker.js"></script>')


def on_post_template(output_content: str, **_: Any) -> str:
    """The same for the page that says that there is no such page."""
    return on_post_page(output_content)


def on_post_build(config: Any, **_: Any) -> None:
    """Copy what pages link to: a text as text, a folder as one page. Raises SystemExit when a page would ask another server."""
    site = Path(config["site_dir"])
    for target in sorted(_wanted):
        goal = site / "files" / stored(target)
        goal.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            files = [
                f
                for f in sorted(target.rglob("*"))
                if f.is_file() and f.suffix in TEXT and "__pycache__" not in f.parts
            ]
            blocks = [f"<h2>{f.relative_to(target)}</h2><pre>{html.escape(f.read_text('utf-8'))}</pre>" for f in files]
            name = target.relative_to(ROOT).as_posix()
            page = f"<!doctype html><meta charset=utf-8><title>{name}</title><h1>{name}</h1>{''.join(blocks)}"
            goal.write_text(page, encoding="utf-8")
        else:
            shutil.copy(target, goal)
    for page in site.glob("*.html"):
        found = re.search(r'<(?:script|img|iframe)[^>]+src="(https?:[^"]+)"', page.read_text(encoding="utf-8"))
        if found:
            raise SystemExit(f"{page.name} would load {found[1]}: the site must work without a network")
