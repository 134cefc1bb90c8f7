"""`midway sources`: the former name of `midway list sources`."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add the verb to the app."""

    @app.command(hidden=True)
    def sources(
        json_: bool = typer.Option(False, "--json", help="Print everything as JSON."),
        markdown: bool = typer.Option(False, "--markdown", help="Print docs/benchmarks.md."),
    ) -> None:
        """The former name of `midway list sources`."""
        from midway.cli.list import show

        show("sources", json_=json_, markdown=markdown)
