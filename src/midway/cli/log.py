"""A log that can be read: what a library says twice is printed once.

Promises: warnings and log records of any library, of the same logger and text, are shown the first time only, in this process. Nothing of
midway's own goes through here.
"""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Any

DROPPED = -1
"""A level below that of every handler."""
_seen: set[tuple[str, str]] = set()


def once() -> None:
    """From now on show each library's message once. Called again it changes nothing."""
    made = logging.getLogRecordFactory()
    if not getattr(made, "of_midway", False):  # twice over, every message would be a repeated one

        def record(name: str, level: int, *given: Any, **named: Any) -> logging.LogRecord:
            found = made(name, level, *given, **named)
            if level >= logging.WARNING and not _first(name, found.getMessage()):
                found.levelno = DROPPED
            return found

        record.of_midway = True  # type: ignore[attr-defined]
        logging.setLogRecordFactory(record)
    if not getattr(warnings.showwarning, "of_midway", False):

        def show(
            message: Any, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
        ) -> None:
            if _first(category.__name__, str(message)):
                print(f"{category.__name__}: {message}", file=file or sys.stderr, flush=True)

        show.of_midway = True  # type: ignore[attr-defined]
        warnings.showwarning = show


def _first(who: str, text: str) -> bool:
    key = (who, text.strip())
    new = key not in _seen
    _seen.add(key)
    return new
