"""Questions x arms: for every question of a benchmark how many samples of each arm, phase and seed are right, of those judged.

A question's rate is right / judged over all seeds. `before` and `after` are about the arm in question: its state before RL, and its final
model. FILTERS says what each filter means; the page shows the same words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from midway.results import Arm
from midway.rundir import layout
from midway.view.shared import arms_of, before_of, page_of, titles, treatment_and_control
from midway.view.viewed import Nothing, Params, Viewed

HALF = 0.5

FILTERS: Mapping[str, tuple[str, str, pl.Expr]] = {
    "flipped": (
        "flipped by RL",
        "at least half of the samples right before RL and fewer after, or the reverse",
        (pl.col("before") >= HALF) != (pl.col("after") >= HALF),
    ),
    "broken": (
        "broken by RL",
        "at least half of the samples right before RL, fewer after",
        (pl.col("before") >= HALF) & (pl.col("after") < HALF),
    ),
    "gained": (
        "gained by RL",
        "fewer than half of the samples right before RL, at least half after",
        (pl.col("before") < HALF) & (pl.col("after") >= HALF),
    ),
    "lost": (
        "no longer solved",
        "solved at least once before RL, never after",
        (pl.col("right_before") > 0) & (pl.col("right") == 0) & (pl.col("judged") > 0),
    ),
    "never-base": (
        "never solved by base",
        "no sample of the base model is right",
        (pl.col("right_base") == 0) & (pl.col("judged_base") > 0),
    ),
    "one-way": (
        "solved only with one way",
        "all right samples of the arm use one and the same way",
        (pl.col("right") > 0) & (pl.col("ways_right").list.len() == 1),
    ),
    "way-gone": (
        "a way is gone",
        "before RL some sample uses a way that no sample uses after it (with `way`: that one)",
        pl.col("ways_gone").list.len() > 0,
    ),
    "no-answer": ("no answer", "some sample of the arm has no answer that can be read", pl.col("no_answer") > 0),
    "cut": ("cut off", "some sample of the arm was cut off at max_tokens", pl.col("cut") > 0),
    "unjudged": ("unjudged", "some sample of the arm could not be judged", pl.col("samples") > pl.col("judged")),
    "agreed": (
        "same wrong answer",
        "most samples of all arms give one and the same wrong answer: look at the gold",
        pl.col("agreed").is_not_null(),
    ),
}
"""name -> (title, what it means, which rows). A question without judged samples on one side is in none that compare."""

SORTS = {
    "diff": "treatment minus control",
    "gain": "after RL minus before",
    "after": "right in the end",
    "before": "right before RL",
    "base": "right by the base model",
    "tokens": "mean tokens",
    "level": "level",
    "name": "name",
}


@dataclass(frozen=True)
class Asked:
    """What a link to this screen, or to a question in it, asks for."""

    benchmark: str
    arm: Arm
    control: Arm | None
    filters: tuple[str, ...]
    way: str
    subject: str
    level: str
    search: str
    sort: str
    falling: bool


def asked_of(viewed: Viewed, params: Params) -> Asked:
    """Return what a link asks for. Raises BadRequest for a name that is none."""
    names = list(viewed.run.benchmarks)
    if not names:
        raise Nothing("this run has no benchmark")
    arm, control = treatment_and_control(viewed, params)
    filters = tuple(params.list("filter"))
    for name in filters:
        Params({"filter": name}).among("filter", list(FILTERS))
    sort = params.among("sort", list(SORTS), "diff")
    return Asked(
        benchmark=params.among("benchmark", names),
        arm=arm,
        control=control,
        filters=filters,
        way=params.text("way"),
        subject=params.text("subject"),
        level=params.text("level"),
        search=params.text("q"),
        sort=sort,
        falling=params.among("order", ["up", "down"], "up") == "down",
    )


def table_of(viewed: Viewed, asked: Asked) -> pl.DataFrame:
    """Return a row for each question with what filters and sorting look at; questions that nobody answered are there too."""
    grid = viewed.grid(asked.benchmark)
    before = _side(grid, asked.arm.name, before_of(asked.arm))
    final = _side(grid, asked.arm.name, asked.arm.final_phase)
    base = _side(grid, layout.BASE_ARM, layout.BASE)
    control = _side(grid, asked.control.name, asked.control.final_phase) if asked.control else base.clear()
    differs = (final, control)
    if asked.control and (final.is_empty() or control.is_empty()):
        differs = (
            before,
            _side(grid, asked.control.name, before_of(asked.control)),
        )  # RL is not done: compare before it
    questions = viewed.questions(asked.benchmark)
    rest = grid.select(id=pl.col("question_id").unique()).join(questions, on="id", how="anti")
    rows = pl.concat([questions, rest], how="diagonal")
    sides = {"": final, "_before": before, "_base": base, "_treatment": differs[0], "_control": differs[1]}
    for name, side in sides.items():
        renamed = side.rename({c: c + name for c in side.columns if c != "id"})
        rows = rows.join(renamed, on="id", how="left", maintain_order="left")
    agreed = viewed.agreed(asked.benchmark).select(id="question_id", agreed="extracted")
    rows = rows.join(agreed, on="id", how="left", maintain_order="left")
    gone = pl.col("ways_before").list.set_difference(pl.col("ways"))
    rows = rows.with_columns(
        before=pl.col("right_before") / pl.col("judged_before"),
        after=pl.col("right") / pl.col("judged"),
        base=pl.col("right_base") / pl.col("judged_base"),
        ways_gone=gone if not asked.way else pl.when(gone.list.contains(asked.way)).then(pl.lit([asked.way])),
        mean_tokens=pl.col("tokens") / pl.col("samples"),
    )
    nan = pl.col("before", "after", "base", "mean_tokens").fill_nan(None)
    rows = rows.with_columns(nan).with_columns(
        diff=(pl.col("right_treatment") / pl.col("judged_treatment")).fill_nan(None)
        - (pl.col("right_control") / pl.col("judged_control")).fill_nan(None),
        gain=pl.col("after") - pl.col("before"),
    )
    return rows


def _side(grid: pl.DataFrame, arm: str, phase: str) -> pl.DataFrame:
    counts = ["samples", "judged", "right", "no_answer", "cut", "tokens"]
    ways = [
        pl.col(n).list.explode(keep_nulls=False, empty_as_null=False).unique().sort() for n in ("ways", "ways_right")
    ]
    rows = grid.filter((pl.col("arm") == arm) & (pl.col("phase") == phase)).group_by("question_id")
    return rows.agg(pl.col(counts).sum(), *ways).rename({"question_id": "id"})


def chosen(rows: pl.DataFrame, asked: Asked) -> pl.DataFrame:
    """Return the rows that pass the filters, in order."""
    for name in asked.filters:
        rows = rows.filter(FILTERS[name][2].fill_null(False))
    if asked.way and "way-gone" not in asked.filters:
        rows = rows.filter(
            pl.col("ways_right" if "one-way" in asked.filters else "ways").list.contains(asked.way).fill_null(False)
        )
    for column, value in (("subject", asked.subject), ("level", asked.level)):
        if value:
            rows = rows.filter((pl.col(column) == value).fill_null(False))
    if asked.search:
        words = asked.search.lower()
        hit = [
            pl.col(c).fill_null("").str.to_lowercase().str.contains(words, literal=True)
            for c in ("name", "text", "id", "answer")
        ]
        rows = rows.filter(pl.any_horizontal(hit))
    key = {"tokens": "mean_tokens"}.get(asked.sort, asked.sort)
    return rows.sort(key, "name", "id", descending=[asked.falling, False, False], nulls_last=True)


def questions(viewed: Viewed, params: Params) -> dict[str, Any]:
    """Return a page of the table, with its cells, and how many questions each filter leaves by itself."""
    asked = asked_of(viewed, params)
    every = table_of(viewed, asked)
    rows = chosen(every, asked)
    offset, size, page = page_of(params, rows.height)
    part = rows.slice(offset, size)
    counts = every.select(pl.col("id").len().alias(""), **{n: f[2].fill_null(False).sum() for n, f in FILTERS.items()})
    grid = viewed.grid(asked.benchmark)
    ways = grid.select(pl.col("ways").list.explode(keep_nulls=False, empty_as_null=False).unique().sort())[
        "ways"
    ].to_list()
    return {
        **page,
        "benchmark": asked.benchmark,
        "benchmarks": list(viewed.run.benchmarks),
        "arm": asked.arm.name,
        "control": asked.control.name if asked.control else None,
        "arms": arms_of(viewed),
        "columns": columns_of(viewed, grid),
        "filters": [
            {"name": n, "title": title, "says": says, "count": int(counts[n][0])}
            for n, (title, says, _) in FILTERS.items()
        ],
        "sorts": SORTS,
        "sort": asked.sort,
        "order": "down" if asked.falling else "up",
        "subjects": _values(every["subject"]),
        "levels": _values(every["level"]),
        "ways": titles(viewed, ways),
        "all": every.height,
        "rows": rows_of(viewed, asked, part),
    }


def rows_of(viewed: Viewed, asked: Asked, part: pl.DataFrame) -> list[dict[str, Any]]:
    """Return rows of `table_of` as the page shows them, with their cells."""
    return list(_rows(part, cells_of(viewed.grid(asked.benchmark), part["id"].to_list())))


def columns_of(viewed: Viewed, grid: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the columns of cells: each arm's states that have samples, with their seeds; the base model first."""
    there = grid.select("arm", "phase", "seed").unique().sort("seed")
    out = []
    for arm in viewed.run.arms.values():
        for phase in (layout.BASE, layout.BEFORE_RL, layout.AFTER_RL):
            if phase == layout.BEFORE_RL and not (arm.midtrained or arm.checkpoint):
                continue  # the base model's, which has a column
            seeds = there.filter((pl.col("arm") == arm.name) & (pl.col("phase") == phase))["seed"].to_list()
            if seeds:
                out.append(
                    {"key": f"{arm.name}.{phase}", "arm": arm.name, "title": arm.title, "phase": phase, "seeds": seeds}
                )
    return out


