"""Fit the forecast's constants on the learning conditions, forecast the others from their probes alone, and compare with what came out.

Promises: nothing of a held-out condition but its probe and its budgets is read before its forecast is made. Where a condition ran with
several seeds the outcome is their mean. Intervals of the scores are percentiles of a bootstrap over the held-out conditions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from midway.theory.calibrate import Condition, fit
from midway.theory.forecast import Budget, Calibration, expected
from midway.theory.probe import Probe

BOOTSTRAPS = 4000


@dataclass(frozen=True)
class Measured:
    """A condition with what came out of it."""

    number: int
    learn: bool
    condition: Condition
    seeds: int
    lead_seeds: tuple[float, ...]


def read(folder: Path, drawn: Sequence[Mapping[str, Any]]) -> list[Measured]:
    """Return the conditions that have at least one result, in order. Raises SystemExit where there are none."""
    found = []
    for one in drawn:
        files = sorted(folder.glob(f"condition-{one['number']:02d}-seed-*.json"))
        results = [json.loads(file.read_text()) for file in files]
        if not results:
            continue
        stored = {key: results[0]["condition"][key] for key in one if key not in ("number", "learn")}
        if stored != {key: one[key] for key in stored}:
            raise SystemExit(
                f"{files[0]} is of another draw: its condition is not number {one['number']} of calibration.json"
            )
        budgets = [Budget(**budget) for budget in results[0]["budgets"].values()]

        def mean(phase: str, results: Sequence[Mapping[str, Any]] = results) -> float:
            return float(np.mean([result["pass"][phase] for result in results]))

        condition = Condition(
            probe=Probe.from_dict(results[0]["probe"]),
            plain=next(b for b in budgets if not b.midtrained),
            treated=next(b for b in budgets if b.midtrained),
            base=mean("base"),
            plain_after=mean("rl-only"),
            treated_before=mean("several before RL"),
            treated_after=mean("several"),
        )
        leads = tuple(float(result["lead"]) for result in results)
        found.append(Measured(one["number"], one["learn"], condition, len(results), leads))
    if not found:
        raise SystemExit(f"no results in {folder}: python benchmarks/calibration.py all --out {folder}")
    return found


def proportional(learn: Sequence[Measured]) -> Callable[[Condition], float]:
    """Return the rival that says: the lead is in proportion to guided minus unguided pass rate."""

    def difference(condition: Condition) -> float:
        probe = condition.probe
        guided = probe.solved_QW.sum() / max(1.0, probe.asked_QW.sum())
        return float(guided - probe.right_Q.sum() / max(1.0, probe.judged_Q.sum()))

    x = np.array([difference(m.condition) for m in learn])
    y = np.array([m.condition.lead for m in learn])
    slope = float(x @ y / max(1e-12, x @ x))
    return lambda condition: slope * difference(condition)


def interval(values: np.ndarray, statistic: Callable[[np.ndarray], float], seed: int = 0) -> list[float]:
    """Return [value, low, high] of a statistic of rows, with a 95 % percentile interval over resampled rows."""
    rng = np.random.default_rng(seed)
    drawn = [statistic(values[rng.integers(0, len(values), len(values))]) for _ in range(BOOTSTRAPS)]
    known = np.array([d for d in drawn if np.isfinite(d)])
    low, high = np.percentile(known, [2.5, 97.5]) if known.size else (np.nan, np.nan)
    return [float(statistic(values)), float(low), float(high)]


def rank(rows: np.ndarray) -> float:
    """Spearman's correlation of the first two columns; NaN where one does not vary."""
    if len(np.unique(rows[:, 0])) < 2 or len(np.unique(rows[:, 1])) < 2:
        return float("nan")
    return float(spearmanr(rows[:, 0], rows[:, 1]).statistic)


def error(rows: np.ndarray) -> float:
    return float(np.abs(rows[:, 0] - rows[:, 1]).mean())


