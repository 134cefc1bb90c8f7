"""Which figures a run has: results in, figures out. `figures` draws them.

Promises: pure functions of the results; a figure without data is left out; arms keep their colour from figure to figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from midway.report import figures as fig
from midway.report.tables import PHASE
from midway.report.words import interval
from midway.results import Cost, Curve, Results
from midway.results.training import EVALUATED, TRAINING_KEYS, WAYS

Axis = Literal["step", "tokens"]


def all_figures(results: Results) -> list[fig.Figure]:
    """Return the figures that have data."""
    found = [
        _forest(results),
        *_learning(results),
        _pass_at_k(results),
        _mix(results),
        _funnel(results),
        _cost(results),
    ]
    return [f for f in found if f is not None and f.rows]


def _styles(results: Results) -> dict[str, int]:
    """Return each arm's colour: the treatment is always the first, the main control the second."""
    first = [results.treatment, results.control]
    names = [a.name for a in results.arms]
    order = [n for n in first if n in names] + [n for n in names if n not in first]
    return {n: i for i, n in enumerate(order)}


def _nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _forest(results: Results) -> fig.Figure | None:
    titles, styles = results.titles, _styles(results)
    panels, rows = [], []
    for bench in results.benchmarks:
        here = [r for r in results.differences if r.benchmark == bench.name]
        marks = []
        for r in here:
            d = r.difference
            if d.value is None:
                continue
            value, low, high = (100 * _nan(end) for end in (d.value, d.low, d.high))
            marks.append((f"minus {titles[r.against]}", value, low, high, styles[r.against]))
            rows.append([bench.name, titles[r.against], interval(d, sign=True)])
        if marks:
            text = "; ".join(f"{m[0]} {m[1]:.1f}" for m in marks)
            panels.append((bench.name, fig.forest(marks, x_label="points of pass@1", describe=text)))
    if not results.treatment:
        return None
    return fig.Figure(
        id="fig-differences",
        title=f"“{titles[results.treatment]}” minus the other arms",
        caption="Final models, paired on questions, 95 % intervals. Right of the line: the treatment is better.",
        panels=panels,
        head=["benchmark", "against", "difference [95 %], points"],
        rows=rows,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePlan:
    """One figure of curves: which quantities, over what, under which names."""

    id: str
    title: str
    caption: str
    keys: Sequence[str]
    axis: Axis = "step"
    names: Mapping[str, str]
    """Keys in words."""

    @property
    def x_label(self) -> str:
        return "RL steps" if self.axis == "step" else "tokens, all stages"


def _learning(results: Results) -> list[fig.Figure | None]:
    keys = sorted({curve.key for curve in results.curves})
    evals = [key for key in keys if key.startswith(EVALUATED)]
    ways = [key for key in keys if key.startswith(WAYS)]
    training = [key for key in keys if not key.startswith((EVALUATED, WAYS))]
    shown = evals or [key for key in training if key == "reward"]
    names = {key: key.removeprefix(EVALUATED) for key in evals} | TRAINING_KEYS
    thick = "Thick: mean over the seeds that ran to the end; thin: each seed. "
    plans = [
        CurvePlan(
            id="fig-learning-step",
            title="Learning curves by RL steps",
            caption=thick + "Held-out slice during RL.",
            keys=shown,
            names=names,
        ),
        CurvePlan(
            id="fig-learning-tokens",
            title="Learning curves by total tokens",
            caption=thick
            + "Tokens count generation of the arm's pools, mid-training and RL: equal x is about equal work.",
            keys=shown,
            axis="tokens",
            names=names,
        ),
        CurvePlan(
            id="fig-training",
            title="Inside RL",
            caption="Thick: mean over seeds; thin: each seed. Groups without signal teach nothing in a step.",
            keys=training,
            names=TRAINING_KEYS,
        ),
        CurvePlan(
            id="fig-ways-rl",
            title="Ways along RL",
            caption="Share of rollouts that use each way. Thick: mean over seeds; thin: each seed.",
            keys=ways,
            names={key: key.removeprefix(WAYS) for key in ways},
        ),
    ]
    return [_curve_figure(results, plan) for plan in plans]


def _curve_figure(results: Results, plan: CurvePlan) -> fig.Figure | None:
    titles, styles = results.titles, _styles(results)
    panels, rows = [], []
    arms_seen: dict[str, int] = {}
    for key in plan.keys:
        name = plan.names.get(key, key)
        series: list[fig.Series] = []
        means: list[fig.Series] = []
        for arm in titles:
            lines = [_line(c, plan.axis) for c in results.curves if c.arm == arm and c.key == key]
            lines = [line for line in lines if line.x]
            if not lines:
                continue
            arms_seen[arm] = styles[arm]
            if len(lines) > 1:
                series += [fig.Series(titles[arm], styles[arm], line.x, line.y, faint=True) for line in lines]
            mean = _mean_line(lines)
            means.append(fig.Series(titles[arm], styles[arm], mean.x, mean.y))
            last = len(mean.x) - 1
            pick = sorted({*range(0, len(mean.x), max(1, len(mean.x) // 8)), last})
            rows += [[name, titles[arm], fig.short(mean.x[i]), f"{mean.y[i]:.4g}"] for i in pick]
        if means:
            percent = key.startswith((EVALUATED, WAYS)) or key == "frac_reward_zero_std"
            panel = fig.lines(
                [*series, *means],
                x_label=plan.x_label,
                y_label="percent" if percent else "",
                percent=percent,
                describe=f"{name} by {plan.x_label}",
            )
            panels.append((name, panel))
    if not panels:
        return None
    return fig.Figure(
        id=plan.id,
        title=plan.title,
        caption=plan.caption,
        panels=panels,
        head=["quantity", "arm", plan.x_label, "mean over seeds"],
        rows=rows,
        legend=[(titles[a], s) for a, s in sorted(arms_seen.items(), key=lambda x: x[1])],
    )


@dataclass(frozen=True, slots=True)
class Line:
    x: Sequence[float]
    y: Sequence[float]


def _line(curve: Curve, axis: Axis) -> Line:
    """Return the points of a curve whose x is known."""
    xs: Sequence[float | None] = curve.step if axis == "step" else curve.tokens
    both = [(x, y) for x, y in zip(xs, curve.value, strict=True) if x is not None]
    return Line([x for x, _ in both], [y for _, y in both])


def _mean_line(lines: Sequence[Line]) -> Line:
    """Return the mean over seeds on the x of the longest curve; a seed that stopped early (a failure) is not in it."""
    reach = max(line.x[-1] for line in lines)
    whole = [line for line in lines if line.x[-1] >= 0.9 * reach]
    grid = max((line.x for line in whole), key=len)
    end, start = min(line.x[-1] for line in whole), max(line.x[0] for line in whole)
    inside = [x for x in grid if start <= x <= end] or [grid[-1]]
    values = [np.interp(inside, line.x, line.y) for line in whole]
    return Line(list(map(float, inside)), [float(v) for v in np.mean(values, axis=0)])


def _pass_at_k(results: Results) -> fig.Figure | None:
    titles, styles = results.titles, _styles(results)
    final = {(s.benchmark, s.arm, s.phase) for s in results.scores if s.final}
    panels, rows = [], []
    seen: dict[str, int] = {}
    for bench in results.benchmarks:
        series = []
        for arm in titles:
            points_ = [
                r
                for r in results.pass_at_k
                if r.benchmark == bench.name
                and r.arm == arm
                and (r.benchmark, arm, r.phase) in final
                and r.estimate.value is not None
            ]
            if not points_:
                continue
            seen[arm] = styles[arm]
            pick = [r.estimate for r in points_]
            series.append(
                fig.Series(
                    titles[arm],
                    styles[arm],
                    [r.k for r in points_],
                    [_nan(e.value) for e in pick],
                    [_nan(e.low) for e in pick],
                    [_nan(e.high) for e in pick],
                )
            )
        for r in results.pass_at_k:
            if r.benchmark == bench.name:
                rows.append([bench.name, titles[r.arm], PHASE[r.phase], str(r.k), interval(r.estimate)])
        if series:
            panel = fig.lines(
                series,
                x_label="k (samples allowed)",
                y_label="pass@k, percent",
                log_x=True,
                percent=True,
                describe=f"pass@k of the final models on {bench.name}",
            )
            panels.append((bench.name, panel))
    if not panels:
        return None
    return fig.Figure(
        id="fig-pass-at-k",
        title="pass@k of the final models",
        caption="Unbiased estimate, bands are 95 % intervals. Crossing lines: a gain at k = 1 paid for with coverage.",
        panels=panels,
        head=["benchmark", "arm", "phase", "k", "pass@k [95 %], percent"],
        rows=rows,
        legend=[(titles[a], s) for a, s in sorted(seen.items(), key=lambda x: x[1])],
    )


def _mix(results: Results) -> fig.Figure | None:
    titles = results.titles
    mixes = results.ways.mix
    if not mixes:
        return None
    total: dict[str, int] = {}
    for m in mixes:
        for way, n in m.counts.items():
            total[way] = total.get(way, 0) + n
    ways = sorted(total, key=lambda w: -total[w])
    main, rest = (ways, []) if len(ways) <= 10 else (ways[:9], ways[9:])
    labels = [*main, "other"] if rest else main
    panels, rows = [], []
    for bench in results.benchmarks:
        strips = []
        for m in mixes:
            if m.benchmark != bench.name:
                continue
            parts = [float(m.counts.get(w, 0)) for w in main]
            if rest:
                parts.append(float(sum(m.counts.get(w, 0) for w in rest)))
            label = f"{titles[m.arm]}, {PHASE[m.phase]}"
            strips.append((label, parts))
            whole = sum(parts) or 1.0
            rows.append([bench.name, label, *[f"{100 * p / whole:.1f}" for p in parts]])
        if strips:
            panels.append((bench.name, fig.stacked(strips, x_label="percent of labels", describe="mix of ways")))
    return fig.Figure(
        id="fig-ways",
        title="Which ways the solutions take",
        caption="Labels of all evaluation samples; a sample with two ways counts once for each.",
        panels=panels,
        head=["benchmark", "arm and phase", *[f"{w} %" for w in labels]],
        rows=rows,
        swatches=[(w, i) for i, w in enumerate(labels)],
    )


def _funnel(results: Results) -> fig.Figure | None:
    titles, styles = results.titles, _styles(results)
    panels, rows = [], []
    for f in results.funnel:
        steps = [(s.step, s.count, f"{s.count:,.0f}") for s in f.steps]
        text = ", ".join(f"{s[0]} {s[2]}" for s in steps)
        panels.append((titles[f.arm], fig.bars(steps, x_label="completions", style=styles[f.arm], describe=text)))
        rows += [[titles[f.arm], s.step, f"{s.count:,.0f}"] for s in f.steps]
    return fig.Figure(
        id="fig-funnel",
        title="From samples to solutions",
        caption="What was left after each step of selection, mean over seeds.",
        panels=panels,
        head=["arm", "step", "left"],
        rows=rows,
    )


def _cost(results: Results) -> fig.Figure | None:
    titles = results.titles
    owners: dict[str, list[Cost]] = {}
    for c in results.cost:
        owners.setdefault(c.owner, []).append(c)
    hours, tokens, rows = [], [], []
    for owner, parts in owners.items():
        name = titles.get(owner, owner)
        seconds, count = sum(p.seconds for p in parts), sum(p.tokens for p in parts)
        hours.append((name, seconds, duration(seconds)))
        tokens.append((name, count, fig.short(count)))
        for p in parts:
            memory = f"{p.memory:,.0f} MB" if p.memory else "n/a"
            rows.append([name, p.part, duration(p.seconds), f"{p.tokens:,.0f}", memory])
    return fig.Figure(
        id="fig-cost",
        title="What it cost",
        caption="All seeds together. A pool that several arms share is counted once, on its own line.",
        panels=[
            ("time of the machine", fig.bars(hours, x_label="", describe="time by owner")),
            ("tokens read and written", fig.bars(tokens, x_label="", describe="tokens by owner")),
        ],
        head=["owner", "stage", "time", "tokens", "peak memory"],
        rows=rows,
    )


def duration(seconds: float) -> str:
    """Return `42 s`, `3.5 min` or `2.1 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
