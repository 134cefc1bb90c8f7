"""The verifier on a Ray cluster, with the batch interface of `Verifier`: verification and evaluation under `--executor ray`.

Promises: one actor for each so many processors of a node as its verifier has worker processes; inside an actor runs what runs on one
machine, a killable pool of its own. Verdicts come back in the order of the items. An actor that dies is replaced and its batch is judged
again. The actors hold processors only while a batch is being judged.

When things go wrong: actors that die three times in a row are an EngineError; what the verifier raises passes through.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from typing import Any

from midway import registry
from midway.domains import Item, Verifier
from midway.records import Verdict

AT_ONCE = 256
"""Items that an actor judges at a time."""


class VerifierWorker:
    """What each actor runs."""

    def __init__(self, verifier: Verifier, plugins: Sequence[str] = ()) -> None:
        registry.load_plugins(plugins)
        self.verifier = verifier

    def judge(self, items: list[Item]) -> list[Verdict]:
        return list(self.verifier.verify_batch(items))


class ClusterVerifier:
    """Judges on the cluster that `engines.cluster.connect` joined. `actors`: how many, as many as there is room for if left out."""

    def __init__(
        self,
        verifier: Verifier,
        *,
        actors: int | None = None,
        plugins: Sequence[str] = (),
        log: Callable[[str], None] | None = None,
    ) -> None:
        self.verifier, self.actors, self.plugins, self.log = verifier, actors, list(plugins), log
        self.deaths = 0

    def verify_batch(self, items: Iterable[Item]) -> Iterator[Verdict]:
        """Judge `(question, text)` or `(question, text, truncated)`; yields verdicts in the order of the items."""
        from midway.engines.cluster import Crew, room_for

        each, count = room_for(self.verifier.workers)
        verifier = copy(self.verifier)  # without its processes
        verifier.workers = each
        options = {"num_cpus": each, "scheduling_strategy": "SPREAD"}
        crew = Crew(
            VerifierWorker, (verifier, self.plugins),
            count=self.actors or count, options=options, log=self.log, name="verifier",
        )  # fmt: skip
        with crew:
            try:
                for verdicts in crew.map("judge", _batches(items)):
                    yield from verdicts
            finally:
                self.deaths += crew.deaths

    def close(self) -> None:
        """Nothing is held between batches."""


def _batches(items: Iterable[Any]) -> Iterator[list[Any]]:
    stream = iter(items)
    while batch := list(itertools.islice(stream, AT_ONCE)):
        yield batch
