"""Measure the models of a run: the samples of its evaluations are read again by the model that wrote them.

Promises: reads the run, changes nothing; every model is loaded once, one at a time. What cannot be measured (a model that was removed) is
left out and named in `Found.missing`. The mean entropy over a model's own samples is its conditional entropy given the prompt, if they were
drawn at temperature 1 without top-p; `Found.temperature` says at which they were.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from midway.evidence import Estimate, contrast
from midway.evidence.branch import PLACES, Mix, mix, places
from midway.records import Judgement, Prompt, Question
from midway.results import Run
from midway.rundir import RunError, layout
from midway.rundir.layout import AFTER_RL, BASE, BASE_ARM, BEFORE_RL

NONE = "none seen"
"""The way of a text in which no way was found, such as a bare answer."""
ALL = "all questions"


@dataclass(frozen=True, slots=True)
class Entropies:
    """Nats at a token, mean over questions with an interval over questions (and seeds): where an answer begins, where a later step begins,
    within steps. `steps`: later steps in an answer; `tokens`: tokens in an answer. exp of a value is the effective number of tokens."""

    first: Estimate
    step: Estimate
    inside: Estimate
    steps: float
    tokens: float


@dataclass(frozen=True, slots=True)
class State:
    """One model of the run: the base model, or an arm before or after RL; its seeds are taken together."""

    arm: str
    title: str
    phase: str
    seeds: tuple[int, ...]
    success: Estimate
    """pass@1 on the benchmark."""
    mixes: Mapping[str, Mix]
    """By kind of question; empty where nobody labelled the samples. The same ways everywhere."""
    entropies: Entropies | None = None

    @property
    def effective(self) -> float:
        """Effective number of ways within a kind of question, mean over kinds, weighted by samples."""
        weight = [m.samples for m in self.mixes.values()]
        return float(np.average([m.effective for m in self.mixes.values()], weights=weight)) if weight else float("nan")


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured on one benchmark."""

    run: str
    benchmark: str
    questions: int
    samples: int
    """Of a question and seed, at most."""
    temperature: float
    states: tuple[State, ...]
    missing: tuple[str, ...]

    def state(self, arm: str, phase: str) -> State | None:
        """Return the state of an arm; before RL, one that starts from the base model is the base model."""
        for one in self.states:
            if one.arm == arm and one.phase == phase:
                return one
        return self.state(BASE_ARM, BASE) if phase == BEFORE_RL and arm != BASE_ARM else None


def measure(
    run: Run,
    benchmark: str | None = None,
    *,
    samples: int = 4,
    questions: int | None = None,
    entropies: bool = True,
    kind: str = "family",
    say: Callable[[str], None] = lambda text: None,
) -> Found:
    """Return what the run's models do on a benchmark (the first, if none is named).

    samples, questions: how many are taken, the first ones. `kind`: the entry of a question's meta by which questions are of one kind.
    With `entropies` false no model is loaded. Raises RunError for a benchmark that the run does not have.
    """
    if not run.benchmarks:
        raise RunError(f"{run.path} has no benchmark: there is nothing to measure")
    name = benchmark or run.benchmarks[0]
    rows = run.questions(layout.benchmark_set(name))
    if questions:
        rows = rows.head(questions)
    records = {row["id"]: json.loads(row["record"]) for row in rows.iter_rows(named=True)}
    order = list(records)
    kinds = {id_: str((record.get("meta") or {}).get(kind) or ALL) for id_, record in records.items()}
    states: list[State] = []
    missing: list[str] = []
    wanted = [(BASE_ARM, BASE)] + [(a, p) for a in run.arms if a != BASE_ARM for p in (BEFORE_RL, AFTER_RL)]
    frames: dict[tuple[str, str], pl.DataFrame] = {}
    for arm, phase in wanted:
        if arm not in run.arms or (phase == BEFORE_RL and not run.arms[arm].midtrained):
            continue
        frame = run.samples(name, arm, phase=phase)
        frame = frame.filter(pl.col("question_id").is_in(order) & (pl.col("index") < samples))
        if frame.height:
            frames[arm, phase] = frame
    ways = sorted({w for frame in frames.values() for w in _ways(frame) or ()})
    reader = _Reader(run, name) if entropies else None
    for (arm, phase), frame in frames.items():
        spread = None
        if reader is not None:
            say(f"{arm}, {phase}: {frame.height} answers")
            spread, gone = reader.entropies(arm, phase, frame, order)
            missing += gone
        states.append(
            State(
                arm=arm,
                title=run.arms[arm].title or arm,
                phase=phase,
                seeds=tuple(sorted(frame["seed"].unique().to_list())),
                success=_mean(_grid(frame, order, _right(frame))),
                mixes=_mixes(frame, kinds, ways),
                entropies=spread,
            )
        )
    if not states:
        raise RunError(f"{run.path}: no evaluation on {name} is there yet; `midway run` goes on with it")
    return Found(
        run=str(run.recipe.name),
        benchmark=name,
        questions=len(order),
        samples=max(int(frame["index"].max()) + 1 for frame in frames.values()),  # type: ignore[arg-type]
        temperature=next(b for b in run.recipe.benchmarks if b.name == name).sampling.temperature,
        states=tuple(states),
        missing=tuple(missing),
    )


