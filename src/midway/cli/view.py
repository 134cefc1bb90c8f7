"""`midway view`: the viewer, live or as a static copy; `midway show`: the samples of a question in two arms, on the terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from midway.view.viewed import Runs

PORT = 8642
TRIES = 20
"""Ports that are tried, one after the other, where none is asked for."""


def register(app: typer.Typer) -> None:
    """Add the verbs to the app."""

    @app.command()
    def view(
        runs: list[str] = typer.Argument(
            None,
            metavar="[RUN]...",
            help="Run directories, or names under runs/; every run under runs/ if left out.",
            show_default=False,
        ),
        port: int = typer.Option(
            None, help=f"The port on 127.0.0.1; the first free one from {PORT} on if left out.", show_default=False
        ),
        browser: bool = typer.Option(True, "--browser/--no-browser", help="Open the browser."),
        bundle: Path = typer.Option(
            None, "--bundle", metavar="DIR", help="Write a static copy there, which opens from a file, and end."
        ),
        questions: int = typer.Option(
            50,
            "--questions",
            min=1,
            max=500,
            help="How many questions of each benchmark and of training --bundle copies.",
        ),
        chosen: str = typer.Option(
            "",
            "--filter",
            metavar="LINK",
            help="Which ones: the end of a link of the Questions screen, such as filter=broken&sort=gain.",
        ),
    ) -> None:
        """Look at runs in the browser: questions, samples, solutions, rollouts. Serves on this machine only; changes nothing."""
        from urllib.parse import parse_qsl

        from midway.view import write_bundle

        looked = _runs(runs or [])
        if bundle is not None:
            size = write_bundle(looked, bundle, questions, dict(parse_qsl(chosen.rpartition("?")[2])))
            typer.echo(f"{bundle / 'index.html'}   ({size / 1e6:.1f} MB)")
            return
        _serve(looked, port, browser)

    @app.command()
    def show(
        run: str = typer.Argument(..., help="A run directory, or a name under runs/."),
        question: str = typer.Argument(
            "",
            help="A question's id or name, or the beginning of one; if left out, questions are listed.",
            show_default=False,
        ),
        left: str = typer.Option(
            "", help="An arm, or ARM.PHASE or ARM.PHASE.SEED; the treatment before RL if left out."
        ),
        right: str = typer.Option("", help="The same for the second; the treatment's final model if left out."),
        samples: int = typer.Option(4, "-n", "--samples", help="Samples of each."),
    ) -> None:
        """Print the samples of a question in two arms, with verdicts. What could steer a terminal is made visible."""
        from midway.cli.samples import show_question

        show_question(run, question, left, right, samples)


def _runs(names: list[str]) -> Runs:
    from midway.results import open_run
    from midway.view.viewed import Runs

    if names:
        return Runs([open_run(name).path for name in names])
    return Runs([], Path("runs"))


def _serve(runs: Runs, port: int | None, browser: bool) -> None:
    import errno
    import threading
    import webbrowser

    from midway.records import UserError
    from midway.report import words  # noqa: F401 - what the first screen needs is loaded before it is asked for
    from midway.results import alarms  # noqa: F401
    from midway.view import ViewServer

    server = None
    for number in [port] if port is not None else range(PORT, PORT + TRIES):
        try:
            server = ViewServer(runs, number)
            break
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
    if server is None:
        where = f"port {port} is" if port is not None else f"ports {PORT} to {PORT + TRIES - 1} are"
        raise UserError(f"{where} in use; give another one: midway view --port 0 takes any")
    url = server.url + (f"#/run/{next(iter(known))}" if len(known := runs.all()) == 1 else "")
    typer.echo(f"{url}   (Ctrl-C ends it)")
    sys.stdout.flush()
    if browser:
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
    try:
        server.serve_forever()
    finally:
        server.server_close()
