"""The engines of a cluster as one engine: for scorers, whose questions are not stored.

Promises: the protocol of `engines.base`; answers come back batch by batch, log-probabilities in order. An actor that dies is replaced and
its batch given out again.

When things go wrong: as in `crew`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from midway.engines.cluster.crew import Crew
from midway.engines.cluster.nodes import engine_options, resources
from midway.engines.cluster.worker import EngineWorker, worker_arguments
from midway.engines.keys import model_key
from midway.recipe import EngineConfig, ModelConfig
from midway.records import Completion, Prompt, Request

AT_ONCE = 512
"""Log-probabilities, or answers, that an engine actor is asked for at a time."""


class RayEngine:
    """See the module. `workers` engines, as many as there is room for if left out."""

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
        arguments = worker_arguments(config, model, model_path, plugins)
        self._crew = Crew(
            EngineWorker, arguments, count=workers or room, options=engine_options(gpus), log=log, name="scoring"
        )

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        for found in self._crew.map("answers", _batches(requests)):
            yield from found

    def logprobs(self, items: Iterable[tuple[Prompt, str]]) -> Iterator[tuple[float, int]]:
        for found in self._crew.map("logprobs", _batches(items)):
            yield from found

    def stats(self) -> dict[str, float]:
        return {"prompt_tokens": 0.0, "completion_tokens": 0.0, "cached_tokens": 0.0, "seconds": 0.0}

    def close(self) -> None:
        self._crew.close()


def _batches(items: Iterable[Any]) -> Iterator[list[Any]]:
    stream = iter(items)
    while batch := list(itertools.islice(stream, AT_ONCE)):
        yield batch
