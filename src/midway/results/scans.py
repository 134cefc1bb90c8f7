"""The tables of a run as lazy scans: for who looks at a few rows of millions, or counts them, without loading their texts.

Promises: nothing is read but what a query asks for; a table that a writer is still filling has the rows that it has now, its journal too;
columns that an older run does not have are null. `stamp` changes when a table does, so that counts can be kept. When things go wrong:
RunError for a table that cannot be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from midway.records import Finish, Judgement
from midway.results.contents import Arm
from midway.results.directory import Benchmarks, source_of
from midway.results.samples import DECIDED, NO_ANSWER
from midway.results.types import Problem
from midway.rundir import (
    ADHERENCE,
    ASKED,
    COMPLETIONS,
    EVALUATIONS,
    LABELS,
    ROLLOUTS,
    VERDICTS,
    RunError,
    layout,
    read_table,
    scan_file,
    scan_table,
)
from midway.rundir.layout import Layout

Stamp = tuple[tuple[str, int, int], ...]
"""Name, size and time of change of each file of a table."""

JUDGED = (pl.col("judgement").is_in(list(DECIDED)) & (pl.col("finish").fill_null("") != Finish.ERROR)).fill_null(False)
RIGHT = JUDGED & (pl.col("judgement") == Judgement.CORRECT).fill_null(False)
UNJUDGED = ~JUDGED
NO_ANSWER_FOUND = JUDGED & (pl.col("reason").fill_null("") == NO_ANSWER)
GREEDY = "greedy"
"""The `heuristic` of a greedy sample, which is no drawn one."""
CUT = (pl.col("finish").fill_null("") == Finish.LENGTH).fill_null(False)


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One evaluation as the viewer knows it: whose it is, and where its samples are."""

    benchmark: str
    arm: str
    phase: str
    seed: int
    rel: str
    """Where the samples are: its own directory, or that of the base model's evaluation that it points to."""

    @property
    def key(self) -> str:
        return f"{self.arm}.{self.phase}.{self.seed}"


def evaluations_of(files: Layout, arms: Sequence[Arm], benchmarks: Benchmarks) -> list[Evaluated]:
    """Return the evaluations that have a directory, by benchmark, arm, phase, seed. One that points nowhere is left out."""
    problems: list[Problem] = []
    found = []
    for name in benchmarks.names:
        folder = benchmarks.folders.get(name)
        for arm in arms if folder else ():
            for phase in layout.PHASES:
                for seed in arm.seeds:
                    rel = source_of(files, layout.evaluation(arm.name, seed, str(folder), phase), problems)
                    if rel:
                        found.append(Evaluated(name, arm.name, phase, seed, rel))
    return found


def stamp(*paths: Path) -> Stamp:
    """Return what changes when a table (a file, or a folder of shards and journals) does."""
    found = []
    for path in paths:
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            try:
                stat = file.stat()
            except FileNotFoundError:
                continue
            if file.suffix in (".parquet", ".jsonl") and not file.name.startswith("."):
                found.append((str(file), stat.st_size, stat.st_mtime_ns))
    return tuple(found)


def sample_paths(files: Layout, rel: str) -> tuple[Path, ...]:
    """Return where the samples of an evaluation are: its results, or, while it is at work, its completions and verdicts."""
    if files.evaluated(rel).is_file():
        return (files.evaluated(rel), files.stage(layout.labels(rel)))
    return (files.stage(rel) / "completions", files.stage(rel) / "verdicts")


def scan_samples(files: Layout, rel: str) -> pl.LazyFrame:
    """Scan EVALUATIONS of an evaluation, the drawn ones; while it is at work what was written so far, judged or not."""
    file = files.evaluated(rel)
    if file.is_file():
        return scan_file(file, EVALUATIONS)
    written = scan_table(files.stage(rel) / "completions", COMPLETIONS).filter(pl.col("heuristic") != GREEDY)
    verdicts = scan_table(files.stage(rel) / "verdicts", VERDICTS)
    rest = [name for name in EVALUATIONS if name not in COMPLETIONS and name not in VERDICTS]
    joined = written.unique("id", keep="any").join(verdicts.unique("id", keep="any"), on="id", how="left")
    return joined.with_columns(pl.lit(None, EVALUATIONS[n]).alias(n) for n in rest).select(*EVALUATIONS)


def labels_of(files: Layout, rel: str) -> pl.DataFrame:
    """Return LABELS: the ways by the run's labeller, of samples that have any."""
    return read_table(files.stage(layout.labels(rel)), LABELS)


def pool_paths(files: Layout, pool: str) -> tuple[Path, ...]:
    """Return where the tables of a pool are."""
    rels = (layout.completions(pool), layout.verdicts(pool), layout.adherence(pool))
    return (*(files.stage(rel) for rel in rels), files.asked(pool))


