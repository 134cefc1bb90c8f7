"""`midway models`: the models that are known by name, and getting one before it is needed."""

from __future__ import annotations

import typer

models = typer.Typer(help="Models known by name.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add `midway models` to the app."""
    app.add_typer(models, name="models")


@models.callback()
def list_models(context: typer.Context) -> None:
    """List the models that `model: {path: NAME}` knows by name."""
    if context.invoked_subcommand is not None:
        return
    from midway.registry import parts

    for part in parts("models"):
        typer.echo(f"{part.name:<12}{part.summary}")
    typer.echo("Any Hub id (org/name), local directory or .gguf file is a model too.")


@models.command()
def get(name: str = typer.Argument(..., help="A named model, such as smollm2.")) -> None:
    """Fetch or make a named model now, and print where it is."""
    from midway.workbench import find_model

    typer.echo(find_model(name))
