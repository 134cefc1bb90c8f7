"""Requests in, stored completions out: the one loop in which the stages, and every Ray worker, run an engine.

Promises
- What the folder already holds is not asked again. Every completion is stored (see `rundir.ShardWriter`) as soon as it arrives, so a kill
  loses only what is in flight; the next call asks for exactly what is missing.
- A request that failed for good is stored in `failures/` with its reason, counted, asked again by the next call, and struck off the
  list once it succeeded.
- Memory is bounded: requests are read in windows, sorted so that prompts with a common beginning are neighbours.
- On Ctrl-C, SIGTERM or `stop()` it ends at once with everything that arrived stored, and says so in the report.

When things go wrong: EngineError (with the report so far as its `report`) and RunError pass through after what arrived is stored.
"""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import FrameType
from typing import Any

import polars as pl

from midway import rundir
from midway.engines.base import Engine, EngineError
from midway.records import Completion, Finish, Request

QUIET = 10.0
"""Seconds without a completion after which progress is reported anyway."""
WINDOW = 20_000
"""Requests that are held and sorted at a time."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is. `total` is None when the requests have no length; token counts are of this call."""

    total: int | None
    held: int
    done: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    seconds: float
    quiet: float = 0.0
    """Seconds since the last completion, where none came for a while."""

    @property
    def tokens_per_second(self) -> float:
        return self.completion_tokens / self.seconds if self.seconds > 0 else 0.0


@dataclass(slots=True)
class StreamReport:
    """What one call of `complete` did. Counts are of this call, `held` were there before it."""

    asked: int = 0
    """Requests seen, each id once."""
    held: int = 0
    unasked: int = 0
    """Completions in the folder that nobody asked for this time: of another prompt, model or sampling. They stay and are not used."""
    done: int = 0
    rescued: int = 0
    """Of those done: stored by a Ray actor that was killed before it could tell."""
    deaths: int = 0
    """Ray actors that died."""
    failed: int = 0
    stopped: str = ""
    """Empty when it ran to its end; else `requested`, `SIGINT` or `SIGTERM`."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    seconds: float = 0.0
    finish: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    """Number by reason (at most 50 reasons, the rest under `other`)."""
    by_heuristic: dict[str, Counter[str]] = field(default_factory=dict)
    """Finish reasons by heuristic."""

    @property
    def prefix_hit_rate(self) -> float:
        """Share of prompt tokens that came from a cache."""
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else 0.0

    @property
    def tokens_per_second(self) -> float:
        return self.completion_tokens / self.seconds if self.seconds > 0 else 0.0

    def truncation(self) -> dict[str, float]:
        """Return, by heuristic, the share of completions that were cut at max_tokens."""
        return {
            name: counts[Finish.LENGTH] / total
            for name, counts in sorted(self.by_heuristic.items())
            if (total := counts[Finish.LENGTH] + counts[Finish.STOP])
        }

    def cost(self) -> dict[str, float]:
        """Return the numbers that add up over attempts, for `Stage.end`."""
        keys = ("prompt_tokens", "completion_tokens", "cached_tokens", "seconds")
        return {key: float(getattr(self, key)) for key in keys}

    def as_dict(self) -> dict[str, Any]:
        """Return everything, JSON-serialisable."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        plain |= {"finish": dict(self.finish), "failures": dict(self.failures)}
        plain["by_heuristic"] = {name: dict(counts) for name, counts in sorted(self.by_heuristic.items())}
        extra = {
            "prefix_hit_rate": self.prefix_hit_rate,
            "tokens_per_second": self.tokens_per_second,
            "truncation": self.truncation(),
        }
        return plain | extra

    def add(self, other: StreamReport) -> None:
        """Count in what another worker did at the same time: counts add up, seconds are the longer."""
        for key in (
            "asked",
            "held",
            "done",
            "rescued",
            "deaths",
            "failed",
            "prompt_tokens",
            "completion_tokens",
            "cached_tokens",
        ):
            setattr(self, key, getattr(self, key) + getattr(other, key))
        self.seconds = max(self.seconds, other.seconds)
        self.stopped = self.stopped or other.stopped
        self.finish.update(other.finish)
        self.failures.update(other.failures)
        for name, counts in other.by_heuristic.items():
            self.by_heuristic.setdefault(name, Counter()).update(counts)

    def count(self, completion: Completion) -> None:
        """Count one completion in."""
        finish = str(completion.finish)
        if completion.finish is Finish.ERROR:
            self.failed += 1
            reason = completion.error.splitlines()[0][:200] if completion.error else "unknown"
            self.failures[reason if reason in self.failures or len(self.failures) < 50 else "other"] += 1
        else:
            self.done += 1
        self.finish[finish] += 1
        self.by_heuristic.setdefault(completion.heuristic, Counter())[finish] += 1
        self.prompt_tokens += completion.prompt_tokens
        self.completion_tokens += completion.completion_tokens
        self.cached_tokens += completion.cached_tokens


class Interrupted(BaseException):
    """Raised in the main thread by a signal, wherever the engine is just then."""


class Signals:
    """Turns SIGINT and SIGTERM into Interrupted, but never in the middle of storing."""

    def __init__(self) -> None:
        self.got = ""
        self.storing = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.got = signal.Signals(number).name
        if not self.storing:
            raise Interrupted

    @contextmanager
    def caught(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():  # only there can handlers be set
            yield
            return
        old = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)


