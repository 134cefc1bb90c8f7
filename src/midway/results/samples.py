"""The samples of one evaluation directory, counted: per question, and per labelled sample.

Promises: reads only, imports no torch, never a text. What cannot be read becomes a Problem and the rest is still counted. Samples that are
missing or unjudged are counted, never taken as wrong; greedy samples (`greedy/`) are in no count of drawn ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from midway.records import Finish, Judgement
from midway.results.edge import as_dict, counted, labeller_of, read_dict
from midway.results.types import Agreement, Labeller, Problem
from midway.rundir import EVALUATIONS, LABELS, RunError, layout, read_table
from midway.rundir.layout import Layout

Array = NDArray[np.float64]
ARRAYS = (
    "rows",
    "judged",
    "correct",
    "unjudged",
    "no_answer",
    "truncated",
    "tokens",
    "steps_right",
    "steps_known",
    "majority",
)
"""The fields of Evaluation that are arrays (seeds, questions)."""
NOT_READ = ("heuristic", "index", "text", "prompt_tokens", "cached_tokens", "logprob", "error")
COLUMNS = tuple(name for name in EVALUATIONS if name not in NOT_READ)
DECIDED = (Judgement.CORRECT, Judgement.WRONG)
NO_ANSWER = "no-answer"
"""The verifier's reason where a sample has no answer that can be read."""


@dataclass(frozen=True, slots=True)
class Labels:
    """One entry per labelled sample of an evaluation; `ways[i]` counts samples that use way i."""

    question: NDArray[np.int64]
    seed: NDArray[np.int64]
    tokens: Array
    correct: Array
    """1, 0 or NaN where unjudged."""
    composed: NDArray[np.bool_]
    counts: dict[str, int]
    by_way: dict[str, Array]
    """For each way the number of samples of each seed and question that use it, (S, Q)."""
    labeller: Labeller | None
    """Who labelled and how often that is wrong; None for a program."""
    program: Agreement | None = None
    """How the labels agree with a program's, where there is one: summed over the evaluations of all seeds."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All samples of one arm in one phase on one benchmark; arrays are (S, Q), Q the benchmark's questions in order."""

    benchmark: str
    arm: str
    phase: str
    seeds: tuple[int, ...]
    fixed: bool
    rows: Array
    judged: Array
    correct: Array
    unjudged: Array
    no_answer: Array
    truncated: Array
    tokens: Array
    steps_right: Array
    steps_known: Array
    """Correct samples whose steps were checked, and of those the ones with right steps."""
    majority: Array
    """Is the most frequent of all answers right (ties: a share); NaN where nothing was judged or no answers were
    kept.
    """
    labels: Labels | None = None
    greedy: Evaluation | None = None
    """The greedy samples, one of each question, where they were asked for."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One evaluation directory: a row per question, and a row per labelled sample."""

    table: pl.DataFrame
    samples: pl.DataFrame | None = None
    ways: pl.DataFrame | None = None
    """question_id, way, n: labelled samples of the question that use the way."""
    labeller: Labeller | None = None
    program: dict[str, int] | None = None
    """The numbers of an `Agreement`."""
    asked: int | None = None
    """Samples of each question that were asked for."""
    greedy: pl.DataFrame | None = None
    """As `table`, of the greedy samples."""


def read_cell(files: Layout, rel: str, problems: list[Problem], labeller: Labeller | None = None) -> Cell:
    """Return what the evaluation `rel` holds; `labeller` is who wrote its labels, where it has any."""
    config = as_dict((read_dict(files.manifest(rel)) or {}).get("config"))
    asked = config.get("samples") or as_dict(config.get("benchmark")).get("samples")
    frame = _frame(files, files.evaluated(rel).parent, problems)
    if frame is None:
        return Cell(pl.DataFrame(schema={"question_id": pl.String}))
    once = _frame(files, files.greedy(rel).parent, problems)
    error, program = labeller_of(as_dict(config.get("labeller"))), None
    labels = layout.labels(rel)
    if files.manifest(labels).is_file():
        error = labeller
        result = as_dict((read_dict(files.manifest(labels)) or {}).get("result"))
        program = counted(as_dict(result.get("program")))
        labelled = read_labels(files, labels, problems)
        frame = (
            frame.drop("ways", strict=False)
            .with_columns(composed=None)
            .join(labelled, on="id", how="left", maintain_order="left")
        )
    samples, ways = _labelled(frame)
    return Cell(
        table=_by_question(frame),
        samples=samples,
        ways=ways,
        labeller=error,
        program=program,
        asked=asked if isinstance(asked, int) else None,
        greedy=None if once is None else _by_question(once),
    )


