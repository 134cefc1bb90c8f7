"""The verdict in words: what the numbers allow to be said, and no more.

Promises: pure functions of the results; a difference is called shown only when its interval excludes zero *and*
its p-value stays below 0.05 after Holm's correction over all comparisons on the benchmark; with one seed the text says
that another training run may differ; without a control of equal size nothing is said about variety.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scipy import stats

from midway.evidence.intervals import QUESTIONS
from midway.results import ArmSummary, Difference, Interval, Results

Call = Literal["higher", "lower", "open"]
MATCHED = (0.8, 1.25)
"""A control counts as sample-matched when its number of mid-training solutions is this many times the treatment's."""


def points(value: float | None, sign: bool = False) -> str:
    """Return a share as percentage points with one decimal, `n/a` for None."""
    if value is None:
        return "n/a"
    text = f"{100 * value:{'+' if sign else ''}.1f}"
    return {"-0.0": "0.0", "+0.0": "0.0"}.get(text, text).replace("-", "\u2212")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of a run first."""

    headline: str
    sentences: Sequence[str]
    tone: Literal["good", "open", "bad", "none"]


def interval(e: Interval, sign: bool = False) -> str:
    """Return `6.1 [3.9, 8.2]` for an estimate, in points."""
    if e.value is None:
        return "n/a"
    if e.low is None:
        return f"{points(e.value, sign)} [no interval]"
    return f"{points(e.value, sign)} [{points(e.low)}, {points(e.high)}]"


def p_value(p: float | None) -> str:
    if p is None:
        return "n/a"
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def call(row: Difference) -> Call:
    """Return whether the treatment is shown to be `higher` or `lower`; `open`: neither is shown."""
    e = row.difference
    if e.value is None or row.p_holm is None or row.p_holm >= 0.05 or not _excludes_zero(e):
        return "open"
    return "higher" if e.value > 0 else "lower"


def _excludes_zero(e: Interval) -> bool:
    return e.low is not None and e.high is not None and not e.low <= 0 <= e.high


def verdict(results: Results) -> Verdict:
    titles, arms = results.titles, {arm.name: arm for arm in results.arms}
    treatment, control = results.treatment, results.control
    if not treatment:
        return _none("This run names no treatment arm, so there is nothing to compare.")
    rows = [r for r in results.differences if r.difference.value is not None]
    main = _main_benchmark([b.name for b in results.benchmarks], rows, control)
    if main is None:
        return _none(f"There is no verdict: “{titles[treatment]}” has no final evaluation that another arm shares.")
    here = {r.against: r for r in rows if r.benchmark == main}
    first = here.get(control) or next(iter(here.values()))
    sentences = [_first_sentence(first, arms)]
    matched = _variety_controls(arms, treatment)
    sentences += _variety(matched, here, titles)
    others = [r for r in rows if r.benchmark != main and r.against == first.against]
    if others:
        sentences.append(_other_benchmarks(others, titles[first.against]))
    sentences.append(_how_sure(first))
    called = call(first)
    headline = {
        "higher": f"{titles[treatment]} beat {titles[first.against]} on {main}.",
        "lower": f"{titles[treatment]} did worse than {titles[first.against]} on {main}.",
        "open": f"{titles[treatment]} is not shown to differ from {titles[first.against]} on {main}.",
    }[called]
    if called != "open" and first.difference.over == QUESTIONS:
        headline = f"{headline[:-1]}, in one training run."
    return Verdict(headline[0].upper() + headline[1:], sentences, TONES[called])


TONES: Mapping[Call, Literal["good", "bad", "open"]] = {"higher": "good", "lower": "bad", "open": "open"}


def _none(text: str) -> Verdict:
    return Verdict(text, (), "none")


def _main_benchmark(names: Sequence[str], rows: Sequence[Difference], control: str) -> str | None:
    """Return the first benchmark on which the treatment is compared with the control, or else with any arm."""
    for wanted in (control, None):
        for name in names:
            if any(r.benchmark == name and (wanted is None or r.against == wanted) for r in rows):
                return name
    return None


def _change(row: Difference, over: str) -> str:
    e = row.difference
    kind = call(row)
    if kind == "higher":
        return f"raised pass@1 by {interval(e)} points over {over}"
    if kind == "lower":
        return f"lowered pass@1 by {interval(_turned(e))} points against {over}"
    tail = "no difference is shown"
    if _excludes_zero(e):
        p = p_value(row.p_holm)
        tail = f"the interval excludes zero, but not after correction for all comparisons on the benchmark (p = {p})"
    return f"changed pass@1 by {interval(e, sign=True)} points against {over}: {tail}"


def _turned(e: Interval) -> Interval:
    """Return the interval of minus the value."""
    low, high = (None if end is None else -end for end in (e.high, e.low))
    return Interval(None if e.value is None else -e.value, low, high)


def _first_sentence(row: Difference, arms: Mapping[str, ArmSummary]) -> str:
    a, b = arms[row.arm], arms[row.against]
    steps = ""
    if a.rl_steps and b.rl_steps:
        equal = a.rl_steps == b.rl_steps
        steps = " at equal RL steps" if equal else f" ({a.rl_steps} RL steps against {b.rl_steps})"
    return f"On {row.benchmark}, “{a.title}” {_change(row, f'“{b.title}”')}{steps}."


def _variety_controls(arms: Mapping[str, ArmSummary], treatment: str) -> dict[str, bool]:
    """Return the mid-trained arms with less variety than the treatment, and whether they had as much data."""
    mine = arms[treatment]
    out = {}
    for name, arm in arms.items():
        if name == treatment or not arm.midtrained or not arm.rl or not mine.solutions or not arm.solutions:
            continue
        if (arm.ways or 1) <= 0.5 * (mine.ways or 1):
            out[name] = MATCHED[0] <= arm.solutions / mine.solutions <= MATCHED[1]
    return out


def _variety(controls: Mapping[str, bool], here: Mapping[str, Difference], titles: Mapping[str, str]) -> list[str]:
    matched = [here[name] for name, same in controls.items() if same and name in here]
    if not matched:
        return [
            "No other arm was mid-trained on about as many solutions without the variety, "
            "so this run cannot tell variety from more data."
        ]
    parts = [f"{interval(r.difference, sign=True)} points against “{titles[r.against]}”" for r in matched]
    text = "At the same amount of mid-training data: "
    if len(parts) <= 3:
        text += "; ".join(parts) + ". "
    else:
        order = sorted(range(len(matched)), key=lambda i: matched[i].difference.value or 0.0)
        text += f"from {parts[order[0]]} to {parts[order[-1]]}, over {len(parts)} such arms. "
    kinds = {call(r) for r in matched}
    once = all(r.difference.over == QUESTIONS for r in matched)
    if once and kinds in ({"higher"}, {"lower"}):
        did = "helped" if kinds == {"higher"} else "hurt"
        return [f"{text}In this one training run of each arm variety itself {did}; other runs may differ."]
    if kinds == {"higher"}:
        text += "Variety itself is shown to help."
    elif "lower" in kinds:
        text += "Variety itself is shown to hurt." if kinds == {"lower"} else "The controls disagree about variety."
    elif "higher" in kinds:
        text += "Variety itself is shown to help against some of these controls, not against all."
    else:
        text += "Variety itself is not shown to help."
    return [text]


def _other_benchmarks(rows: Sequence[Difference], against: str) -> str:
    names: dict[Call, list[str]] = {"higher": [], "lower": [], "open": []}
    for row in rows:
        names[call(row)].append(f"{row.benchmark} ({interval(row.difference, sign=True)})")
    words: Mapping[Call, str] = {"higher": "higher", "lower": "lower", "open": "not shown to differ"}
    parts = [f"{word} on {', '.join(names[kind])}" for kind, word in words.items() if names[kind]]
    return f"Elsewhere against “{against}”: " + "; ".join(parts) + "."


def _how_sure(row: Difference) -> str:
    e = row.difference
    text = f"The 95 % interval is over {e.over} ({e.questions} questions"
    seeds = [s for s in e.seeds if s]
    text += f"; {' and '.join(map(str, seeds))} seeds)" if seeds else ")"
    if e.over == QUESTIONS:
        text += ". With one seed it says nothing about how another training run would turn out"
    elif seeds and min(seeds) <= 2:
        few = "one seed of an arm says" if min(seeds) == 1 else "two seeds say"
        text += f". It covers 95 % on average, but {few} little about the spread of training runs: its width is largely luck"
    if e.se and e.df:
        seen = e.se * float(stats.t.isf(0.025, e.df) + stats.t.isf(0.2, e.df))
        text += f"; a true difference of about {points(seen)} points would have been found four times in five"
    return text + "."
