"""What every stage is: a class that owns its identity, its needs and its work; and what it leaves.

A stage is plain data, made by `plan`; making one opens nothing. Its digest is a hash of its identity and of the digests of the stages it
needs, so all digests are known before anything runs.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

from midway import registry
from midway.recipe import PromptConfig, Recipe, SamplingConfig, VerifyConfig
from midway.rundir import COMPLETE, FAILED, INTERRUPTED, RunDir, StageDir, Stopped, stage_digest
from midway.rundir.layout import Layout
from midway.workbench import Lease, Workbench

Progress = Callable[[int, int, str], None]
"""Called with (done, total, note); total 0 is unknown."""


@dataclass
class Output:
    """Where a stage writes, how it tells how far it is, how it is asked to stop, and what it leaves in its manifest.

    `cost` adds up over attempts, `result` replaces."""

    path: Path
    """The stage's own directory."""
    rel: str
    files: Layout
    """The whole run directory, for what the stage reads."""
    progress: Progress = lambda done, total, note: None
    stop: Callable[[], bool] = lambda: False
    note: Callable[[str], None] = lambda text: None
    spent: Mapping[str, float] = field(default_factory=dict)
    """What earlier attempts cost."""
    cost: dict[str, float] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)

    def go_on(self) -> None:
        """Raise Stopped when the user asked to stop."""
        if self.stop():
            raise Stopped


@dataclass(frozen=True, eq=False, kw_only=True)
class Stage(ABC):
    """One stage of a run."""

    kind: ClassVar[str]
    essential: ClassVar[bool] = False
    """When it fails the run ends: every arm needs it."""
    keeps_rows: ClassVar[bool] = False
    """When it is taken back its rows stay: their ids say exactly what they are, and those that are still asked for are taken over."""

    rel: str
    """Its directory, below the run's."""
    needs: Sequence[Stage] = ()
    """The stages that it reads."""
    arm: str = ""
    """The arm that it belongs to; empty: several share it."""
    seed: int | None = None

    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """Return what changes the result, and only that."""

    def ready(self) -> None:  # noqa: B027
        """Look for what it needs on this machine besides other stages. Asked of all stages that are to do, before the first begins.
        Raises RunError, with what to type."""

    @abstractmethod
    def run(self, bench: Workbench, out: Output) -> None:
        """Do the work, from where an earlier attempt got to. Raises Stopped when asked to stop."""

    @property
    def engine(self) -> Lease | None:
        """The engine that it uses, which stays open if it is open already; None: none, and an open one is closed."""
        return None

    @property
    def parts(self) -> Sequence[Any]:
        """The registered parts whose packages must be installed where it runs: an engine, a trainer."""
        return [self.engine.part] if self.engine is not None else []

    @cached_property
    def digest(self) -> str:
        return stage_digest(self.kind, self.identity(), {need.rel: need.digest for need in self.needs})

    def folder(self, run: RunDir) -> StageDir:
        """Return its directory in a run."""
        return run.stage(self.rel, self.kind, self.identity(), {need.rel: need.digest for need in self.needs})


def prompt_identity(prompt: PromptConfig) -> dict[str, Any]:
    """What of the prompts changes a plain (unguided) one."""
    given = prompt.chat_template_kwargs
    return {"style": prompt.style, "system": prompt.system, **({"chat_template_kwargs": given} if given else {})}


def rl_sampling(recipe: Recipe) -> SamplingConfig:
    """Return how RL draws, for who wants to know what it will see."""
    rl = registry.find("trainers", recipe.training.trainer).sampled(recipe.rl)
    return SamplingConfig(temperature=rl.temperature, max_tokens=rl.max_tokens)


def verify_identity(verify: VerifyConfig) -> dict[str, Any]:
    """What of the verifier's settings changes a verdict."""
    return {"seconds": verify.seconds, "require_sandbox": verify.require_sandbox}


def domains_identity(domains: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """What of domains that are not built in changes prompts and verdicts."""
    return {"domains": {name: dict(identity) for name, identity in domains.items()}} if domains else {}


def model_identity(lease: Lease) -> dict[str, Any]:
    """What of a model changes what it writes; of an engine too, if what it writes is not given by weights, prompt and seed alone."""
    from midway.engines import engine_identity

    own = {} if lease.part.by_weights else {"engine": engine_identity(lease.config)}
    return {"key": lease.weights.key, "chat": lease.model.chat, "dtype": lease.model.dtype, **own}


def versions() -> dict[str, str]:
    """Return the versions of what decides results; a package that is not installed is left out."""
    found = {}
    for name in ("midway", "torch", "transformers", "trl", "vllm", "datasets", "math-verify", "polars"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@contextmanager
def recorded(folder: StageDir, out: Output) -> Iterator[None]:
    """Keep a stage's manifest true: running, then complete, interrupted or failed with the reason; seconds are counted."""
    folder.begin(versions())
    start = time.monotonic()

    def end(state: str, error: str = "") -> None:
        out.cost["seconds"] = round(time.monotonic() - start, 3)
        folder.end(state, out.cost, error=error, result=out.result)

    try:
        yield
    except (Stopped, KeyboardInterrupt):
        end(INTERRUPTED)
        raise
    except Exception as error:
        end(FAILED, f"{type(error).__name__}: {error}")
        raise
    end(COMPLETE)