def read_labels(files: Layout, rel: str, problems: list[Problem]) -> pl.DataFrame:
    """Return the labels of a label stage, a row for each sample that has one."""
    try:
        return read_table(files.stage(rel), LABELS)
    except RunError as error:
        problems.append(Problem(rel, str(error).split(":", 1)[0], "Its samples count as not labelled."))
        return pl.DataFrame(schema=dict(LABELS))


def _labelled(frame: pl.DataFrame) -> tuple[pl.DataFrame | None, pl.DataFrame | None]:
    """Return the labelled samples, and for each question and way how many of them use it; None where nothing is labelled."""
    if "ways" not in frame.columns or frame["ways"].null_count() == frame.height:
        return None, None
    labelled = frame.filter(pl.col("ways").is_not_null()).with_columns(
        composed=pl.coalesce(pl.col("composed").cast(pl.Boolean), pl.col("ways").list.n_unique() >= 2),
        way=pl.col("ways").list.unique(),
    )
    each = labelled.select("question_id", pl.col("way")).explode("way").drop_nulls()
    ways = each.group_by("question_id", "way").agg(n=pl.len())
    return labelled.select("question_id", "completion_tokens", "judged", "right", "composed"), ways


def _frame(files: Layout, folder: Path, problems: list[Problem]) -> pl.DataFrame | None:
    """Return the samples of a folder, each once, with `judged` and `right`; None where there are none."""
    frames = []
    for file in sorted(folder.glob("*.parquet")):
        try:
            have = pl.read_parquet_schema(file)
            frames.append(pl.read_parquet(file, columns=[c for c in COLUMNS if c in have]))
        except (pl.exceptions.PolarsError, OSError) as error:
            effect = "Its samples count as missing."
            where = file.relative_to(files.root).as_posix()
            problems.append(Problem(where, f"cannot be read ({type(error).__name__})", effect))
    if not frames:
        return None
    frame = pl.concat(frames, how="diagonal_relaxed")
    for column in COLUMNS:
        if column not in frame.columns and column != "ways":
            frame = frame.with_columns(pl.lit(None).alias(column))
    words = ("id", "question_id", "finish", "judgement", "extracted", "reason")
    frame = frame.with_columns(
        *(pl.col(c).cast(pl.String) for c in words),
        pl.col("completion_tokens").cast(pl.Float64),
        pl.col("steps_right").cast(pl.Boolean),
    )
    if frame["id"].null_count() == 0:
        frame = frame.unique("id", keep="first", maintain_order=True)
    judged = pl.col("judgement").is_in(list(DECIDED)) & (pl.col("finish").fill_null("") != Finish.ERROR)
    return frame.with_columns(
        judged=judged.fill_null(False), right=(pl.col("judgement") == Judgement.CORRECT).fill_null(False)
    ).with_columns(right=pl.col("right") & pl.col("judged"))


def _by_question(frame: pl.DataFrame) -> pl.DataFrame:
    table = frame.group_by("question_id").agg(
        rows=pl.len(),
        judged=pl.col("judged").sum(),
        correct=pl.col("right").sum(),
        no_answer=(pl.col("judged") & (pl.col("reason").fill_null("") == NO_ANSWER)).sum(),
        truncated=(pl.col("finish").fill_null("") == Finish.LENGTH).sum(),
        tokens=pl.col("completion_tokens").sum(),
        steps_right=(pl.col("right") & pl.col("steps_right")).sum(),
        steps_known=(pl.col("right") & pl.col("steps_right").is_not_null()).sum(),
    )
    return table.join(_majority(frame), on="question_id", how="left")


def _majority(frame: pl.DataFrame) -> pl.DataFrame:
    """Return for each question whether its most frequent answer is right; a tie of t leaders with one right one
    counts 1/t.
    """
    if frame["extracted"].null_count() == frame.height:
        return pl.DataFrame(
            {"question_id": [], "majority": []}, schema={"question_id": pl.String, "majority": pl.Float64}
        )
    votes = frame.filter(pl.col("judged") & pl.col("extracted").is_not_null())
    votes = votes.group_by("question_id", "extracted").agg(n=pl.len(), right=pl.col("right").mean())
    leaders = votes.filter(pl.col("n") == pl.col("n").max().over("question_id"))
    won = leaders.group_by("question_id").agg(majority=pl.col("right").mean())
    # judged samples but no answer in any of them: nobody voted, which is not right
    asked = frame.filter(pl.col("judged")).select("question_id").unique()
    return asked.join(won, on="question_id", how="left").with_columns(pl.col("majority").fill_null(0.0))