class _Reader:
    """Reads samples with the model that wrote them."""

    def __init__(self, run: Run, benchmark: str) -> None:
        from midway.workbench import Workbench

        self.run, self.bench = run, Workbench(run.recipe, run.files)
        config = next(b for b in run.recipe.benchmarks if b.name == benchmark)
        self.prompts: dict[str, Prompt] = {
            q.id: self.bench.prompts.build(q, None, config.few_shot) for q in self._questions(benchmark)
        }

    def _questions(self, benchmark: str) -> Sequence[Question]:
        from midway.questions import from_frame

        return from_frame(self.run.questions(layout.benchmark_set(benchmark)))

    def entropies(
        self, arm: str, phase: str, frame: pl.DataFrame, order: Sequence[str]
    ) -> tuple[Entropies | None, list[str]]:
        """Return the entropies at the branch points of an arm's samples, over its seeds, and which models are gone."""
        grids, gone, counts = [], [], []
        for seed in sorted(frame["seed"].unique().to_list()):
            own = frame.filter(pl.col("seed") == seed).sort("question_id", "index")
            path = self._model(arm, phase, seed)
            if path is None:
                gone.append(f"{arm}, seed {seed}, {phase}: its model was removed")
                continue
            grid, count = self._read(path, own, order)
            grids.append(grid)
            counts.append(count)
        if not grids:
            return None, gone
        y_PSQ = np.stack(grids, axis=1)
        first, step, inside = (contrast([y_SQ], [1.0]) for y_SQ in y_PSQ)
        steps, tokens = np.mean(counts, axis=0)
        return Entropies(first, step, inside, float(steps), float(tokens)), gone

    def _model(self, arm: str, phase: str, seed: int) -> str | None:
        if phase == BASE:
            return self.bench.models.base.path
        files = self.run.files
        rel = layout.rl(arm, seed) if phase == AFTER_RL and self.run.arms[arm].rl else layout.midtrain(arm, seed)
        path = files.model(rel)
        return str(path) if (path / "config.json").is_file() else None

    def _read(self, path: str, frame: pl.DataFrame, order: Sequence[str]) -> tuple[np.ndarray[Any, Any], list[float]]:
        """Return mean entropies (place, question) and the steps and tokens of an answer."""
        from midway.engines.parts import TransformersEngine
        from midway.engines.transformers import HFEngine
        from midway.engines.transformers.spread import spreads

        texts, ids = frame["text"].to_list(), frame["question_id"].to_list()
        engine = HFEngine(TransformersEngine(kind="transformers"), self.run.recipe.model, model_path=path)
        try:
            found = list(spreads(engine, ((self.prompts[q], text) for q, text in zip(ids, texts, strict=True))))
        finally:
            engine.close()
        nats: dict[tuple[str, str], list[float]] = defaultdict(list)
        steps = tokens = 0
        for id_, text, spread in zip(ids, texts, found, strict=True):
            where = places(spread.span_T, text)
            for place, value in zip(where, spread.entropy_T, strict=True):
                nats[place, id_].append(value)
            steps, tokens = steps + where.count("step"), tokens + len(where)
        grid = np.array([[float(np.mean(nats[p, q])) if nats[p, q] else np.nan for q in order] for p in PLACES])
        return grid, [steps / max(1, len(texts)), tokens / max(1, len(texts))]


def _right(frame: pl.DataFrame) -> list[float]:
    """1 for right, 0 for wrong, NaN where the verdict could not be given."""
    value = {Judgement.CORRECT: 1.0, Judgement.WRONG: 0.0}
    return [value.get(Judgement(j), float("nan")) if j else float("nan") for j in frame["judgement"].to_list()]


def _grid(frame: pl.DataFrame, order: Sequence[str], values: Sequence[float]) -> np.ndarray[Any, Any]:
    """Return the mean of values by seed and question, shape (S, Q); NaN where there is none."""
    cells: dict[tuple[int, str], list[float]] = defaultdict(list)
    for seed, id_, value in zip(frame["seed"].to_list(), frame["question_id"].to_list(), values, strict=True):
        if not np.isnan(value):
            cells[seed, id_].append(value)
    seeds = sorted(frame["seed"].unique().to_list())
    return np.array([[float(np.mean(cells[s, q])) if cells[s, q] else np.nan for q in order] for s in seeds])


def _mean(y_SQ: np.ndarray[Any, Any]) -> Estimate:
    from midway.evidence import mean

    return mean(y_SQ)


def _ways(frame: pl.DataFrame) -> list[str] | None:
    """Return the way of each sample, several joined by ` + `; None where nobody labelled them. A program's labels before a labeller's."""
    for column in ("ways", "labels"):
        lists = frame[column].to_list()
        if any(one is not None for one in lists):
            return [" + ".join(sorted(one)) if one else NONE for one in lists]
    return None


def _mixes(frame: pl.DataFrame, kinds: Mapping[str, str], ways: Sequence[str]) -> dict[str, Mix]:
    labels = _ways(frame)
    if labels is None:
        return {}
    grouped: dict[str, tuple[list[str], list[bool]]] = defaultdict(lambda: ([], []))
    for id_, label, right in zip(frame["question_id"].to_list(), labels, _right(frame), strict=True):
        if not np.isnan(right):
            grouped[kinds[id_]][0].append(label)
            grouped[kinds[id_]][1].append(bool(right))
    return {name: mix(*grouped[name], ways) for name in sorted(grouped)}