def scan_pool(files: Layout, pool: str) -> pl.LazyFrame:
    """Scan a pool's completions with verdict and adherence, those that were asked for last; not judged, not scored yet: null.

    Columns: those of COMPLETIONS, judgement, extracted, reason, adherence.
    """
    written = scan_table(files.stage(layout.completions(pool)), COMPLETIONS)
    if files.asked(pool).is_file():
        written = written.join(scan_file(files.asked(pool), ASKED), on="id", how="semi")
    scores = scan_table(files.stage(layout.adherence(pool)), ADHERENCE).select("id", adherence="score")
    verdicts = scan_table(files.stage(layout.verdicts(pool)), VERDICTS)
    return written.join(verdicts, on="id", how="left").join(scores, on="id", how="left")


def scan_rollouts(files: Layout, arm: str, seed: int) -> pl.LazyFrame:
    """Scan ROLLOUTS: what RL of an arm and seed sampled so far."""
    return scan_table(files.rollouts(layout.rl(arm, seed)), ROLLOUTS)


# Counting -----------------------------------------------------------------------------------------------------------------

COUNTS = {
    "samples": pl.len(),
    "judged": JUDGED.sum(),
    "right": RIGHT.sum(),
    "no_answer": NO_ANSWER_FOUND.sum(),
    "cut": CUT.sum(),
    "tokens": pl.col("completion_tokens").sum(),
}
"""What is counted of each question's samples; unjudged ones are `samples - judged`."""


def counts_by_question(files: Layout, rel: str) -> pl.DataFrame:
    """Return for each question of an evaluation: question_id, COUNTS, `ways` and `ways_right` (those that any sample, any right one, uses).

    The ways are those of the run's labeller where it labelled, else a program's.
    """
    scan = scan_samples(files, rel)
    labelled = labels_of(files, rel)
    if labelled.height:
        scan = scan.drop("ways").join(labelled.lazy(), on="id", how="left")
    columns = ("question_id", "judgement", "finish", "reason", "completion_tokens", "ways")
    each = pl.col("ways").list.explode(keep_nulls=False, empty_as_null=False)
    right = pl.col("ways").filter(RIGHT).list.explode(keep_nulls=False, empty_as_null=False)
    counted = (
        scan.select(columns)
        .group_by("question_id")
        .agg(
            **{name: count.cast(pl.Int64) for name, count in COUNTS.items()},
            ways=each.unique().sort(),
            ways_right=right.unique().sort(),
        )
    )
    return collected(counted)


def agreed_wrong(files: Layout, rels: Sequence[str], fewest: int = 4) -> pl.DataFrame:
    """Return the questions whose judged samples, over several evaluations, mostly give one and the same wrong answer: the gold, or the
    verifier, may be wrong there. Columns: question_id, extracted, same, judged; only where there are `fewest` judged samples at least.
    """
    scans = [scan_samples(files, rel).filter(JUDGED).select("question_id", "extracted", right=RIGHT) for rel in rels]
    if not scans:
        return pl.DataFrame(
            schema={"question_id": pl.String, "extracted": pl.String, "same": pl.Int64, "judged": pl.Int64}
        )
    every = pl.concat(scans)
    wrong = every.filter(~pl.col("right") & pl.col("extracted").is_not_null())
    same = wrong.group_by("question_id", "extracted").agg(same=pl.len().cast(pl.Int64))
    judged = every.group_by("question_id").agg(judged=pl.len().cast(pl.Int64))
    found = same.join(judged, on="question_id").filter(
        (pl.col("judged") >= fewest) & (2 * pl.col("same") > pl.col("judged"))
    )
    return collected(found.select("question_id", "extracted", "same", "judged")).sort(
        pl.col("same") / pl.col("judged"), "question_id", descending=[True, False]
    )


def collected(scan: pl.LazyFrame) -> pl.DataFrame:
    """Return the rows of a scan. Raises RunError for a table that cannot be read."""
    try:
        return scan.collect(engine="streaming")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise RunError(f"a table cannot be read: {error}") from None


def ways_by_arm(files: Layout, rel: str) -> pl.DataFrame:
    """Return how many samples of an evaluation use each way and how many of them are right: way, samples, right. The row whose way is null
    counts the labelled samples. A sample of two ways counts for both; the ways are as in `counts_by_question`."""
    scan = scan_samples(files, rel)
    labelled = labels_of(files, rel)
    if labelled.height:
        scan = scan.drop("ways").join(labelled.lazy(), on="id", how="left")
    rows = scan.filter(pl.col("ways").is_not_null()).select(
        right=RIGHT.cast(pl.Int64), way=pl.col("ways").list.unique()
    )
    counts = {"samples": pl.len().cast(pl.Int64), "right": pl.col("right").sum()}
    each = rows.explode("way").drop_nulls("way").group_by("way").agg(**counts)
    every = rows.select(way=pl.lit(None, pl.String), **counts)
    return collected(pl.concat([each, every.head(1)])).sort("way", nulls_last=True)
