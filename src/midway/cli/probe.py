"""`midway probe MODEL`: what a model can do before anything is trained, and what a pool of it would cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from midway.probe import Probed
    from midway.recipe import Recipe

HEURISTICS = (
    "carry-out-step-by-step,setting-up-equations,working-backward,guess-and-check,analogy,decomposing-and-recombining"
)


def register(app: typer.Typer) -> None:
    """Add the verb to the app."""

    @app.command()
    def probe(
        model: str = typer.Argument(
            ..., help="A model: a Hub id, a directory, a .gguf file, or a name (smollm2, lab)."
        ),
        questions: list[str] = typer.Option(
            ["words"],
            "--questions",
            metavar="SET",
            help="A question set by name, or a source as in a recipe: '{source: words, options: {kinds: [plus]}}'. May be repeated.",
        ),
        limit: int = typer.Option(64, "--limit", help="Questions of each set."),
        heuristics: str = typer.Option(HEURISTICS, "--heuristics", help="Slugs with commas; empty: unguided only."),
        samples: int = typer.Option(8, "--samples", help="Unguided samples of a question."),
        guided: int = typer.Option(2, "--guided", help="Samples of a question and heuristic."),
        max_tokens: int = typer.Option(256, "--max-tokens"),
        temperature: float = typer.Option(0.8, "--temperature"),
        settings: list[str] = typer.Option(
            [], "--set", metavar="SECTION.KEY=VALUE", help="Any other setting of a recipe, such as engine.kind=vllm."
        ),
        out: Path = typer.Option(None, "--out", metavar="DIR", help="The run directory; runs/probe-MODEL if left out."),
        solutions: int = typer.Option(
            2, "--solutions", help="Price a pool that gives so many right solutions a question."
        ),
        json_: bool = typer.Option(False, "--json", help="Print the table as JSON."),
    ) -> None:
        """Sample a model a little, unguided and by heuristics: how often it is right, how many questions it reaches, what a pool costs."""
        sampling = {"temperature": temperature, "max_tokens": max_tokens}
        recipe = _recipe(model, questions, limit, heuristics, sampling, (samples, guided), settings)
        _run(recipe, out, solutions, json_)


def _recipe(
    model: str,
    questions: list[str],
    limit: int,
    heuristics: str,
    sampling: dict[str, Any],
    samples: tuple[int, int],
    settings: list[str],
) -> Recipe:
    import re

    import yaml

    from midway.probe import Asked
    from midway.recipe import apply_override, loads_recipe

    sources = []
    for text in questions:
        value = yaml.safe_load(text)
        source = value if isinstance(value, dict) else {"source": text}
        sources.append({"limit": limit, **source})
    name = re.sub(r"[^A-Za-z0-9._+-]+", "-", Path(model).name.removesuffix(".gguf")).strip("-") or "model"
    asked = Asked(
        model={"path": model},
        questions=sources,
        heuristics=[slug.strip() for slug in heuristics.split(",") if slug.strip()],
        samples=samples[0],
        guided_samples=samples[1],
        sampling=sampling,
        name=f"probe-{name}",
    )
    tree = asked.recipe().model_dump(mode="json") if settings else None
    if tree is None:
        return asked.recipe()
    for setting in settings:
        apply_override(tree, setting)
    return loads_recipe(tree, "probe")


def _run(recipe: Recipe, out: Path | None, solutions: int, json_: bool) -> None:
    import json
    from dataclasses import asdict

    from midway.cli.console import Console
    from midway.probe import measure
    from midway.results import open_run
    from midway.rundir import Stopped
    from midway.runner import opened

    with Console() as console, opened(recipe, out) as runner:
        stages = runner.plan.chosen(until="verify")
        runner.refuse_changes()
        asked = len(runner.bench.questions.get("train"))
        total = sum(
            asked * len(runner.bench.prompts.heuristics(name)) * pool.samples for name, pool in recipe.pools.items()
        )
        most = total * max(pool.sampling.max_tokens for pool in recipe.pools.values())
        console.line(f"{asked:,} questions, {total:,} samples, at most {most:,} tokens; stored in {runner.run.path}")
        runner.bench.questions.store(runner.run.files)
        runner.store(None)
        try:
            runner.execute(
                stages,
                watch=lambda stage, n, count, output: console.watch(f"{stage.kind} {stage.rel}", n, count, output),
                stop=console.stop,
            )
        except Stopped:
            console.line("stopped; everything so far is stored: the same command goes on")
            raise typer.Exit(130) from None
        console.finish()
        probed = measure(open_run(runner.run.path))
    if json_:
        typer.echo(json.dumps(asdict(probed), indent=1))
        return
    typer.echo(table(probed, solutions))


def table(probed: Probed, solutions: int) -> str:
    """Return the table in words: a row for each question set and way, and what a pool would cost."""
    head = ("questions", "way", "right %", "solved", "cut off %", "tokens", f"tokens for {solutions} right a question")
    rows = [head]
    for row in probed.rows:
        right = row.right
        interval = (
            f"{100 * right.value:.1f} [{100 * right.low:.1f}, {100 * right.high:.1f}]"
            if row.samples
            else "nothing judged"
        )
        cost = row.tokens_a_right_one * solutions
        rows.append(
            (
                row.questions,
                row.way,
                interval,
                f"{row.solved} of {row.asked}",
                f"{100 * row.cut:.0f}",
                f"{row.tokens:.0f}",
                f"{cost:,.0f}" if cost != float("inf") else "none was right",
            )
        )
    widths = [max(len(row[n]) for row in rows) for n in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    for reach in probed.reach:
        lines.append(
            f"{reach.questions}: solved by both {reach.both}, only guided {reach.only_guided}, "
            f"only unguided {reach.only_unguided}, by neither {reach.neither}"
        )
    return "\n".join(lines)
