"""A probe's samples become counts.

Promises: samples without a verdict are left out and counted. Where no program labels ways, nothing is said of ways.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from midway.records import UNGUIDED, Finish, Judgement, Question
from midway.theory.probe import Array, Probe

Labeller = Callable[[Question, str], Any]
"""Returns something with `ways`, in order of first use."""


def probe_of(
    frame: pl.DataFrame, questions: Mapping[str, Question], ways: Sequence[str], label: Labeller | None
) -> Probe:
    """Return the counts of samples: completions joined with their verdicts (`judgement`), unguided ones and of heuristics in `ways`.

    Questions in the order of `questions`; those without any sample have counts of zero. A sample's way is the first that it uses of all
    those that the labeller knows. One that is none of `ways` is counted by its own name among the `others`.
    """
    row_of = {id_: n for n, id_ in enumerate(questions)}
    column_of = {slug: n for n, slug in enumerate(ways)}
    flat = np.zeros((2, len(row_of)))
    cells = np.zeros((6, len(row_of), len(column_of)))
    others: dict[str, Array] = {}
    unjudged = 0
    for row in frame.sort("id").iter_rows(named=True):
        if row["judgement"] not in (Judgement.CORRECT, Judgement.WRONG):
            unjudged += 1
            continue
        q, right = row_of[row["question_id"]], row["judgement"] == Judgement.CORRECT
        used = list(label(questions[row["question_id"]], row["text"]).ways) if label else []
        if row["heuristic"] == UNGUIDED:
            flat[0, q] += 1
            flat[1, q] += right
            if used and (w := column_of.get(used[0])) is not None:
                cells[0, q, w] += 1
                cells[1, q, w] += right
            elif used:
                other = others.setdefault(used[0], np.zeros((2, len(row_of))))
                other[0, q] += 1
                other[1, q] += right
        elif (w := column_of.get(row["heuristic"])) is not None:
            cells[2, q, w] += 1
            cells[3, q, w] += right
            if row["heuristic"] in used:
                cells[4, q, w] += 1
                cells[5, q, w] += right
    plain = frame.filter(pl.col("heuristic") == UNGUIDED)
    return Probe(
        ways=tuple(ways),
        labelled=label is not None,
        judged_Q=flat[0],
        right_Q=flat[1],
        shown_QW=cells[0],
        shown_right_QW=cells[1],
        asked_QW=cells[2],
        solved_QW=cells[3],
        followed_QW=cells[4],
        followed_right_QW=cells[5],
        others=tuple(sorted(others)),
        other_QV=np.stack([others[way][0] for way in sorted(others)], axis=1) if others else np.zeros((len(row_of), 0)),
        other_right_QV=np.stack([others[way][1] for way in sorted(others)], axis=1)
        if others
        else np.zeros((len(row_of), 0)),
        tokens=_mean(plain["completion_tokens"]),
        nats=_nats(plain),
        guided_nats=_nats(frame.filter(pl.col("heuristic") != UNGUIDED)),
        cut_off=_mean((plain["finish"] == Finish.LENGTH).cast(pl.Float64)) if plain.height else 0.0,
        unjudged=unjudged,
    )


def _mean(column: pl.Series) -> float:
    value = column.mean()
    return float("nan") if value is None else float(value)  # type: ignore[arg-type]


def _nats(frame: pl.DataFrame) -> float:
    known = frame.filter(pl.col("logprob").is_not_null() & (pl.col("completion_tokens") > 0))
    return -float(known["logprob"].sum()) / float(known["completion_tokens"].sum()) if known.height else float("nan")
