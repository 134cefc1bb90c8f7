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
from midway.cli.saying import USAGE, of_system, of_usage, say
from midway.cli.verbs import arrange
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
arrange(app)


def main() -> None:
    """Entry point of the `midway` command: 0 fine, 1 something failed, 2 the user can mend it, 130 stopped."""
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except UserError as error:
        wrong = str(error)
    except USAGE as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()
            sys.exit(2)
        wrong = of_usage(error)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "transformers", "trl", "datasets", "accelerate"):
            raise
        from midway.registry import install

        wrong = f"this needs {error.name}, which is not installed\n  {install('train')}"
    except OSError as error:
        wrong = of_system(error)
        if not wrong:
            raise
    say(wrong)
    sys.exit(2)
