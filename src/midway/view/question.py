"""One question: its gold, and the samples of two arms side by side, each with its verdict, what was read as the answer, and its ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from midway.questions.table import to_record
from midway.records import Question
from midway.results.scans import Evaluated, collected, labels_of, scan_samples
from midway.view.questions import asked_of, cells_of, chosen, columns_of, table_of
from midway.view.shared import arms_of, before_of, labeller_of, pieces, shown_question, titles
from midway.view.viewed import Nothing, Params, Viewed

SAMPLES = 64
"""Samples of a side on a page."""
SHOWN = (
    "id",
    "index",
    "judgement",
    "reason",
    "extracted",
    "finish",
    "completion_tokens",
    "prompt_tokens",
    "logprob",
    "error",
    "ways",
    "labels",
    "composed",
    "steps_right",
)


def question(viewed: Viewed, params: Params) -> dict[str, Any]:
    """Return the question, its place in the list that the link's filters give, and the samples of both sides."""
    asked = asked_of(viewed, params)
    ids = chosen(table_of(viewed, asked), asked)["id"].to_list()
    id_ = params.text("id") or (ids[0] if ids else "")
    if not id_:
        raise Nothing("no question is left by these filters; take one away")
    place = ids.index(id_) if id_ in ids else None
    sides = sides_of(viewed, asked.benchmark)
    seed = next((s for s in asked.arm.seeds if f"{asked.arm.name}.{asked.arm.final_phase}.{s}" in sides), 0)
    left = params.text("left", f"{asked.arm.name}.{before_of(asked.arm)}.{seed}")
    right = params.text("right", f"{asked.arm.name}.{asked.arm.final_phase}.{seed}")
    found = viewed.question(asked.benchmark, id_)
    grid = viewed.grid(asked.benchmark)
    return {
        "benchmark": asked.benchmark,
        "question": shown_question(found, id_),
        "place": place,
        "of": len(ids),
        "previous": ids[place - 1] if place else None,
        "next": ids[place + 1] if place is not None and place + 1 < len(ids) else None,
        "arms": arms_of(viewed),
        "columns": columns_of(viewed, grid),
        "cells": cells_of(grid, [id_])[id_],
        "sides": [{"key": key, "arm": ev.arm, "phase": ev.phase, "seed": ev.seed} for key, ev in sides.items()],
        "left": side(viewed, sides, left, found, id_, params.number("from", 0)),
        "right": side(viewed, sides, right, found, id_, params.number("from", 0)),
        "titles": titles(viewed, sorted({w for ways in grid["ways"].explode().unique().drop_nulls() for w in [ways]})),
    }


def sides_of(viewed: Viewed, benchmark: str) -> dict[str, Evaluated]:
    """Return what a side may show, by `ARM.PHASE.SEED`."""
    return {ev.key: ev for ev in viewed.evaluations(benchmark)}


def side(
    viewed: Viewed, sides: Mapping[str, Evaluated], key: str, found: Question | None, id_: str, start: int
) -> dict[str, Any]:
    """Return the samples of one evaluation of one question, from number `start` on."""
    if key not in sides:
        return {"key": key, "samples": [], "total": 0, "missing": True}
    ev = sides[key]
    rows = samples_of_question(viewed, ev.rel, id_)
    label = labeller_of(viewed, found.source) if found else None
    part = rows.slice(start, SAMPLES)
    return {
        "key": key,
        "arm": ev.arm,
        "phase": ev.phase,
        "seed": ev.seed,
        "total": rows.height,
        "from": start,
        "samples": [sample(row, found, label) for row in part.iter_rows(named=True)],
    }


def samples_of_question(viewed: Viewed, rel: str, id_: str) -> pl.DataFrame:
    """Return all samples of a question in an evaluation, by number, with `labels`, null where there are none."""
    rows = collected(scan_samples(viewed.files, rel).filter(pl.col("question_id") == id_)).unique("id", keep="first")
    labels = labels_of(viewed.files, rel).rename({"ways": "labels"})
    return rows.join(labels, on="id", how="left").sort("index", "id")


def sample(row: Mapping[str, Any], found: Question | None, label: Any) -> dict[str, Any]:
    """Return what the page shows of a sample."""
    return {**{n: row.get(n) for n in SHOWN}, "pieces": pieces(row["text"] or "", row, found, label)}


def row_of(run: str, where: str, row: Mapping[str, Any], found: Question) -> dict[str, Any]:
    """Return a sample with its question as `midway verify` reads rows."""
    record = to_record(found)
    golds = {n: record[n] for n in ("answer", "choices", "answer_index", "gold") if n in record}
    tests = record.get("tests") or {}
    meta = {n: v for n, v in found.meta.items() if n in ("tolerance",)}
    return {
        "id": row["id"],
        "domain": found.domain,
        "question": found.text,
        **golds,
        **tests,
        **meta,
        "completion": row["text"],
        "truncated": row.get("finish") == "length" or bool(row.get("cut_off")),
        "verdict": row.get("judgement"),
        "extracted": row.get("extracted"),
        "reason": row.get("reason"),
        "run": run,
        "where": where,
        "question_id": found.id,
        "source": found.source,
        "name": found.name,
    }
