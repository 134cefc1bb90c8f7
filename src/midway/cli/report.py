"""`midway report RUN` and `midway compare RUN RUN ...`: write the report of one run, or of several together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from midway.cli.saying import stop, wrapped
from midway.records import UserError

if TYPE_CHECKING:
    from midway.report import ReportPaths


def register(app: typer.Typer) -> None:
    """Add the verbs to the app."""

    @app.command()
    def report(
        run: str = typer.Argument(
            ..., help="A run directory, a name under runs/, or a results.json to draw again.", show_default=False
        ),
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
        from midway.report import build_report, redraw_report
        from midway.results import open_run

        try:
            if run.endswith(".json"):
                if treatment or control:
                    raise ValueError(
                        "--treatment and --control need the run itself: its results.json holds one comparison"
                    )
                paths = redraw_report(Path(run), out)
            else:
                paths = build_report(open_run(run).path, treatment=treatment, control=control, out=out)
        except (UserError, ValueError) as error:
            raise stop(str(error)) from None
        _print(paths)

    @app.command()
    def compare(
        runs: list[str] = typer.Argument(
            ..., help="Two or more runs: directories, or names under runs/.", show_default=False
        ),
        out: Path = typer.Option(Path("comparison"), "--out", help="Where the joint report goes."),
    ) -> None:
        """Write one report over several runs: the first run's treatment against every other arm of all of them."""
        from midway.report import build_comparison
        from midway.results import open_run

        try:
            paths = build_comparison([open_run(run).path for run in runs], out)
        except (UserError, ValueError) as error:
            raise stop(str(error)) from None
        _print(paths)


def _print(paths: ReportPaths) -> None:
    from midway.report.phrases import plural
    from midway.report.words import verdict
    from midway.results import read_results

    results = read_results(paths.results)
    words = verdict(results)
    typer.echo("\n".join(wrapped(text) for text in [words.headline, "", *words.sentences]))
    if results.problems:
        typer.echo(f"\n{plural(len(results.problems), 'thing is', 'things are')} missing; the report lists what.")
    typer.echo(f"\n{paths.html}")
