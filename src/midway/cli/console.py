"""What a user sees while stages run: a live bar with rate and time left on a terminal, one plain line every few seconds elsewhere.

The first Ctrl-C (or SIGTERM) is answered at once, and asks the stage at work to stop after its step; a second one ends the process and all
that it started.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from midway.cli.log import once
from midway.rundir.ending import end_descendants

if TYPE_CHECKING:
    from midway.stages.base import Output

SECONDS_BETWEEN_LINES = 5.0
SIGNALS = (signal.SIGINT, signal.SIGTERM)
STOPPING = "midway: stopping after the step at work; what is done is stored, and the same command goes on (Ctrl-C again stops at once)"


def duration(seconds: float) -> str:
    """Return seconds as `1h02m`, `3m20s` or `12s`."""
    whole = int(seconds + 0.5)
    if whole >= 3600:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 60}m{whole % 60:02d}s" if whole >= 60 else f"{whole}s"


class Console:
    """Shows progress and listens to Ctrl-C. Use as a context manager."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._bar: Any = None
        self._task: Any = None
        self._old: dict[int, Any] = {}
        self._handled = self._heard = self._answered = 0
        """Signals that Python's handler saw, that the listening thread saw, and how many were answered."""
        self._lock = threading.RLock()
        self._wake = -1

    @property
    def asked_to_stop(self) -> bool:
        """Whether a signal came."""
        return max(self._handled, self._heard) > 0

    def __enter__(self) -> Console:
        once()
        for number in SIGNALS:
            self._old[number] = signal.signal(number, self._on_signal)
        # Python's own handler has to wait for the operation at work: a thread hears a signal at once
        here, there = socket.socketpair()
        there.setblocking(False)
        self._ends = (here, there)
        self._wake = signal.set_wakeup_fd(there.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._listen, args=(here,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()
        signal.set_wakeup_fd(self._wake)
        for number, old in self._old.items():
            signal.signal(number, old)
        with suppress(OSError):
            self._ends[1].shutdown(socket.SHUT_RDWR)
        self._ends[1].close()

    def _listen(self, end: socket.socket) -> None:
        with end:
            while numbers := end.recv(16):
                self._heard += sum(number in SIGNALS for number in numbers)
                self._answer()

    def _on_signal(self, number: int, _frame: object) -> None:
        self._handled += 1
        self._answer()

    def _answer(self) -> None:
        """Answer a signal that was not answered yet: the first is a request, the second ends this process and all that it started."""
        with self._lock:
            count = max(self._handled, self._heard)
            first, self._answered = self._answered == 0, max(self._answered, count)
        if count > 1:
            end_descendants(os.getpid())
            os._exit(130)
        if count and first:
            os.write(2, f"{STOPPING}\n".encode())

    def stop(self) -> bool:
        return self.asked_to_stop

    def line(self, text: str) -> None:
        """Print a line above the bar."""
        if self._bar is not None:
            self._bar.console.print(text, highlight=False, markup=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def finish(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def watch(self, title: str, number: int, count: int, out: Output) -> None:
        """Show a stage that begins now: its output tells here how far it is."""
        self.finish()
        label = f"[{number}/{count}] {title}"
        if self.live:
            from rich.console import Console as RichConsole
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeElapsedColumn,
                TimeRemainingColumn,
            )

            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}", markup=False),
                console=RichConsole(stderr=True),
            )
            self._bar.start()
            self._task = self._bar.add_task(label, total=None, note="")
        else:
            print(label, file=sys.stderr, flush=True)
        start = time.monotonic()
        last = start

        def progress(done: int, total: int, note: str) -> None:
            nonlocal last
            if self._bar is not None:
                self._bar.update(self._task, completed=done, total=total or None, note=note)
                return
            now = time.monotonic()
            if now - last < SECONDS_BETWEEN_LINES:
                return
            last = now
            rate = done / (now - start)
            left = f", {duration((total - done) / rate)} left" if total and done else ""
            of = f"/{total}" if total else ""
            print(f"    {done}{of}, {rate:.3g}/s{left}{', ' + note if note else ''}", file=sys.stderr, flush=True)

        out.progress, out.note = progress, lambda text: self.line(f"    {text}")
