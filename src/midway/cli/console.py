"""What a user sees while stages run: a live bar with rate and time left on a terminal, one plain line every few seconds elsewhere.

The first Ctrl-C (or SIGTERM) asks the running stage to stop cleanly; a second one ends the process at once.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from midway.cli.log import once

if TYPE_CHECKING:
    from midway.stages.base import Output

SECONDS_BETWEEN_LINES = 5.0


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
        self.asked_to_stop = False
        self._bar: Any = None
        self._task: Any = None
        self._old: dict[int, Any] = {}

    def __enter__(self) -> Console:
        once()
        for number in (signal.SIGINT, signal.SIGTERM):
            self._old[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()
        for number, old in self._old.items():
            signal.signal(number, old)

    def _on_signal(self, number: int, _frame: object) -> None:
        if self.asked_to_stop:
            os._exit(130)
        self.asked_to_stop = True
        self.line("stopping cleanly: storing what is in flight (once more to stop at once)")

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
