"""`midway sources`: the sets of questions that midway knows by name."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add the verb to the app."""

    @app.command()
    def sources(
        json_: bool = typer.Option(False, "--json", help="Print everything as JSON."),
        markdown: bool = typer.Option(False, "--markdown", help="Print docs/benchmarks.md."),
    ) -> None:
        """List the sets of questions known by name: Hub id, splits and rows, domain, gold, licence."""
        from midway.questions import KNOWN, catalogue
        from midway.questions.known import markdown as page
        from midway.questions.known import splits_text

        if json_:
            import json

            typer.echo(json.dumps(catalogue(), indent=2, ensure_ascii=False))
            return
        if markdown:
            typer.echo(page(), nl=False)
            return
        for known in KNOWN.values():
            typer.echo(f"{known.name}  [{known.domain}]  {known.title}")
            typer.echo(f"  hub      {known.hub}")
            typer.echo(f"  splits   {splits_text(known)}")
            typer.echo(f"  gold     {known.gold}")
            typer.echo(f"  licence  {known.licence}")
            if known.note:
                typer.echo(f"  note     {known.note}")
        typer.echo("lab  [math]  midway's own small world (midway lab --help)")
