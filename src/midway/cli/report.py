"""`midway report RUN` and `midway compare RUN RUN ...`: write the report of one run, or of several together."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import typer


def register(app: typer.Typer) -> None:
    """Add the verbs to the app."""

    @app.command()
    def report(
        run: Path = typer.Argument(..., help="Run directory, such as runs/NAME.", show_default=False),
        treatment: str | None = typer.Option(
            None, "--treatment", help="Compare this arm with all others, not the recipe's treatment."
        ),
        control: str | None = typer.Option(None, "--control", help="The arm that the verdict compares it with first."),
        out: Path | None = typer.Option(
            None,
            "--out",
            help="Where the report goes.",
            show_default="RUN/report; RUN/report-ARM with another treatment or control",
        ),
    ) -> None:
        """Write report.html, report.md and results.json of a run, and print the verdict."""
        from midway.report import build_report

        try:
            paths = build_report(run, treatment=treatment, control=control, out=out)
        except (FileNotFoundError, ValueError) as error:
            _stop(error)
        _print(paths.html, paths.results)

    @app.command()
    def compare(
        runs: list[Path] = typer.Argument(..., help="Two or more run directories.", show_default=False),
        out: Path = typer.Option(Path("comparison"), "--out", help="Where the joint report goes."),
    ) -> None:
        """Write one report over several runs: the first run's treatment against every other arm of all of them."""
        from midway.report import build_comparison

        try:
            paths = build_comparison(runs, out)
        except (FileNotFoundError, ValueError) as error:
            _stop(error)
        _print(paths.html, paths.results)


def _stop(error: Exception) -> NoReturn:
    typer.echo(f"error: {error}", err=True)
    raise typer.Exit(2)


def _print(html: Path, results: Path) -> None:
    import json

    from midway.report.words import verdict

    data = json.loads(results.read_text(encoding="utf-8"))
    words = verdict(data)
    typer.echo("\n".join([words["headline"], "", *words["sentences"]]))
    if data["problems"]:
        typer.echo(f"\n{len(data['problems'])} things are missing; the report lists them.")
    typer.echo(f"\n{html}")
