"""The workbench: what a stage may borrow. Questions, models, prompts, engines, the verifier; each in a small piece of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Protocol

from midway.domains import Item, Verifier
from midway.recipe import Recipe
from midway.records import Verdict
from midway.rundir.layout import Layout
from midway.workbench.chats import Chats
from midway.workbench.engines import LOCAL, RAY, Engines, Leases
from midway.workbench.models import Models
from midway.workbench.prompts import Prompts
from midway.workbench.questions import QuestionSets


class Judge(Protocol):
    """Gives a verdict on each item, in order: `domains.Verifier`, or its counterpart on a cluster (`workbench.cluster.ClusterVerifier`)."""

    def verify_batch(self, items: Iterable[Item]) -> Iterator[Verdict]: ...
    def close(self) -> None: ...


class Workbench:
    """Everything that the stages of one run share. Making it loads nothing; `close` frees what was opened.

    `data_only`: no model is trained or evaluated, so that what a server or a file answers needs no tokenizer."""

    def __init__(
        self, recipe: Recipe, files: Layout, *, data: str | None = None, executor: str = LOCAL, data_only: bool = False
    ) -> None:
        self.recipe, self.files = recipe, files
        self.questions = QuestionSets(recipe, data)
        self.chats = Chats(recipe)
        self.models = Models(recipe)
        self.prompts = Prompts(recipe, self.models, data_only=data_only)
        self.engines = Engines(recipe, executor)
        self.leases = Leases(recipe, self.models)

    @cached_property
    def verifier(self) -> Judge:
        """The verifier: in processes of this machine, or all over the Ray cluster."""
        config = self.recipe.verify
        verifier = Verifier(config.workers, cpu_seconds=config.seconds, require_sandbox=config.require_sandbox)
        if self.engines.executor != RAY:
            return verifier
        from midway.engines.cluster import connect
        from midway.workbench.cluster import ClusterVerifier

        connect()
        return ClusterVerifier(verifier, plugins=self.recipe.plugins, log=lambda text: self.engines.say(text))

    def close(self) -> None:
        """Close the engine and the verifier; either may be opened again."""
        self.engines.close()
        if "verifier" in self.__dict__:
            self.verifier.close()
            del self.__dict__["verifier"]
