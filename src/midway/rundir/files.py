"""Files of a run directory: each appears whole (written beside its place, flushed, renamed) or not at all.

When things go wrong: RunError, with what, where and what to type next. A full disk is a RunError too; nothing stored is lost.
"""

from __future__ import annotations

import errno
import io
import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import polars as pl

from midway.records import UserError


class RunError(UserError, RuntimeError):
    """The run cannot go on; the message says what, where and what to type next."""


@contextmanager
def disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunError(
                f"no space left on the disk while writing {path}\n"
                "  everything stored before is kept: free some space and type the same command again"
            ) from error
        raise


def make_folder(path: Path) -> None:
    """Make a folder, and those above it. Raises RunError where a file is in the way, the disk is full, or it is not allowed."""
    try:
        with disk(path):
            path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        refuse_file(path)
        raise
    except PermissionError:
        raise RunError(f"{path}: the folder cannot be made: not allowed\n  give another place with --out") from None


def refuse_file(path: Path) -> None:
    """Raise RunError where a folder is to be and a file is: at `path`, or above it."""
    for place in (path, *path.parents):
        if place.exists() and not place.is_dir():
            above = "" if place == path else f", for {path}"
            raise RunError(f"{place} is a file, and a folder is needed there{above}\n  give another place with --out")


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all. Raises RunError when the disk is full."""
    make_folder(path.parent)
    temporary = path.parent / f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp"
    with disk(path):
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read JSON; None if there is no such file. Raises RunError for a damaged one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error}): remove it and type the same command again") from None


def write_table(path: Path, frame: pl.DataFrame) -> None:
    """Write a Parquet file atomically."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd")
    write_bytes(path, buffer.getvalue())


def now() -> str:
    """Return the time as ISO 8601 in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
