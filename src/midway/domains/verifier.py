"""Is it right? `verify(question, text) -> Verdict`, and `Verifier`, its batch form in processes that can be killed.

Use `Verifier` for anything that a model wrote: maths that may hang and programs that may do anything run in processes with deadlines. The
bare function `verify` is the same judgement without those processes.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError, Future
from typing import Any

from midway.records import Judgement, Question, Verdict
from midway.registry import Task, domain
from midway.verifier.pool.pool import Pool

Item = tuple[Question, str] | tuple[Question, str, bool]
"""A question, what was written, and whether it was cut off at the token limit."""

WINDOW = 2048
"""Items that a batch reads ahead of the verdict it yields next."""


def verify(question: Question, text: str, *, truncated: bool = False) -> Verdict:
    """Judge `text` as an answer to `question`, in this process. It may take long on hostile text: see `Verifier`.

    `truncated` says that the text was cut off at a token limit: then only an explicit final answer counts.
    """
    started = _start(question, text, truncated, require_sandbox=False)
    if isinstance(started, Verdict):
        return started
    from midway.verifier.pool.worker import perform

    message = perform({"function": started.function, "fields": dict(started.fields)})
    return Verdict(Judgement(message["judgement"]), message["extracted"], message["reason"])


def _start(question: Question, text: str, truncated: bool, require_sandbox: bool) -> Verdict | Task:
    """The verdict, where it is cheap and bounded; else the task for a worker."""
    found: Verdict | Task = domain(question.domain).judge(
        question, text, truncated=truncated, require_sandbox=require_sandbox
    )
    return found


class Verifier:
    """Judges in bounded time, with worker processes for what may hang. A context manager; safe to share between
    threads.

    `workers`: processes of each kind (default: processors, at most 8). `cpu_seconds`: CPU time of one maths answer.
    `require_sandbox`: refuse (RuntimeError) to run programs where no full sandbox is available. Pickles without its
    processes: the copy starts its own.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        cpu_seconds: float = 5.0,
        memory_bytes: int = 2 << 30,
        require_sandbox: bool = False,
    ) -> None:
        self.workers = workers or min(8, os.cpu_count() or 1)
        self.cpu_seconds = cpu_seconds
        self.memory_bytes = memory_bytes
        self.require_sandbox = require_sandbox
        self._forget()

    def _forget(self) -> None:
        self._pool: Pool | None = None
        self._owner = os.getpid()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {k: getattr(self, k) for k in ("workers", "cpu_seconds", "memory_bytes", "require_sandbox")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def __enter__(self) -> Verifier:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill the workers. Called again, or on a verifier that started none, it does nothing. It can be used again."""
        if self._owner == os.getpid():
            with self._lock:
                pool, self._pool = self._pool, None
            if pool:
                pool.close()

    def pool(self) -> Pool:
        """The running pool, started on first use (in a forked child: a new one)."""
        if self._owner != os.getpid():
            self._forget()
        with self._lock:
            if self._pool is None:
                self._pool = Pool(self.workers, idle_limit=60.0, memory_bytes=self.memory_bytes)
                weakref.finalize(self, self._pool.close)
            return self._pool

    def submit(self, question: Question, text: str, *, truncated: bool = False) -> Future[Verdict]:
        """Return the future of a verdict; from asyncio: `await asyncio.wrap_future(verifier.submit(...))`."""
        started = self._judge(question, text, truncated)
        if isinstance(started, Future):
            return started
        future: Future[Verdict] = Future()
        future.set_result(started)
        return future

    def _judge(self, question: Question, text: str, truncated: bool) -> Verdict | Future[Verdict]:
        try:
            started = _start(question, text, truncated, require_sandbox=self.require_sandbox)
        except (
            ArithmeticError,
            LookupError,
            RecursionError,
            TypeError,
            ValueError,
        ) as error:  # a defect of the verifier
            return Verdict(Judgement.UNJUDGED, None, f"verifier-error: {type(error).__name__}: {error}"[:300])
        if isinstance(started, Verdict):
            return started
        cpu = self.cpu_seconds if started.cpu_seconds is None else started.cpu_seconds
        return self.pool().submit(started, cpu_seconds=cpu)

    def verify(self, question: Question, text: str, *, truncated: bool = False) -> Verdict:
        """Judge one text; blocks until its verdict, at most its deadline. See the function `verify`."""
        started = self._judge(question, text, truncated)
        return started.result() if isinstance(started, Future) else started

    def verify_batch(self, items: Iterable[Item]) -> Iterator[Verdict]:
        """Judge `(question, text)` or `(question, text, truncated)`; yields verdicts in the order of the items.

        Streams: reads at most WINDOW items ahead, so `items` may be endless. Leaving the loop early cancels the rest.
        """
        waiting: deque[Verdict | Future[Verdict]] = deque()
        try:
            for item in items:
                waiting.append(self._judge(item[0], item[1], item[2] if len(item) == 3 else False))
                while waiting and (len(waiting) > WINDOW or _done(waiting[0])):
                    yield _value(waiting.popleft())
            while waiting:
                yield _value(waiting.popleft())
        finally:
            for left in waiting:
                if isinstance(left, Future):
                    with contextlib.suppress(CancelledError):
                        left.cancel()


def _done(started: Verdict | Future[Verdict]) -> bool:
    return isinstance(started, Verdict) or started.done()


def _value(started: Verdict | Future[Verdict]) -> Verdict:
    return started if isinstance(started, Verdict) else started.result()
