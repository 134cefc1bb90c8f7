"""Engines, and whatever else comes in batches, spread over a Ray cluster: `midway run --executor ray`.

Promises
- One engine actor for each GPU (for each group of GPUs when vLLM's tensor_parallel_size asks for more), or for each node without GPUs.
  Inside an actor runs what runs on one machine, `stream.complete`, with a writer of its own in the shared directory.
- An actor that dies is replaced; what it had stored is kept and counted, what is missing of its share is given out again. Ids are
  stored once.
- On Ctrl-C, SIGTERM or `stop()` the actors end their share at the next completion; everything that arrived is stored.
- `Crew` does the same for batches whose results go back to the driver, in order: log-probabilities (`RayEngine`), verdicts.

Every node must have midway installed and see the run directory at the same path.

When things go wrong: an engine that cannot go on, or actors that die without storing anything, three times in a row, are an EngineError.
"""

from __future__ import annotations

import itertools
import os
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import ray
from ray.exceptions import (
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RayTaskError,
    WorkerCrashedError,
)

from midway import registry, rundir
from midway.engines import open_engine
from midway.engines.base import Engine, EngineError
from midway.engines.keys import model_key
from midway.engines.stream import (
    WINDOW,
    Progress,
    Signals,
    StreamReport,
    complete,
    completion_of,
    recover_all,
    settle_failures,
)
from midway.engines.text import encode, load_tokenizer, uses_chat
from midway.recipe import EngineConfig, ModelConfig, engine_settings
from midway.records import Completion, Prompt, Request

DEATHS_IN_A_ROW = 3
DIED = (RayActorError, WorkerCrashedError, OutOfMemoryError, NodeDiedError, ObjectLostError)
"""What comes of the death of an actor, its worker process, or its node."""
AT_ONCE = 512
"""Log-probabilities, or answers that are not stored, that an engine actor is asked for at a time."""


class EngineWorker:
    """What each actor runs."""

    def __init__(
        self, config: dict[str, Any], model: ModelConfig, model_path: str | None, plugins: Sequence[str]
    ) -> None:
        registry.load_plugins(plugins)
        self._args = (engine_settings(config), model, model_path)
        self._engine: Engine | None = None
        self._stop = False
        self._progress: Progress | None = None

    def complete(self, requests: list[Request], folder: str) -> StreamReport:
        """Answer a share of the requests, none of which is held."""
        self._progress = None
        return complete(
            requests, self.engine, Path(folder), owner=False, stop=lambda: self._stop, progress=self._note
        )  # fmt: skip

    @property
    def engine(self) -> Engine:
        """The engine; opened here and not in the constructor, so that the driver gets the error itself."""
        if self._engine is None:
            config, model, model_path = self._args
            self._engine = open_engine(config, model, model_path=model_path)
        return self._engine

    def answers(self, requests: list[Request]) -> list[Completion]:
        """Answer requests without storing."""
        return list(self.engine.generate(requests))

    def logprobs(self, items: list[tuple[Prompt, str]]) -> list[tuple[float, int]]:
        return list(self.engine.logprobs(items))

    def process(self) -> tuple[int, str]:
        """Return process id and host."""
        return os.getpid(), socket.gethostname()

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
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address or os.environ.get("RAY_ADDRESS"), log_to_driver=False, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise EngineError(
            f"no Ray cluster: {error}\n  start one (`ray start --head`), set RAY_ADDRESS, or leave out `--executor ray`"
        ) from error
    finally:
        if threading.current_thread() is threading.main_thread():  # Ray sets a handler of its own, which ends at once
            signal.signal(signal.SIGTERM, before)


