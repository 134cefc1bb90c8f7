"""The verbs of `midway`. Each module of this package registers its verbs; a verb parses, calls one thing, prints.

Promises: importing this package and answering `--help` import no torch; every error a user can mend ends with exit code 2
and one message that says what, where and what to type next.
"""

from __future__ import annotations

import sys

import typer

from midway import __version__
from midway.cli import (
    check,
    data,
    export,
    heuristics,
    lab,
    models,
    probe,
    report,
    run,
    serve,
    sources,
    theory,
    verify,
    view,
)
from midway.cli import list as list_
from midway.records import UserError

app = typer.Typer(
    name="midway",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # an error is no box in a log; help has columns, which are worth them
    rich_markup_mode="rich" if sys.stderr.isatty() or sys.argv[-1:] == ["--help"] or len(sys.argv) < 2 else None,
    help="Mid-train on self-generated, heuristic-guided solutions before RL, and find out whether it helped.",
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"midway {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


MODULES = (
    run,
    data,
    check,
    probe,
    report,
    view,
    export,
    verify,
    list_,
    heuristics,
    sources,
    models,
    serve,
    lab,
    theory,
)

for module in MODULES:
    module.register(app)


def main() -> None:
    """Entry point of the `midway` command: 0 fine, 1 something failed, 2 the user can mend it, 130 stopped."""
    try:
        app()
    except UserError as error:
        print(f"midway: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "transformers", "trl", "datasets", "accelerate"):
            raise
        print(f"midway: this needs {error.name}: pip install 'midway[train]'", file=sys.stderr)
        sys.exit(2)