def stack(
    key: tuple[str, str, str], *, seeds: tuple[int, ...], fixed: bool, cells: Sequence[Cell], index: pl.DataFrame
) -> Evaluation:
    """Return the directories of all seeds as the evaluation `key` (benchmark, arm, phase); `index` numbers the questions
    (question_id, q)."""
    greedy = None
    if once := {seed: cell.greedy for seed, cell in zip(seeds, cells, strict=True) if cell.greedy is not None}:
        greedy = Evaluation(*key, tuple(once), fixed, **_arrays(list(once.values()), index))
    arrays = _arrays([cell.table for cell in cells], index)
    return Evaluation(*key, seeds, fixed, **arrays, labels=_labels(key, seeds, cells, index), greedy=greedy)


def spread(ev: Evaluation, columns: NDArray[np.int64], width: int, arm: str) -> Evaluation:
    """Return the evaluation as `arm`'s over `width` questions, question i of it in column `columns[i]`; the others are empty."""

    def wide(old: Array, fill: float = 0.0) -> Array:
        new = np.full((old.shape[0], width), fill)
        new[:, columns] = old
        return new

    arrays = {name: wide(getattr(ev, name), np.nan if name == "majority" else 0.0) for name in ARRAYS}
    labels = ev.labels
    if labels:
        by_way = {way: wide(n) for way, n in labels.by_way.items()}
        program = replace(labels.program, arm=arm) if labels.program else None
        labels = replace(labels, question=columns[labels.question], by_way=by_way, program=program)
    greedy = spread(ev.greedy, columns, width, arm) if ev.greedy else None
    return replace(ev, arm=arm, labels=labels, greedy=greedy, **arrays)  # type: ignore[arg-type]


def _arrays(tables: Sequence[pl.DataFrame], index: pl.DataFrame) -> dict[str, Any]:
    """Return the fields of Evaluation that are arrays (`ARRAYS`), of one table for each seed."""
    joined = [index.join(t, on="question_id", how="left", maintain_order="left") for t in tables]
    arrays: dict[str, Array] = {
        n: np.stack(
            [t[n].cast(pl.Float64).fill_null(float("nan") if n == "majority" else 0.0).to_numpy() for t in joined]
        )
        for n in ARRAYS
        if n != "unjudged"
    }
    return {**arrays, "unjudged": arrays["rows"] - arrays["judged"]}


def _labels(
    key: tuple[str, str, str], seeds: tuple[int, ...], cells: Sequence[Cell], index: pl.DataFrame
) -> Labels | None:
    frames = [
        c.samples.join(index, on="question_id").with_columns(seed=pl.lit(s))
        for c, s in zip(cells, seeds, strict=True)
        if c.samples is not None
    ]
    if not frames:
        return None
    frame = pl.concat(frames)
    by_way: dict[str, Array] = {}
    for row, cell in enumerate(cells):
        if cell.ways is not None:
            for (way,), part in cell.ways.join(index, on="question_id").partition_by("way", as_dict=True).items():
                counts = by_way.setdefault(str(way), np.zeros((len(cells), index.height)))
                counts[row, part["q"].to_numpy()] = part["n"].to_numpy()
    right = frame["right"].cast(pl.Float64).to_numpy()
    return Labels(
        question=frame["q"].to_numpy(),
        seed=frame["seed"].cast(pl.Int64).to_numpy(),
        tokens=frame["completion_tokens"].cast(pl.Float64).to_numpy(),
        correct=np.where(frame["judged"].to_numpy(), right, np.nan),
        composed=frame["composed"].to_numpy(),
        counts={way: int(n.sum()) for way, n in sorted(by_way.items())},
        by_way=dict(sorted(by_way.items())),
        labeller=next((c.labeller for c in cells if c.labeller), None),
        program=_summed(key, [c.program for c in cells if c.program]),
    )


def _summed(key: tuple[str, str, str], parts: Sequence[dict[str, int]]) -> Agreement | None:
    benchmark, arm, phase = key
    total = {name: sum(part[name] for part in parts) for name in parts[0]} if parts else None
    return Agreement(benchmark=benchmark, arm=arm, phase=phase, **total) if total else None
