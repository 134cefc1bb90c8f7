"""Which request goes to which server, and when. Knows nothing of HTTP or JSON: it is given an async function that makes one attempt.

Promises
- Every item is delivered once: with its result, or with a Failure that has the reason.
- A server has a bounded number of attempts in flight: its limit is halved when it is overloaded, and grows with success. The least
  loaded server is next. An item that failed waits for another server, unless all others are gone: so a broken server, which is always
  free because it fails at once, does not use up the attempts of items that another would answer.
- What can pass is tried again after a jittered, growing pause, never shorter than the server asks for.
- A server without a connection for longer than `patience` counts as gone. The others take its share; it is tried again now and then.

When things go wrong: when all servers are gone, when one error follows another for long, or when every request is refused, the run ends
with an EngineError that says what to type next. What `attempt` or `deliver` raises ends the run too. Attempts in flight are cancelled.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from midway.engines.base import EngineError
from midway.engines.openai.outcomes import Health, Refused, Retry

Item = TypeVar("Item")
Result = TypeVar("Result")

FIRST_PAUSE = 0.5
"""Seconds: the first pause is at most this long; each further one at most twice the one before."""
GONE_PAUSE = 30.0
"""Seconds until a server that is gone is tried again."""
FAILURES_IN_A_ROW = 50
"""So many refusals and not one success mean that the request itself is wrong, not a question. So many errors without a success, over a
long time, mean that the server is broken."""
LONGEST_POLL = 0.25
"""Seconds after which the loop looks again, whatever happens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    concurrency: int
    """Attempts in flight at most, over all servers."""
    retries: int
    """How often an item is tried again before it is a Failure. Attempts without a connection do not count."""
    patience: float
    """Seconds without a connection after which a server counts as gone."""
    longest_pause: float = 60.0
    """Seconds between two attempts at most, unless the server asks for more."""


@dataclass(slots=True)
class Tally:
    """What happened so far; one tally may outlive many runs."""

    successes: int = 0
    refusals: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """Delivered in place of a result."""

    reason: str
    url: str
    """Where the last attempt was made."""


@dataclass(order=True, slots=True)
class Job(Generic[Item]):
    """An item on its way; ordered by when it is due."""

    due: float
    number: int
    item: Item = field(compare=False)
    attempts: int = field(default=0, compare=False)
    """Failed attempts that count."""


@dataclass(slots=True, eq=False)
class Server:
    """One server and how it is doing. All times are those of the dispatcher's clock."""

    url: str
    highest: int
    limit: float
    """Attempts in flight at most, for now; never above `highest`."""
    in_flight: int = 0
    shrunk_at: float = float("-inf")
    unreachable_since: float | None = None
    resting_until: float = float("-inf")
    quiet_until: float = float("-inf")
    """Until when the user need not hear again that this server asks to wait."""
    gone: bool = False
    failed: list[Job[Any]] = field(default_factory=list)
    """A heap of the jobs whose last attempt failed here, to be tried again."""

    def has_room(self, now: float) -> bool:
        return self.in_flight < int(self.limit) and self.resting_until <= now

    def shrink(self, now: float) -> None:
        """Halve the limit, at most once a second: one overload makes many attempts fail."""
        if now - self.shrunk_at > 1:
            self.shrunk_at, self.limit = now, max(1.0, self.limit / 2)

    def note_success(self) -> None:
        self.unreachable_since, self.gone = None, False
        self.limit = min(float(self.highest), self.limit + 0.1)

    def note_unreachable(self, now: float, patience: float) -> bool:
        """Note that no connection came about; return whether the server counts as gone from now on."""
        if self.unreachable_since is None:
            self.unreachable_since = now
        newly_gone = not self.gone and now - self.unreachable_since > patience
        self.gone = self.gone or newly_gone
        self.resting_until = now + (GONE_PAUSE if self.gone else min(1.0, patience / 10))
        return newly_gone


