"""An event loop whose time is simulated: it jumps to the next timer, so that hours pass in milliseconds, always in the same order."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Starts at 0. Fails when nothing can ever happen again: a deadlock."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.now


class _Selector(selectors.SelectSelector):
    def __init__(self, loop: SimulatedLoop) -> None:
        super().__init__()
        self.loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError(f"deadlock at {self.loop.now} s: nothing is due")
        self.loop.now += max(0.0, timeout)
        return super().select(0)


def simulate(work: Callable[[SimulatedLoop], Coroutine[Any, Any, Any]]) -> float:
    """Run `work(loop)` to its end; return how many simulated seconds it took. What it raises is raised."""
    loop = SimulatedLoop()
    try:
        loop.run_until_complete(work(loop))
        return loop.now
    finally:
        loop.close()
