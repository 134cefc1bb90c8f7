"""Numbers and calls in words: the small parts that sentences and tables are made of.

Promises: pure functions; a number that is not there is `n/a`, never 0; shares are shown as percentage points with a real minus sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from midway.results import ArmSummary, Difference, Estimate, Interval, Results
from midway.rundir.layout import BASE
from midway.wording import plural as plural

Call = Literal["higher", "lower", "open"]
REPEATS = 0.2
"""A control that repeats more than this share of its training rows is said to repeat them."""
FLOOR = 0.05
"""A benchmark is at floor where the base model's pass@1 is at most this far above 0, or above chance where there are options."""


def points(value: float | None, sign: bool = False) -> str:
    """Return a share as percentage points with one decimal, `n/a` for None."""
    if value is None:
        return "n/a"
    text = f"{100 * value:{'+' if sign else ''}.1f}"
    return {"-0.0": "0.0", "+0.0": "0.0"}.get(text, text).replace("-", "\u2212")


def percent(share: float | None) -> str:
    """Return `4.2 %`, `n/a` for None."""
    return "n/a" if share is None else f"{100 * share:.1f} %"


def interval(e: Interval, sign: bool = False) -> str:
    """Return `6.1 [3.9, 8.2]` for an estimate, in points; without an interval the reason why there is none."""
    if e.value is None:
        return "n/a"
    if e.low is None:
        se = e.se if isinstance(e, Estimate) else None
        return f"{points(e.value, sign)} ({'on every question' if se == 0 else 'too few for an interval'})"
    return f"{points(e.value, sign)} [{points(e.low)}, {points(e.high)}]"


def p_value(p: float | None) -> str:
    if p is None:
        return "n/a"
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def duration(seconds: float) -> str:
    """Return `42 s`, `3.5 min` or `2.1 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def listed(parts: Sequence[str], most: int = 4) -> str:
    """Return `a, b and c`; of more than `most` parts the first ones and how many are left."""
    if len(parts) > most:
        parts = [*parts[: most - 1], f"{len(parts) - most + 1} more"]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def call(row: Difference) -> Call:
    """Return whether the treatment is shown to be `higher` or `lower`; `open`: neither is shown."""
    e = row.difference
    if e.value is None or row.p_holm is None or row.p_holm >= 0.05 or not excludes_zero(e):
        return "open"
    return "higher" if e.value > 0 else "lower"


def excludes_zero(e: Interval) -> bool:
    return e.low is not None and e.high is not None and not e.low <= 0 <= e.high


def shown(row: Difference, comparisons: int) -> str:
    """Return a difference in points; where its interval and the corrected p-value disagree, with the correction that explains it."""
    text = interval(row.difference, sign=True)
    if call(row) == "open" and excludes_zero(row.difference):
        text += f"; not after Holm's correction for {comparisons} comparisons, p = {p_value(row.p_holm)}"
    return text


# What an arm was trained on -----------------------------------------------------------------------------------------------


def repeats(results: Results) -> dict[str, float]:
    """Return for each arm how many of its training rows repeat another one, mean over seeds.

    Counted from the texts; in results of older versions, which have no such count, from the rows that selection repeated to match sizes.
    """
    filled = {f.arm: sum(s.count for s in f.steps if s.step == "repeated") for f in results.funnel}
    out: dict[str, float] = {}
    for arm in results.arms:
        if arm.solutions:
            out[arm.name] = filled.get(arm.name, 0.0) if arm.distinct is None else arm.solutions - arm.distinct
    return out


def texts(arm: ArmSummary, repeated: float) -> str:
    """Return `256 solutions, only 80 of them different texts`, or `256 different solutions`."""
    rows = arm.solutions or 0.0
    if round(repeated) <= 0:
        return f"{rows:,.0f} different solutions" if round(rows) != 1 else "1 solution"
    only = "only " if repeated > REPEATS * rows else ""
    return f"{plural(rows, 'solution')}, {only}{rows - repeated:,.0f} of them different texts"


# Sets of questions --------------------------------------------------------------------------------------------------------


def base_rate(results: Results, benchmark: str) -> float | None:
    """Return the base model's pass@1 on a benchmark."""
    found = [s.pass_at_1.value for s in results.scores if (s.benchmark, s.phase) == (benchmark, BASE)]
    return found[0] if found else None


def at_floor(results: Results, benchmark: str) -> str:
    """Return why a benchmark is at floor, `base 4.2 %, chance 0 %`; empty where it is not."""
    rate = base_rate(results, benchmark)
    chance = next((b.chance for b in results.benchmarks if b.name == benchmark), None)
    if rate is None or rate > (chance or 0.0) + FLOOR:
        return ""
    return f"base model {percent(rate)}" + ("" if chance is None else f", chance {percent(chance)}")


def main_benchmark(results: Results) -> str | None:
    """Return the first benchmark on which the treatment is compared with the control, or else with any arm."""
    rows = [r for r in results.differences if r.difference.value is not None]
    for wanted in (results.control, None):
        for bench in results.benchmarks:
            if any(r.benchmark == bench.name and (wanted is None or r.against == wanted) for r in rows):
                return bench.name
    return None