def complete(
    requests: Iterable[Request],
    engine: Engine,
    folder: Path,
    *,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    owner: bool = True,
) -> StreamReport:
    """Ask the engine for every request that `folder` does not hold and store what comes.

    `progress` is called about once a second, and every QUIET seconds while nothing arrives; `stop` is called after every completion. The
    owner of the folder turns journals of dead writers into shards at the beginning and puts the list of failures in order at the end; a
    worker beside others (`owner=False`) does neither, and is given only requests that are not held.
    """
    report = StreamReport()
    start = time.monotonic()
    total = len(requests) if isinstance(requests, Sized) else None
    if owner:
        recover_all(folder)
    seen = rundir.stored_ids(folder) if owner else set()
    before = len(seen)
    pending: set[str] = set()
    signals = Signals()
    told = start
    with (
        _heartbeat(
            lambda: time.monotonic() - told,
            lambda quiet: progress and progress(_progress(report, total, time.monotonic() - start, quiet)),
        ),
        rundir.ShardWriter(folder, rundir.COMPLETIONS) as good,
        rundir.ShardWriter(folder / "failures", rundir.COMPLETIONS) as bad,
    ):
        answers = iter(engine.generate(_missing(requests, seen, pending, report)))
        with signals.caught():
            try:
                for completion in answers:
                    signals.storing = True
                    if completion.id not in pending:
                        raise EngineError(
                            f"the engine answered {completion.id}, which was not asked or was answered before: a bug"
                        )
                    (bad if completion.finish is Finish.ERROR else good).write((_row(completion),))
                    pending.discard(completion.id)
                    report.count(completion)
                    signals.storing = False
                    now = time.monotonic()
                    if progress and now - told >= 1:
                        told = now
                        progress(_progress(report, total, now - start))
                    if signals.got or (stop is not None and stop()):
                        report.stopped = signals.got or "requested"
                        break
            except Interrupted:
                report.stopped = signals.got
            except EngineError as error:
                report.seconds = time.monotonic() - start
                error.report = report
                raise
            finally:
                signals.storing = True  # from here on a signal waits until everything is stored
                try:
                    close = getattr(answers, "close", None)
                    if close is not None:
                        close()
                finally:
                    good.flush()
                    bad.flush()
    report.stopped = report.stopped or signals.got  # a signal that came while the last were being stored
    report.seconds = time.monotonic() - start
    report.unasked = before - report.held if not report.stopped else 0
    if pending and not report.stopped:
        lost = EngineError(
            f"the engine gave no answer to {len(pending)} of {report.asked - report.held} requests: a bug"
        )
        lost.report = report
        raise lost
    if owner:
        settle_failures(folder)
    if progress:
        progress(_progress(report, total, report.seconds))
    return report


def _missing(requests: Iterable[Request], seen: set[str], pending: set[str], report: StreamReport) -> Iterator[Request]:
    """Yield the requests that are not in `seen`, sorted window by window for prefix reuse."""
    stream = iter(requests)
    while window := list(itertools.islice(stream, WINDOW)):
        fresh = []
        for request in window:
            if request.id in pending:
                continue
            report.asked += 1
            if request.id in seen:
                report.held += 1
                continue
            fresh.append(request)
            pending.add(request.id)
        fresh.sort(key=lambda r: (r.heuristic, r.prompt.shared, r.question_id, r.index))
        yield from fresh
        seen.update(r.id for r in fresh)


def _row(c: Completion) -> dict[str, Any]:
    return {
        "id": c.id,
        "question_id": c.question_id,
        "heuristic": c.heuristic,
        "index": c.index,
        "text": c.text,
        "finish": str(c.finish),
        "prompt_tokens": c.prompt_tokens,
        "completion_tokens": c.completion_tokens,
        "cached_tokens": c.cached_tokens,
        "logprob": c.logprob,
        "error": c.error,
    }


def completion_of(row: Mapping[str, Any]) -> Completion:
    """Return the completion of a stored row."""
    return Completion(**{**row, "finish": Finish(row["finish"])})


def _progress(report: StreamReport, total: int | None, seconds: float, quiet: float = 0.0) -> Progress:
    return Progress(
        total, report.held, report.done, report.failed,
        report.prompt_tokens, report.completion_tokens, report.cached_tokens, seconds, quiet,
    )  # fmt: skip


@contextmanager
def _heartbeat(silence: Callable[[], float], tell: Callable[[float], object]) -> Iterator[None]:
    """Call `tell` from a thread of its own every QUIET seconds while `silence()`, the seconds since the last word, is longer than that."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(QUIET):
            if (seconds := silence()) >= QUIET:
                tell(seconds)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def recover_all(folder: Path) -> None:
    """Turn what dead writers left in the folder into shards. Only the owner may call it, with no writer at work there."""
    for place in (folder, folder / "failures"):
        rundir.recover(place, rundir.COMPLETIONS)


def open_failures(folder: Path) -> pl.DataFrame:
    """Return the requests that failed and have not succeeded since, each once, with the columns of COMPLETIONS."""
    failed = rundir.read_table(folder / "failures", rundir.COMPLETIONS)
    if failed.is_empty():
        return failed
    held = rundir.read_table(folder, rundir.COMPLETIONS, ["id"])
    return failed.join(held, on="id", how="anti")


def settle_failures(folder: Path) -> int:
    """Strike from `failures/` what has succeeded since and what is there twice; return how many failures are left.

    Only the owner of the run may call it, with no writer at work there.
    """
    place = folder / "failures"
    files = [*place.glob("*.parquet"), *place.glob("*.jsonl")]
    if not files:
        return 0
    left = open_failures(folder)
    if not left.is_empty():
        rundir.write_table(place / f"{time.time_ns():x}-settled.parquet", left)
    for file in files:
        file.unlink(missing_ok=True)
    return len(left)
