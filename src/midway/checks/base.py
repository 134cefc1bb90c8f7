"""What a check is: a look at a recipe before anything is spent. It loads no weights and runs no model, but for
the one that prices the run on request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from midway.recipe import Recipe
from midway.records import Question
from midway.workbench import Workbench


class Level(StrEnum):
    """How much a finding matters."""

    NOTE = "note"
    """To be known."""
    WARNING = "warning"
    """The run will work and will disappoint."""
    PROBLEM = "problem"
    """Mend it before the run."""


@dataclass(frozen=True)
class Finding:
    """One thing that a check has to say; `count` adds up what is wrong."""

    text: str
    level: Level = Level.NOTE
    count: int = 0


@dataclass(frozen=True)
class Subject:
    """What is looked at."""

    recipe: Recipe
    bench: Workbench
    gpu_memory: float = 0.0
    """Bytes of the GPU that is meant; 0: that of this machine, if there is one."""

    def sets(self) -> dict[str, list[Question]]:
        """Every question set of the recipe by name."""
        return {name: self.bench.questions.get(name) for name in self.bench.questions.names}


@dataclass(frozen=True)
class Check:
    """A check by name. `needs`: `model` (the model's configuration and tokenizer), `verifier` (it takes longer), `time` (it
    loads the weights and runs the model for a minute), or nothing."""

    name: str
    run: Callable[[Subject], Iterator[Finding]]
    needs: str = ""
