"""How training went and what all of it cost: one part of the results.

Promises: no file is touched here. A part that several arms share, such as a pool, is counted once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from midway.records import Finish
from midway.results.contents import Contents, Metrics, StageRecord
from midway.results.types import Cost, Curve, EngineWork, Funnel, FunnelOfHeuristic, FunnelStep, Replay

TRAINING_KEYS = {
    "reward": "mean reward",
    "frac_reward_zero_std": "groups without signal (all right or all wrong)",
    "entropy": "token entropy",
    "completions/mean_length": "mean completion length (tokens)",
}
"""What a trainer logs of RL and a reader wants to see, in words."""
EVALUATED, WAYS = "eval/", "ways/"
"""How keys begin that are measured on benchmarks while RL runs."""
POINTS = 200
"""Points of a curve at most: means of equal runs of neighbours, so that a long log stays a small page."""

Point = tuple[float, float | None, float]
"""Step, tokens of RL so far, value."""


def rl_steps(run: Contents, arm: str) -> int | None:
    """Return the last step that RL logged, the largest of an arm's seeds."""
    logs = [rows for (of, _, part), rows in run.metrics.items() if of == arm and part == "rl"]
    last = [int(rows[-1]["step"]) for rows in logs if rows and "step" in rows[-1]]
    return max(last) if last else None


def curves(run: Contents) -> list[Curve]:
    """Return the curves of RL, one for each arm, seed and quantity."""
    out = []
    for (arm, seed, part), rows in run.metrics.items():
        if part != "rl":
            continue
        start = _tokens_before_rl(run, arm, seed)
        for key, points in sorted(_series(rows).items()):
            thin = _thinned(points)
            out.append(
                Curve(
                    arm=arm,
                    seed=seed,
                    key=key,
                    step=tuple(step for step, _, _ in thin),
                    tokens=tuple(None if tokens is None else tokens + start for _, tokens, _ in thin),
                    value=tuple(value for _, _, value in thin),
                )
            )
    return out


def _series(rows: Metrics) -> dict[str, list[Point]]:
    """Return the points of each quantity that is shown."""
    series: dict[str, list[Point]] = {}
    tokens: float | None = None
    for row in rows:
        if "num_tokens" in row:
            tokens = float(row["num_tokens"])
        if "step" not in row:
            continue
        step = row["step"]
        at = 0.0 if step == 0 and tokens is None else tokens
        for key, value in row.items():
            if (key in TRAINING_KEYS or key.startswith((EVALUATED, WAYS))) and np.isfinite(value):
                series.setdefault(key, []).append((float(step), at, float(value)))
    return series


def _thinned(points: Sequence[Point]) -> list[Point]:
    size = -(-len(points) // POINTS)
    if size <= 1:
        return list(points)
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(group[-1][0], group[-1][1], float(np.mean([point[2] for point in group]))) for group in groups]


def _tokens_before_rl(run: Contents, arm: str, seed: int) -> float:
    """Return the tokens of an arm before RL: those generated (and read) in its pools, and those mid-trained on."""
    pools = run.arms[arm].pools
    own = [s for s in run.stages if (s.place.arm, s.place.seed, s.place.part) == (arm, seed, "midtrain")]
    total = sum(_tokens(s) for s in [*(s for s in run.stages if s.place.pool and s.place.pool in pools), *own])
    seen = [float(row["num_tokens"]) for row in run.metrics.get((arm, seed, "midtrain"), ()) if "num_tokens" in row]
    if seen and not any(stage.cost.get("prompt_tokens") for stage in own):
        total += max(seen)
    return total


def _tokens(stage: StageRecord) -> float:
    return stage.cost.get("prompt_tokens", 0.0) + stage.cost.get("completion_tokens", 0.0)


