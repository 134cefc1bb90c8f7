"""What the heuristics of a pool reach, how they overlap, which questions only one of them solves; and which ways the arms' samples use,
before RL and after it."""

from __future__ import annotations

from functools import partial
from typing import Any

import polars as pl

from midway.results.scans import collected, scan_pool, ways_by_arm
from midway.rundir import layout
from midway.view.shared import before_of, pieces, titles
from midway.view.viewed import Params, Viewed

EXAMPLES = 3


def heuristics(viewed: Viewed, params: Params) -> dict[str, Any]:
    """Return for each heuristic of a pool its reach; the overlap of each two; for each arm the ways that its samples use."""
    pools = list(viewed.run.pools)
    guided = [p for p in pools if _guided(viewed, p)]
    pool = params.among("pool", pools, (guided or pools or [""])[0])
    reach = viewed.reach(pool) if pool else None
    benchmark = params.among("benchmark", list(viewed.run.benchmarks))
    out: dict[str, Any] = {
        "pool": pool,
        "pools": pools,
        "benchmark": benchmark,
        "benchmarks": list(viewed.run.benchmarks),
        "rows": [],
        "overlap": [],
        "arms": ways(viewed, benchmark),
        "examples": [],
        "picked": params.text("heuristic"),
        "selections": [a.name for a in viewed.run.arms.values() if a.midtrained and pool in a.pools],
    }
    names = {w for arm in out["arms"] for w in (*arm["before"], *arm["after"])}
    if reach is not None and reach.height:
        out["rows"], out["overlap"] = _reach(viewed, reach), _overlap(reach)
        out["questions"] = reach["question_id"].n_unique()
        names |= {row["heuristic"] for row in out["rows"]}
        if out["picked"]:
            out["examples"] = examples(viewed, pool, out["picked"])
    out["titles"] = titles(viewed, sorted(names))
    return out


def _guided(viewed: Viewed, pool: str) -> bool:
    spec = viewed.recipe.get("pools", {}).get(pool) or {}
    return spec.get("heuristics") is not None


def _reach(viewed: Viewed, reach: pl.DataFrame) -> list[dict[str, Any]]:
    """Return a row for each heuristic: written, judged, right, cut off; `solved` questions, those that `only` it solves, mean adherence."""
    solved = reach.filter(pl.col("right") > 0)
    alone = solved.filter(pl.len().over("question_id") == 1).group_by("heuristic").agg(only=pl.len().cast(pl.Int64))
    rows = reach.group_by("heuristic").agg(
        pl.col("written", "judged", "right", "cut").sum(),
        asked=pl.len().cast(pl.Int64),
        solved=(pl.col("right") > 0).sum().cast(pl.Int64),
        adherence=pl.col("adherence").mean(),
    )
    rows = rows.join(alone, on="heuristic", how="left").with_columns(pl.col("only").fill_null(0))
    return rows.sort("solved", "heuristic", descending=[True, False]).to_dicts()


def _overlap(reach: pl.DataFrame) -> list[dict[str, Any]]:
    """Return for each two heuristics how many questions both solve, and how many the first solves and the second does not."""
    solved = reach.filter(pl.col("right") > 0).select("question_id", "heuristic")
    names = sorted(reach["heuristic"].unique())
    both = solved.join(solved, on="question_id", suffix="_2").group_by("heuristic", "heuristic_2").len()
    found = {(a, b): n for a, b, n in both.iter_rows()}
    return [
        {"a": a, "b": b, "both": found.get((a, b), 0), "alone": found.get((a, a), 0) - found.get((a, b), 0)}
        for a in names
        for b in names
    ]


def examples(viewed: Viewed, pool: str, heuristic: str) -> list[dict[str, Any]]:
    """Return the right completions of a heuristic that are nearest to its middle length, of different questions."""
    scan = scan_pool(viewed.files, pool).filter((pl.col("heuristic") == heuristic) & (pl.col("judgement") == "correct"))
    slim = collected(scan.select("id", "question_id", "completion_tokens")).unique("question_id", keep="any")
    middle = slim["completion_tokens"].median() or 0
    near = slim.sort((pl.col("completion_tokens") - middle).abs(), "id").head(EXAMPLES)
    rows = (
        collected(scan_pool(viewed.files, pool).filter(pl.col("id").is_in(near["id"].to_list())))
        .unique("id")
        .sort("id")
    )
    out = []
    for row in rows.iter_rows(named=True):
        found = viewed.question("train", row["question_id"])
        out.append(
            {
                "id": row["id"],
                "question_id": row["question_id"],
                "name": (found.name if found else "") or row["question_id"][:12],
                "text": found.text if found else None,
                "adherence": row["adherence"],
                "pieces": pieces(row["text"] or "", row, found, None),
            }
        )
    return out


def ways(viewed: Viewed, benchmark: str) -> list[dict[str, Any]]:
    """Return for each arm with RL, the treatment first, how many of its labelled samples use each way, before RL and in the end:
    way -> [samples, right]."""
    evaluations = viewed.evaluations(benchmark) if benchmark else []
    counted = {}
    for ev in evaluations:
        paths = (viewed.files.evaluated(ev.rel), viewed.files.stage(layout.labels(ev.rel)))
        counted[ev.rel] = viewed.kept(("ways", ev.rel), paths, partial(ways_by_arm, viewed.files, ev.rel))
    out = []
    asked = viewed.run.asked
    first = {asked.treatment: 0, asked.control: 1}
    arms = [arm for arm in viewed.run.arms.values() if arm.rl]
    for arm in sorted(arms, key=lambda arm: first.get(arm.name, 2)):
        row: dict[str, Any] = {"name": arm.name, "title": arm.title, "before": {}, "after": {}, "labelled": {}}
        for side, phase in (("before", before_of(arm)), ("after", arm.final_phase)):
            frames = [counted[ev.rel] for ev in evaluations if (ev.arm, ev.phase) == (arm.name, phase)]
            labelled = 0
            for frame in frames:
                for way, samples, right in frame.iter_rows():
                    if way is None:
                        labelled += samples
                        continue
                    old = row[side].get(way, [0, 0])
                    row[side][way] = [old[0] + samples, old[1] + right]
            row["labelled"][side] = labelled
        out.append(row)
    return out
