"""Select: which solutions an arm is mid-trained on. Reads pools, calls selection, writes `solutions.parquet`, `funnel.parquet` and
`removed.parquet` (what was dropped and why).

When nothing is left, RunError shows the funnel and the commonest reason for which completions were lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from midway.questions import worked_solution
from midway.recipe import DataConfig, SelectionConfig
from midway.records import Question
from midway.rundir import RunError, write_table
from midway.selection import Selection, select, why_empty
from midway.stages.base import Output, Stage
from midway.stages.pools import PoolTables, tables
from midway.workbench import TRAIN, Workbench

NOTHING = PoolTables(pl.DataFrame(), pl.DataFrame(), None)


@dataclass(frozen=True, eq=False, kw_only=True)
class Select(Stage):
    """Select the solutions of one arm and seed. `reference` is the treatment's selection, whose size the arm is matched to."""

    kind: ClassVar[str] = "select"

    seed: int
    data: Sequence[DataConfig]
    config: SelectionConfig
    questions: str
    """Digest of the training questions with their reference solutions."""
    benchmarks: Mapping[str, str]
    """Digests of the benchmarks that the data must not contain."""
    reference: Stage | None = None

    def identity(self) -> Mapping[str, Any]:
        return {
            "data": [d.identity() for d in self.data],
            "selection": self.config.identity(),
            "questions": self.questions,
            "benchmarks": dict(self.benchmarks),
            "seed": self.seed,
        }

    def run(self, bench: Workbench, out: Output) -> None:
        """Raises RunError, with the funnel, when nothing is left."""
        questions = question_table(bench.questions.get(TRAIN))
        leaks = pl.DataFrame(
            [{"name": n, "text": q.text} for n in self.benchmarks for q in bench.questions.benchmark(n)],
            schema={"name": pl.String, "text": pl.String},
        )
        matched = [d for d in self.data if d.matched]
        chosen: list[tuple[DataConfig, Selection]] = []
        for data in self.data:
            match = None
            if self.reference is not None and data in matched:
                solutions = out.files.solutions(self.reference.arm, self.seed)
                match = _counts(solutions, matched.index(data), len(matched))
            pool = tables(out.files, data.pool) if data.pool else NOTHING
            found = select(
                pool.completions,
                pool.verdicts,
                pool.adherence,
                questions,
                self.config,
                data,
                seed=self.seed,
                benchmarks=leaks if self.benchmarks else None,
                match=match,
            )
            if found.solutions.is_empty():
                raise RunError(_empty(self.arm, data, found, pool, out.files.root))
            for text in found.notes:
                out.note(f"{self.arm}: {text}")
            chosen.append((data, found))
        self._store(out, chosen)

    def _store(self, out: Output, chosen: Sequence[tuple[DataConfig, Selection]]) -> None:
        solutions = pl.concat([found.solutions for _, found in chosen])
        funnels = [found.funnel.with_columns(pl.lit(data.pool or "reference").alias("pool")) for data, found in chosen]
        write_table(out.files.funnel(self.arm, self.seed), pl.concat(funnels, how="diagonal_relaxed"))
        write_table(
            out.files.removed(self.arm, self.seed),
            pl.concat([found.removed for _, found in chosen], how="diagonal_relaxed"),
        )
        write_table(out.files.solutions(self.arm, self.seed), solutions)
        out.result.update(
            solutions=solutions.height,
            questions=solutions["question_id"].n_unique(),
            heuristics=solutions["heuristic"].n_unique(),
            notes=[text for _, found in chosen for text in found.notes],
        )


def question_table(questions: Sequence[Question]) -> pl.DataFrame:
    """Return the training questions as selection takes them: id, text, domain, level, solution."""
    rows = [
        {
            "id": q.id,
            "text": q.text,
            "domain": q.domain,
            "level": str(q.meta["level"]) if q.meta.get("level") is not None else None,
            "solution": worked_solution(q) if q.solution else None,
        }
        for q in questions
    ]
    return pl.DataFrame(rows, schema=dict.fromkeys(["id", "text", "domain", "level", "solution"], pl.String))


def _counts(reference: Path, number: int, of: int) -> pl.DataFrame:
    """How many solutions of each question to match; `of` matched sources share them as evenly as can be."""
    solutions = pl.read_parquet(reference, columns=["question_id"])
    return solutions.group_by("question_id").agg(((pl.len() + number) // of).alias("count")).sort("question_id")


def _empty(name: str, data: DataConfig, found: Selection, pool: PoolTables, run: Path) -> str:
    lines = [
        f"arm {name}: no solution is left to mid-train on ({data.pool or 'reference solutions'}, strategy {data.strategy})"
    ]
    for step, count in found.funnel.group_by("step", maintain_order=True).agg(pl.col("count").sum()).iter_rows():
        lines.append(f"  {step:<16}{count:>8}")
    if data.pool:
        lines += [f"  {text}" for text in why_empty(found, pool.completions, pool.verdicts, data.pool)]
        lines.append(f"  look at the completions: midway view {run}")
    else:
        lines.append("  the questions have no reference solutions, or decontamination removed them all")
    return "\n".join(lines)
