"""`midway run`, `midway demo`, `midway status`: running a recipe and looking at a run."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from midway.cli.console import Console
    from midway.recipe import Recipe
    from midway.runner import Runner
    from midway.stages.base import Output, Stage

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
Arm = typer.Option(
    None, "--arm", help="Do this arm alone, matched against the whole recipe (base: the base model's evaluations)."
)
Seed = typer.Option(None, "--seed", help="Do this seed alone.")
Until = typer.Option(
    None,
    "--until",
    metavar="STAGE",
    help="Do the stages of one kind and what they need: generate, verify, score, select, filter, midtrain, rl, evaluate, label.",
)
Wait = typer.Option(
    False, "--wait", help="Wait for a stage that another process is at work on; it is an error if left out."
)


@dataclass(frozen=True)
class Asked:
    """What of a run is asked for, and how."""

    recipe: str
    overrides: tuple[str, ...] = ()
    out: Path | None = None
    data: str | None = None
    clean: tuple[str, ...] = ()
    executor: str = "local"
    arm: str | None = None
    seed: int | None = None
    until: str | None = None
    wait: bool = False

    @property
    def part(self) -> bool:
        """Whether a part of the run is asked for."""
        return self.arm is not None or self.seed is not None or self.until is not None

    @property
    def again(self) -> str:
        """The command that goes on."""
        options = {
            "--out": self.out,
            "--data": self.data,
            "--executor": None if self.executor == "local" else self.executor,
            "--arm": self.arm,
            "--seed": self.seed,
            "--until": self.until,
        }
        given = [word for name, value in options.items() if value is not None for word in (name, str(value))]
        return shlex.join(["midway", "run", self.recipe, *self.overrides, *given, *(["--wait"] if self.wait else [])])


def register(app: typer.Typer) -> None:
    """Add the verbs to the app."""

    @app.command()
    def run(
        recipe: str = typer.Argument(..., help="A recipe file, the name of a shipped one, or a run to go on with."),
        overrides: list[str] = Overrides,
        out: Path = Out,
        data: str = Data,
        clean: list[str] = Clean,
        executor: str = Executor,
        arm: str = Arm,
        seed: int = Seed,
        until: str = Until,
        wait: bool = Wait,
    ) -> None:
        """Run a recipe from questions to report; what is complete is skipped, what was interrupted goes on."""
        execute(
            Asked(recipe, tuple(overrides or ()), out, data, tuple(clean), executor, arm, seed, until, wait),
        )

    @app.command()
    def demo(overrides: list[str] = Overrides, out: Path = Out, clean: list[str] = Clean) -> None:
        """Run the shipped demo: a small world, a small base model, the whole story in minutes on a CPU."""
        execute(Asked("demo", tuple(overrides or ()), out, clean=tuple(clean)))

    @app.command()
    def status(run: str = typer.Argument(..., help="A run directory, or a name under runs/.")) -> None:
        """Show how far a run is: its stages with progress, rate and time left, what they made and cost, alarms."""
        from midway.cli.showing import show_status

        show_status(run)

    @app.command(hidden=True)
    def recipes() -> None:
        """The former name of `midway list recipes`."""
        from midway.cli.list import show

        show("recipes")


def load(asked: Asked) -> tuple[Recipe, str | None, Asked]:
    """Return the recipe, its text as given, and what is asked with the run directory filled in. A run (a directory, or a name under runs/)
    stands for the recipe that it was made with."""
    from midway.recipe import RecipeError, find_recipe, load_recipe, loads_recipe
    from midway.rundir import RunError, find_run, read_json
    from midway.rundir.layout import Layout

    try:
        source = find_recipe(asked.recipe).read_text(encoding="utf-8")
    except RecipeError as missing:
        try:
            files = Layout(find_run(asked.recipe))
        except RunError:
            raise missing from None
        if asked.overrides:
            raise RecipeError(
                f"{asked.recipe} is a run: its recipe cannot be changed (run the recipe again with name=NEW {' '.join(asked.overrides)})"
            ) from None
        stored = read_json(files.resolved)["recipe"]
        return loads_recipe(stored, str(files.resolved)), None, replace(asked, out=asked.out or files.root)
    return load_recipe(asked.recipe, asked.overrides), source, asked


def execute(asked: Asked) -> None:
    """Load a recipe and run it; ends the process with exit code 1 when an arm failed, 130 when stopped."""
    from midway.cli.console import Console
    from midway.rundir import Stopped
    from midway.runner import opened

    recipe, source, where = load(asked)
    start = time.monotonic()
    with Console() as console, opened(recipe, where.out, data=asked.data, executor=asked.executor) as runner:
        stages = runner.plan.chosen(asked.arm, asked.seed, asked.until) if asked.part else None
        taken_back = {rel for target in asked.clean for rel in runner.plan.closure(target)}
        runner.refuse_changes(taken_back)
        for rel in runner.clean(taken_back):
            console.line(f"taken back: {rel}")
        pending = runner.pending(stages)
        if pending:
            console.line(f"{runner.run.path}: {len(pending)} of {len(stages or runner.plan.stages)} stages to do")
            runner.bench.questions.store(runner.run.files)
        # also when all is complete: titles, the control and left-out arms concern the report alone
        runner.store(source)

        def watch(stage: Stage, number: int, count: int, out: Output) -> None:
            console.watch(f"{stage.kind} {stage.rel}", number, count, out)

        try:
            failures = runner.execute(stages, watch=watch, stop=console.stop, wait=asked.wait)
        except Stopped:
            console.finish()
            console.line(f"stopped; everything so far is stored. Go on with: {asked.again}")
            raise typer.Exit(130) from None
        console.finish()
        _tell(runner, asked, made=bool(pending), seconds=time.monotonic() - start, console=console)
        for failure in failures:
            typer.echo(f"failed: {failure.rel}: {failure.error}", err=True)
        if failures:
            typer.echo(f"the rest is complete; mend the cause and go on with: {asked.again}", err=True)
            raise typer.Exit(1)


def _tell(runner: Runner, asked: Asked, *, made: bool, seconds: float, console: Console) -> None:
    """Say what there is now: the report's summary, or that a part is done."""
    from midway.cli.console import duration
    from midway.cli.showing import summary
    from midway.report import build_run_report

    path = runner.run.path
    if asked.until is not None:
        typer.echo(f"{path}: {asked.until}: done ({duration(seconds)})")
        return
    fresh = build_run_report(runner.run)
    left = len(runner.pending())
    if made and not left:
        typer.echo(summary(path))
    elif left:
        typer.echo(f"{path}: {left} of {len(runner.plan.stages)} stages are left; the report shows what there is")
    else:
        typer.echo(f"{path}: everything is complete" + ("" if not fresh else "; the report was made anew"))
    typer.echo(f"report: {runner.run.files.report / 'report.html'}   ({duration(seconds)})")
