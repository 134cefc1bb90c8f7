"""The prompts of a run: which heuristics a pool is guided by, how the model is talked to, how it is drawn from.

Promises: the same recipe gives the same prompts everywhere. The tokenizer is read when a prompt is first built, torch never here.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path

from midway import registry
from midway.engines.text import load_tokenizer
from midway.heuristics import STOP_STRINGS, build_prompt, fold_system, load_catalogue
from midway.recipe import ModelConfig, Recipe, RecipeError, SamplingConfig
from midway.records import Heuristic, Prompt, Question, Sampling
from midway.registry import near
from midway.rundir import RunError
from midway.workbench.models import Models, Weights


class Prompts:
    """Builds every prompt of a recipe."""

    def __init__(self, recipe: Recipe, models: Models, *, data_only: bool = False) -> None:
        self.recipe, self.models, self.data_only = recipe, models, data_only

    @cached_property
    def catalogue(self) -> dict[str, Heuristic]:
        return load_catalogue([Path(p) for p in self.recipe.prompt.heuristics])

    def heuristics(self, pool: str) -> list[Heuristic | None]:
        """Return the heuristics of a pool, [None] for an unguided one. Raises RecipeError for an unknown slug."""
        slugs = self.recipe.pools[pool].heuristics
        if slugs is None:
            return [None]
        if slugs == "all":
            return list(self.catalogue.values())
        for slug in slugs:
            if slug not in self.catalogue:
                raise RecipeError(
                    f"pools.{pool}.heuristics: there is no heuristic {slug!r}{near(slug, list(self.catalogue))}"
                )
        return [self.catalogue[slug] for slug in slugs]

    def guides(self, pool: str) -> dict[str, Heuristic]:
        """Return the heuristics of a guided pool by slug."""
        return {h.slug: h for h in self.heuristics(pool) if h}

    def ways(self) -> dict[str, Heuristic]:
        """Return the heuristics that a labeller of evaluation samples tells apart."""
        pool = self.guides(self.recipe.labels_pool or "")
        wanted = self.recipe.labels.heuristics
        return pool if wanted is None else {slug: pool[slug] for slug in wanted}

    @cached_property
    def template(self) -> str | None:
        """The base model's chat template, None where it has none, the recipe wants plain text, or servers apply it."""
        if self._served is not None:
            return None
        return chat_template(self.recipe.model, self.models.base)

    @property
    def chat(self) -> bool:
        """Whether the model is talked to in messages."""
        return self._served if self._served is not None else self.template is not None

    @cached_property
    def _served(self) -> bool | None:
        """What the pools' engines say of messages, where no model is trained or evaluated here: then no tokenizer is needed."""
        if not self.data_only or self.recipe.model.chat is False:
            return None
        configs = [pool.engine or self.recipe.engine for pool in self.recipe.pools.values()]
        said = {registry.find("engines", config.kind).messages(config) for config in configs}
        return said.pop() if len(said) == 1 else None

    def build(self, question: Question, heuristic: Heuristic | None, few_shot: int = 0) -> Prompt:
        """Return the prompt: guided by a heuristic, or plain, after `few_shot` plain worked examples."""
        config = self.recipe.prompt
        prompt = build_prompt(
            question,
            heuristic,
            chat=self.chat,
            style=config.style if heuristic or config.style != "cue" else "plain",
            phases=config.phases,
            exemplars=config.exemplars if heuristic and config.style == "boxed" else few_shot or None,
            system=config.system,
        )
        prompt = self.given(prompt)
        # some templates (Gemma's) refuse a system message
        return fold_system(prompt) if self.template and "system" not in self.template.lower() else prompt

    def given(self, prompt: Prompt) -> Prompt:
        """Return a prompt with what the recipe gives the chat template besides the messages."""
        more = self.recipe.prompt.chat_template_kwargs
        return replace(prompt, template=more) if more and prompt.messages else prompt

    @property
    def stop(self) -> tuple[str, ...]:
        """Strings at which a model that is given plain text begins to invent the next question."""
        return () if self.chat or self.recipe.prompt.style != "boxed" else STOP_STRINGS

    def sampling(self, config: SamplingConfig) -> Sampling:
        """Return how to draw, with the stop strings of plain text."""
        record = config.record()
        return replace(record, stop=tuple(dict.fromkeys([*record.stop, *self.stop])))


def chat_template(model: ModelConfig, weights: Weights) -> str | None:
    """Return the chat template that a model is talked to through. Raises RunError where `chat: true` and there is none."""
    if model.chat is False:
        return None
    template = load_tokenizer(weights.path, model.model_copy(update={"path": weights.path})).chat_template
    if model.chat is True and not template:
        raise RunError(
            f"{model.path}: model.chat is true, but its tokenizer has no chat template; set model.chat to auto or false"
        )
    return str(template) if template else None
