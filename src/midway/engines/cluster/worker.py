"""What an engine actor runs: one engine, with the loop of one machine around it.

Promises: the engine is opened at the first question, so that the driver gets the error itself. While a share is on its way, `progress`
and `stop` are answered.

When things go wrong: what the engine raises goes to the driver.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from midway import registry
from midway.engines import open_engine
from midway.engines.base import Engine
from midway.engines.stream import Progress, StreamReport, complete
from midway.recipe import EngineConfig, ModelConfig, engine_settings
from midway.records import Completion, Prompt, Request


class EngineWorker:
    """See the module. Made with `worker_arguments`."""

    def __init__(
        self, config: dict[str, Any], model: ModelConfig, model_path: str | None, plugins: Sequence[str]
    ) -> None:
        registry.load_plugins(plugins)
        self._args = (engine_settings(config), model, model_path)
        self._engine: Engine | None = None
        self._stop = False
        self._progress: Progress | None = None

    def complete(self, requests: list[Request], folder: str) -> StreamReport:
        """Answer a share of the requests, none of which is held, and store the answers."""
        self._progress = None
        return complete(
            requests, self.engine, Path(folder), owner=False, stop=lambda: self._stop, progress=self._note
        )  # fmt: skip

    @property
    def engine(self) -> Engine:
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


def worker_arguments(
    config: EngineConfig, model: ModelConfig, model_path: str | None, plugins: Sequence[str]
) -> tuple[Any, ...]:
    """Return the arguments of an EngineWorker. Settings travel as JSON: a class of a plug-in file is known in the actor only when it has
    loaded the file."""
    return config.model_dump(mode="json"), model, model_path, list(plugins)
