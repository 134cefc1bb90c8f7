"""The first screen: the runs with state and cost; of one run the verdict, its arms, alarms, and how far it is.

The verdict is the report's, by the numbers that the report was last made from; the page says when. The rest is what is there now.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from midway.records import UserError
from midway.results import Results, read_results
from midway.results.progress import RunState, state_of
from midway.view.shared import arms_of
from midway.view.viewed import Params, Runs, Viewed

STATE = ("state", "done", "total", "seconds", "tokens", "now")


def runs(all_: Runs, params: Params) -> dict[str, Any]:
    """Return every run with its title, state, progress and cost."""
    rows = []
    for name, viewed in all_.all().items():
        try:
            state, alarms = state_of(viewed.run), len(viewed.run.alarms)
        except UserError as error:  # of a damaged one the reason is shown, and the others are there
            rows.append(
                {
                    "run": name,
                    "title": str(error),
                    "created": "",
                    **dict.fromkeys(STATE),
                    "state": "damaged",
                    "alarms": 0,
                }
            )
            continue
        rows.append(
            {
                "run": name,
                "title": viewed.recipe.get("title") or "",
                "created": (state.started or ""),
                **_state(state),
                "alarms": alarms,
            }
        )
    rows.sort(key=lambda row: (row["state"] != "running", row["created"]), reverse=False)
    return {"runs": rows}


def overview(viewed: Viewed, params: Params) -> dict[str, Any]:
    """Return the verdict, arms, stages, alarms and progress of a run."""
    state = state_of(viewed.run)
    results = _stored(viewed)
    return {
        "run": viewed.name,
        "title": viewed.recipe.get("title") or "",
        **_state(state),
        "verdict": _verdict(results),
        "report": results is not None,
        "arms": _scores(viewed),
        "benchmarks": list(viewed.run.benchmarks),
        "treatment": viewed.run.asked.treatment,
        "control": viewed.run.asked.control,
        "stages": [
            {
                "rel": s.rel,
                "kind": s.kind,
                "state": s.state,
                "seconds": s.seconds,
                "tokens": s.tokens,
                "done": s.done,
                "total": s.total,
                "rate": s.rate,
                "left": s.left,
                "error": s.error,
            }
            for s in state.stages
        ],
        "alarms": [
            {"arm": a.arm, "seed": a.seed, "name": a.name, "what": a.what, "advice": a.advice, "step": a.first}
            for a in viewed.run.alarms
        ],
        "problems": [{"where": p.where, "what": p.what, "effect": p.effect} for p in results.problems]
        if results
        else [],
        "cost": _cost(results),
        "has": {
            "pools": list(viewed.run.pools),
            "selections": [a.name for a in viewed.run.arms.values() if a.midtrained],
            "rollouts": [a.name for a in viewed.run.arms.values() if _has_rollouts(viewed, a.name, a.seeds)],
        },
    }


def _state(state: RunState) -> dict[str, Any]:
    return {
        "state": state.state,
        "done": state.complete,
        "total": state.total,
        "seconds": state.seconds,
        "tokens": state.tokens,
        "now": state.now,
    }


def _has_rollouts(viewed: Viewed, arm: str, seeds: Sequence[int]) -> bool:
    from midway.rundir import layout

    return any(viewed.files.rollouts(layout.rl(arm, seed)).is_dir() for seed in seeds)


def _stored(viewed: Viewed) -> Results | None:
    file = viewed.files.report / "results.json"
    if not file.is_file():
        return None
    try:
        return viewed.kept("results", [file.parent], lambda: read_results(file)) if file.is_file() else None
    except (OSError, ValueError, TypeError, KeyError):
        return None  # of another version: the report can be made anew, the rest of the screen is there


def _verdict(results: Results | None) -> dict[str, Any] | None:
    if results is None:
        return None
    from midway.report.words import verdict  # here: it loads scipy

    said = verdict(results)
    return {"headline": said.headline, "sentences": list(said.sentences), "tone": said.tone}


def _cost(results: Results | None) -> list[dict[str, Any]]:
    if results is None:
        return []
    totals: dict[str, dict[str, Any]] = {}
    for cost in results.cost:
        row = totals.setdefault(cost.owner, {"owner": cost.owner, "seconds": 0.0, "tokens": 0.0})
        row["seconds"] += cost.seconds
        row["tokens"] += cost.tokens
    return list(totals.values())


def _scores(viewed: Viewed) -> list[dict[str, Any]]:
    """Return each arm with its share right of judged on each benchmark, before RL and in the end, over all seeds."""
    rows = arms_of(viewed)
    for row in rows:
        row["scores"] = {}
    for benchmark in viewed.run.benchmarks:
        grid = viewed.grid(benchmark)
        counted = grid.group_by("arm", "phase").agg(pl.col("right", "judged", "samples").sum())
        found = {(a, p): (r, j, s) for a, p, r, j, s in counted.iter_rows()}
        for row in rows:
            row["scores"][benchmark] = {
                "before": found.get((row["name"], row["before"])),
                "after": found.get((row["name"], row["after"])),
            }
    return rows
