"""Generation and verification spread over a Ray cluster: `midway run --executor ray`.

Promises
- One engine actor for each GPU (for each group of GPUs when vLLM's tensor_parallel_size asks for more), or for each node without GPUs.
  Inside an actor runs what runs on one machine, `stream.complete`, with a writer of its own in the shared directory.
- An actor that dies is replaced; what it had stored is kept, what is missing of its share is given out again. Ids are stored once.
- On Ctrl-C, SIGTERM or `stop()` the actors end their share at the next completion; everything that arrived is stored.

Every node must have midway installed and see the run directory at the same path.

When things go wrong: an engine that cannot go on, or actors that die without storing anything, three times in a row, are an EngineError.
"""

from __future__ import annotations

import itertools
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray.exceptions import RayActorError, RayTaskError

from midway import run
from midway.engines import open_engine
from midway.engines.base import Engine, EngineError
from midway.engines.stream import (
    WINDOW,
    Progress,
    Signals,
    Stopped,
    StreamReport,
    complete,
    recover_all,
    settle_failures,
)
from midway.recipe import EngineConfig, ModelConfig, VllmEngine
from midway.records import Request

DEATHS_IN_A_ROW = 3
T = TypeVar("T")
R = TypeVar("R")


class EngineWorker:
    """What each actor runs."""

    def __init__(self, config: EngineConfig, model: ModelConfig, model_path: str | None) -> None:
        self._args = (config, model, model_path)
        self._engine: Engine | None = None
        self._stop = False
        self._progress: Progress | None = None

    def complete(self, requests: list[Request], folder: str) -> StreamReport:
        """Answer a share of the requests, none of which is held."""
        if self._engine is None:  # here and not above, so that the driver gets the error itself
            config, model, model_path = self._args
            self._engine = open_engine(config, model, model_path=model_path)
        self._progress = None
        return complete(
            requests, self._engine, Path(folder), owner=False, stop=lambda: self._stop, progress=self._note
        )  # fmt: skip

    def _note(self, progress: Progress) -> None:
        self._progress = progress

    def progress(self) -> tuple[int, str, Progress | None]:
        """Return process id, host and how far the present share is."""
        return os.getpid(), socket.gethostname(), self._progress

    def stop(self) -> None:
        """End the present share at the next completion."""
        self._stop = True


