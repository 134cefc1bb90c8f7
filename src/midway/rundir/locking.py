"""Locks of the kernel (flock) on files of a run directory: they go with the process, however that ends.

On a shared disk they hold between machines too, where the file system supports flock (NFS since Linux 2.6.12, Lustre with `-o flock`).
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from midway.rundir.files import RunError, now
from midway.rundir.stopped import Stopped

SECONDS_BETWEEN_TRIES = 0.5


@contextmanager
def locked(path: Path, what: str, *, wait: bool = False, stop: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Hold the lock on a file while the block runs; the file says who holds it.

    Raises RunError naming the owner when another process has it; with `wait` it waits (Stopped when asked to stop).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+", encoding="utf-8") as file:
        while not _try(file, fcntl.LOCK_EX):
            if not wait:
                raise RunError(
                    f"{what} is in use by {owner(file)}\n"
                    "  wait for it (add --wait to do so), stop it (Ctrl-C there), or choose another directory with --out"
                )
            if stop():
                raise Stopped
            time.sleep(SECONDS_BETWEEN_TRIES)
        file.seek(0)
        file.truncate()
        file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "time": now()}))
        file.flush()
        yield


def _try(file: IO[str], how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        return False
    return True


def share(file: IO[str]) -> bool:
    """Take a lock that others may share; False when somebody holds it alone."""
    return _try(file, fcntl.LOCK_SH)


def take_alone(file: IO[str]) -> bool:
    """Take, or turn a shared lock into, a lock that nobody shares; False when somebody else has one."""
    return _try(file, fcntl.LOCK_EX)


def held(path: Path) -> bool:
    """Return whether a process has the lock on a file now.

    A lock of this machine is looked up in the kernel's list; where there is none, a shared lock is tried for and let go at once.
    """
    try:
        stat = path.stat()
    except FileNotFoundError:
        return False
    try:
        listed = Path("/proc/locks").read_text(encoding="ascii")
    except OSError:
        listed = ""
    where = f"{os.major(stat.st_dev):02x}:{os.minor(stat.st_dev):02x}:{stat.st_ino} "
    if any("FLOCK" in line and "->" not in line and where in line for line in listed.splitlines()):
        return True
    with open(path, encoding="utf-8") as file:
        return not share(file)


def owner(file: IO[str]) -> str:
    """Return who wrote himself into a lock's file last, in words."""
    file.seek(0)
    who = {}
    for line in file:
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and "pid" in found:
            who = found
    return f"process {who.get('pid', '?')} on {who.get('host', '?')} since {who.get('time', '?')}"
