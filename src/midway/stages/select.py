"""Select: which solutions an arm is mid-trained on. Reads pools, calls selection, writes `solutions.parquet`, `funnel.parquet` and
`removed.parquet` (what was dropped and why).

When nothing is left, RunError shows the funnel and the commonest reason for which completions were lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polars as pl

from midway.questions import worked_solution
from midway.recipe import ArmConfig, DataConfig, SelectionConfig
from midway.records import Question
from midway.rundir import RunError, StageDir, write_table
from midway.selection import select
from midway.stages.common import Control, Outcome

NOTHING = pl.DataFrame()

Tables = Callable[[str], tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame | None]]
"""Gives completions, verdicts and (where scored) adherence of a pool by its name."""


def select_solutions(
    stage: StageDir,
    control: Control,
    outcome: Outcome,
    name: str,
    arm: ArmConfig,
    config: SelectionConfig,
    tables: Tables,
    questions: Sequence[Question],
    benchmarks: Mapping[str, Sequence[Question]],
    reference: Path | None,
    seed: int,
) -> None:
    """Select for one arm and seed. `benchmarks` are what the data must not contain; `reference` is the directory of the treatment's
    selection, whose size the arm is matched to. Raises RunError when nothing is left."""
    leaks = pl.DataFrame(
        [{"name": n, "text": q.text} for n, qs in benchmarks.items() for q in qs],
        schema={"name": pl.String, "text": pl.String},
    )
    parts, funnels, removed, notes = [], [], [], list[str]()
    matched = [
        d for d in arm.midtrain if (d.match if d.match is not None else d.per_question is None and d.questions is None)
    ]
    for data in arm.midtrain:
        completions, verdicts, adherence = tables(data.pool) if data.pool else (NOTHING, NOTHING, None)
        chosen = select(
            completions,
            verdicts,
            adherence,
            question_table(questions),
            config,
            data,
            seed=seed,
            benchmarks=leaks if benchmarks else None,
            match=_counts(reference, matched.index(data), len(matched))
            if reference is not None and data in matched
            else None,
        )
        if chosen.solutions.is_empty():
            raise RunError(_empty(name, data, chosen.funnel, verdicts))
        for text in chosen.notes:
            control.note(f"{name}: {text}")
        notes += chosen.notes
        parts.append(chosen.solutions)
        funnels.append(chosen.funnel.with_columns(pl.lit(data.pool or "reference").alias("pool")))
        removed.append(chosen.removed)
    solutions = pl.concat(parts)
    write_table(stage.path / "funnel.parquet", pl.concat(funnels, how="diagonal_relaxed"))
    write_table(stage.path / "removed.parquet", pl.concat(removed, how="diagonal_relaxed"))
    write_table(stage.path / "solutions.parquet", solutions)
    outcome.result.update(
        solutions=solutions.height,
        questions=solutions["question_id"].n_unique(),
        heuristics=solutions["heuristic"].n_unique(),
        notes=notes,
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
    solutions = pl.read_parquet(reference / "solutions.parquet", columns=["question_id"])
    return solutions.group_by("question_id").agg(((pl.len() + number) // of).alias("count")).sort("question_id")


def _empty(name: str, data: DataConfig, funnel: pl.DataFrame, verdicts: pl.DataFrame) -> str:
    lines = [
        f"arm {name}: no solution is left to mid-train on ({data.pool or 'reference solutions'}, strategy {data.strategy})"
    ]
    for step, count in funnel.group_by("step", maintain_order=True).agg(pl.col("count").sum()).iter_rows():
        lines.append(f"  {step:<16}{count:>8}")
    if not verdicts.is_empty():
        lost = verdicts.filter(pl.col("judgement") != "correct")
        if not lost.is_empty():
            top = lost["reason"].value_counts(sort=True).row(0)
            lines.append(f"  commonest reason: {top[0]} ({top[1]} of {lost.height} that are not correct)")
    lines.append("  look at the completions (`midway status RUN`), raise pools.*.samples, or relax `selection`")
    return "\n".join(lines)