def connect(address: str | None = None, **options: Any) -> None:
    """Join the Ray cluster at `address` (or RAY_ADDRESS), or start one on this machine. Raises EngineError when there is none."""
    if ray.is_initialized():
        return
    try:
        ray.init(address=address or os.environ.get("RAY_ADDRESS"), log_to_driver=False, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise EngineError(
            f"no Ray cluster: {error}\n  start one (`ray start --head`), set RAY_ADDRESS, or leave out `--executor ray`"
        ) from error


def resources(config: EngineConfig) -> tuple[int, int]:
    """Return how many engines the cluster has room for and the GPUs of each (0: a CPU)."""
    gpus = int(ray.cluster_resources().get("GPU", 0))
    each = 1
    if isinstance(config, VllmEngine):
        each = int(config.args.get("tensor_parallel_size", 1)) * int(config.args.get("pipeline_parallel_size", 1))
    if gpus and config.kind in ("transformers", "vllm"):
        if each > gpus:
            raise EngineError(
                f"the engine wants {each} GPUs and the Ray cluster has {gpus}\n  lower engine.args.tensor_parallel_size"
            )
        return gpus // each, each
    return sum(1 for node in ray.nodes() if node["Alive"]), 0


def complete_on_ray(
    requests: Iterable[Request],
    config: EngineConfig,
    model: ModelConfig,
    folder: Path,
    *,
    model_path: str | None = None,
    workers: int | None = None,
    share: int = 2048,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    log: Callable[[str], None] | None = None,
) -> StreamReport:
    """Like `stream.complete`, on a Ray cluster (`connect` first). `workers` engines, as many as there is room for if left out; each takes
    `share` requests at a time, fewer when there are few."""
    pool = _Pool(config, model, model_path, folder.resolve(), log or (lambda line: None))
    return pool.run(requests, workers, share, progress, stop)


class _Pool:
    def __init__(
        self, config: EngineConfig, model: ModelConfig, model_path: str | None, folder: Path, log: Callable[[str], None]
    ) -> None:
        self.config, self.model, self.model_path, self.folder, self.log = config, model, model_path, folder, log
        room, self.gpus = resources(config)
        self.room = room
        self.report = StreamReport()
        self.busy: dict[Any, tuple[Any, list[Request]]] = {}
        """Running shares: reference -> (actor, requests)."""
        self.back: deque[list[Request]] = deque()
        """Shares whose actor died."""
        self.seen: set[tuple[int, str]] = set()
        """Processes that were told to the user."""
        self.before = 0
        self.deaths = 0
        """In a row, without anything stored in between."""

    def run(
        self,
        requests: Iterable[Request],
        workers: int | None,
        share: int,
        progress: Callable[[Progress], None] | None,
        stop: Callable[[], bool] | None,
    ) -> StreamReport:
        start = time.monotonic()
        total = len(requests) if isinstance(requests, Sized) else None
        recover_all(self.folder)
        count = workers or self.room
        if total is not None:
            share = max(1, min(share, -(-total // (4 * count))))
        stream = self._missing(requests)
        idle = [self._actor() for _ in range(count)]
        signals = Signals()
        told = start
        exhausted = False
        try:
            with signals.caught():
                while True:
                    while idle and not exhausted:
                        part = self.back.popleft() if self.back else list(itertools.islice(stream, share))
                        if not part:
                            exhausted = True
                            break
                        self._start(idle.pop(), part)
                    if not self.busy:
                        break
                    ready, _ = ray.wait(list(self.busy), timeout=0.5)
                    for reference in ready:
                        actor, alive = self._land(reference)
                        idle.append(actor if alive else self._actor())
                        exhausted = exhausted and not self.back
                    if time.monotonic() - told >= 1:
                        told = time.monotonic()
                        now = self._progress(total, told - start)
                        if progress:
                            progress(now)
                    if stop is not None and stop():
                        self.report.stopped = "requested"
                        break
        except Stopped:
            self.report.stopped = signals.got
        finally:
            with suppress(Stopped):
                self._end(idle)
        self.report.seconds = time.monotonic() - start
        self.report.unasked = self.before - self.report.held if not self.report.stopped else 0
        recover_all(self.folder)
        settle_failures(self.folder)
        if progress:
            progress(self._progress(total, self.report.seconds))
        return self.report

    def _missing(self, requests: Iterable[Request]) -> Iterator[Request]:
        """Yield what is not held, sorted in windows as `stream.complete` does, so that a share has few heuristics."""
        seen = run.stored_ids(self.folder)
        self.before = len(seen)
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
        options: dict[str, Any] = {"max_concurrency": 3, "scheduling_strategy": "SPREAD"}
        options |= {"num_gpus": self.gpus} if self.gpus else {"num_cpus": 1}
        actor = ray.remote(EngineWorker).options(**options).remote(self.config, self.model, self.model_path)
        return actor

    def _start(self, actor: Any, part: list[Request]) -> None:
        self.busy[actor.complete.remote(part, str(self.folder))] = (actor, part)

    def _land(self, reference: Any) -> tuple[Any, bool]:
        """Take in what a share came to; return its actor and whether it lives."""
        actor, part = self.busy.pop(reference)
        try:
            self.report.add(ray.get(reference))
            self.deaths = 0
            return actor, True
        except RayActorError as error:
            held = run.stored_ids(self.folder)
            left = [request for request in part if request.id not in held]
            done = len(part) - len(left)
            self.report.asked += done
            self.report.done += done
            self.deaths = 0 if done else self.deaths + 1
            self.log(f"an engine actor died; {len(left)} of its {len(part)} requests are given out again")
            if self.deaths >= DEATHS_IN_A_ROW:
                raise EngineError(
                    f"{self.deaths} engine actors died one after the other without an answer: {str(error).splitlines()[0]}\n"
                    "  what arrived is stored: look at the Ray logs (memory?), then type the same command to go on"
                ) from error
            if left:
                self.back.append(left)
            return actor, False
        except RayTaskError as error:
            cause = error.cause if isinstance(error.cause, BaseException) else error
            raise EngineError(str(cause)) from error

    def _progress(self, total: int | None, seconds: float) -> Progress:
        now = Progress(
            total, self.report.held, self.report.done, self.report.failed, self.report.prompt_tokens,
            self.report.completion_tokens, self.report.cached_tokens, seconds,
        )  # fmt: skip
        asked = [actor.progress.remote() for actor, _ in self.busy.values()]
        with suppress(RayActorError, ray.exceptions.GetTimeoutError):
            for process, host, part in ray.get(asked, timeout=0.5):
                if (process, host) not in self.seen:
                    self.seen.add((process, host))
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
        for actor, _ in self.busy.values():
            actor.stop.remote()
        if self.busy:
            ready, _ = ray.wait(list(self.busy), num_returns=len(self.busy), timeout=20)
            for reference in ready:
                with suppress(RayActorError, RayTaskError):
                    stopped = self.report.stopped
                    self.report.add(ray.get(reference))
                    self.report.stopped = stopped
        for actor in [*idle, *(actor for actor, _ in self.busy.values())]:
            ray.kill(actor)
        self.busy.clear()


def map_on_ray(function: Callable[[T], R], items: Iterable[T], *, cpus: float = 1) -> Iterator[tuple[int, R]]:
    """Yield (place, function(item)) in any order, computed on the cluster; a task whose process dies is repeated by Ray (up to three
    times). Used for batches of verification; `function` and items must pickle. Raises what `function` raises."""
    task = ray.remote(num_cpus=cpus, max_retries=3)(function)
    most = 2 * max(1, int(ray.cluster_resources().get("CPU", 1) / cpus))
    running: dict[Any, int] = {}
    for place, item in enumerate(items):
        running[task.remote(item)] = place
        while len(running) >= most:
            yield from _landed(running)
    while running:
        yield from _landed(running)


def _landed(running: dict[Any, int]) -> Iterator[tuple[int, Any]]:
    ready, _ = ray.wait(list(running))
    for reference in ready:
        yield running.pop(reference), ray.get(reference)
