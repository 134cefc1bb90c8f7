"""Forecast: before anything is trained, sample the base model a little and store what mid-training will be ahead by.

Reads RL questions; calls an engine and the verifier; writes `completions/`, `verdicts/`, `probe.json` (the counts) and `forecast.json`.

Promises: no training stage reads it, so it changes no digest of theirs; what is complete is never made anew. One that was made when
training had begun already says so (`pre_registered: false`): it is then no forecast.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import polars as pl

from midway import registry
from midway.forecast import Budget, budgets_of, forecast_record, probe_of
from midway.recipe import ForecastConfig, PromptConfig, Recipe, SamplingConfig, VerifyConfig
from midway.records import UNGUIDED, Heuristic, Question, Request, Sampling, completion_id, content_id
from midway.rundir import COMPLETIONS, VERDICTS, layout, now, read_json, read_table, write_json
from midway.rundir.layout import Layout
from midway.stages.asking import ask
from midway.stages.base import (
    Output,
    Stage,
    domains_identity,
    model_identity,
    prompt_identity,
    rl_sampling,
    verify_identity,
)
from midway.stages.judging import judge_completions
from midway.workbench import RL, Lease, Workbench, labelled_by

TRAINING = ("midtrain", "rl")
"""Kinds of stages before which a forecast has to be made."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Forecast(Stage):
    """Sample the base model, count, and store what follows for the treatment and the control."""

    kind: ClassVar[str] = "forecast"
    keeps_rows: ClassVar[bool] = True

    config: ForecastConfig
    prompt: PromptConfig
    verify: VerifyConfig
    heuristics: Mapping[str, Heuristic]
    """Those of the treatment's guided pool."""
    guided: SamplingConfig
    plain: SamplingConfig
    """As RL draws."""
    questions: str
    """Digest of the RL questions."""
    domains: Mapping[str, Mapping[str, str]]
    lease: Lease
    labeller: str | None
    """`module:function` that labels ways, where there is one for all questions."""
    budgets: Mapping[str, Budget]
    """RL of each arm that the forecast is about, by its name: with and without mid-training."""
    recipe_digest: str

    def identity(self) -> Mapping[str, Any]:
        return {
            "forecast": self.config.identity(),
            "sampling": {"guided": self.guided.identity(), "plain": self.plain.identity()},
            "heuristics": {slug: content_id(asdict(h)) for slug, h in self.heuristics.items()},
            "prompt": {**prompt_identity(self.prompt), "guided": self.prompt.identity()},
            "model": model_identity(self.lease),
            "verify": verify_identity(self.verify),
            "questions": self.questions,
            "budgets": {name: asdict(budget) for name, budget in self.budgets.items()},
            **domains_identity(self.domains),
        }

    @property
    def engine(self) -> Lease | None:
        return self.lease

    def run(self, bench: Workbench, out: Output) -> None:
        chosen = drawn(bench.questions.get(RL), self.config.questions)
        by_id = {q.id: q for q in chosen}
        requests = list(self._requests(bench, chosen))
        ids = {request.id for request in requests}
        completions, verdicts = out.path / "completions", out.path / "verdicts"
        ask(out, requests, bench.engines.answer(self.lease), "completions")
        judge_completions(out, verdicts, completions=completions, questions=by_id, verifier=bench.verifier, ids=ids)
        frame = read_table(completions, COMPLETIONS).filter(pl.col("id").is_in(list(ids)))
        frame = frame.join(read_table(verdicts, VERDICTS), on="id", how="left")
        label = registry.load_object(self.labeller) if self.labeller else None
        probe = probe_of(frame, by_id, list(self.heuristics), label)
        write_json(out.files.probe_counts(), {"question_ids": list(by_id), **probe.as_dict()})
        begun = trained(out.files)
        record = {
            **forecast_record(probe, self.budgets),
            "made_at": now(),
            "recipe_digest": self.recipe_digest,
            "pre_registered": not begun,
            "trained_before": begun,
        }
        write_json(out.files.forecast(), record)
        out.result.update(questions=len(chosen), pre_registered=not begun, lead=record["lead"])
        out.note(record["text"])
        if begun:
            out.note(f"{begun[0]} was trained before this was made: it is no forecast, and is marked so")

    def _requests(self, bench: Workbench, questions: Sequence[Question]) -> Iterator[Request]:
        plain, guided = bench.prompts.sampling(self.plain), bench.prompts.sampling(self.guided)
        asked: list[tuple[Heuristic | None, int, Sampling]] = [(None, self.config.unguided, plain)]
        asked += [(heuristic, self.config.guided, guided) for heuristic in self.heuristics.values()]
        for heuristic, samples, how in asked:
            slug = heuristic.slug if heuristic else UNGUIDED
            for question in questions:
                prompt = bench.prompts.build(question, heuristic)
                for index in range(samples):
                    key = self.lease.weights.key
                    id_ = completion_id(question.id, f"{self.kind}/{slug}", prompt.key(), key, how, index)
                    yield Request(id_, prompt, how, question.id, slug, index)


def forecast_stage(recipe: Recipe, bench: Workbench) -> Forecast:
    """Return the stage of a recipe with a `forecast_pool`; with default numbers where the recipe asks for no forecast."""
    pool, treatment = recipe.forecast_pool or "", recipe.treatment_arm or ""
    labellers = {labelled_by(source.source) for source in recipe.questions.rl or recipe.questions.train}
    return Forecast(
        rel=layout.PROBE,
        config=recipe.forecast or ForecastConfig(),
        prompt=recipe.prompt,
        verify=recipe.verify,
        heuristics=bench.prompts.guides(pool),
        guided=recipe.pools[pool].sampling,
        plain=rl_sampling(recipe),
        questions=bench.questions.digest(RL),
        domains=bench.questions.domains(RL),
        lease=bench.leases.base(),
        labeller=labellers.pop() if len(labellers) == 1 else None,
        budgets=budgets_of(recipe, treatment, questions=len(bench.questions.get(RL)), model=bench.models.base.path),
        recipe_digest=recipe.digest(),
    )


def drawn(questions: Sequence[Question], count: int) -> list[Question]:
    """Return `count` questions at random, the same ones each time; all where there are fewer."""
    return sorted(questions, key=lambda q: content_id("forecast", q.id))[:count]


def trained(files: Layout) -> list[str]:
    """Return the training stages that have begun in a run, in order of path."""
    return [rel for rel, file in files.manifests() if (read_json(file) or {}).get("stage") in TRAINING]