def cells_of(grid: pl.DataFrame, ids: list[str]) -> dict[str, dict[str, list[list[int]]]]:
    """Return for each question and column its seeds as [seed, right, judged, samples, no answer, cut off]."""
    found: dict[str, dict[str, list[list[int]]]] = {id_: {} for id_ in ids}
    part = grid.filter(pl.col("question_id").is_in(ids)).sort("seed")
    for id_, arm, phase, *counts in part.select(
        "question_id", "arm", "phase", "seed", "right", "judged", "samples", "no_answer", "cut"
    ).iter_rows():
        found[id_].setdefault(f"{arm}.{phase}", []).append(counts)
    return found


def _rows(part: pl.DataFrame, cells: Mapping[str, Any]) -> Any:
    flags = part.select(pl.col("id"), **{n: f[2].fill_null(False) for n, f in FILTERS.items()}).rows_by_key(
        "id", named=True
    )
    for row in part.iter_rows(named=True):
        yield {
            "id": row["id"],
            "name": row["name"] or row["id"][:12],
            "text": (row["text"] or "")[:300],
            "answer": (row["answer"] or "")[:80],
            "subject": row["subject"],
            "level": row["level"],
            **{n: row[n] for n in ("diff", "gain", "before", "after", "base", "mean_tokens", "agreed")},
            "ways_right": row["ways_right"] or [],
            "ways": row["ways"] or [],
            "ways_gone": row["ways_gone"] or [],
            "flags": [n for n in FILTERS if flags[row["id"]][0][n]],
            "cells": cells[row["id"]],
        }


def _values(column: pl.Series) -> list[str]:
    found = column.drop_nulls().unique().sort().to_list()
    return [str(value) for value in found[:200]]