def covered(rows: np.ndarray) -> float:
    return float(((rows[:, 2] <= rows[:, 1]) & (rows[:, 1] <= rows[:, 3])).mean())


def score(folder: Path, drawn: Sequence[Mapping[str, Any]]) -> int:
    """Fit, forecast, compare; print, and write score.json, forecast.json (the constants) and calibration.svg into the folder."""
    found = read(folder, drawn)
    learn, held = [m for m in found if m.learn], [m for m in found if not m.learn]
    if len(learn) < 4 or len(held) < 4:
        raise SystemExit(
            f"{len(learn)} learning and {len(held)} held-out conditions have results: at least 4 of each are needed"
        )
    seeds = sorted({m.seeds for m in found})
    source = f"benchmarks/calibration.py: {len(learn)} learning conditions of the lab, seeds {', '.join(map(str, seeds))} a condition"
    known = fit([m.condition for m in learn], source=source)
    rows = np.array([row(m, known) for m in held])
    mean_lead = float(np.mean([m.condition.lead for m in learn]))
    by_difference = proportional(learn)
    actual = rows[:, 1]
    rivals = {
        "always the mean lead": np.column_stack([np.full(len(held), mean_lead), actual]),
        "in proportion to guided minus unguided": np.column_stack([[by_difference(m.condition) for m in held], actual]),
    }
    better = min(rivals, key=lambda name: error(rivals[name]))
    both = np.column_stack([rows, rivals[better][:, 0]])
    result = {
        "learn": [describe(m, known) for m in learn],
        "held_out": [describe(m, known) for m in held],
        "level": 0.8,
        "rank_correlation": interval(rows, rank),
        "mean_absolute_error": interval(rows, error),
        "coverage": interval(rows, covered),
        "error_over_better_rival": interval(both, lambda r: error(r) / max(1e-9, error(r[:, [4, 1]]))),
        "better_rival": better,
        "rivals": {
            name: {"rank_correlation": interval(r, rank), "mean_absolute_error": interval(r, error)}
            for name, r in rivals.items()
        },
        "calibration": known.as_dict(),
    }
    (folder / "score.json").write_text(json.dumps(result, indent=1) + "\n")
    tried = {
        "conditions": len(held),
        "error": error(rows),
        "rival": error(rivals[better]),
        "rank_correlation": rank(rows),
        "coverage": covered(rows),
    }
    stored = {**known.as_dict(), "held_out": {name: round(float(value), 4) for name, value in tried.items()}}
    (folder / "forecast.json").write_text(json.dumps(stored, indent=1) + "\n")
    (folder / "calibration.svg").write_text(figure(result))
    print(words(result))
    return 0


def row(measured: Measured, known: Calibration) -> list[float]:
    """Return forecast, outcome, low, high of a condition's lead."""
    told = expected(measured.condition.probe, measured.condition.plain, measured.condition.treated, known)
    return [told.lead.value, measured.condition.lead, told.lead.low, told.lead.high]


def describe(measured: Measured, known: Calibration) -> dict[str, Any]:
    value, actual, low, high = row(measured, known)
    return {
        "condition": measured.number,
        "forecast": value,
        "low": low,
        "high": high,
        "lead": actual,
        "lead_of_each_seed": list(measured.lead_seeds),
    }


