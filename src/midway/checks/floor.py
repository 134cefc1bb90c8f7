"""Whether the base model is hardly ever right on a benchmark, where a run or a probe has measured it: then nothing can be shown there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from midway.checks.base import Check, Finding, Level, Subject
from midway.records import UNGUIDED
from midway.rundir import COMPLETIONS, VERDICTS, layout, read_table
from midway.rundir.layout import Layout
from midway.wording import plural

FLOOR = 0.05
"""A benchmark is at floor where the base model's pass@1 is below this."""


def run(subject: Subject) -> Iterator[Finding]:
    files = Layout(Path("runs") / subject.recipe.name)
    unknown = []
    for benchmark in subject.recipe.benchmarks:
        asked = {q.id for q in subject.bench.questions.benchmark(benchmark.name)}
        found = evaluated(files, benchmark.name, asked)
        if found is None:
            unknown.append(benchmark.name)
        else:
            yield judged(*found, f"on {benchmark.name}, in {files.root}")
    probe = probed(files)
    if unknown and probe is not None:
        yield judged(*probe, f"on the questions of RL, in the probe in {files.root}")
    elif unknown:
        yield Finding(
            f"floor: how often the base model is right on {', '.join(unknown)} is not known yet; below 5 % a benchmark shows little\n"
            "  midway probe MODEL --questions SET measures it before anything is trained"
        )


def judged(right: int, of: int, where: str) -> Finding:
    """Say how often the base model is right, and whether that is too seldom."""
    text = f"floor: the base model is right in {100 * right / of:.1f} % of {plural(of, 'sample')} {where}"
    if right >= FLOOR * of:
        return Finding(text)
    return Finding(
        f"{text}: where it is hardly ever right, hardly any difference can be shown\n"
        "  take easier questions, a stronger model, or many more questions",
        Level.WARNING,
    )


def evaluated(files: Layout, benchmark: str, asked: set[str]) -> tuple[int, int] | None:
    """Return (right, judged) samples of the base model's stored evaluation; None where there is none."""
    results = files.evaluated(layout.base_evaluation(benchmark))
    if not results.is_file():
        return None
    rows = pl.read_parquet(results, columns=["question_id", "judgement"])
    return _counts(rows.filter(pl.col("question_id").is_in(list(asked)))["judgement"])


def probed(files: Layout) -> tuple[int, int] | None:
    """Return (right, judged) unguided samples of a recipe's probe; None where there is none."""
    folder = files.stage(layout.PROBE)
    if not folder.is_dir():
        return None
    rows = read_table(folder / "completions", COMPLETIONS, ["id", "heuristic"]).filter(pl.col("heuristic") == UNGUIDED)
    return _counts(rows.join(read_table(folder / "verdicts", VERDICTS, ["id", "judgement"]), on="id")["judgement"])


def _counts(judgements: pl.Series) -> tuple[int, int] | None:
    right, of = int((judgements == "correct").sum()), int(judgements.is_in(["correct", "wrong"]).sum())
    return (right, of) if of else None


CHECK = Check("floor", run)
