"""What a run directory holds, read and counted: arms, stages, evaluations, curves. `scores.compute` makes the results of it.

Promises: frozen values; no file is touched here. `joined` makes one of several runs: an arm is then called `RUN: ARM`, and questions are
matched by id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from midway.results.samples import Evaluation, spread
from midway.results.types import ArmAlarm, Forecast, Problem, Vendi
from midway.rundir.layout import AFTER_RL, BASE, BEFORE_RL, Place, rel_of

Metrics = Sequence[Mapping[str, float]]
"""The rows of a metrics.jsonl, in order; what is not a number is left out."""


@dataclass(frozen=True, slots=True)
class StageRecord:
    """What a stage left about itself: its stage.json."""

    rel: str
    """Its path below the run directory."""
    place: Place
    """What that path is about."""
    kind: str
    """generate, verify, score, select, filter, midtrain, rl, evaluate, labeller, label."""
    state: str
    """complete, running, failed, interrupted, or unknown."""
    cost: Mapping[str, float]
    """seconds, prompt_tokens, completion_tokens, cached_tokens, peak_memory_mb, where they were counted."""
    config: Mapping[str, Any]
    """What was asked of it; what of that enters its digest."""
    versions: Mapping[str, Any]
    error: str
    started: str
    finished: str
    result: Mapping[str, Any]
    """What it said about its work; another thing for each kind."""


@dataclass(frozen=True, slots=True)
class Arm:
    """A named path from the base model to a final model, and the seeds that were asked for."""

    name: str
    title: str
    midtrained: bool
    rl: bool
    fixed: bool
    """True for a model in which nothing was trained, the base model or a checkpoint of one's own: there are no seeds."""
    checkpoint: bool
    """Does it start from a checkpoint of one's own, not from the base model?"""
    seeds: tuple[int, ...]
    pools: tuple[str, ...]
    """Pools that it was mid-trained on."""
    rl_note: str = ""
    """What of its RL is not the default, in words."""

    @property
    def final_phase(self) -> str:
        if self.rl:
            return AFTER_RL
        return BASE if self.fixed and not self.checkpoint else BEFORE_RL


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """A run, or several that were joined."""

    name: str
    created: str | None = None
    digest: str | None = None
    versions: Mapping[str, str]
    recipe_text: str
    """recipe.yaml as it was given."""
    recipe_json: str = ""
    """The recipe with every default filled in, as indented JSON; empty where the run keeps none."""
    treatment: str
    control: str
    seeds: tuple[int, ...]
    arms: Mapping[str, Arm]
    benchmarks: Sequence[str]
    questions: Mapping[str, Sequence[str]]
    """Ids of each benchmark's questions, sorted: those that were asked, and those that nobody answered."""
    expected: Mapping[str, int]
    """Samples per question that were asked for, per benchmark."""
    evaluations: Mapping[tuple[str, str, str], Evaluation]
    """(benchmark, arm, phase) -> its samples, counted."""
    stages: Sequence[StageRecord]
    metrics: Mapping[tuple[str, int, str], Metrics]
    """(arm, seed, `midtrain` or `rl`) -> what the trainer logged."""
    funnels: Mapping[tuple[str, int], pl.DataFrame]
    solutions: Mapping[tuple[str, int], Mapping[str, int]]
    """(arm, seed) -> number of kept solutions per heuristic."""
    vendi: Mapping[str, Vendi]
    """By arm, of one seed; means over some questions."""
    problems: Sequence[Problem]
    alarms: Sequence[ArmAlarm] = ()
    distinct: Mapping[tuple[str, int], int] = field(default_factory=dict)
    """(arm, seed) -> number of different texts among the kept solutions."""
    chance: Mapping[str, float] = field(default_factory=dict)
    """Benchmark -> pass@1 of guessing among the options, where there are options."""
    absent: Mapping[str, str] = field(default_factory=dict)
    """Optional benchmark whose questions could not be had -> why."""
    forecast: Forecast | None = None
    title: str = ""
    """What the run is about, in the recipe's words."""

    def final(self, benchmark: str, arm: str) -> Evaluation | None:
        """The evaluation of an arm's final model; None where there is none, or no such arm."""
        return self.evaluations.get((benchmark, arm, self.arms[arm].final_phase)) if arm in self.arms else None

    def before(self, benchmark: str, arm: str) -> Evaluation | None:
        return self.evaluations.get((benchmark, arm, BEFORE_RL))


