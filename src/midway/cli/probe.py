"""`midway probe MODEL` or `RECIPE`: what a model can do before anything is trained, what a pool of it would cost, and the forecast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from midway.cli.saying import say_failures
from midway.wording import plural

if TYPE_CHECKING:
    from midway.cli.console import Console
    from midway.forecast import Budget
    from midway.probe import Probed
    from midway.recipe import Recipe
    from midway.runner import Runner
    from midway.stages.base import Stage

HEURISTICS = (
    "carry-out-step-by-step,setting-up-equations,working-backward,guess-and-check,analogy,decomposing-and-recombining"
)
LAB_SET = "{source: lab, options: {families: [single], world: %s}}"
RATE = 2.0e-4
"""The lab's learning rate, for a model that is probed without a recipe."""
ASSUMED = (
    "the forecast assumes that an RL step changes this model as much as an RL step changes the lab's model; "
    "`midway probe RECIPE` uses the recipe's learning rate and steps"
)


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a probe is asked for; None is: as the recipe has it, or the default."""

    target: str
    questions: Sequence[str]
    limit: int | None
    heuristics: str | None
    samples: int | None
    guided: int | None
    max_tokens: int | None
    temperature: float | None
    settings: Sequence[str]
    steps: int
    group: int
    completions: int
    out: Path | None
    solutions: int
    json: bool


def register(app: typer.Typer) -> None:
    """Add the verb to the app."""

    @app.command()
    def probe(
        target: str = typer.Argument(
            ...,
            metavar="MODEL|RECIPE",
            help="A model (a Hub id, a directory, a .gguf file, a name such as smollm2 or lab), or a recipe: then its own "
            "questions, heuristics and RL budget.",
        ),
        questions: list[str] = typer.Option(
            [],
            "--questions",
            metavar="SET",
            help="A question set by name, or a source as in a recipe: '{source: words, options: {kinds: [plus]}}'. May be repeated. "
            "words if left out; the lab's own for its models.",
        ),
        limit: int = typer.Option(None, "--limit", help="Questions of each set; 64 if left out."),
        heuristics: str = typer.Option(
            None, "--heuristics", help="Slugs with commas; empty: unguided only; six if left out."
        ),
        samples: int = typer.Option(None, "--samples", help="Unguided samples of a question; 8 if left out."),
        guided: int = typer.Option(None, "--guided", help="Samples of a question and heuristic; 2 if left out."),
        max_tokens: int = typer.Option(None, "--max-tokens", help="256 if left out."),
        temperature: float = typer.Option(None, "--temperature", help="0.8 if left out."),
        settings: list[str] = typer.Option(
            [], "--set", metavar="SECTION.KEY=VALUE", help="Any other setting of a recipe, such as engine.kind=vllm."
        ),
        steps: int = typer.Option(40, "--steps", help="MODEL: the RL steps that the forecast is for."),
        group: int = typer.Option(8, "--group", help="MODEL: the group size of RL."),
        completions: int = typer.Option(64, "--completions", help="MODEL: completions of an RL step."),
        out: Path = typer.Option(None, "--out", metavar="DIR", help="The run directory; runs/probe-MODEL if left out."),
        solutions: int = typer.Option(
            2, "--solutions", help="Price a pool that gives so many right solutions a question."
        ),
        json_: bool = typer.Option(False, "--json", help="Print the table and the forecast as JSON."),
    ) -> None:
        """Sample a model a little, unguided and by heuristics: how often it is right, what a pool costs, and whether mid-training will pay.

        Of a RECIPE the forecast is stored in its run directory, before anything is trained there."""
        wish = Wish(
            target=target,
            questions=questions,
            limit=limit,
            heuristics=heuristics,
            samples=samples,
            guided=guided,
            max_tokens=max_tokens,
            temperature=temperature,
            settings=settings,
            steps=steps,
            group=group,
            completions=completions,
            out=out,
            solutions=solutions,
            json=json_,
        )
        if _is_recipe(target):
            _probe_recipe(wish)
        else:
            _probe_model(wish)


def _is_recipe(target: str) -> bool:
    """Whether a word names a recipe: a YAML file, or a shipped one that is no model's name."""
    from midway.recipe import shipped_recipes

    return target.endswith((".yaml", ".yml")) or target.removeprefix("recipes/") in shipped_recipes()


