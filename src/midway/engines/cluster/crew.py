"""Actors that work on batches, whose results go back to the driver in the order of the batches: log-probabilities, verdicts.

Promises: an actor that dies is replaced and its batch given out again. A bounded number of batches is read ahead. Actors hold their
GPUs or processors only until `close`.

When things go wrong: actors that die three times in a row are an EngineError; what a batch raises is raised in the driver.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import ray
from ray.exceptions import RayTaskError

from midway.engines.base import EngineError
from midway.engines.cluster.nodes import DEATHS_IN_A_ROW, DIED, first_line


class _Batch(NamedTuple):
    place: int
    items: list[Any]


class Crew:
    """Actors of one class, made when first needed; a context manager.

    `count` actors of class `worker`, each made with `arguments` and placed as Ray's `options` say. `name` is what the user reads.
    """

    def __init__(
        self,
        worker: type,
        arguments: Iterable[Any],
        *,
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
        stream = (_Batch(place, items) for place, items in enumerate(batches))
        running: dict[Any, tuple[Any, _Batch]] = {}
        again: deque[_Batch] = deque()
        """Batches whose actor died."""
        done: dict[int, list[Any]] = {}
        yielded = deaths_in_a_row = 0
        exhausted = False
        while len(self.idle) < self.count:
            self._add_actor()
        try:
            while True:
                while self.idle and (again or (not exhausted and len(running) + len(done) < 4 * self.count)):
                    batch = again.popleft() if again else next(stream, None)
                    if batch is None:
                        exhausted = True
                        break
                    actor = self.idle.pop()
                    running[getattr(actor, method).remote(batch.items)] = (actor, batch)
                if not running:
                    return
                for reference in ray.wait(list(running), timeout=0.5)[0]:
                    actor, batch = running.pop(reference)
                    try:
                        done[batch.place] = ray.get(reference)
                        deaths_in_a_row = 0
                        self.idle.append(actor)
                    except DIED as error:
                        deaths_in_a_row += 1
                        self._replace(batch, deaths_in_a_row, error)
                        again.append(batch)
                    except RayTaskError as error:
                        self.idle.append(actor)
                        raise (error.cause if isinstance(error.cause, Exception) else error) from error
                while yielded in done:
                    yield done.pop(yielded)
                    yielded += 1
        finally:
            for actor, _ in running.values():  # in the middle of what nobody waits for any more
                ray.kill(actor)

    def _replace(self, batch: _Batch, deaths_in_a_row: int, error: BaseException) -> None:
        """Put another actor in the place of one that died. Raises EngineError when too many did."""
        self.deaths += 1
        if deaths_in_a_row >= DEATHS_IN_A_ROW:
            raise EngineError(
                f"{deaths_in_a_row} {self.name} actors died one after the other: {first_line(error)}\n"
                "  what is stored is kept: look at the Ray logs (memory?), then type the same command to go on"
            ) from error
        self.log(f"a {self.name} actor died; its {len(batch.items)} items are given out again")
        self._add_actor()

    def _add_actor(self) -> None:
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