def joined(runs: Sequence[Contents]) -> Contents:
    """Return one run that holds the arms of all of them; the first one's treatment is compared with the second one's first."""
    first, second = runs[:2]
    benchmarks = list(dict.fromkeys(b for run in runs for b in run.benchmarks))
    questions = {b: sorted({q for run in runs for q in run.questions.get(b, ())}) for b in benchmarks}
    return Contents(
        name=" + ".join(run.name for run in runs),
        created=first.created,
        versions=first.versions,
        recipe_text="\n---\n".join(run.recipe_text for run in runs),
        treatment=_named(first, first.treatment) if first.treatment else "",
        control=_named(second, second.treatment) if second.treatment else "",
        seeds=tuple(sorted({seed for run in runs for seed in run.seeds})),
        arms={arm.name: arm for run in runs for arm in _arms(run)},
        benchmarks=benchmarks,
        questions=questions,
        expected={b: max(run.expected.get(b, 0) for run in runs) for b in benchmarks},
        evaluations={
            (ev.benchmark, ev.arm, ev.phase): ev
            for b in benchmarks
            for run in runs
            for ev in _over(run, b, questions[b])
        },
        stages=[_moved(run, stage) for run in runs for stage in run.stages],
        metrics={(_named(r, arm), seed, part): rows for r in runs for (arm, seed, part), rows in r.metrics.items()},
        funnels={(_named(run, arm), seed): f for run in runs for (arm, seed), f in run.funnels.items()},
        solutions={(_named(run, arm), seed): n for run in runs for (arm, seed), n in run.solutions.items()},
        vendi={_named(run, arm): value for run in runs for arm, value in run.vendi.items()},
        problems=[replace(p, where=_named(run, p.where)) for run in runs for p in run.problems],
        alarms=[replace(a, arm=_named(run, a.arm)) for run in runs for a in run.alarms],
        distinct={(_named(run, arm), seed): n for run in runs for (arm, seed), n in run.distinct.items()},
        chance={b: run.chance[b] for b in benchmarks for run in reversed(runs) if b in run.chance},
        absent={
            b: why
            for run in runs
            for b, why in run.absent.items()
            if all(b in other.absent for other in runs if b in other.benchmarks)
        },
    )


def _named(run: Contents, name: str) -> str:
    return f"{run.name}: {name}"


def _arms(run: Contents) -> Iterable[Arm]:
    for arm in run.arms.values():
        pools = tuple(_named(run, pool) for pool in arm.pools)
        yield replace(arm, name=_named(run, arm.name), title=_named(run, arm.title), pools=pools)


def _over(run: Contents, benchmark: str, ids: Sequence[str]) -> Iterable[Evaluation]:
    """Yield the run's evaluations on a benchmark, spread over the questions of all runs."""
    column = {q: i for i, q in enumerate(ids)}
    columns = np.array([column[q] for q in run.questions.get(benchmark, ())], int)
    for ev in run.evaluations.values():
        if ev.benchmark == benchmark:
            yield spread(ev, columns, len(ids), _named(run, ev.arm))


def _moved(run: Contents, stage: StageRecord) -> StageRecord:
    """Return the record of a stage as one of the joined run: its pool or arm has the run's name before its own."""
    place = stage.place
    if place.pool:
        place = replace(place, pool=_named(run, place.pool))
    if place.arm:
        place = replace(place, arm=_named(run, place.arm))
    return replace(stage, rel=rel_of(place), place=place)
