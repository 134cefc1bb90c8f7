"""Evaluate: n samples for each benchmark question, judged; one table of results.

Reads a benchmark; calls an engine and the verifier; writes `completions/`, `verdicts/` and `results.parquet` (one row a sample: the
completion, its verdict, and the ways it used where a labeller is given); greedy completions apart, in `greedy/`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import polars as pl

from midway.records import Judgement, Prompt, Question, Request, Sampling, completion_id
from midway.rundir import COMPLETIONS, EVALUATIONS, VERDICTS, RunError, StageDir, read_table, write_table
from midway.stages.asking import Answer, ask
from midway.stages.common import Control, Outcome
from midway.stages.judging import Judge, judge


class Labelled(Protocol):
    """What a program says about a text: its steps, the ways that they belong to, whether all are right."""

    @property
    def steps(self) -> Sequence[object]: ...
    @property
    def ways(self) -> Sequence[str]: ...
    @property
    def composed(self) -> bool: ...
    @property
    def steps_right(self) -> bool: ...


LABELLERS = {"lab": "midway.lab.labels:label"}
"""Sources whose answers a program can label with the ways they use: source -> `module:function`."""


def labeller_of(source: str) -> Callable[[Question, str], Labelled] | None:
    """Return the programmatic labeller of ways where the source has one."""
    if source not in LABELLERS:
        return None
    module, _, function = LABELLERS[source].partition(":")
    label: Callable[[Question, str], Labelled] = getattr(importlib.import_module(module), function)
    return label


SAMPLED, GREEDY = "sampled", "greedy"
"""What stands in the `heuristic` column of evaluation rows: how the sample was drawn."""


def benchmark_requests(
    questions: Sequence[Question],
    prompt_of: Callable[[Question], Prompt],
    samples: int,
    sampling: Sampling,
    greedy: bool,
    model_key: str,
) -> Iterator[Request]:
    """Yield `samples` requests for each question, and one greedy one if asked."""
    once = Sampling(temperature=0.0, max_tokens=sampling.max_tokens, stop=sampling.stop)
    for question in questions:
        prompt = prompt_of(question)
        draws = [(SAMPLED, sampling, index) for index in range(samples)] + ([(GREEDY, once, 0)] if greedy else [])
        for kind, how, index in draws:
            id_ = completion_id(question.id, f"evaluation/{kind}", prompt.key(), model_key, how, index)
            yield Request(id_, prompt, how, question.id, kind, index)


def evaluate(
    stage: StageDir,
    control: Control,
    outcome: Outcome,
    questions: Sequence[Question],
    requests: Sequence[Request],
    answer: Answer,
    verifier: Judge,
    labeller: Callable[[Question, str], Labelled] | None = None,
) -> None:
    """Draw, judge and join. Raises RunError when no sample at all could be drawn, Stopped when asked to stop."""
    ask(stage, control, outcome, requests, answer, "completions")
    by_id: Mapping[str, Question] = {q.id: q for q in questions}
    wanted = {request.id for request in requests}
    judge(stage.path / "verdicts", control, outcome, stage.path / "completions", by_id, verifier, wanted)
    completions = read_table(stage.path / "completions", COMPLETIONS).filter(pl.col("id").is_in(list(wanted)))
    if completions.is_empty():
        raise RunError(f"{stage.rel}: not one of {len(requests)} samples could be drawn")
    results = completions.join(read_table(stage.path / "verdicts", VERDICTS), on="id", how="left")
    found = [labeller(by_id[q], t) if labeller else None for q, t in results.select("question_id", "text").iter_rows()]
    results = results.with_columns(
        pl.Series("ways", [list(f.ways) if f else None for f in found], dtype=pl.List(pl.String)),
        pl.Series("composed", [f.composed if f else None for f in found], dtype=pl.Boolean),
        pl.Series("steps_right", [f.steps_right if f and f.steps else None for f in found], dtype=pl.Boolean),
    )
    results = results.select(list(EVALUATIONS)).sort("question_id", "heuristic", "index")
    sampled, once = results.filter(pl.col("heuristic") == SAMPLED), results.filter(pl.col("heuristic") == GREEDY)
    write_table(stage.path / "results.parquet", sampled)
    if once.height:
        write_table(stage.path / "greedy" / "results.parquet", once)
        right = once.filter(pl.col("judgement") == Judgement.CORRECT).height
        outcome.result["greedy_accuracy"] = round(right / once.height, 6)
    judged = sampled.filter(pl.col("judgement") != Judgement.UNJUDGED)
    outcome.result["samples"] = sampled.height
    outcome.result["unjudged"] = sampled.height - judged.height
    if judged.height:
        outcome.result["accuracy"] = round(float((judged["judgement"] == Judgement.CORRECT).mean() or 0.0), 6)  # type: ignore[arg-type]
