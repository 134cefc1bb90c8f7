"""Engines, leased by role through one door: the base model's, a trained model's, a pool's own, the judge's, the labeller's.

Promises: one engine is open at a time (two do not fit on one GPU), in this process or all over a Ray cluster; it stays open for as long as
the same one is asked for. `close` frees everything and may be called twice.

When things go wrong: EngineError of the engine itself; RunError for an executor that does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from midway import registry
from midway.engines import Engine, model_key, open_engine
from midway.engines.stream import Progress, StreamReport, complete
from midway.recipe import EngineConfig, ModelConfig, Recipe, engine_settings
from midway.records import Request
from midway.registry import EnginePart
from midway.rundir import RunError
from midway.workbench.models import Models, Weights

LOCAL, RAY = "local", "ray"


class Answer(Protocol):
    """Stores an answer to every request that a folder does not hold: `engines.stream.complete` with an engine, or its Ray counterpart."""

    def __call__(
        self,
        requests: Iterable[Request],
        *,
        folder: Path,
        progress: Callable[[Progress], None] | None,
        stop: Callable[[], bool] | None,
    ) -> StreamReport: ...


@dataclass(frozen=True)
class Lease:
    """Which engine: its settings, and the model that it serves."""

    config: EngineConfig
    model: ModelConfig
    weights: Weights

    @property
    def part(self) -> EnginePart:
        found: EnginePart = registry.find("engines", self.config.kind)
        return found


class Leases:
    """Who needs which engine: one method a role."""

    def __init__(self, recipe: Recipe, models: Models) -> None:
        self.recipe, self.models = recipe, models

    def base(self) -> Lease:
        """The base model as it is evaluated: without the recipe's LoRA adapter, which only writes pools."""
        return Lease(_without_adapter(self.recipe.engine), self.recipe.model, self.models.base)

    def writer(self) -> Lease:
        """What writes pools: the base model, with the engine's LoRA adapter if it has one."""
        return Lease(self.recipe.engine, self.recipe.model, self.models.base)

    def pool(self, name: str) -> Lease:
        """What writes one pool: the writer, or the pool's own engine."""
        own = self.recipe.pools[name].engine
        return Lease(own, self.recipe.model, self.models.base) if own else self.writer()

    def trained(self, weights: Weights) -> Lease:
        """A trained model. It is not what a server serves or a file of completions holds: those give way to transformers."""
        if weights == self.models.base:
            return self.base()
        part = registry.find("engines", self.recipe.engine.kind)
        config = _without_adapter(self.recipe.engine) if part.any_weights else engine_settings({"kind": "transformers"})
        return Lease(config, self.recipe.model, weights)

    def judge(self) -> Lease | None:
        """What the adherence scorer asks, None where it needs no engine."""
        config = self.recipe.adherence
        needs = registry.find("scorers", config.scorer).engine
        if needs == "base" or (needs == "own" and config.engine is None):
            return self.writer()
        return Lease(config.engine, self.recipe.model, self.models.base) if config.engine else None

    def labels(self) -> Lease:
        """What labels the ways of evaluation samples: of the base model or one of its own, by the recipe's engine or one of its own."""
        config = self.recipe.labels
        if config.model is None and config.engine is None:
            return self.base()
        engine = config.engine or self.recipe.engine
        return Lease(engine, config.model or self.recipe.model, self.models.labels)

    def writer_key(self, lease: Lease) -> str:
        """Return what names the weights that write pools: those of the base model, with the engine's LoRA adapter if it has one."""
        adapter = adapter_of(lease.config)
        return f"{lease.weights.key}+{model_key(adapter)}" if adapter else lease.weights.key


def adapter_of(config: EngineConfig) -> str | None:
    """Return the directory of the LoRA adapter that an engine adds to the model."""
    return getattr(config, "lora", None)


def _without_adapter(config: EngineConfig) -> EngineConfig:
    return config.model_copy(update={"lora": None}) if adapter_of(config) else config


class Engines:
    """Opens what is leased."""

    def __init__(self, recipe: Recipe, executor: str = LOCAL) -> None:
        if executor not in (LOCAL, RAY):
            raise RunError(f"--executor {executor}: write local or ray")
        self.recipe, self.executor = recipe, executor
        self.say: Callable[[str], None] = lambda text: None
        """Tells the user what an engine has to say; whoever runs a stage sets it."""
        self._open: tuple[Lease, Engine] | None = None

    def open(self, lease: Lease) -> Engine:
        """Return the engine of a lease, closing another one first."""
        if self._open is None or self._open[0] != lease:
            self.close()
            self._open = (lease, self._opened(lease))
        return self._open[1]

    def answer(self, lease: Lease) -> Answer:
        """Return what answers requests: the engine in this process, or engines all over a Ray cluster."""
        if not self.on_ray(lease):
            return partial(complete, engine=self.open(lease))
        from midway.engines.cluster import complete_on_ray, connect

        connect()
        self.close()  # its actors have the GPUs
        return partial(
            complete_on_ray,
            config=lease.config,
            model=lease.model,
            model_path=lease.weights.path,
            plugins=self.recipe.plugins,
            log=self._log,
        )

    def on_ray(self, lease: Lease) -> bool:
        """Whether an engine runs in actors of a cluster."""
        return self.executor == RAY and lease.part.on_ray

    def keep(self, lease: Lease | None) -> None:
        """Close what is open unless it is this."""
        if self._open is not None and self._open[0] != lease:
            self.close()

    def close(self) -> None:
        if self._open is not None:
            self._open[1].close()
        self._open = None

    def _opened(self, lease: Lease) -> Engine:
        if self.on_ray(lease):
            from midway.engines.cluster import RayEngine, connect

            connect()
            return RayEngine(
                lease.config, lease.model, model_path=lease.weights.path, plugins=self.recipe.plugins, log=self._log
            )
        return open_engine(lease.config, lease.model, model_path=lease.weights.path, log=self._log)

    def _log(self, text: str) -> None:
        self.say(text)
