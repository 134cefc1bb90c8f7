"""The tables of a run as polars frames: completions, verdicts, solutions, samples.

Promises: every frame has exactly the columns that its function names, whatever is there; a table that was not written yet has no rows; each
row comes once, also from a run that is still going on. When things go wrong: RunError for a table that cannot be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from midway.results.directory import source_of
from midway.results.types import Problem
from midway.rundir import (
    ADHERENCE,
    ASKED,
    COMPLETIONS,
    EVALUATIONS,
    LABELS,
    ROLLOUTS,
    SOLUTIONS,
    VERDICTS,
    RunError,
    Schema,
    layout,
    read_table,
)
from midway.rundir.layout import Layout

PLACE: Schema = {"benchmark": pl.String, "arm": pl.String, "phase": pl.String, "seed": pl.Int64}
SAMPLES: Schema = {**PLACE, **EVALUATIONS, "labels": pl.List(pl.String)}
SEEDED_SOLUTIONS: Schema = {"seed": pl.Int64, **SOLUTIONS}
SEEDED_ROLLOUTS: Schema = {"seed": pl.Int64, **ROLLOUTS}
JUDGED_COMPLETIONS: Schema = {
    **COMPLETIONS,
    **{name: kind for name, kind in VERDICTS.items() if name != "id"},
    "adherence": pl.Float64,
    "scorer": pl.String,
}


def verdicts_of(files: Layout, pool: str) -> pl.DataFrame:
    """Return VERDICTS of the completions that the pool asked for last."""
    return _asked(files, pool, read_table(files.stage(layout.verdicts(pool)), VERDICTS))


def completions_of(files: Layout, pool: str) -> pl.DataFrame:
    """Return JUDGED_COMPLETIONS: those that the pool asked for last, with verdict and adherence, null where there is none yet."""
    scores = read_table(files.stage(layout.adherence(pool)), ADHERENCE).rename({"score": "adherence"})
    frame = _asked(files, pool, read_table(files.stage(layout.completions(pool)), COMPLETIONS))
    for joined in (read_table(files.stage(layout.verdicts(pool)), VERDICTS), scores):
        frame = frame.join(joined, on="id", how="left", maintain_order="left")
    return frame.select(list(JUDGED_COMPLETIONS))


def _asked(files: Layout, pool: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Leave out what an earlier command asked for and the last one did not; the ids are stored when the pool is complete."""
    file = files.asked(pool)
    if not file.is_file():
        return frame
    return frame.join(read_rows([file], ASKED), on="id", how="semi", maintain_order="left")


def solutions_of(files: Layout, arm: str, seeds: Sequence[int]) -> pl.DataFrame:
    """Return SEEDED_SOLUTIONS: what the arm was mid-trained on in each of the seeds."""
    parts = [pl.DataFrame(schema=dict(SEEDED_SOLUTIONS))]
    for seed in seeds:
        file = files.solutions(arm, seed)
        if file.is_file():
            frame = read_rows([file], SOLUTIONS)
            parts.append(frame.select(pl.lit(seed, pl.Int64).alias("seed"), *SOLUTIONS))
    return pl.concat(parts)


def rollouts_of(files: Layout, arm: str, seeds: Sequence[int]) -> pl.DataFrame:
    """Return SEEDED_ROLLOUTS: what RL of the arm sampled in each of the seeds, in the order in which it did."""
    parts = [pl.DataFrame(schema=dict(SEEDED_ROLLOUTS))]
    for seed in seeds:
        frame = read_table(files.rollouts(layout.rl(arm, seed)), ROLLOUTS).sort("step", "group", "index")
        parts.append(frame.select(pl.lit(seed, pl.Int64).alias("seed"), *ROLLOUTS))
    return pl.concat(parts)


def samples_of(files: Layout, rels: Sequence[str], *, greedy: bool) -> pl.DataFrame:
    """Return SAMPLES of evaluations, the drawn ones or the greedy ones. One that points to the base model's has that one's samples, once
    for all seeds. Raises RunError where it points to nothing."""
    problems: list[Problem] = []
    sources: dict[str, str] = {}
    for rel in rels:
        source = source_of(files, rel, problems)
        if source:
            sources.setdefault(source, rel)
    if problems:
        raise RunError(f"{files.root / problems[0].where}: {problems[0].what}; `midway run` writes it anew")
    parts = [pl.DataFrame(schema=dict(SAMPLES)), *(_samples(files, rel, at, greedy) for at, rel in sources.items())]
    return pl.concat(parts)


def _samples(files: Layout, rel: str, source: str, greedy: bool) -> pl.DataFrame:
    """Return the samples that are stored at `source` as those of the evaluation `rel`."""
    place = layout.place(rel)
    file = files.greedy(source) if greedy else files.evaluated(source)
    labels = read_table(files.stage(layout.labels(source)), LABELS).rename({"ways": "labels"})
    frame = read_rows(sorted(file.parent.glob("*.parquet")), EVALUATIONS).unique(
        "id", keep="first", maintain_order=True
    )
    frame = frame.join(labels, on="id", how="left", maintain_order="left")
    about = {
        "benchmark": place.benchmark,
        "arm": place.arm,
        "phase": place.phase,
        "seed": layout.place(source).seed,
    }
    return frame.select(
        *(pl.lit(value, PLACE[name]).alias(name) for name, value in about.items()), *EVALUATIONS, "labels"
    )


def read_rows(files: Sequence[Path], schema: Schema) -> pl.DataFrame:
    """Return the rows of Parquet files with the columns of `schema`; a column that a file does not have is null.

    Raises RunError for a file that cannot be read.
    """
    parts = [pl.DataFrame(schema=dict(schema))]
    for file in files:
        try:
            known = pl.read_parquet_schema(file)
            frame = pl.read_parquet(file, columns=[name for name in schema if name in known])
            columns = (pl.col(n) if n in known else pl.lit(None) for n in schema)
            kinds = schema.values()
            parts.append(frame.select(c.cast(k).alias(n) for n, c, k in zip(schema, columns, kinds, strict=True)))
        except (pl.exceptions.PolarsError, OSError) as error:
            raise RunError(f"{file} cannot be read ({error}): remove it and type the same command again") from None
    return pl.concat(parts)
