"""The line charts of a run: learning curves by steps and by tokens, what RL logged, pass@k; and the mix of ways.

Promises: pure functions of the results; arms keep their colour; a curve is the mean over seeds with a band from the lowest to the highest
seed, and carries its arm's name; quantities that are zero throughout are named in a sentence and not drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from midway.report.charts import nan, styles_of
from midway.report.figures import Figure, Series, lines, short
from midway.report.phrases import interval, listed, main_benchmark, plural
from midway.report.rows import Parts, parted
from midway.report.tables import PHASE
from midway.results import Curve, Results
from midway.results.training import EVALUATED, TRAINING_KEYS, WAYS
from midway.rundir.layout import BASE_ARM

Axis = Literal["step", "tokens"]
AXES: Mapping[Axis, str] = {"step": "RL steps", "tokens": "tokens, all stages"}
POINTS = 24
"""Points of a curve at most: means of neighbouring steps, so that it can be read. The table has as many."""
BANDS = 4
"""Bands are drawn for every arm where at most this many arms are drawn, else for the treatment and the main control."""
MOST = 9
"""Ways that have a colour of their own; the rarer ones are `other`."""


@dataclass(frozen=True, slots=True)
class Line:
    """Mean, lowest and highest over seeds at each x."""

    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    seeds: int


def named(key: str) -> str:
    """Return a logged quantity in words."""
    if key.startswith(EVALUATED):
        benchmark, _, what = key.removeprefix(EVALUATED).rpartition("/")
        return f"{what.replace('-', ' ')} on {benchmark}, during RL"
    if key.startswith(WAYS):
        benchmark, _, way = key.removeprefix(WAYS).rpartition("/")
        return f"{way} on {benchmark}"
    return TRAINING_KEYS.get(key, key)


def main_key(results: Results) -> str:
    """Return the quantity that stands for learning: pass@1 on the main benchmark during RL, else mean reward; empty without a curve."""
    keys = {curve.key for curve in results.curves}
    scored = [f"{EVALUATED}{b.name}/pass@1" for b in results.benchmarks]
    wanted = [f"{EVALUATED}{main_benchmark(results)}/pass@1", *scored, "reward"]
    return next((key for key in wanted if key in keys), "")


def learning_panel(results: Results, axis: Axis) -> tuple[str, str, list[list[str]]]:
    """Return title, drawing and rows of the main learning curve; empty where there is none."""
    key = main_key(results)
    drawing, rows = _panel(results, key, axis) if key else ("", [])
    return f"{named(key)}, by {AXES[axis]}" if key else "", drawing, rows


def more_curves(results: Results) -> list[Figure]:
    """Return what else was logged during RL: held-out measures, what the trainer said of itself, ways."""
    keys = sorted({curve.key for curve in results.curves} - {main_key(results)})
    held = [key for key in keys if key.startswith(EVALUATED)]
    ways = [key for key in keys if key.startswith(WAYS)]
    inside = [key for key in keys if not key.startswith((EVALUATED, WAYS))]
    about = (
        ("fig-held-out", "More about the held-out questions during RL", "", held),
        ("fig-training", "Inside RL", " Groups without signal teach nothing in a step.", inside),
        ("fig-ways-rl", "Ways along RL", " Share of rollouts that use each way.", ways),
    )
    found = (_figure(results, id_, title, note, of) for id_, title, note, of in about)
    return [figure for figure in found if figure is not None]


BAND = "Lines: mean over the seeds that ran to the end; bands: lowest to highest seed (of many arms only treatment and main control)."


def _figure(results: Results, id_: str, title: str, note: str, keys: Sequence[str]) -> Figure | None:
    panels, rows, zero = [], [], []
    for key in keys:
        if all(value == 0 for c in results.curves if c.key == key for value in c.value):
            zero.append(named(key))
            continue
        drawing, found = _panel(results, key, "step")
        if drawing:
            panels.append((named(key), drawing))
            rows += found
    if not panels and not zero:
        return None
    said = f"Zero in every arm at every step, so not drawn: {listed(zero, 12)}." if zero else ""
    return Figure(
        id=id_,
        title=title,
        caption=(BAND if len(results.seeds) > 1 else "One seed.") + note,
        panels=panels,
        head=["quantity", "arm", "RL steps", "mean over seeds", "lowest to highest seed"],
        rows=rows,
        zero=said,
    )


def _panel(results: Results, key: str, axis: Axis) -> tuple[str, list[list[str]]]:
    """Return the chart of one quantity over all arms, and its table at eight points or so."""
    titles, styles = results.titles, styles_of(results)
    percent = key.startswith((EVALUATED, WAYS)) or key == "frac_reward_zero_std"
    series, rows = [], []
    for arm in titles:
        found = [_points(c, axis) for c in results.curves if c.arm == arm and c.key == key]
        line = _mean([points for points in found if points[0]])
        if line is None:
            continue
        line = _binned(line)
        tips = [_tip(titles[arm], AXES[axis], line, i, percent) for i in range(len(line.x))]
        band = line.seeds > 1
        series.append(
            Series(
                titles[arm],
                styles[arm],
                line.x,
                line.y,
                low=line.low if band else (),
                high=line.high if band else (),
                tips=tips,
            )
        )
        last = len(line.x) - 1
        for i in sorted({*range(0, len(line.x), max(1, len(line.x) // 8)), last}):
            spread = f"{line.low[i]:.4g} to {line.high[i]:.4g}" if band else "one seed"
            rows.append([named(key), titles[arm], short(line.x[i]), f"{line.y[i]:.4g}", spread])
    if not series:
        return "", []
    drawing = lines(
        banded(results, series),
        x_label=AXES[axis],
        y_label="percent" if percent else "",
        percent=percent,
        describe=f"{named(key)} by {AXES[axis]}",
        names=True,
    )
    return drawing, rows


def banded(results: Results, series: Sequence[Series]) -> list[Series]:
    """Return the series with bands where they can be told apart, the treatment and the main control on top."""
    first = {styles_of(results).get(name) for name in (results.treatment, results.control)}
    kept = [s if len(series) <= BANDS or s.style in first else replace(s, low=(), high=()) for s in series]
    return sorted(kept, key=lambda s: s.style in first)


def _binned(line: Line) -> Line:
    """Return the line with runs of neighbouring points as their means, at most `POINTS` of them; the last x of each run stands for it."""
    size = -(-len(line.x) // POINTS)
    if size <= 1:
        return line
    runs = [range(i, min(i + size, len(line.x))) for i in range(0, len(line.x), size)]
    mean, low, high = ([sum(of[i] for i in run) / len(run) for run in runs] for of in (line.y, line.low, line.high))
    return Line([line.x[run[-1]] for run in runs], mean, low, high, line.seeds)


def _tip(title: str, axis: str, line: Line, i: int, percent: bool) -> str:
    scale = 100.0 if percent else 1.0
    unit = " %" if percent else ""
    spread = ""
    if line.seeds > 1:
        spread = f" ({scale * line.low[i]:.3g} to {scale * line.high[i]:.3g} over {plural(line.seeds, 'seed')})"
    return f"{title}: {scale * line.y[i]:.3g}{unit}{spread} at {short(line.x[i])} {axis.split(',')[0]}"


def _points(curve: Curve, axis: Axis) -> tuple[list[float], list[float]]:
    """Return the points of a curve whose x is known."""
    xs: Sequence[float | None] = curve.step if axis == "step" else curve.tokens
    both = [(x, y) for x, y in zip(xs, curve.value, strict=True) if x is not None]
    return [x for x, _ in both], [y for _, y in both]


def _mean(found: Sequence[tuple[list[float], list[float]]]) -> Line | None:
    """Return mean and range over seeds on the x of the longest curve; a seed that stopped early (a failure) is not in it."""
    if not found:
        return None
    reach = max(x[-1] for x, _ in found)
    whole = [(x, y) for x, y in found if x[-1] >= 0.9 * reach]
    grid = max((x for x, _ in whole), key=len)
    end, start = min(x[-1] for x, _ in whole), max(x[0] for x, _ in whole)
    inside = [x for x in grid if start <= x <= end] or [grid[-1]]
    values = np.array([np.interp(inside, x, y) for x, y in whole])
    columns = (values.mean(axis=0), values.min(axis=0), values.max(axis=0))
    mean, low, high = ([float(v) for v in column] for column in columns)
    return Line([float(x) for x in inside], mean, low, high, len(whole))


# pass@k -------------------------------------------------------------------------------------------------------------------


def coverage_chart(results: Results) -> Figure | None:
    """pass@k of the final models: does a gain at k = 1 cost questions that were reached before?"""
    titles, styles = results.titles, styles_of(results)
    final = {(s.benchmark, s.arm, s.phase) for s in results.scores if s.final}
    panels, rows, zero = [], [], []
    for bench in results.benchmarks:
        series = []
        for arm in titles:
            found = [r for r in results.pass_at_k if (r.benchmark, r.arm) == (bench.name, arm)]
            found = [r for r in found if (r.benchmark, arm, r.phase) in final and r.estimate.value is not None]
            if not found:
                continue
            e = [r.estimate for r in found]
            series.append(
                Series(
                    titles[arm],
                    styles[arm],
                    [r.k for r in found],
                    [nan(x.value) for x in e],
                    [nan(x.low) for x in e],
                    [nan(x.high) for x in e],
                    tips=[f"{titles[arm]}: pass@{r.k} {interval(r.estimate)}" for r in found],
                )
            )
        for r in results.pass_at_k:
            if r.benchmark == bench.name:
                rows.append([bench.name, titles[r.arm], PHASE[r.phase], str(r.k), interval(r.estimate)])
        if series and all(v == 0 for s in series for v in s.y):
            zero.append(bench.name)
        elif series:
            drawing = lines(
                banded(results, series),
                x_label="k (samples allowed)",
                y_label="pass@k, percent",
                log_x=True,
                percent=True,
                describe=f"pass@k of the final models on {bench.name}",
                names=True,
            )
            panels.append((bench.name, drawing))
    if not rows:
        return None
    return Figure(
        id="fig-pass-at-k",
        title="pass@k of the final models",
        caption="Unbiased estimate, bands are 95 % intervals (of many arms only treatment and main control). Lines that cross: "
        "a gain at k = 1 paid for with coverage.",
        panels=panels,
        head=["benchmark", "arm", "phase", "k", "pass@k [95 %], percent"],
        rows=rows,
        zero=f"No model solves any question of {listed(zero)}, so that is not drawn." if zero else "",
    )


# Ways ---------------------------------------------------------------------------------------------------------------------


def ways_chart(results: Results) -> Figure | None:
    """The mix of ways before and after RL, arm by arm."""
    mixes, titles = [m for m in results.ways.mix if sum(m.counts.values())], results.titles
    if not mixes:
        return None
    total: dict[str, int] = {}
    for m in mixes:
        for way, n in m.counts.items():
            total[way] = total.get(way, 0) + n
    ways = sorted(total, key=lambda w: -total[w])
    main, rest = (ways, []) if len(ways) <= MOST + 1 else (ways[:MOST], ways[MOST:])
    names = [*main, "other"] if rest else main
    order = list(styles_of(results))
    panels, rows = [], []
    for bench in results.benchmarks:
        strips = []
        for m in sorted((m for m in mixes if m.benchmark == bench.name), key=lambda m: _order(order, m.arm)):
            counts = [float(m.counts.get(w, 0)) for w in main]
            counts += [float(sum(m.counts.get(w, 0) for w in rest))] if rest else []
            whole = sum(counts) or 1.0
            shares = [100 * n / whole for n in counts]
            label = titles[m.arm] if m.arm == BASE_ARM else f"{titles[m.arm]}, {PHASE[m.phase]}"
            effective = "" if m.effective_ways is None else f"{m.effective_ways:.1f} effective ways"
            strips.append(Parts(label=label, parts=list(zip(names, shares, strict=True)), text=effective))
            rows.append([bench.name, label, *[f"{share:.1f}" for share in shares]])
        if strips:
            what = f"ways on {bench.name}"
            drawing = parted(
                strips, names, x_label="percent of labels", whole=100.0, amount="{:.1f} %".format, describe=what
            )
            panels.append((bench.name, drawing))
    return Figure(
        id="fig-ways",
        title="Which ways the samples take",
        caption="Labels of all evaluation samples; a sample with two ways counts once for each.",
        panels=panels,
        head=["benchmark", "arm and phase", *[f"{name} %" for name in names]],
        rows=rows,
        swatches=[(name, i) for i, name in enumerate(names)],
    )


def _order(order: Sequence[str], arm: str) -> int:
    return order.index(arm) if arm in order else len(order)
