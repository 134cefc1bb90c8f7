"""Where fetched and converted models are kept: a directory of the user's cache, each entry whole or not there at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def cache_dir() -> Path:
    """Return `$MIDWAY_CACHE`, else `midway-models` beside the Hugging Face cache (`$HF_HOME`, `~/.cache/huggingface`)."""
    if given := os.environ.get("MIDWAY_CACHE"):
        return Path(given)
    home = os.environ.get("HF_HOME")
    return (Path(home) if home else Path.home() / ".cache" / "huggingface") / "midway-models"


def kept(name: str, make: Callable[[Path], None]) -> Path:
    """Return the entry `name`, made by `make(folder)` in a folder beside it and renamed; two processes may make it at once."""
    target = cache_dir() / name
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".making-", dir=target.parent))
    try:
        make(work / "entry")
        try:
            os.replace(work / "entry", target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target
