"""What every stage needs: where it writes, how it reports progress, how it is asked to stop, what it cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from midway.rundir import COMPLETE, FAILED, INTERRUPTED, StageDir

Progress = Callable[[int, int, str], None]
"""Called with (done, total, note); total 0 is unknown."""


class Stopped(Exception):
    """The user asked to stop; everything so far is stored."""


@dataclass
class Control:
    """How a stage talks to whoever runs it."""

    progress: Progress = lambda done, total, note: None
    stop: Callable[[], bool] = lambda: False
    note: Callable[[str], None] = lambda text: None


@dataclass
class Outcome:
    """What a stage leaves in its manifest: `cost` adds up over attempts, `result` replaces."""

    cost: dict[str, float] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)


def versions() -> dict[str, str]:
    """Return the versions of what decides results; a package that is not installed is left out."""
    found = {}
    for name in ("midway", "torch", "transformers", "trl", "vllm", "datasets", "math-verify", "polars"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@contextmanager
def recorded(stage: StageDir) -> Iterator[Outcome]:
    """Keep a stage's manifest true: running, then complete, interrupted or failed with the reason; seconds are counted."""
    stage.begin(versions())
    outcome = Outcome()
    start = time.monotonic()

    def end(state: str, error: str = "") -> None:
        outcome.cost["seconds"] = round(time.monotonic() - start, 3)
        stage.end(state, outcome.cost, error=error, result=outcome.result)

    try:
        yield outcome
    except (Stopped, KeyboardInterrupt):
        end(INTERRUPTED)
        raise
    except Exception as error:
        end(FAILED, f"{type(error).__name__}: {error}")
        raise
    end(COMPLETE)
