"""`midway check RECIPE`: what would run, what it would cost, and whether the answers can be checked, before anything is spent."""

from __future__ import annotations

import typer

from midway.cli.saying import say


def register(app: typer.Typer) -> None:
    """Add the verb to the app."""

    @app.command()
    def check(
        recipe: str = typer.Argument(..., help="A recipe file, or the name of a shipped one."),
        overrides: list[str] = typer.Argument(None, metavar="[SECTION.KEY=VALUE]..."),
        data: str = typer.Option(None, "--data", help="A folder with benchmark files, looked in before the Hub."),
        gpu_memory: float = typer.Option(
            None,
            "--gpu-memory",
            metavar="GIB",
            help="Memory of one GPU that training is meant for; else this machine's.",
        ),
        no_model: bool = typer.Option(
            False, "--no-model", help="Leave out what needs the model or its tokenizer (imports no torch)."
        ),
        no_gold: bool = typer.Option(False, "--no-gold", help="Leave out the verifier on every gold answer."),
        timed: bool = typer.Option(
            False, "--time", help="Price the run in hours for this machine: runs the model for about a minute."
        ),
    ) -> None:
        """Show what a recipe would run and cost, verify every gold answer, and print one rendered prompt."""
        from midway.recipe import load_recipe

        left = {"model": no_model, "verifier": no_gold, "time": not timed}
        without = [name for name, left_out in left.items() if left_out]
        golds, others = check_recipe(load_recipe(recipe, overrides or []), data, without, (gpu_memory or 0.0) * 2**30)
        if golds:
            many = "gold answer does" if golds == 1 else "gold answers do"
            say(f"{golds} {many} not verify: leave these questions out, or correct them")
        for text in others:
            say(f"before the run: {text}")
        if golds or others:
            raise typer.Exit(1)


def check_recipe(recipe: object, data: str | None, without: list[str], gpu_memory: float) -> tuple[int, list[str]]:
    """Print what the checks find; return the number of gold answers that do not verify, and what else would make the run fail.

    `gpu_memory`: bytes of the GPU that training is meant for, 0: of this machine's.
    """
    import tempfile
    from pathlib import Path

    from midway.checks import Level, Subject, run_checks
    from midway.recipe import Recipe
    from midway.rundir.layout import Layout
    from midway.workbench import Workbench, measurable

    assert isinstance(recipe, Recipe)
    golds, others = 0, []
    with tempfile.TemporaryDirectory() as folder:
        here = measurable(recipe, Layout(Path(folder)), data=data).recipe
        bench = Workbench(here, Layout(Path(folder)), data=data)
        try:
            for finding in run_checks(Subject(here, bench, gpu_memory), without):
                typer.echo(f"warning: {finding.text}" if finding.level is Level.WARNING else finding.text)
                golds += finding.count
                if finding.level is Level.PROBLEM and not finding.count:
                    others.append(finding.text)
        finally:
            bench.close()
    return golds, others