def resources(config: EngineConfig) -> tuple[int, int]:
    """Return how many engines the cluster has room for and the GPUs of each (0: a CPU). An engine's GPUs are those of one node."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = [int(node.get("GPU", 0)) for node in nodes]
    each = registry.find("engines", config.kind).gpus(config)
    if sum(gpus) and each:
        if each > max(gpus):
            raise EngineError(
                f"the engine wants {each} GPUs of one node and the nodes of the Ray cluster have {max(gpus)} at most\n"
                "  lower engine.args.tensor_parallel_size"
            )
        return sum(count // each for count in gpus), each
    return len(nodes), 0


def room_for(processors: int) -> tuple[int, int]:
    """Return how many processors an actor gets that would like so many (fewer on small nodes), and how many such actors fit in."""
    nodes = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    each = max(1, min(processors, *(n for n in nodes if n), processors))
    return each, max(1, sum(n // each for n in nodes))


def actor_options(gpus: int) -> dict[str, Any]:
    """Return how Ray places an engine actor."""
    return {"max_concurrency": 3, "scheduling_strategy": "SPREAD"} | ({"num_gpus": gpus} if gpus else {"num_cpus": 1})


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
    worker = worker_arguments(config, model, model_path, plugins)
    pool = _Pool(config, worker, folder.resolve(), log or (lambda line: None))
    return pool.run(requests, workers, share, progress, stop)


def worker_arguments(
    config: EngineConfig, model: ModelConfig, model_path: str | None, plugins: Sequence[str]
) -> tuple[Any, ...]:
    """Return the arguments of an EngineWorker. Settings travel as JSON: a class of a plug-in file is known in the actor only when it has
    loaded the file."""
    return config.model_dump(mode="json"), model, model_path, list(plugins)


class _Pool:
    def __init__(self, config: EngineConfig, worker: tuple[Any, ...], folder: Path, log: Callable[[str], None]) -> None:
        self.worker, self.folder, self.log = worker, folder, log
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
                signals.storing = (
                    True  # a signal only sets `got`: raised in the middle of Ray's own code it would be a SystemError
                )
                while not signals.got:
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
            self.report.stopped = self.report.stopped or signals.got
        except EngineError as error:
            self.report.seconds = time.monotonic() - start
            error.report = self.report
            raise
        finally:
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
        seen = rundir.stored_ids(self.folder)
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
        made = ray.remote(EngineWorker).options(**actor_options(self.gpus))
        return made.remote(*self.worker)

    def _start(self, actor: Any, part: list[Request]) -> None:
        self.busy[actor.complete.remote(part, str(self.folder))] = (actor, part)

    def _land(self, reference: Any) -> tuple[Any, bool]:
        """Take in what a share came to; return its actor and whether it lives."""
        actor, part = self.busy.pop(reference)
        try:
            self.report.add(ray.get(reference))
            self.deaths = 0
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
            self.deaths = 0 if stored else self.deaths + 1
            self.log(
                f"an engine actor died; of its {len(part)} requests {len(stored)} were stored, "
                f"{len(left)} are given out again"
            )
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
        with suppress(ray.exceptions.GetTimeoutError, *DIED):
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
                with suppress(RayTaskError, *DIED):
                    stopped = self.report.stopped
                    self.report.add(ray.get(reference))
                    self.report.stopped = stopped
        for actor in [*idle, *(actor for actor, _ in self.busy.values())]:
            ray.kill(actor)
        self.busy.clear()


class Crew:
    """Actors of one class, made when first needed, that work on batches; a context manager.

    `count` actors of class `worker`, each made with `arguments`. One that dies is replaced and its batch given out again.
    """

    def __init__(
        self,
        worker: type,
        arguments: Iterable[Any],
        count: int,
        options: Mapping[str, Any],
        log: Callable[[str], None] | None = None,
        name: str = "worker",
    ) -> None:
        self._worker, self._arguments, self._options = worker, tuple(arguments), dict(options)
        self.count, self.name, self.log = max(1, count), name, log or (lambda line: None)
        self.idle: list[Any] = []
        self.deaths = 0

    def map(self, method: str, batches: Iterable[list[Any]]) -> Iterator[list[Any]]:
        """Yield what the method returns for each batch, in the order of the batches, of which a bounded number is read ahead.

        Raises EngineError when actors die three times in a row, and what the method raises.
        """
        stream = enumerate(batches)
        running: dict[Any, tuple[Any, int, list[Any]]] = {}
        back: deque[tuple[int, list[Any]]] = deque()
        done: dict[int, list[Any]] = {}
        told = in_a_row = 0
        exhausted = False
        while len(self.idle) < self.count:
            self._hire()
        try:
            while True:
                while self.idle and (back or (not exhausted and len(running) + len(done) < 4 * self.count)):
                    place, batch = back.popleft() if back else next(stream, (-1, []))
                    if place < 0:
                        exhausted = True
                        break
                    actor = self.idle.pop()
                    running[getattr(actor, method).remote(batch)] = (actor, place, batch)
                if not running:
                    return
                for reference in ray.wait(list(running), timeout=0.5)[0]:
                    actor, place, batch = running.pop(reference)
                    try:
                        done[place] = ray.get(reference)
                        in_a_row = 0
                        self.idle.append(actor)
                    except DIED as error:
                        in_a_row += 1
                        self.deaths += 1
                        if in_a_row >= DEATHS_IN_A_ROW:
                            raise EngineError(
                                f"{in_a_row} {self.name} actors died one after the other: {str(error).splitlines()[0]}\n"
                                "  what is stored is kept: look at the Ray logs (memory?), then type the same command to go on"
                            ) from error
                        self.log(f"a {self.name} actor died; its {len(batch)} items are given out again")
                        back.append((place, batch))
                        self._hire()
                    except RayTaskError as error:
                        self.idle.append(actor)
                        raise (error.cause if isinstance(error.cause, Exception) else error) from error
                while told in done:
                    yield done.pop(told)
                    told += 1
        finally:
            for actor, _, _ in running.values():  # in the middle of what nobody waits for any more
                ray.kill(actor)

    def _hire(self) -> None:
        self.idle.append(ray.remote(self._worker).options(**self._options).remote(*self._arguments))

    def close(self) -> None:
        """Let all actors go; the crew can be used again."""
        for actor in self.idle:
            ray.kill(actor)
        self.idle.clear()

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RayEngine:
    """The engines of a cluster as one: for scorers, whose questions are not stored. Answers come back batch by batch."""

    def __init__(
        self,
        config: EngineConfig,
        model: ModelConfig,
        *,
        model_path: str | None = None,
        plugins: Sequence[str] = (),
        workers: int | None = None,
        log: Callable[[str], None] | None = None,
    ) -> None:
        self._path, self._model = model_path or model.path, model
        self.model_key = model_key(self._path, model.revision)
        room, gpus = resources(config)
        self._crew = Crew(
            EngineWorker, worker_arguments(config, model, model_path, plugins), workers or room, actor_options(gpus), log, "scoring"
        )  # fmt: skip
        self._tokenizer: Any = None

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        for found in self._crew.map("answers", _batches(requests)):
            yield from found

    def logprobs(self, items: Iterable[tuple[Prompt, str]]) -> Iterator[tuple[float, int]]:
        for found in self._crew.map("logprobs", _batches(items)):
            yield from found

    def count_tokens(self, prompt: Prompt) -> int:
        if self._tokenizer is None:
            self._tokenizer = load_tokenizer(self._path, self._model)
        return len(encode(prompt, self._tokenizer, uses_chat(self._tokenizer, self._model)))

    def stats(self) -> dict[str, float]:
        return {"prompt_tokens": 0.0, "completion_tokens": 0.0, "cached_tokens": 0.0, "seconds": 0.0}

    def close(self) -> None:
        self._crew.close()


def _batches(items: Iterable[Any]) -> Iterator[list[Any]]:
    stream = iter(items)
    while batch := list(itertools.islice(stream, AT_ONCE)):
        yield batch
