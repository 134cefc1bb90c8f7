"""Which request goes to which server, and when: with servers that are functions, on a simulated clock."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from simulated import SimulatedLoop, simulate

from midway.engines import EngineError
from midway.engines.openai.dispatch import Dispatcher, Failure, Job, Policy, Server, Tally
from midway.engines.openai.outcomes import Health, Refused, Retry

Answer = Callable[["World", Server, Job[int]], Awaitable[object]]


@dataclass
class World:
    """One run, and what was seen of it."""

    answer: Answer
    urls: tuple[str, ...] = ("a",)
    policy: Policy = field(default_factory=lambda: Policy(concurrency=8, retries=3, patience=30))
    tally: Tally = field(default_factory=Tally)
    room: Callable[[], bool] = lambda: True
    outcomes: dict[int, object] = field(default_factory=dict)
    starts: list[tuple[float, str, int]] = field(default_factory=list)
    """(time, server, item) of every attempt."""
    in_flight: Counter[str] = field(default_factory=Counter)
    most: Counter[str] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)
    loop: Any = None
    dispatcher: Any = None

    def run(self, items: int) -> float:
        """Dispatch the numbers below `items`; return the simulated seconds."""
        return simulate(lambda loop: self._run(loop, items))

    async def _run(self, loop: SimulatedLoop, items: int) -> None:
        self.loop = loop
        self.dispatcher = Dispatcher(
            self.urls, self.policy, attempt=self.attempt, deliver=self.deliver, room=self.room, tally=self.tally,
            log=self.lines.append, clock=loop.time, chance=random.Random(0),
        )  # fmt: skip
        await self.dispatcher.run(iter(range(items)))

    async def attempt(self, server: Server, job: Job[int]) -> object:
        self.starts.append((self.loop.now, server.url, job.item))
        self.in_flight[server.url] += 1
        self.most[server.url] = max(self.most[server.url], self.in_flight[server.url])
        try:
            return await self.answer(self, server, job)
        finally:
            self.in_flight[server.url] -= 1

    def deliver(self, item: int, outcome: object) -> None:
        assert item not in self.outcomes, "delivered twice"
        self.outcomes[item] = outcome

    def times(self, item: int) -> list[float]:
        return [time for time, _, i in self.starts if i == item]


async def good(world: World, server: Server, job: Job[int]) -> object:
    await asyncio.sleep(1)
    return job.item * 10


def always(error: Callable[[], Exception], seconds: float = 0.01) -> Answer:
    async def answer(world: World, server: Server, job: Job[int]) -> object:
        await asyncio.sleep(seconds)
        raise error()

    return answer


def test_every_item_is_delivered_once_at_bounded_concurrency() -> None:
    world = World(good)
    seconds = world.run(100)
    assert world.outcomes == {i: i * 10 for i in range(100)}
    assert world.most["a"] == 8 and len(world.starts) == 100
    assert seconds == pytest.approx(13, abs=0.1)  # 100 items, 8 at a time, a second each: no server stood idle
    assert (world.tally.successes, world.tally.refusals, world.tally.retries) == (100, 0, 0)


def test_nothing_to_do_ends_at_once() -> None:
    assert World(good).run(0) == 0


def test_items_are_read_only_as_servers_and_the_reader_have_room() -> None:
    world = World(good)
    world.room = lambda: len(world.outcomes) < 16 or world.loop.now > 60
    seconds = world.run(40)
    assert len(world.outcomes) == 40 and 60 < seconds < 65
    assert not [time for time, _, _ in world.starts if 3 < time < 60]


def test_two_servers_share_by_their_speed() -> None:
    async def answer(world: World, server: Server, job: Job[int]) -> object:
        await asyncio.sleep(1 if server.url == "quick" else 4)
        return job.item

    world = World(answer, urls=("quick", "slow"))
    seconds = world.run(200)
    share = Counter(url for _, url, _ in world.starts)
    assert len(world.outcomes) == 200 and world.most == {"quick": 4, "slow": 4}
    assert share["quick"] == pytest.approx(160, abs=6) and seconds == pytest.approx(41, abs=3)


def test_a_failed_attempt_is_made_again_after_a_growing_pause() -> None:
    world = World(always(lambda: Retry("status 500")), policy=Policy(concurrency=8, retries=5, patience=1e9))
    world.run(30)
    assert all(outcome == Failure("gave up after 6 attempts: status 500", "a") for outcome in world.outcomes.values())
    assert len(world.outcomes) == 30 and world.tally.retries == 180
    for item in range(30):
        times = world.times(item)
        pauses = [late - early for early, late in pairwise(times)]
        for attempt, pause in enumerate(pauses, 1):
            assert 0.25 * 2**attempt <= pause <= 0.5 * 2**attempt + 0.3
    assert len({round(world.times(item)[1], 3) for item in range(8)}) > 4  # they do not come back together


def test_no_pause_is_longer_than_the_policy_or_shorter_than_the_server_asks_for() -> None:
    policy = Policy(concurrency=1, retries=12, patience=1e9, longest_pause=10)
    world = World(always(lambda: Retry("status 500")), policy=policy)
    world.run(1)
    times = world.times(0)
    assert max(late - early for early, late in pairwise(times)) <= 10.3
    world = World(always(lambda: Retry("status 429", after=20)), policy=policy)
    world.run(1)
    times = world.times(0)
    assert all(20 <= late - early <= 20.4 for early, late in pairwise(times))
    said = [line for line in world.lines if "a asks to wait 20 s (status 429)" in line]
    assert len(said) == 13  # said again when that time is over


def test_a_long_wait_is_said_once_for_all_items() -> None:
    async def answer(world: World, server: Server, job: Job[int]) -> object:
        if world.loop.now < 90:
            raise Retry("status 429", health=Health.OVERLOADED, after=100)
        return job.item

    world = World(answer)
    assert 100 <= world.run(8) < 102
    assert len(world.outcomes) == 8 and world.lines == ["a asks to wait 100 s (status 429)"]


def test_overload_halves_the_limit_once_a_second_and_success_raises_it() -> None:
    capacity = 10

    async def answer(world: World, server: Server, job: Job[int]) -> object:
        await asyncio.sleep(0.01)
        if world.in_flight["a"] > capacity:
            raise Retry("status 429", health=Health.OVERLOADED)
        await asyncio.sleep(0.49)
        return job.item

    world = World(answer, policy=Policy(concurrency=64, retries=8, patience=30))
    world.run(64)
    server = world.dispatcher.servers[0]
    assert world.most["a"] == 64 and server.limit <= 32  # a burst of refusals counts as one
    world = World(answer, policy=Policy(concurrency=64, retries=8, patience=30))
    seconds = world.run(2000)
    assert all(isinstance(outcome, int) for outcome in world.outcomes.values()) and len(world.outcomes) == 2000
    assert world.tally.retries < 1000  # without shrinking: nearly every attempt, several times
    assert seconds < 2 * 2000 * 0.5 / capacity


def test_the_limit_never_falls_below_one_and_never_rises_above_its_highest() -> None:
    server = Server("a", 4, 4.0)
    for second in range(10):
        server.shrink(2.0 * second)
    assert server.limit == 1 and server.has_room(99)
    for _ in range(100):
        server.note_success()
    assert server.limit == 4


def test_a_broken_server_does_not_use_up_the_attempts_of_items_that_another_answers() -> None:
    async def answer(world: World, server: Server, job: Job[int]) -> object:
        if server.url == "broken":  # it fails at once, so it is always the least loaded
            raise Retry("status 500")
        await asyncio.sleep(1)
        return job.item

    policy = Policy(concurrency=16, retries=1, patience=1e9)
    world = World(answer, urls=("broken", "sound"), policy=policy)
    seconds = world.run(200)
    assert set(world.outcomes.values()) == set(range(200))
    assert Counter(url for _, url, _ in world.starts) == {"broken": world.tally.retries, "sound": 200}
    assert seconds == pytest.approx(200 / 8, abs=2)  # the sound one is never idle
    alone = World(answer, urls=("broken",), policy=policy)
    alone.run(3)
    assert all(isinstance(o, Failure) for o in alone.outcomes.values())
    assert len(alone.starts) == 6  # where there is no other, it is tried there again


def test_items_that_failed_are_tried_before_new_ones_and_bound_what_is_read() -> None:
    read = 0

    async def answer(world: World, server: Server, job: Job[int]) -> object:
        nonlocal read
        read = max(read, job.item + 1)
        if world.loop.now < 20:
            raise Retry("status 500", after=20)
        await asyncio.sleep(1)
        return job.item

    world = World(answer, policy=Policy(concurrency=8, retries=9, patience=1e9))

    async def work(loop: SimulatedLoop) -> None:
        run = asyncio.create_task(world._run(loop, 1000))
        await asyncio.sleep(15)
        assert 32 <= read <= 40  # four times the concurrency, and what was in flight
        await run

    simulate(work)
    assert len(world.outcomes) == 1000
    assert max(list(world.outcomes)[:32]) < 40


def test_a_server_that_is_gone_loses_its_share_and_gets_it_back() -> None:
    async def answer(world: World, server: Server, job: Job[int]) -> object:
        if server.url == "b" and 10 <= world.loop.now < 120:
            raise Retry("no connection to b", health=Health.UNREACHABLE)
        await asyncio.sleep(1)
        return job.item

    world = World(answer, urls=("a", "b"), policy=Policy(concurrency=8, retries=0, patience=20))
    world.run(1400)
    assert set(world.outcomes.values()) == set(
        range(1400)
    )  # not even one failure: attempts without a connection do not count
    assert world.lines == ["b is gone (no connection to b); going on with the other servers"]
    tried = [time for time, url, _ in world.starts if url == "b" and 35 < time < 120]
    assert 0 < len(tried) < 40  # now and then
    assert len([time for time, url, _ in world.starts if url == "b" and time > 150]) > 20  # it works again


def test_when_all_servers_are_gone_it_ends() -> None:
    world = World(always(lambda: Retry("no connection", health=Health.UNREACHABLE)), urls=("a", "b"))
    with pytest.raises(EngineError, match=r"no server answers any more: a, b \(no connection\)\n.*start the server"):
        world.run(1000)
    assert 30 < world.loop.now < 70 and not world.outcomes


def test_a_short_absence_costs_no_attempts() -> None:
    async def answer(world: World, server: Server, job: Job[int]) -> object:
        if world.loop.now < 25:
            raise Retry("no connection", health=Health.UNREACHABLE)
        return job.item

    world = World(answer, policy=Policy(concurrency=8, retries=0, patience=30))
    world.run(20)
    assert set(world.outcomes.values()) == set(range(20)) and not world.lines


def test_a_refusal_is_a_failure_at_once() -> None:
    async def answer(world: World, server: Server, job: Job[int]) -> object:
        if job.item % 2:
            raise Refused("refused (400): too long")
        return job.item

    world = World(answer)
    world.run(400)
    assert len(world.starts) == 400 and world.tally.refusals == 200
    assert world.outcomes[1] == Failure("refused (400): too long", "a") and world.outcomes[2] == 2


def test_refusals_without_a_success_end_it_also_over_several_runs() -> None:
    world = World(always(lambda: Refused("refused (400): no such field")))
    with pytest.raises(EngineError, match=r"refuses every request: refused \(400\): no such field\n.*recipe"):
        world.run(1000)
    assert 49 <= len(world.outcomes) < 60
    tally = Tally()
    World(world.answer, tally=tally).run(30)
    with pytest.raises(EngineError, match="refuses every request"):
        World(world.answer, tally=tally).run(30)
    World(world.answer, tally=Tally(successes=1)).run(300)
    filtered = World(always(lambda: Refused("content_filter", health=Health.WORKING)))
    filtered.run(300)  # the server works: each request is judged on its own
    assert len(filtered.outcomes) == 300


def test_nothing_but_errors_for_long_ends_it() -> None:
    world = World(always(lambda: Retry("status 500"), seconds=1), policy=Policy(concurrency=8, retries=99, patience=30))
    with pytest.raises(
        EngineError, match=r"nothing but errors for 15\d s, the last from a: status 500\n.*server's log"
    ):
        world.run(1000)
    useless = World(always(lambda: Retry("asked for 1 choice, got 2", health=Health.WORKING), seconds=1))
    useless.run(400)  # here the server answers, so each item has its attempts
    assert len(useless.outcomes) == 400 and useless.loop.now > 150


@pytest.mark.parametrize("error", [EngineError("no key"), KeyError("a bug")])
def test_any_other_error_ends_it_and_cancels_what_is_in_flight(error: Exception) -> None:
    cancelled: list[int] = []

    async def answer(world: World, server: Server, job: Job[int]) -> object:
        try:
            await asyncio.sleep(5.1 if job.item == 3 else 100)
        except asyncio.CancelledError:
            cancelled.append(job.item)
            raise
        raise error

    world = World(answer)
    with pytest.raises(type(error), match=str(error.args[0])):
        world.run(100)
    assert world.loop.now == pytest.approx(5.1) and sorted(cancelled) == [0, 1, 2, 4, 5, 6, 7]


def test_what_the_receiver_raises_ends_it() -> None:
    world = World(always(lambda: Refused("refused")))

    def deliver(item: int, outcome: object) -> None:
        raise EngineError("no log-probabilities")

    world.deliver = deliver  # type: ignore[method-assign]
    with pytest.raises(EngineError, match="no log-probabilities"):
        world.run(100)


def test_cancelling_the_run_cancels_its_attempts() -> None:
    world = World(always(lambda: Retry("x"), seconds=1000))

    async def work(loop: SimulatedLoop) -> None:
        run = asyncio.create_task(world._run(loop, 100))
        await asyncio.sleep(3)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    assert simulate(work) == pytest.approx(3)
    assert not world.in_flight["a"] and not world.outcomes


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_servers_do_every_item_has_one_outcome(seed: int) -> None:
    chance = random.Random(seed)

    async def answer(world: World, server: Server, job: Job[int]) -> object:
        await asyncio.sleep(chance.choice((0, 0.01, 0.5, 3)))
        dice = chance.random()
        if dice < 0.15:
            raise Retry("x", health=chance.choice(list(Health)), after=chance.choice((0, 0, 5)))
        if dice < 0.2:
            raise Refused("x")
        return job.item

    policy = Policy(concurrency=chance.randint(2, 40), retries=chance.randint(0, 5), patience=30)
    world = World(answer, urls=tuple("abc"[: chance.randint(1, 3)]), policy=policy)
    world.run(500)
    assert set(world.outcomes) == set(range(500))
    assert all(outcome == item or isinstance(outcome, Failure) for item, outcome in world.outcomes.items())
    assert max(world.most.values()) <= max(1, policy.concurrency // len(world.urls))
    assert not any(server.in_flight for server in world.dispatcher.servers)
