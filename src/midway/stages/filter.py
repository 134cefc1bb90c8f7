"""Filter: how often does the base model solve each RL question? Those that it always or never solves are left out, for all arms alike.

Reads the verdicts of an unguided pool that has enough samples of every RL question. Without one it calls the base model's engine and the
verifier, and writes `completions/` and `verdicts/`. Writes a row for each question: judged samples, right ones, kept or not. A question of
which no sample could be judged is kept, since nothing is known of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from midway.recipe import FilterConfig, PromptConfig, SamplingConfig, VerifyConfig
from midway.records import Judgement, Question, Request, completion_id
from midway.rundir import COMPLETIONS, FILTERED, VERDICTS, RunError, layout, read_table, write_table
from midway.stages.asking import ask
from midway.stages.base import Output, Stage, domains_identity, model_identity, prompt_identity, verify_identity
from midway.stages.judging import judge_completions
from midway.stages.pools import asked
from midway.wording import plural
from midway.workbench import RL, Lease, Workbench


@dataclass(frozen=True, eq=False, kw_only=True)
class FilterQuestions(Stage):
    """Measure the base model on the RL questions and choose. `pool`: whose verdicts are read; None: samples are drawn."""

    kind: ClassVar[str] = "filter"
    essential: ClassVar[bool] = True
    keeps_rows: ClassVar[bool] = True

    config: FilterConfig
    pool: str | None
    sampling: SamplingConfig
    prompt: PromptConfig
    verify: VerifyConfig
    questions: str
    """Digest of the RL questions."""
    domains: Mapping[str, Mapping[str, str]]
    lease: Lease

    def identity(self) -> Mapping[str, Any]:
        own = {
            "sampling": self.sampling.identity(),
            "prompt": prompt_identity(self.prompt),
            "model": model_identity(self.lease),
            "verify": verify_identity(self.verify),
        }
        return {
            "filter": self.config.identity(),
            "pool": self.pool,
            "questions": self.questions,
            **({} if self.pool else own),
            **domains_identity(self.domains),
        }

    @property
    def engine(self) -> Lease | None:
        return None if self.pool else self.lease

    def run(self, bench: Workbench, out: Output) -> None:
        """Raises RunError when no question is left."""
        questions = bench.questions.get(RL)
        if self.pool is None:
            ids, folder, verdicts = self._draw(bench, out, questions), out.path / "completions", out.path / "verdicts"
        else:
            ids = asked(out.files, self.pool)
            folder = out.files.stage(layout.completions(self.pool))
            verdicts = out.files.stage(layout.verdicts(self.pool))
        found = chosen(questions, solved(folder, verdicts, ids), self.config)
        write_table(out.files.filtered(), found)
        judged = found.filter(pl.col("judged") > 0)
        rate = judged["correct"] / judged["judged"]
        kept = int(found["kept"].sum())
        out.result.update(
            questions=found.height,
            kept=kept,
            too_hard=int((rate < self.config.min).sum()),
            too_easy=int((rate > self.config.max).sum()),
        )
        if not kept:
            raise RunError(
                f"questions.rl_filter: of {found.height:,} RL questions none is solved in {self.config.min} to {self.config.max} of the "
                f"base model's samples ({out.result['too_hard']:,} in fewer, {out.result['too_easy']:,} in more)\n"
                "  widen questions.rl_filter, or choose other questions.rl"
            )
        out.note(f"RL: {kept:,} of {plural(found.height, 'question')} are left")

    def _draw(self, bench: Workbench, out: Output, questions: Sequence[Question]) -> set[str]:
        """Draw and judge samples of every question; return their ids."""
        how, requests = bench.prompts.sampling(self.sampling), []
        for question in questions:
            prompt = bench.prompts.build(question, None)
            for index in range(self.config.samples):
                id_ = completion_id(question.id, self.kind, prompt.key(), self.lease.weights.key, how, index)
                requests.append(Request(id_, prompt, how, question.id, "", index))
        ask(out, requests, bench.engines.answer(self.lease), "completions")
        ids = {request.id for request in requests}
        judge_completions(
            out,
            out.path / "verdicts",
            completions=out.path / "completions",
            questions={q.id: q for q in questions},
            verifier=bench.verifier,
            ids=ids,
        )
        return ids


def solved(completions: Path, verdicts: Path, ids: set[str]) -> pl.DataFrame:
    """Return question_id, judged, correct, of the samples with an id in `ids`."""
    rows = read_table(completions, COMPLETIONS, ["id", "question_id"]).filter(pl.col("id").is_in(list(ids)))
    rows = rows.join(read_table(verdicts, VERDICTS, ["id", "judgement"]), on="id")
    rows = rows.filter(pl.col("judgement") != Judgement.UNJUDGED)
    right = (pl.col("judgement") == Judgement.CORRECT).sum().cast(pl.Int32)
    return rows.group_by("question_id").agg(judged=pl.len().cast(pl.Int32), correct=right)


def chosen(questions: Sequence[Question], counts: pl.DataFrame, config: FilterConfig) -> pl.DataFrame:
    """Return FILTERED: every question in order, with its counts, and whether it is kept."""
    frame = pl.DataFrame({"question_id": [q.id for q in questions]}, schema={"question_id": pl.String})
    frame = frame.join(counts, on="question_id", how="left", maintain_order="left").with_columns(
        pl.col("judged", "correct").fill_null(0)
    )
    rate = pl.col("correct") / pl.col("judged")
    kept = (pl.col("judged") == 0) | rate.is_between(config.min, config.max)
    return frame.with_columns(kept=kept).select(list(FILTERED))
