"""`midway data RECIPE`: only the data. Generate, verify, score, select, export.

Promises: nothing is trained, and no torch is needed where a server or a file answers.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from midway.cli.saying import say_failures
from midway.wording import plural

if TYPE_CHECKING:
    from midway.recipe import Recipe

ARM = "data"
"""The arm that is made up for a recipe that has none."""


def register(app: typer.Typer) -> None:
    """Add the verb to the app."""

    @app.command()
    def data(
        recipe: str = typer.Argument(..., help="A recipe file, or the name of a shipped one. It needs pools, no arms."),
        overrides: list[str] = typer.Argument(None, metavar="[SECTION.KEY=VALUE]..."),
        to: str = typer.Option("messages", "--to", help="trl, messages, sharegpt, verl or openrlhf."),
        out: Path = typer.Option(None, "--out", metavar="DIR", help="The folder to write; data/NAME if left out."),
        run_dir: Path = typer.Option(None, "--run", metavar="DIR", help="The run directory; runs/NAME if left out."),
        arm: str = typer.Option(None, "--arm", help="Whose data; the treatment's, or all pools where there is no arm."),
        seed: int = typer.Option(None, "--seed", help="Which seed; the recipe's first if left out."),
        folder: str = typer.Option(None, "--data", help="A folder with benchmark files, looked in before the Hub."),
    ) -> None:
        """Write a recipe's mid-training data as a data set for a trainer elsewhere: generate, verify, score, select, export."""
        from midway.recipe import load_recipe

        make(with_arm(load_recipe(recipe, overrides or [])), to, out, run_dir, arm, seed, folder)


def with_arm(recipe: Recipe) -> Recipe:
    """Return the recipe; where it has no arm with data, with one that takes the solutions of all its pools. Raises RecipeError without."""
    from midway.recipe import RecipeError, loads_recipe

    if any(arm.midtrain for arm in recipe.arms.values()):
        return recipe
    pools = [name for name, pool in recipe.pools.items() if not pool.prompts]
    if not pools:
        raise RecipeError(
            f"{recipe.name}: it has no pools, so there is nothing to make data of\n"
            "  add some, such as `pools: {guided: {heuristics: all, samples: 4}}`"
        )
    tree = recipe.model_dump(mode="json")
    return loads_recipe({**tree, "arms": {ARM: {"midtrain": pools, "rl": False}}, "treatment": ARM}, recipe.name)


def make(
    recipe: Recipe,
    to: str,
    out: Path | None,
    run_dir: Path | None,
    arm: str | None,
    seed: int | None,
    folder: str | None,
) -> None:
    """Run what the data needs, and export it; ends the process with exit code 1 when a stage failed, 130 when stopped."""
    from midway.cli.console import Console
    from midway.cli.export import export_arm
    from midway.records import UserError
    from midway.rundir import Stopped, refuse_file
    from midway.runner import opened
    from midway.training.dataset import FORMATS

    if to not in FORMATS:
        raise UserError(f"--to {to}: there is no such format; there are {', '.join(FORMATS)}")
    out = out or Path("data") / recipe.name
    refuse_file(out)
    arm = arm or recipe.treatment_arm or next(name for name, a in recipe.arms.items() if a.midtrain)
    seed = recipe.seeds[0] if seed is None else seed
    with Console() as console, opened(recipe, run_dir, data=folder, data_only=True) as runner:
        stages = runner.plan.chosen(arm, seed, until="select")
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
            console.finish()
            console.line("midway: stopped; everything so far is stored, and the same command goes on")
            raise typer.Exit(130) from None
        path = runner.run.path
    say_failures(failures)
    if failures:
        raise typer.Exit(1)
    written, rows, files = export_arm(str(path), arm, seed, to, out, data_only=True)
    typer.echo(f"{written}: {plural(rows, 'example')} in {', '.join(files)}, README.md; the run is in {path}")
