"""Evaluate: n samples for each benchmark question, judged; one table of results.

Reads a benchmark; calls an engine and the verifier; writes `completions/`, `verdicts/` and `results.parquet` (one row a sample: the
completion, its verdict, and the ways it used where a labeller is given); greedy completions apart, in `greedy/`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import polars as pl

from midway import registry
from midway.recipe import BenchmarkConfig, PromptConfig, VerifyConfig
from midway.records import Judgement, Prompt, Question, Request, Sampling, completion_id
from midway.rundir import COMPLETIONS, EVALUATIONS, VERDICTS, RunError, read_table, write_table
from midway.stages.asking import ask
from midway.stages.base import Output, Stage, domains_identity, model_identity, prompt_identity, verify_identity
from midway.stages.judging import judge_completions
from midway.wording import plural
from midway.workbench import Lease, Workbench, labelled_by


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


Labeller = Callable[[Question, str], Labelled]


SAMPLED, GREEDY = "sampled", "greedy"
"""What stands in the `heuristic` column of evaluation rows: how the sample was drawn."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluate(Stage):
    """Answer a benchmark with one model; judge the answers; join them into one table."""

    kind: ClassVar[str] = "evaluate"

    benchmark: BenchmarkConfig
    prompt: PromptConfig
    verify: VerifyConfig
    questions: str
    """Digest of the benchmark's questions."""
    domains: Mapping[str, Mapping[str, str]]
    lease: Lease

    def identity(self) -> Mapping[str, Any]:
        return {
            "benchmark": self.benchmark.identity(),
            "questions": self.questions,
            "prompt": prompt_identity(self.prompt),
            "model": model_identity(self.lease),
            "verify": verify_identity(self.verify),
            **domains_identity(self.domains),
        }

    @property
    def engine(self) -> Lease | None:
        return self.lease

    def run(self, bench: Workbench, out: Output) -> None:
        """Raises RunError when no sample at all could be drawn."""
        questions = bench.questions.benchmark(self.benchmark.name)
        requests = list(
            benchmark_requests(
                questions,
                lambda q: bench.prompts.build(q, None, self.benchmark.few_shot),
                samples=self.benchmark.samples,
                sampling=bench.prompts.sampling(self.benchmark.sampling),
                greedy=self.benchmark.greedy,
                model_key=self.lease.weights.key,
            )
        )
        completions, verdicts = out.path / "completions", out.path / "verdicts"
        ask(out, requests, bench.engines.answer(self.lease), "completions")
        by_id, wanted = {q.id: q for q in questions}, {request.id for request in requests}
        judge_completions(out, verdicts, completions=completions, questions=by_id, verifier=bench.verifier, ids=wanted)
        drawn = read_table(completions, COMPLETIONS).filter(pl.col("id").is_in(list(wanted)))
        if drawn.is_empty():
            raise RunError(f"{out.rel}: not one of {plural(len(requests), 'sample')} could be drawn")
        path = labelled_by(self.benchmark.source)
        label: Labeller | None = registry.load_object(path) if path else None
        _store(out, drawn.join(read_table(verdicts, VERDICTS), on="id", how="left"), by_id, label)


@dataclass(frozen=True, eq=False, kw_only=True)
class EvaluateBase(Evaluate):
    """The base model's evaluation, which all arms share."""

    essential: ClassVar[bool] = True
    keeps_rows: ClassVar[bool] = True


def benchmark_requests(
    questions: Sequence[Question],
    prompt_of: Callable[[Question], Prompt],
    *,
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


def _store(out: Output, results: pl.DataFrame, questions: Mapping[str, Question], label: Labeller | None) -> None:
    """Write the samples with their verdicts and ways, greedy ones apart, and what is to be known of them."""
    found = [label(questions[q], t) if label else None for q, t in results.select("question_id", "text").iter_rows()]
    results = results.with_columns(
        pl.Series("ways", [list(f.ways) if f else None for f in found], dtype=pl.List(pl.String)),
        pl.Series("composed", [f.composed if f else None for f in found], dtype=pl.Boolean),
        pl.Series("steps_right", [f.steps_right if f and f.steps else None for f in found], dtype=pl.Boolean),
    )
    results = results.select(list(EVALUATIONS)).sort("question_id", "heuristic", "index")
    sampled, once = results.filter(pl.col("heuristic") == SAMPLED), results.filter(pl.col("heuristic") == GREEDY)
    write_table(out.files.evaluated(out.rel), sampled)
    if once.height:
        write_table(out.files.greedy(out.rel), once)
        right = once.filter(pl.col("judgement") == Judgement.CORRECT).height
        out.result["greedy_accuracy"] = round(right / once.height, 6)
    judged = sampled.filter(pl.col("judgement") != Judgement.UNJUDGED)
    out.result["samples"] = sampled.height
    out.result["unjudged"] = sampled.height - judged.height
    if judged.height:
        right = judged.filter(pl.col("judgement") == Judgement.CORRECT).height
        out.result["accuracy"] = round(right / judged.height, 6)
