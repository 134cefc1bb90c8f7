"""`midway list KIND`: what a recipe may name: shipped recipes, question sources, models, heuristics, and every kind of part.

Promises: no torch; nothing is fetched. Parts of plug-in files are listed with `--plugin FILE`. An unknown kind ends with exit code 2
and the kinds there are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import typer


@dataclass(frozen=True)
class Row:
    """One line: what a recipe writes, and what it is."""

    name: str
    summary: str
    extra: str = ""
    """What to install for it."""


def register(app: typer.Typer) -> None:
    """Add the verb to the app."""

    @app.command("list")
    def list_(
        kind: str = typer.Argument(..., metavar="KIND", help=f"{', '.join(KINDS[:-1])} or {KINDS[-1]}."),
        json_: bool = typer.Option(False, "--json", help="Print everything as JSON."),
        markdown: bool = typer.Option(False, "--markdown", help="sources: print docs/benchmarks.md."),
        plugin: list[str] = typer.Option([], "--plugin", metavar="FILE", help="A file with parts of your own."),
    ) -> None:
        """List what a recipe may name, such as `midway list recipes`."""
        show(kind, json_=json_, markdown=markdown, plugins=plugin)


def show(kind: str, *, json_: bool = False, markdown: bool = False, plugins: list[str] | None = None) -> None:
    """Print a list. Raises UserError for a kind that there is not."""
    import json

    from midway.records import UserError
    from midway.registry import load_plugins, near

    if kind not in KINDS:
        raise UserError(f"there is nothing called {kind!r} to list{near(kind, KINDS)}")
    load_plugins(plugins or [])
    if kind == "sources" and (json_ or markdown):
        from midway.questions import catalogue
        from midway.questions.known import markdown as page

        typer.echo(page() if markdown else json.dumps(catalogue(), indent=2, ensure_ascii=False), nl=not markdown)
        return
    if markdown:
        raise UserError(f"--markdown is for sources, not {kind}")
    rows = _rows(kind)
    if json_:
        typer.echo(json.dumps([vars(row) for row in rows], indent=1, ensure_ascii=False))
        return
    width = max((len(row.name) for row in rows), default=0)
    for row in rows:
        needs = f"  [pip install '{row.extra}']" if row.extra else ""
        typer.echo(f"{row.name:<{width}}  {row.summary}{needs}".rstrip())
    if kind in NOTES:
        typer.echo(f"\n{NOTES[kind]}")


def _rows(kind: str) -> list[Row]:
    own: dict[str, Callable[[], list[Row]]] = {"recipes": _recipes, "heuristics": _heuristics, "sources": _sources}
    return own[kind]() if kind in own else _parts(kind)


def _parts(kind: str) -> list[Row]:
    from midway.registry import parts

    return [Row(part.name, part.summary, part.extra) for part in parts(kind)]


def _recipes() -> list[Row]:
    from midway.recipe import load_recipe, shipped_recipes

    return [Row(name, load_recipe(name).title or "") for name in shipped_recipes()]


def _heuristics() -> list[Row]:
    from midway.heuristics import load_catalogue

    return [Row(slug, heuristic.title) for slug, heuristic in load_catalogue().items()]


def _sources() -> list[Row]:
    from midway.questions import KNOWN
    from midway.questions.known import splits_text
    from midway.registry import parts

    return [Row(part.name, _about(part, KNOWN.get(part.name), splits_text), part.extra) for part in parts("sources")]


def _about(part: Any, known: Any, splits: Callable[[Any], str]) -> str:
    return f"{part.summary} [{known.domain}; {known.hub}; {splits(known)}; {known.licence}]" if known else part.summary


KINDS = ("recipes", "sources", "models", "heuristics", "engines", "domains", "scorers", "rewards", "trainers")
"""What can be listed."""
NOTES = {
    "sources": "Any Hub id (org/name) or file (.jsonl, .parquet, .csv) is a source too: give `domain` and `columns` with it.\n"
    "`midway list sources --json` has Hub ids, subsets and golds.",
    "models": "Any Hub id (org/name), local directory or .gguf file is a model too.\n"
    "`midway models get NAME` fetches one before it is needed.",
    "heuristics": "`midway heuristics show SLUG` prints one; `midway heuristics new SLUG` begins one of your own.",
}
"""What follows a list."""