# A recipe ---------------------------------------------------------------------------------------------------------------


def _probe_recipe(wish: Wish) -> None:
    from midway.cli.console import Console
    from midway.recipe import RecipeError, load_recipe
    from midway.rundir import layout
    from midway.runner import opened

    for name in ("questions", "heuristics", "max_tokens", "temperature"):
        if getattr(wish, name):
            raise RecipeError(
                f"--{name.replace('_', '-')}: a recipe has its own; change it with --set, such as --set rl.temperature=1"
            )
    given = {"questions": wish.limit, "unguided": wish.samples, "guided": wish.guided}
    asked = [f"forecast.{name}={value}" for name, value in given.items() if value is not None]
    recipe = load_recipe(wish.target, wish.settings)
    if recipe.forecast is None or asked:
        own = [] if recipe.forecast is not None else ["forecast={}"]
        recipe = load_recipe(wish.target, [*wish.settings, *own, *asked])
    with Console() as console, opened(recipe, wish.out) as runner:
        stage = runner.plan.stages[layout.PROBE]
        config, heuristics = recipe.forecast, runner.bench.prompts.guides(recipe.forecast_pool or "")
        assert config is not None
        asked_questions = min(config.questions, len(runner.bench.questions.get("rl")))
        total = asked_questions * (config.unguided + config.guided * len(heuristics))
        plain = int(recipe.rl.get("max_completion_length", 256))
        most = asked_questions * config.unguided * plain
        most += (
            asked_questions
            * config.guided
            * len(heuristics)
            * recipe.pools[recipe.forecast_pool or ""].sampling.max_tokens
        )
        console.line(_costs(asked_questions, total, most, runner.run.path))
        _execute(console, runner, [stage])
        record, frame, questions = _stored(runner)
    _tell(record, frame, questions, wish, runner.run.files.forecast())


def _stored(runner: Runner) -> tuple[Any, Any, Any]:
    """Return the forecast of a recipe's run, its samples and the questions."""
    import polars as pl

    from midway.rundir import COMPLETIONS, VERDICTS, layout, read_json, read_table

    files = runner.run.files
    folder = files.stage(layout.PROBE)
    frame = read_table(folder / "completions", COMPLETIONS).join(
        read_table(folder / "verdicts", VERDICTS), on="id", how="left"
    )
    return read_json(files.forecast()), frame, pl.read_parquet(files.questions("rl"))


# A model ----------------------------------------------------------------------------------------------------------------


def _probe_model(wish: Wish) -> None:
    from midway.cli.console import Console
    from midway.forecast import forecast_record, probe_of
    from midway.probe import GUIDED, samples_of
    from midway.registry import load_object
    from midway.results import open_run
    from midway.rundir import now, write_json
    from midway.runner import opened
    from midway.workbench import labelled_by

    recipe = _recipe_of_model(wish)
    with Console() as console, opened(recipe, wish.out) as runner:
        asked = runner.bench.questions.by_id("train")
        pools = recipe.pools.items()
        total = sum(len(asked) * len(runner.bench.prompts.heuristics(name)) * pool.samples for name, pool in pools)
        most = total * max(pool.sampling.max_tokens for pool in recipe.pools.values())
        console.line(_costs(len(asked), total, most, runner.run.path))
        _execute(console, runner, runner.plan.chosen(until="verify"))
        run, record = open_run(runner.run.path), None
        frame = samples_of(run)
        if GUIDED in recipe.pools:
            labellers = {labelled_by(source.source) for source in recipe.questions.train}
            path = labellers.pop() if len(labellers) == 1 else None
            ways = list(runner.bench.prompts.guides(GUIDED))
            counts = probe_of(frame, asked, ways, load_object(path) if path else None)
            record = forecast_record(counts, _budgets(wish))
            record |= {"made_at": now(), "recipe_digest": recipe.digest(), "pre_registered": True, "trained_before": []}
            write_json(runner.run.files.probe_counts(), {"question_ids": list(asked), **counts.as_dict()})
            write_json(runner.run.files.forecast(), record)
            console.line(ASSUMED)
        questions = run.questions("train")
    _tell(record, frame, questions, wish, runner.run.files.forecast())


