"""Label: which ways do evaluation samples use, by a labeller that is no program? Two stages, for `labels.by: likelihood` or `judge`.

`prepare` fits the labeller on completions of a guided pool and measures its error there (`labels/`: `labeller.json` is what it learnt,
`result.labeller` its error). `label` labels the stored samples of one evaluation (`evaluations/B/PHASE/labels/`), a row a sample, so that
one that was killed goes on; the same labeller serves all arms. Where a program labelled the samples too, `result.program` says how far
the two agree. Texts that got no label (unreadable reply, failed request) have no row: they are asked for again when the stage goes on.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from midway.adherence import WaysLabeller, compared, measure
from midway.adherence.ways import BATCH, Known, steps
from midway.records import Finish, Judgement, Question
from midway.rundir import (
    COMPLETIONS,
    LABELS,
    VERDICTS,
    RunError,
    ShardWriter,
    StageDir,
    read_table,
    recover,
    write_json,
)
from midway.stages.common import Control, Outcome, Stopped

ENOUGH = 100
"""Correct guided completions that are enough to leave out the others."""
TOLERATED = 0.2
"""Share of texts that may stay without a label in a stage that counts as complete."""


def known_texts(
    pool: Path, questions: Mapping[str, Question], slugs: Sequence[str], ids: set[str], most: int
) -> tuple[list[Known], bool]:
    """Return up to `most` guided completions with at least one step, and whether they are all correct ones.

    Correct ones are those that models are mid-trained on, and the most like what trained models write; where there are fewer than ENOUGH
    of them, or of one heuristic only, all completions serve. Whole questions in random order, one of each heuristic.
    """
    rows = read_table(pool / "completions", COMPLETIONS, ["id", "question_id", "heuristic", "text", "finish"])
    verdicts = read_table(pool / "verdicts", VERDICTS, ["id", "judgement"])
    rows = rows.join(verdicts, on="id", how="left").sort("id")
    every, right = dict[str, dict[str, Known]](), dict[str, dict[str, Known]]()
    for row in rows.iter_rows(named=True):
        if row["id"] in ids and row["heuristic"] in slugs and row["finish"] != Finish.ERROR and steps(row["text"]):
            question = questions[row["question_id"]]
            for of in [every, *([right] if row["judgement"] == Judgement.CORRECT else [])]:
                of.setdefault(question.id, {}).setdefault(row["heuristic"], (question, row["text"], row["heuristic"]))
    sets = [known for texts in right.values() for known in texts.values()]
    correct = len(sets) >= ENOUGH and len({slug for _, _, slug in sets}) > 1
    chosen = right if correct else every
    order = sorted(chosen)
    random.Random(0).shuffle(order)
    return [known for id_ in order for known in chosen[id_].values()][:most], correct


def prepare(
    stage: StageDir, control: Control, outcome: Outcome, labeller: WaysLabeller, known: Sequence[Known], correct: bool
) -> None:
    """Fit and measure the labeller. Raises RunError when fewer than two heuristics have completions with steps."""
    counts = {slug: sum(own == slug for _, _, own in known) for _, _, slug in known}
    if len(counts) < 2:
        raise RunError(
            f"{stage.rel}: the guided pool holds completions with steps for {len(counts)} heuristics: two are needed to tell ways apart; "
            "look at the completions, or set `labels.by: program`"
        )
    labeller.fit(known)
    error = {**measure(labeller, known), "correct": correct}
    write_json(stage.path / "labeller.json", labeller.state())
    outcome.result["labeller"] = error
    outcome.result["known"] = counts
    control.note(sentence(error))
    if error["negatives"] + error["positives"] < (1 - TOLERATED) * (
        error["unlabelled"] + error["negatives"] + error["positives"]
    ):
        raise RunError(f"{stage.rel}: {error['unlabelled']} texts got no label: {labeller.state()}")


def sentence(error: Mapping[str, Any]) -> str:
    """Return the measured error in words."""
    hits, positives, rejections, negatives = (error[k] for k in ("hits", "positives", "rejections", "negatives"))
    told = (
        f"labels by {error['name']}: found two ways in {hits} of {positives} texts of two, "
        f"and in {negatives - rejections} of {negatives} of one"
    )
    if positives and negatives and hits / positives + rejections / negatives > 1.1:
        return told
    return f"WARNING: {told}: these labels say next to nothing about composition"


def label(
    stage: StageDir,
    control: Control,
    outcome: Outcome,
    results: Path,
    questions: Mapping[str, Question],
    labeller: WaysLabeller,
    samples: int | None,
) -> None:
    """Label the samples of `results` that have no label yet, at most `samples` of each question."""
    recover(stage.path, LABELS)
    held = read_table(stage.path, LABELS)
    rows = pl.read_parquet(results, columns=["id", "question_id", "index", "text", "finish", "ways"])
    rows = rows.filter(pl.col("finish") != Finish.ERROR)
    if samples is not None:
        rows = rows.sort("question_id", "index").filter(pl.int_range(pl.len()).over("question_id") < samples)
    todo = rows.join(held.select("id"), on="id", how="anti").select("id", "question_id", "text").rows()
    done = 0
    with ShardWriter(stage.path, LABELS) as writer:
        for batch in (todo[start : start + BATCH] for start in range(0, len(todo), BATCH)):
            found = labeller.label((questions[q], text) for _, q, text in batch)
            ways = [(row[0], w) for row, w in zip(batch, found, strict=True) if w is not None]
            writer.write({"id": id_, "ways": w} for id_, w in ways)
            done += len(batch)
            control.progress(done, len(todo), "")
            if control.stop() and done < len(todo):
                raise Stopped
    held = read_table(stage.path, LABELS)
    joined = rows.join(held.rename({"ways": "label"}), on="id", how="left")
    without = joined["label"].null_count()
    outcome.result |= {"asked": rows.height, "labelled": rows.height - without, "unlabelled": without}
    if joined["ways"].null_count() < joined.height:
        outcome.result["program"] = compared(joined["label"].to_list(), joined["ways"].to_list())
    if without > TOLERATED * rows.height:
        raise RunError(
            f"{stage.rel}: {without} of {rows.height} samples got no label: {labeller.state()}; what has one is kept"
        )