class Dispatcher(Generic[Item, Result]):
    """Serves for one run.

    `attempt(server, job)` returns a result or raises Retry or Refused. `deliver(item, outcome)` takes each outcome as it comes. `room()`
    says whether more items may be read. `log` takes lines for the user.
    """

    def __init__(
        self,
        urls: Sequence[str],
        policy: Policy,
        *,
        attempt: Callable[[Server, Job[Item]], Awaitable[Result]],
        deliver: Callable[[Item, Result | Failure], None],
        room: Callable[[], bool] = lambda: True,
        tally: Tally | None = None,
        log: Callable[[str], None] = lambda line: None,
        clock: Callable[[], float] = time.monotonic,
        chance: random.Random | None = None,
    ) -> None:
        highest = max(1, policy.concurrency // len(urls))
        self.servers = [Server(url, highest, float(highest)) for url in urls]
        self.policy, self.tally = policy, tally or Tally()
        self._attempt, self._deliver, self._room = attempt, deliver, room
        self._log, self._clock, self._chance = log, clock, chance or random.Random()
        self._in_flight: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._fatal: list[BaseException] = []
        self._exhausted = False
        self._numbers = itertools.count()
        self._last_success = clock()
        self._failures_since = 0

    async def run(self, items: Iterator[Item]) -> None:
        """Return when every item is delivered. The items are read one by one, as servers get free."""
        self._last_success = self._clock()
        try:
            while not self._fatal:
                if self._send_one(items):
                    continue
                if self._exhausted and not self._in_flight and not any(server.failed for server in self.servers):
                    return
                await self._pause()
            raise self._fatal[0]
        finally:
            for task in self._in_flight:
                task.cancel()
            await asyncio.gather(*self._in_flight, return_exceptions=True)

    # -- what is next -------------------------------------------------------------------------------------------------

    def _send_one(self, items: Iterator[Item]) -> bool:
        """Begin one attempt; False when no server has room or no job is due."""
        now = self._clock()
        free = [server for server in self.servers if server.has_room(now)]
        if not free or (found := self._failed_job(free, now) or self._new_job(items, free, now)) is None:
            return False
        job, takers = found
        server = min(takers, key=lambda s: s.in_flight / s.limit)
        server.in_flight += 1
        task = asyncio.create_task(self._try(server, job))
        self._in_flight.add(task)
        task.add_done_callback(self._attempt_ended)
        return True

    def _failed_job(self, free: list[Server], now: float) -> tuple[Job[Item], list[Server]] | None:
        """Return the job that is due for longest and the servers that may take it: none but others, unless all others are gone."""
        due = [server for server in self.servers if server.failed and server.failed[0].due <= now]
        for origin in sorted(due, key=lambda server: server.failed[0]):
            alone = all(server.gone for server in self.servers if server is not origin)
            takers = free if alone else [server for server in free if server is not origin]
            if takers:
                return heapq.heappop(origin.failed), takers
        return None

    def _new_job(self, items: Iterator[Item], free: list[Server], now: float) -> tuple[Job[Item], list[Server]] | None:
        failed = sum(len(server.failed) for server in self.servers)
        if self._exhausted or failed >= 4 * self.policy.concurrency or not self._room():
            return None
        for item in items:
            return Job(now, next(self._numbers), item), free
        self._exhausted = True
        return None

    async def _pause(self) -> None:
        """Wait until an attempt ends or a job gets due. A job that is due already waits for a server."""
        self._wake.clear()
        now = self._clock()
        left = [server.failed[0].due - now for server in self.servers if server.failed]
        seconds = min((LONGEST_POLL, *(max(0.001, seconds) for seconds in left if seconds > 0)))
        # not wait_for, which in Python 3.11 may swallow the cancelling of this task
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    # -- one attempt and what follows from it -------------------------------------------------------------------------

    async def _try(self, server: Server, job: Job[Item]) -> None:
        try:
            result = await self._attempt(server, job)
        except Refused as error:
            self._note_refusal(server, error)
            self._deliver(job.item, Failure(error.reason, server.url))
        except Retry as error:
            self._note_failure(server, error)
            if error.health is not Health.UNREACHABLE:
                job.attempts += 1
            if job.attempts > self.policy.retries:
                reason = f"gave up after {job.attempts} attempts: {error.reason}"
                self._deliver(job.item, Failure(reason, server.url))
            else:
                job.due = self._clock() + self._back_off(job.attempts, error.after)
                heapq.heappush(server.failed, job)
        else:
            self._note_success(server)
            self._deliver(job.item, result)
        finally:
            server.in_flight -= 1

    def _attempt_ended(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fatal.append(error)
        self._wake.set()  # not before the task has left `_in_flight`: the loop would miss the end of the last one

    def _back_off(self, attempts: int, after: float) -> float:
        """Return how many seconds to wait: random, so that items that failed together do not come back together."""
        longest = min(self.policy.longest_pause, FIRST_PAUSE * 2 ** min(attempts, 10))
        return max(self._chance.uniform(0.5, 1.0) * longest, after + self._chance.uniform(0, 0.1))

    def _note_success(self, server: Server) -> None:
        server.note_success()
        self.tally.successes += 1
        self._last_success, self._failures_since = self._clock(), 0

    def _note_refusal(self, server: Server, error: Refused) -> None:
        if error.health is Health.WORKING:
            self._note_success(server)
        self.tally.refusals += 1
        if self.tally.refusals >= FAILURES_IN_A_ROW and not self.tally.successes:
            raise EngineError(
                f"the server refuses every request: {error.reason}\n"
                "  correct the recipe (sampling, prompt, engine), then type the same command again"
            )

    def _note_failure(self, server: Server, error: Retry) -> None:
        """Count a failed attempt and draw the conclusions for its server. Raises EngineError when it is no use to go on."""
        now = self._clock()
        if error.health is Health.WORKING:
            self._note_success(server)
        self.tally.retries += 1
        self._failures_since += 1
        if error.health is Health.UNREACHABLE:
            if server.note_unreachable(now, self.policy.patience):
                self._log(f"{server.url} is gone ({error.reason}); going on with the other servers")
            if all(s.gone for s in self.servers):
                raise EngineError(
                    f"no server answers any more: {', '.join(s.url for s in self.servers)} ({error.reason})\n"
                    "  what arrived is stored: start the server again, then type the same command to go on"
                )
            return
        if error.health is Health.OVERLOADED:
            server.shrink(now)
        silent = now - self._last_success
        if self._failures_since > FAILURES_IN_A_ROW and silent > 5 * self.policy.patience:
            raise EngineError(
                f"nothing but errors for {silent:.0f} s, the last from {server.url}: {error.reason}\n"
                "  what arrived is stored: look at the server's log, then type the same command to go on"
            )
        if error.after > self.policy.longest_pause and now > server.quiet_until:
            server.quiet_until = now + error.after
            self._log(f"{server.url} asks to wait {error.after:.0f} s ({error.reason})")
