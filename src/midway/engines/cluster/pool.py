"""Engines on a Ray cluster that store what they answer: the loop of the driver.

Promises
- One engine actor for each GPU (for each group of GPUs when vLLM's tensor_parallel_size asks for more), or for each node without GPUs.
  Inside an actor runs what runs on one machine, `stream.complete`, with a writer of its own in the shared directory.
- An actor that dies is replaced; what it had stored is kept and counted, what is missing of its share is given out again. Ids are
  stored once.
- On Ctrl-C, SIGTERM or `stop()` the actors end their share at the next completion; everything that arrived is stored.

When things go wrong: an engine that cannot go on, or actors that die without storing anything, three times in a row, are an EngineError,
with the report so far as its `report`.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import ray
from ray.exceptions import GetTimeoutError, RayTaskError

from midway import rundir
from midway.engines.base import EngineError
from midway.engines.cluster.nodes import DEATHS_IN_A_ROW, DIED, engine_options, first_line, resources
from midway.engines.cluster.worker import EngineWorker, worker_arguments
from midway.engines.stream import (
    WINDOW,
    Progress,
    Signals,
    StreamReport,
    completion_of,
    recover_all,
    settle_failures,
)
from midway.recipe import EngineConfig, ModelConfig
from midway.records import Request


def complete_on_ray(
    requests: Iterable[Request],
    config: EngineConfig,
    model: ModelConfig,
    folder: Path,
    *,
    model_path: str | None = None,
    plugins: Sequence[str] = (),
    workers: int | None = None,
    share: int = 2048,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    log: Callable[[str], None] | None = None,
) -> StreamReport:
    """Like `stream.complete`, on a Ray cluster (`connect` first). `workers` engines, as many as there is room for if left out; each takes
    `share` requests at a time, fewer when there are few."""
    room, gpus = resources(config)
    pool = _Pool(
        worker_arguments(config, model, model_path, plugins), folder.resolve(),
        count=workers or room, gpus=gpus, log=log or (lambda line: None),
    )  # fmt: skip
    return pool.run(requests, share=share, progress=progress, stop=stop)


class _Pool:
    def __init__(
        self, worker: tuple[Any, ...], folder: Path, *, count: int, gpus: int, log: Callable[[str], None]
    ) -> None:
        self.worker, self.folder, self.count, self.gpus, self.log = worker, folder, count, gpus, log
        self.report = StreamReport()
        self.running: dict[Any, tuple[Any, list[Request]]] = {}
        """Shares on their way: reference -> (actor, requests)."""
        self.again: deque[list[Request]] = deque()
        """Shares whose actor died."""
        self.announced: set[tuple[int, str]] = set()
        """Processes that the user knows of."""
        self.held_before = 0
        self.deaths_in_a_row = 0
        """Without anything stored in between."""

    def run(
        self,
        requests: Iterable[Request],
        *,
        share: int,
        progress: Callable[[Progress], None] | None,
        stop: Callable[[], bool] | None,
    ) -> StreamReport:
        start = time.monotonic()
        total = len(requests) if isinstance(requests, Sized) else None
        recover_all(self.folder)
        if total is not None:
            share = max(1, min(share, -(-total // (4 * self.count))))
        stream = self._missing(requests)
        idle = [self._actor() for _ in range(self.count)]
        signals = Signals()
        reported_at = start
        exhausted = False
        try:
            with signals.caught():
                signals.storing = (
                    True  # a signal only sets `got`: raised in the middle of Ray's own code it would be a SystemError
                )
                while not signals.got:
                    while idle and not exhausted:
                        part = self.again.popleft() if self.again else list(itertools.islice(stream, share))
                        if not part:
                            exhausted = True
                            break
                        self._start(idle.pop(), part)
                    if not self.running:
                        break
                    ready, _ = ray.wait(list(self.running), timeout=0.5)
                    for reference in ready:
                        actor, alive = self._land(reference)
                        idle.append(actor if alive else self._actor())
                        exhausted = exhausted and not self.again
                    if time.monotonic() - reported_at >= 1:
                        reported_at = time.monotonic()
                        now = self._progress(total, reported_at - start)
                        if progress:
                            progress(now)
                    if stop is not None and stop():
                        self.report.stopped = "requested"
                        break
            self.report.stopped = self.report.stopped or signals.got
        except EngineError as error:
            self.report.seconds = time.monotonic() - start
            error.report = self.report
            raise
        finally:
            self._end(idle)
        self.report.seconds = time.monotonic() - start
        self.report.unasked = self.held_before - self.report.held if not self.report.stopped else 0
        recover_all(self.folder)
        settle_failures(self.folder)
        if progress:
            progress(self._progress(total, self.report.seconds))
        return self.report

    def _missing(self, requests: Iterable[Request]) -> Iterator[Request]:
        """Yield what is not held, sorted in windows as `stream.complete` does, so that a share has few heuristics."""
        seen = rundir.stored_ids(self.folder)
        self.held_before = len(seen)
        stream = iter(requests)
        while window := list(itertools.islice(stream, WINDOW)):
            fresh = []
            for request in window:
                if request.id in seen:
                    self.report.held += 1
                    self.report.asked += 1
                else:
                    fresh.append(request)
                    seen.add(request.id)
            yield from sorted(fresh, key=lambda r: (r.heuristic, r.prompt.shared, r.question_id, r.index))

    def _actor(self) -> Any:
        made = ray.remote(EngineWorker).options(**engine_options(self.gpus))
        return made.remote(*self.worker)

    def _start(self, actor: Any, part: list[Request]) -> None:
        self.running[actor.complete.remote(part, str(self.folder))] = (actor, part)

    def _land(self, reference: Any) -> tuple[Any, bool]:
        """Take in what a share came to; return its actor and whether it lives."""
        actor, part = self.running.pop(reference)
        try:
            self.report.add(ray.get(reference))
            self.deaths_in_a_row = 0
            return actor, True
        except DIED as error:
            held = rundir.read_table(self.folder, rundir.COMPLETIONS).filter(pl.col("id").is_in([r.id for r in part]))
            for row in held.iter_rows(named=True):
                self.report.count(completion_of(row))
            self.report.asked += held.height
            self.report.rescued += held.height
            self.report.deaths += 1
            stored = set(held["id"])
            left = [request for request in part if request.id not in stored]
            self.deaths_in_a_row = 0 if stored else self.deaths_in_a_row + 1
            self.log(
                f"an engine actor died; of its {len(part)} requests {len(stored)} were stored, "
                f"{len(left)} are given out again"
            )
            if self.deaths_in_a_row >= DEATHS_IN_A_ROW:
                raise EngineError(
                    f"{self.deaths_in_a_row} engine actors died one after the other without an answer: {first_line(error)}\n"
                    "  what arrived is stored: look at the Ray logs (memory?), then type the same command to go on"
                ) from error
            if left:
                self.again.append(left)
            return actor, False
        except RayTaskError as error:
            cause = error.cause if isinstance(error.cause, BaseException) else error
            raise EngineError(str(cause)) from error

    def _progress(self, total: int | None, seconds: float) -> Progress:
        now = Progress(
            total, self.report.held, self.report.done, self.report.failed, self.report.prompt_tokens,
            self.report.completion_tokens, self.report.cached_tokens, seconds,
        )  # fmt: skip
        asked = [actor.progress.remote() for actor, _ in self.running.values()]
        with suppress(GetTimeoutError, *DIED):
            for process, host, part in ray.get(asked, timeout=0.5):
                if (process, host) not in self.announced:
                    self.announced.add((process, host))
                    self.log(f"engine in process {process} on {host}")
                if part is not None:
                    now = replace(
                        now, done=now.done + part.done, failed=now.failed + part.failed,
                        prompt_tokens=now.prompt_tokens + part.prompt_tokens,
                        completion_tokens=now.completion_tokens + part.completion_tokens,
                        cached_tokens=now.cached_tokens + part.cached_tokens,
                    )  # fmt: skip
        return now

    def _end(self, idle: list[Any]) -> None:
        """Let running shares end at their next completion, then let the actors go."""
        for actor, _ in self.running.values():
            actor.stop.remote()
        if self.running:
            ready, _ = ray.wait(list(self.running), num_returns=len(self.running), timeout=20)
            for reference in ready:
                with suppress(RayTaskError, *DIED):
                    stopped = self.report.stopped
                    self.report.add(ray.get(reference))
                    self.report.stopped = stopped
        for actor in [*idle, *(actor for actor, _ in self.running.values())]:
            ray.kill(actor)
        self.running.clear()
