"""The one voice of the command line: what goes wrong is said on standard error as `midway: what, where, what to type next`.

Promises: no traceback for what a person can put right: a mistyped option, a path that is there or is not, a full disk.
"""

from __future__ import annotations

import errno
import shutil
import sys
import textwrap
from collections.abc import Iterable
from typing import Any

import typer

USAGE: Any = typer.BadParameter.__mro__[1]
"""The class of errors of the command line's own: an unknown verb or option, a value that does not fit."""
FULL = (errno.ENOSPC, errno.EDQUOT)
FILE_IN_THE_WAY = (errno.EEXIST, errno.ENOTDIR)


def say(text: str) -> None:
    """Print a line for the person at the terminal, beside what a program may read from standard output."""
    typer.echo(f"midway: {text}", err=True)


def stop(text: str) -> typer.Exit:
    """Say what is wrong; return what to raise: exit code 2."""
    say(text)
    return typer.Exit(2)


def say_failures(failures: Iterable[Any]) -> None:
    """Say which stages failed, and why."""
    for failure in failures:
        say(f"{failure.rel} failed: {failure.error}")


def wrapped(text: str, indent: str = "") -> str:
    """Return a sentence wrapped between words to the width of the terminal; as it is where it goes into a file or a pipe."""
    if not sys.stdout.isatty():
        return indent + text
    width = max(40, shutil.get_terminal_size().columns)
    return textwrap.fill(
        text, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def of_usage(error: Any) -> str:
    """Return what is wrong with the words typed, and where the help is."""
    path = error.ctx.command_path if error.ctx is not None else "midway"
    text = " ".join(error.format_message().split())
    return f"{text[:1].lower()}{text[1:]}\n  see: {path.replace('python -m midway', 'midway')} --help"


def of_system(error: OSError) -> str:
    """Return what the system said of a file, and what to do; empty for an error that concerns no file."""
    where = f" while writing {error.filename}" if error.filename else ""
    if error.errno in FULL:
        return f"no space left on the disk{where}\n  everything stored before is kept: free some space and type the same command again"
    if not error.filename:
        return ""
    if error.errno in FILE_IN_THE_WAY:
        return f"{error.filename}: a file of that name is in the way of a folder: give another name, or move it"
    if error.errno == errno.ENOENT:
        return f"{error.filename}: there is no such file or folder"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{error.filename}: {(error.strerror or 'not allowed').lower()}: give another place, or change who may write there"
    if error.errno == errno.EISDIR:
        return f"{error.filename}: it is a folder, a file is needed"
    return f"{error.filename}: {(error.strerror or str(error)).lower()}"
