"""`midway theory`: the predictions of the theory as small experiments on the CPU, with their words, numbers and figures.

Promises: needs no torch and no model; the same seed gives the same numbers. Errors are one line that says what to type next, exit code 2.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from midway.cli.saying import say

if TYPE_CHECKING:
    from midway.theory.account import Account


def register(app: typer.Typer) -> None:
    """Add `midway theory` to the app."""
    app.command()(theory)


def theory(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Which: forms (the closed forms), P1 to P8. Without names, all.", show_default=False),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object on standard output: every array behind the figures.")
    ] = False,
    figures: Annotated[
        Path | None, typer.Option(help="Also write one SVG file for each into this directory.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    run: Annotated[
        str | None,
        typer.Option(help="A run: measure the theory's quantities in its models instead.", show_default=False),
    ] = None,
    benchmark: Annotated[
        str | None, typer.Option(help="With --run: on which benchmark; the first if left out.", show_default=False)
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="With --run: answers of a question, at most.")] = 4,
    questions: Annotated[
        int | None, typer.Option(min=1, help="With --run: questions, at most.", show_default=False)
    ] = None,
    entropies: Annotated[
        bool, typer.Option(help="With --run: load the models and read their answers; else only count ways.")
    ] = True,
) -> None:
    """Run the theory's predictions: what policy gradient does to a model with one way or several. With --run, measure a run."""
    if run is not None:
        _of_run(run, benchmark, samples=samples, questions=questions, entropies=entropies, as_json=as_json, out=figures)
        return
    from midway.records import UserError
    from midway.theory.account import markdown, plain
    from midway.theory.predictions import PREDICTIONS

    chosen = list(names or PREDICTIONS)
    unknown = [name for name in chosen if name not in PREDICTIONS]
    if unknown:
        raise UserError(f"theory knows no {', '.join(unknown)}: choose from {', '.join(PREDICTIONS)}")
    if figures:
        figures.mkdir(parents=True, exist_ok=True)
    found: dict[str, object] = {}
    for name in chosen:
        start = time.monotonic()
        result = PREDICTIONS[name](seed)
        account = result.account()
        if figures:
            (figures / f"{name}.svg").write_text(draw(account), encoding="utf-8")
        if as_json:
            found[name] = {"result": plain(result), "account": plain(replace(account, panels=()))}
        else:
            typer.echo(markdown(account))
        typer.echo(f"{name}: {time.monotonic() - start:.1f} s", err=True)
    if as_json:
        typer.echo(json.dumps({"seed": seed, "predictions": found}, ensure_ascii=False))


def _of_run(
    run: str,
    benchmark: str | None,
    *,
    samples: int,
    questions: int | None,
    entropies: bool,
    as_json: bool,
    out: Path | None,
) -> None:
    from midway.branches import accounts, learning, measure
    from midway.results import open_run
    from midway.theory.account import markdown, plain

    opened = open_run(run)
    found = measure(
        opened,
        benchmark,
        samples=samples,
        questions=questions,
        entropies=entropies,
        say=lambda text: typer.echo(text, err=True),
    )
    for text in found.missing:
        say(f"left out: {text}")
    learned = learning(opened, found)
    told = accounts(found, learned)
    if out:
        out.mkdir(parents=True, exist_ok=True)
        for name, account in told.items():
            if account.panels:
                (out / f"{name}.svg").write_text(draw(account), encoding="utf-8")
    if as_json:
        words = {name: plain(replace(account, panels=())) for name, account in told.items()}
        value = {"found": plain(found), "learning": plain(learned), "accounts": words}
        typer.echo(json.dumps(value, ensure_ascii=False))
        return
    for account in told.values():
        typer.echo(markdown(account))


def draw(account: Account) -> str:
    """Return an account's figure as one SVG file."""
    from midway.report.figures import Series, lines
    from midway.report.sheet import Cell, sheet

    cells = []
    for panel in account.panels:
        series = [Series(c.label, c.style, c.x, c.y, c.low, c.high, c.thin) for c in panel.curves]
        svg = lines(
            series,
            x_label=panel.x_label,
            y_label=panel.y_label,
            log_x=panel.log_x,
            log_y=panel.log_y,
            percent=panel.percent,
            x_ticks=panel.x_ticks,
            describe=f"{account.title}: {panel.title}",
        )
        cells.append(
            Cell(panel.title, svg, list(dict.fromkeys((c.label, c.style, c.thin) for c in panel.curves if c.label)))
        )
    return sheet(cells, columns=3 if len(cells) in (3, 5, 6) else 2)