def funnels(run: Contents) -> list[Funnel]:
    """Return the number of completions left after each step of selection, mean over the seeds of an arm."""
    out = []
    for arm in run.arms:
        frames = [f for (of, _), f in run.funnels.items() if of == arm and {"step", "count"} <= set(f.columns)]
        steps: dict[str, float] = {}
        by: dict[str, dict[str, float]] = {}
        for frame in frames:
            names = frame["step"].to_list()
            counts = frame["count"].to_list()
            heuristics = frame["heuristic"].to_list() if "heuristic" in frame.columns else ["all"] * len(names)
            for step, heuristic, count in zip(names, heuristics, counts, strict=True):
                steps[step] = steps.get(step, 0.0) + float(count) / len(frames)
                by.setdefault(str(heuristic), {}).setdefault(step, 0.0)
                by[str(heuristic)][step] += float(count) / len(frames)
        if steps:
            out.append(
                Funnel(
                    arm=arm,
                    steps=tuple(FunnelStep(step, count) for step, count in steps.items()),
                    by_heuristic=tuple(FunnelOfHeuristic(heuristic, left) for heuristic, left in sorted(by.items())),
                )
            )
    return out


def cost(run: Contents) -> list[Cost]:
    """Return what every part cost. A pool that several arms share is one row, counted once."""
    parts: dict[tuple[str, str], list[StageRecord]] = {}
    for stage in run.stages:
        place = stage.place
        owner = f"pool {place.pool}" if place.pool else place.arm or "run"
        part = "evaluate" if place.part == "evaluation" else stage.kind
        parts.setdefault((owner, part), []).append(stage)
    return [
        Cost(
            owner=owner,
            part=part,
            seconds=sum((stage.cost.get("seconds", 0.0) for stage in stages), 0.0),
            tokens=sum((_tokens(stage) for stage in stages), 0.0),
            memory=max(0.0, *(stage.cost.get("peak_memory_mb", 0.0) for stage in stages)),
        )
        for (owner, part), stages in parts.items()
    ]


def replays(run: Contents) -> list[Replay]:
    """Return what every arm and seed replayed in mid-training; nothing for those that replayed nothing."""
    out = []
    for stage in run.stages:
        parts = stage.result.get("replay")
        if stage.kind != "midtrain" or not parts or stage.place.seed is None:
            continue
        loss = stage.result.get("held_out") or {}
        rows, examples = sum(part["rows"] for part in parts), stage.result.get("examples") or 0
        out.append(
            Replay(
                arm=stage.place.arm,
                seed=stage.place.seed,
                sources=tuple(part["source"] for part in parts),
                rows=rows,
                asked=sum(part["asked"] for part in parts),
                share=rows / examples if examples else sum(part["share"] for part in parts),
                held_out=sum(part["held_out"] for part in parts),
                tokens=loss.get("tokens"),
                before=loss.get("before"),
                after=loss.get("after"),
            )
        )
    return out


def work_of_engines(run: Contents) -> list[EngineWork]:
    """Return one row for each pool and one for the evaluations of each arm; what asked nothing is left out."""
    asked: dict[str, list[StageRecord]] = {}
    for stage in run.stages:
        if stage.kind == "generate" and stage.place.pool:
            asked.setdefault(f"pool {stage.place.pool}", []).append(stage)
        elif stage.kind == "evaluate" and stage.place.arm:
            asked.setdefault(f"evaluations of {stage.place.arm}", []).append(stage)
    rows = (_work(name, stages) for name, stages in asked.items())
    return [row for row in rows if row.completions or row.failed]


def _work(name: str, stages: Sequence[StageRecord]) -> EngineWork:
    def spent(key: str) -> float:
        return sum((stage.cost.get(key, 0.0) for stage in stages), 0.0)

    def counted(key: str) -> int:
        return sum(stage.result.get(key) or 0 for stage in stages)

    ends = [(reason, count) for stage in stages for reason, count in _finish(stage)]
    truncated = [stage.result.get("truncation") for stage in stages if stage.kind == "generate"]
    return EngineWork(
        name=name,
        seconds=spent("seconds"),
        by_heuristic=dict((truncated[-1] if truncated else None) or {}),
        completions=sum(count for reason, count in ends if reason != Finish.ERROR),
        failed=counted("failed"),
        rescued=counted("rescued"),
        cut=sum(count for reason, count in ends if reason == Finish.LENGTH),
        prompt_tokens=spent("prompt_tokens"),
        cached_tokens=spent("cached_tokens"),
        completion_tokens=spent("completion_tokens"),
    )


def _finish(stage: StageRecord) -> Iterator[tuple[str, int]]:
    """Yield how the stage's completions ended, and how many did so."""
    yield from (stage.result.get("finish") or {}).items()
