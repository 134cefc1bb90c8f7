"""What RL sampled: its steps as curves, one step's groups with rewards and advantages, one question over training."""

from __future__ import annotations

from typing import Any

import polars as pl

from midway.results.scans import collected, scan_rollouts
from midway.rundir import layout
from midway.view.shared import labeller_of, page_of, pieces, shown_question, titles
from midway.view.viewed import BadRequest, Nothing, Params, Viewed

RL = "rl"
GROUPS = 8
"""Groups on a page."""
OVER_TIME = 200
"""Rollouts of one question on a page."""
SHOWN = (
    "id",
    "step",
    "group",
    "index",
    "judgement",
    "reason",
    "extracted",
    "reward",
    "rewards",
    "advantage",
    "tokens",
    "cut_off",
)


def rollouts(viewed: Viewed, params: Params) -> dict[str, Any]:
    """Return the curves over all steps, and the groups of one step, or, with `id`, one question over training."""
    arm, seed, arms = _asked(viewed, params)
    steps = steps_of(viewed, arm, seed)
    numbers = steps["step"].to_list()
    step = params.number("step", numbers[0] if numbers else 0)
    if numbers and step not in numbers:
        step = min(numbers, key=lambda n: (abs(n - step), n))
    id_ = params.text("id")
    head = {
        "arm": arm,
        "seed": seed,
        "arms": arms,
        "steps": steps.to_dict(as_series=False),
        "step": step,
        "id": id_,
    }
    if id_:
        return {**head, **_question(viewed, arm, seed, id_, params)}
    if not numbers:
        return {**head, "groups": [], "page": 1, "pages": 1, "total": 0, "size": GROUPS, "titles": {}}
    return {**head, **_step(viewed, arm, seed, step, params)}


def _asked(viewed: Viewed, params: Params) -> tuple[str, int, list[dict[str, Any]]]:
    arms: list[dict[str, Any]] = [
        {
            "name": a.name,
            "title": a.title,
            "seeds": [s for s in a.seeds if viewed.files.rollouts(layout.rl(a.name, s)).is_dir()],
        }
        for a in viewed.run.arms.values()
    ]
    arms = [arm for arm in arms if arm["seeds"]]
    names = [str(arm["name"]) for arm in arms]
    if not names:
        raise Nothing("this run keeps no rollouts (training.rollouts: none, an older run, or RL has not begun)")
    treatment = viewed.run.asked.treatment
    name = params.among("arm", names, treatment if treatment in names else names[0])
    seeds: list[int] = arms[names.index(name)]["seeds"]
    seed = params.number("seed", seeds[0])
    if seed not in seeds:
        raise BadRequest(f"arm {name} has no rollouts of seed {seed}; it has {', '.join(map(str, seeds))}")
    return name, seed, arms


def steps_of(viewed: Viewed, arm: str, seed: int) -> pl.DataFrame:
    """Return a row for each step: step, rollouts, reward (mean), right and judged (counts), tokens (mean), cut (share), dead (share of
    groups whose rewards are all equal: nothing is learnt from them), questions."""

    def make() -> pl.DataFrame:
        scan = scan_rollouts(viewed.files, arm, seed).select(
            "id", "step", "question_id", "group", "reward", "judgement", "tokens", "cut_off"
        )
        rows = scan.unique("id")
        groups = (
            rows.group_by("step", "group")
            .agg(dead=(pl.col("reward").min() == pl.col("reward").max()).fill_null(True))
            .group_by("step")
            .agg(pl.col("dead").mean())
        )
        judged = pl.col("judgement").is_in(["correct", "wrong"])
        each = rows.group_by("step").agg(
            rollouts=pl.len().cast(pl.Int64),
            reward=pl.col("reward").mean(),
            right=(pl.col("judgement") == "correct").sum().cast(pl.Int64),
            judged=judged.sum().cast(pl.Int64),
            tokens=pl.col("tokens").mean(),
            cut=pl.col("cut_off").mean(),
            questions=pl.col("question_id").n_unique().cast(pl.Int64),
        )
        return collected(each.join(groups, on="step", how="left").sort("step"))

    return viewed.kept(("steps", arm, seed), [viewed.files.rollouts(layout.rl(arm, seed))], make)


def _step(viewed: Viewed, arm: str, seed: int, step: int, params: Params) -> dict[str, Any]:
    """Return a page of the groups of one step."""
    scan = scan_rollouts(viewed.files, arm, seed).filter(pl.col("step") == step)
    number = collected(scan.select(pl.col("group").unique().sort()))["group"].to_list()
    offset, size, page = page_of(Params({"size": str(GROUPS), **params.values}), len(number))
    wanted = number[offset : offset + size]
    rows = collected(scan.filter(pl.col("group").is_in(wanted))).unique("id").sort("group", "index")
    groups = []
    for (_group,), part in rows.partition_by("group", as_dict=True, maintain_order=True).items():
        id_ = part["question_id"][0]
        found = viewed.question(_set(viewed), id_)
        rewards = part["reward"].drop_nulls()
        groups.append(
            {
                "group": part["group"][0],
                "question": shown_question(found, id_),
                "mean": rewards.mean(),
                "spread": rewards.std(ddof=0) if len(rewards) else None,
                "rollouts": _shown(part, found, viewed),
            }
        )
    return {**page, "groups": groups, "titles": _titles(viewed, groups)}


def _question(viewed: Viewed, arm: str, seed: int, id_: str, params: Params) -> dict[str, Any]:
    """Return what changed for one question over training: its rollouts by step."""
    scan = scan_rollouts(viewed.files, arm, seed).filter(pl.col("question_id") == id_)
    rows = collected(scan).unique("id").sort("step", "group", "index")
    found = viewed.question(_set(viewed), id_)
    offset, size, page = page_of(Params({"size": str(OVER_TIME), **params.values}), rows.height)
    part = rows.slice(offset, size)
    times = [
        {"step": frame["step"][0], "rollouts": _shown(frame, found, viewed)}
        for frame in part.partition_by("step", maintain_order=True)
    ]
    return {**page, "question": shown_question(found, id_), "times": times, "titles": _titles(viewed, times)}


def _shown(rows: pl.DataFrame, found: Any, viewed: Viewed) -> list[dict[str, Any]]:
    label = labeller_of(viewed, found.source) if found else None
    return [
        {**{n: row[n] for n in SHOWN}, "pieces": pieces(row["text"] or "", row, found, label)}
        for row in rows.iter_rows(named=True)
    ]


def _titles(viewed: Viewed, groups: list[dict[str, Any]]) -> dict[str, str]:
    ways = {m["way"] for g in groups for r in g["rollouts"] for _, m in r["pieces"] if m.get("way")}
    return titles(viewed, sorted(ways))


def _set(viewed: Viewed) -> str:
    """Return the set that RL asks questions of."""
    return RL if viewed.question_file(RL) else "train"
