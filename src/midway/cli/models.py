"""`midway models get NAME`: a model that is known by name, before it is needed. (`midway list models` lists them.)"""

from __future__ import annotations

import typer

models = typer.Typer(help="Models known by name.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add `midway models` to the app."""
    app.add_typer(models, name="models")


@models.callback()
def list_models(context: typer.Context) -> None:
    """Models known by name; `midway list models` lists them."""
    if context.invoked_subcommand is None:
        from midway.cli.list import show

        show("models")


@models.command()
def get(name: str = typer.Argument(..., help="A named model, such as smollm2.")) -> None:
    """Fetch or make a named model now, and print where it is."""
    from midway.workbench import find_model

    typer.echo(find_model(name))
