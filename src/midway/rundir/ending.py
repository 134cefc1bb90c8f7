"""Ending processes with all that they started: a launcher's workers live in sessions of their own, which no signal to a group reaches.

Promises: reads /proc alone; where there is none (not Linux), nothing is found and nothing is ended, and a process that was killed but not
yet waited for counts as alive.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def descendants(pid: int) -> list[int]:
    """Return the processes that `pid` started, and those that these started, the nearest first."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):  # it has just ended
            parent = int((folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(folder.name))
    found, at = [pid], 0
    while at < len(found):
        found += children.get(found[at], [])
        at += 1
    return found[1:]


def end_descendants(pid: int) -> None:
    """Kill the processes that `pid` started, at once."""
    for one in descendants(pid):
        with suppress(OSError):
            os.kill(one, signal.SIGKILL)


def ended(pid: int) -> bool:
    """Whether a process of this machine has ended. One that was killed is gone also while the program that started it has not asked for its
    exit code, which some never do (a container's first process, for one)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False  # another user's, so it is there
    try:
        state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state in "ZX"