def words(result: Mapping[str, Any]) -> str:
    """Return the scores as lines."""

    def shown(triple: Sequence[float], unit: float = 1.0, digits: int = 2) -> str:
        value, low, high = (f"{unit * x:.{digits}f}" for x in triple)
        return f"{value} [{low}, {high}]"

    lines = ["condition  forecast [80 % interval]     came out"]
    for one in sorted(result["held_out"], key=lambda d: d["forecast"]):
        lines.append(
            f"{one['condition']:>9}  {100 * one['forecast']:+6.1f} [{100 * one['low']:+.1f}, {100 * one['high']:+.1f}]".ljust(
                40
            )
            + f"{100 * one['lead']:+6.1f}"
        )
    lines += [
        "",
        f"{len(result['held_out'])} held-out conditions; 95 % intervals by bootstrap over them",
        f"rank correlation           {shown(result['rank_correlation'])}",
        f"mean absolute error        {shown(result['mean_absolute_error'], 100, 1)} points",
        f"80 % intervals that cover  {shown(result['coverage'], 100, 0)} %",
    ]
    for name, rival in result["rivals"].items():
        rank_ = "no ranks" if not np.isfinite(rival["rank_correlation"][0]) else shown(rival["rank_correlation"])
        lines.append(
            f"rival, {name}: error {shown(rival['mean_absolute_error'], 100, 1)} points, rank correlation {rank_}"
        )
    lines.append(f"error over the better rival's: {shown(result['error_over_better_rival'])}")
    return "\n".join(lines)


def figure(result: Mapping[str, Any]) -> str:
    """Return the scatter of forecasts and outcomes as SVG."""
    size, edge = 420.0, 56.0
    values = [x for part in ("learn", "held_out") for d in result[part] for x in (d["low"], d["high"], d["lead"])]
    low, high = min(-0.1, *values), max(0.1, *values)
    low, high = np.floor(low * 10) / 10, np.ceil(high * 10) / 10

    def at(value: float, up: bool = False) -> float:
        share = (value - low) / (high - low)
        return edge + (size - 2 * edge) * (1 - share if up else share)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size:.0f} {size:.0f}" role="img" font-family="sans-serif" font-size="11">',
        "<title>Forecast and measured lead of several ways over RL alone, in points, by lab condition</title>",
        f'<rect width="{size:.0f}" height="{size:.0f}" fill="white"/>',
        f'<line x1="{at(low):.1f}" y1="{at(low, True):.1f}" x2="{at(high):.1f}" y2="{at(high, True):.1f}" stroke="#999"/>',
    ]
    for tick in np.arange(low, high + 1e-9, 0.2):
        parts.append(
            f'<line x1="{at(tick):.1f}" y1="{at(low, True):.1f}" x2="{at(tick):.1f}" y2="{at(high, True):.1f}" stroke="#eee"/>'
        )
        parts.append(
            f'<line x1="{at(low):.1f}" y1="{at(tick, True):.1f}" x2="{at(high):.1f}" y2="{at(tick, True):.1f}" stroke="#eee"/>'
        )
        parts.append(
            f'<text x="{at(tick):.1f}" y="{size - edge + 16:.1f}" text-anchor="middle">{100 * tick:.0f}</text>'
        )
        parts.append(f'<text x="{edge - 6:.1f}" y="{at(tick, True) + 4:.1f}" text-anchor="end">{100 * tick:.0f}</text>')
    for part, colour in (("learn", "#aaaaaa"), ("held_out", "#1f5fa8")):
        for d in result[part]:
            x, y = at(d["forecast"]), at(d["lead"], True)
            if part == "held_out":
                parts.append(
                    f'<line x1="{at(d["low"]):.1f}" y1="{y:.1f}" x2="{at(d["high"]):.1f}" y2="{y:.1f}" stroke="{colour}" opacity="0.5"/>'
                )
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>')
    parts.append(
        f'<text x="{size / 2:.0f}" y="{size - 16:.0f}" text-anchor="middle">forecast lead, points (80 % interval)</text>'
    )
    parts.append(
        f'<text x="16" y="{size / 2:.0f}" text-anchor="middle" transform="rotate(-90 16 {size / 2:.0f})">measured lead, points</text>'
    )
    parts.append(
        f'<text x="{edge + 8:.0f}" y="{edge - 12:.0f}" fill="#1f5fa8">held out</text>'
        f'<text x="{edge + 70:.0f}" y="{edge - 12:.0f}" fill="#888">learnt on</text>'
    )
    return "\n".join([*parts, "</svg>"]) + "\n"
