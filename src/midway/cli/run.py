"""`midway run`, `midway demo`, the single stages, `midway status`: running a recipe and looking at a run."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from midway.experiment import Experiment, Step

STAGE_VERBS = {
    "generate": "Generate the completions of every pool.",
    "score": "Score how well correct completions follow their heuristic.",
    "select": "Select the solutions to mid-train on.",
    "midtrain": "Mid-train every arm.",
    "rl": "Run RL for every arm.",
    "evaluate": "Evaluate the base model and every arm.",
    "label": "Label the ways that evaluation samples use (labels.by in the recipe).",
}

Overrides = typer.Argument(
    None, metavar="[SECTION.KEY=VALUE]...", help="Changes to the recipe, such as pools.guided.samples=8."
)
Out = typer.Option(None, "--out", help="The run directory; runs/NAME if left out.", metavar="DIR")
Data = typer.Option(None, "--data", help="A folder with benchmark files, looked in before the Hub.", metavar="DIR")
Clean = typer.Option(
    [], "--clean", help="Do a stage again, and all that build on it: a path as `midway status` shows, or a kind."
)
Executor = typer.Option(
    "local",
    "--executor",
    help="Where generation, verification, scoring and evaluation run: local, or ray (a Ray cluster).",
)


def register(app: typer.Typer) -> None:
    """Add the verbs to the app."""

    @app.command()
    def run(
        recipe: str = typer.Argument(..., help="A recipe file, or the name of a shipped one (`midway recipes`)."),
        overrides: list[str] = Overrides,
        out: Path = Out,
        data: str = Data,
        clean: list[str] = Clean,
        executor: str = Executor,
    ) -> None:
        """Run a recipe from questions to report; what is complete is skipped, what was interrupted goes on."""
        execute(recipe, overrides or [], out=out, data=data, clean=clean, executor=executor)

    @app.command()
    def demo(overrides: list[str] = Overrides, out: Path = Out, clean: list[str] = Clean) -> None:
        """Run the shipped demo: a small world, a small base model, the whole story in minutes on a CPU."""
        execute("demo", overrides or [], out=out, clean=clean)

    for kind, text in STAGE_VERBS.items():
        _stage_verb(app, kind, text)

    @app.command()
    def status(run: str = typer.Argument(..., help="A run directory, or a name under runs/.")) -> None:
        """Show the stages of a run: state, what they made, what they cost."""
        from midway.cli.showing import show_status

        show_status(run)

    @app.command()
    def recipes() -> None:
        """List the shipped recipes."""
        from midway.recipe import load_recipe, shipped_recipes

        for name in shipped_recipes():
            typer.echo(f"{name:<32}{load_recipe(name).title or ''}")


def _stage_verb(app: typer.Typer, kind: str, text: str) -> None:
    def verb(
        run: str = typer.Argument(..., help="A run directory, or a name under runs/."),
        data: str = Data,
        executor: str = Executor,
    ) -> None:
        run_stage(run, kind, data, executor)

    app.command(kind, help=f"{text} Works on a run directory; what it needs is done first.")(verb)


def run_stage(run: str, kind: str, data: str | None = None, executor: str = "local") -> None:
    """Do the pending stages of one kind in a stored run, and what they need."""
    from midway.experiment import run_path
    from midway.recipe import loads_recipe
    from midway.rundir import read_json

    path = run_path(run)
    stored = read_json(path / "resolved.json")["recipe"]
    _execute(
        lambda: loads_recipe(stored, str(path / "resolved.json")),
        None,
        path,
        data,
        [],
        executor,
        shlex.join(["midway", kind, run, *_how(data, executor)]),
        kind,
    )


def _how(data: str | None, executor: str) -> list[str]:
    """The options that a command to go on needs as well."""
    return [*(["--data", data] if data else []), *(["--executor", executor] if executor != "local" else [])]


def execute(
    recipe: str,
    overrides: list[str],
    *,
    out: Path | None = None,
    data: str | None = None,
    clean: list[str] | None = None,
    executor: str = "local",
) -> None:
    """Load a recipe and run it; ends the process with exit code 1 when an arm failed, 130 when stopped."""
    from midway.recipe import find_recipe, load_recipe

    where = ["--out", str(out)] if out else []
    again = shlex.join(["midway", "run", recipe, *overrides, *where, *_how(data, executor)])
    source = find_recipe(recipe).read_text(encoding="utf-8")
    _execute(lambda: load_recipe(recipe, overrides), source, out, data, clean or [], executor, again, None)


def _execute(
    load: Callable[[], object],
    source: str | None,
    out: Path | None,
    data: str | None,
    clean: list[str],
    executor: str,
    again: str,
    only: str | None,
) -> None:
    import time

    from midway.cli.console import Console, duration
    from midway.cli.showing import build_run_report, summary
    from midway.experiment import opened
    from midway.recipe import Recipe
    from midway.stages.common import Stopped

    recipe = load()
    assert isinstance(recipe, Recipe)
    start = time.monotonic()
    with Console() as console, opened(recipe, out, data, executor=executor) as experiment:
        chosen = {rel for target in clean for rel in experiment.closure(target)}
        experiment.refuse_changes(chosen)
        for rel in experiment.clean(chosen):
            console.line(f"taken back: {rel}")
        pending = experiment.pending(only)
        where = experiment.run.path
        if pending:
            console.line(f"{where}: {len(pending)} of {len(experiment.steps)} stages to do")
            experiment.materials.store_questions()
        if not only:  # also when all is complete: titles, the control and left-out arms concern the report alone
            experiment.store_recipe(source)
            experiment.share_base()
        try:
            failures = experiment.execute(
                lambda step, n, count: console.control(_title(experiment, step), n, count), console.stop, only
            )
        except Stopped:
            console.finish()
            console.line(f"stopped; everything so far is stored. Go on with: {again}")
            raise typer.Exit(130) from None
        console.finish()
        if only:
            typer.echo(f"{where}: {only}: complete" if not failures else f"{where}: {only}: {len(failures)} failed")
        else:
            fresh = build_run_report(experiment.run)
            if pending:
                typer.echo(summary(where))
            else:
                typer.echo(f"{where}: everything is complete" + ("" if not fresh else "; the report was made anew"))
            typer.echo(f"report: {where / 'report' / 'report.html'}   ({duration(time.monotonic() - start)})")
        for failure in failures:
            typer.echo(f"failed: {failure.rel}: {failure.error}", err=True)
        if failures:
            typer.echo(f"the rest is complete; mend the cause and go on with: {again}", err=True)
            raise typer.Exit(1)


def _title(experiment: Experiment, step: Step) -> str:
    return f"{step.stage.kind} {step.rel}"