def _budgets(wish: Wish) -> dict[str, Budget]:
    """Return the budgets of a model without a recipe: its learning rate is taken to move it as the lab's moves the lab's model."""
    from midway.forecast import Budget

    common = {"steps": wish.steps, "group": wish.group, "completions": wish.completions, "rate": RATE}
    return {"RL only": Budget(**common), "several ways, then RL": Budget(**common, midtrained=True)}  # type: ignore[arg-type]


def _recipe_of_model(wish: Wish) -> Recipe:
    import re

    import yaml

    from midway.lab.ways import WAYS
    from midway.probe import Asked
    from midway.recipe import apply_override, loads_recipe

    kind, _, knobs = wish.target.partition(":")
    lab = kind == "lab" and not wish.questions
    world = next((knob.partition("=")[2] for knob in knobs.split(",") if knob.startswith("world=")), "default")
    sources = []
    for text in wish.questions or [LAB_SET % world if lab else "words"]:
        value = yaml.safe_load(text)
        source = value if isinstance(value, dict) else {"source": text}
        sources.append({"limit": wish.limit or 64, **source})
    name = re.sub(r"[^A-Za-z0-9._+-]+", "-", Path(wish.target).name.removesuffix(".gguf")).strip("-") or "model"
    slugs = (",".join(WAYS) if lab else HEURISTICS) if wish.heuristics is None else wish.heuristics
    temperature = wish.temperature if wish.temperature is not None else 0.8
    asked = Asked(
        model={"path": wish.target},
        questions=sources,
        heuristics=[slug.strip() for slug in slugs.split(",") if slug.strip()],
        samples=8 if wish.samples is None else wish.samples,
        guided_samples=2 if wish.guided is None else wish.guided,
        sampling={"temperature": temperature, "max_tokens": wish.max_tokens or (96 if lab else 256)},
        prompt={"style": "cue"} if lab else None,
        name=f"probe-{name}",
    )
    tree = asked.recipe().model_dump(mode="json") if wish.settings else None
    if tree is None:
        return asked.recipe()
    for setting in wish.settings:
        apply_override(tree, setting)
    return loads_recipe(tree, "probe")


# Both -------------------------------------------------------------------------------------------------------------------


def _costs(questions: int, samples: int, tokens: int, path: Path) -> str:
    return f"{plural(questions, 'question')}, {plural(samples, 'sample')}, at most {plural(tokens, 'token')}; stored in {path}"


def _execute(console: Console, runner: Runner, stages: Sequence[Stage]) -> None:
    """Run the stages. Raises typer.Exit: 130 when stopped, 1 when one failed."""
    from midway.rundir import Stopped

    runner.refuse_changes()
    runner.bench.questions.store(runner.run.files)
    runner.store(None)
    try:
        failures = runner.execute(
            stages,
            watch=lambda stage, n, count, output: console.watch(f"{stage.kind} {stage.rel}", n, count, output),
            stop=console.stop,
        )
    except Stopped:
        console.line("midway: stopped; everything so far is stored, and the same command goes on")
        raise typer.Exit(130) from None
    console.finish()
    say_failures(failures)
    if failures:
        raise typer.Exit(1)


def _tell(record: Any, frame: Any, questions: Any, wish: Wish, stored: Path) -> None:
    """Print the table and the forecast."""
    import json
    from dataclasses import asdict

    from midway.forecast import lines
    from midway.probe import measured

    probed = measured(frame, questions)
    if wish.json:
        typer.echo(json.dumps({**asdict(probed), "forecast": record}, indent=1))
        return
    typer.echo(table(probed, wish.solutions))
    if record is None:
        return
    typer.echo("")
    for line in lines(record):
        typer.echo(line)
    late = record["trained_before"]
    if late:
        typer.echo(f"made after {late[0]} had been trained: it is no forecast, and is marked so")
    typer.echo(f"stored in {stored}")


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
