"""The verdict in words: what the numbers allow to be said, and no more.

Promises: pure functions of the results; a difference is called shown only when its interval excludes zero *and*
its p-value stays below 0.05 after Holm's correction over all comparisons on the benchmark; with one seed the text says
that another training run may differ; without a control of equal size nothing is said about variety, and a control that repeats more than
a fifth of its rows is called so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scipy import stats

from midway.evidence.intervals import QUESTIONS
from midway.report.figures import short
from midway.report.phrases import (
    REPEATS,
    Call,
    at_floor,
    call,
    duration,
    excludes_zero,
    interval,
    listed,
    main_benchmark,
    p_value,
    percent,
    plural,
    points,
    repeats,
    shown,
    texts,
)
from midway.results import ArmSummary, Difference, Interval, Results

MATCHED = (0.8, 1.25)
"""A control counts as matched in rows when its number of mid-training solutions is this many times the treatment's."""
FEWER_WAYS = 0.5
"""An arm is a control for variety when its effective number of ways is at most this share of the treatment's, or about 1."""
ONE_WAY = 1.05


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of a run first."""

    headline: str
    sentences: Sequence[str]
    tone: Literal["good", "open", "bad", "none"]
    limits: Sequence[str] = ()
    """What the run does not show."""
    cost: str = ""
    alarms: str = ""


TONES: Mapping[Call, Literal["good", "bad", "open"]] = {"higher": "good", "lower": "bad", "open": "open"}


def verdict(results: Results) -> Verdict:
    """Return the headline, two or three sentences, and what a reader must know beside them."""
    titles, arms = results.titles, {arm.name: arm for arm in results.arms}
    if not results.treatment:
        return _none("This run names no treatment arm, so there is nothing to compare.", results)
    main = main_benchmark(results)
    if main is None:
        title = titles[results.treatment]
        return _none(f"There is no verdict: “{title}” has no final evaluation that another arm shares.", results)
    rows = [r for r in results.differences if r.difference.value is not None]
    here = {r.against: r for r in rows if r.benchmark == main}
    first = here.get(results.control) or next(iter(here.values()))
    called, once = call(first), first.difference.over == QUESTIONS
    a, b = titles[results.treatment], titles[first.against]
    headline = {
        "higher": f"“{a}” beat “{b}” on {main}",
        "lower": f"“{a}” did worse than “{b}” on {main}",
        "open": f"“{a}” is not shown to differ from “{b}” on {main}",
    }[called]
    headline += ", in one training run." if once and called != "open" else "."
    sentences = [_first_sentence(results, first, arms), variety(results), how_sure(first)]
    return Verdict(
        headline,
        [s for s in sentences if s],
        TONES[called],
        limits(results, first),
        cost(results),
        alarms(results),
    )


def _none(text: str, results: Results) -> Verdict:
    return Verdict(text, (), "none", (), cost(results), alarms(results))


def _first_sentence(results: Results, row: Difference, arms: Mapping[str, ArmSummary]) -> str:
    e, a, b = row.difference, arms[row.arm], arms[row.against]
    kind, over = call(row), f"“{b.title}”"
    if kind == "higher":
        change = f"raised pass@1 by {interval(e)} points over {over}"
    elif kind == "lower":
        change = f"lowered pass@1 by {interval(_turned(e))} points against {over}"
    else:
        change = f"changed pass@1 by {interval(e, sign=True)} points against {over}"
    levels = [_final(results, row.benchmark, name) for name in (row.arm, row.against)]
    told = "" if None in levels else f": {percent(levels[0])} of samples right against {percent(levels[1])}"
    steps = ""
    if a.rl_steps and b.rl_steps:
        equal = a.rl_steps == b.rl_steps
        steps = " at equal RL steps" if equal else f" ({a.rl_steps} RL steps against {b.rl_steps})"
    tail = ""
    if kind == "open":
        tail = "; no difference is shown"
        if excludes_zero(e):
            n = sum(r.benchmark == row.benchmark for r in results.differences)
            tail = f"; the interval excludes zero, but not after Holm's correction for {n} comparisons (p = {p_value(row.p_holm)})"
    return f"On {row.benchmark}, “{a.title}” {change}{steps}{told}{tail}."


def _turned(e: Interval) -> Interval:
    """Return the interval of minus the value."""
    low, high = (None if end is None else -end for end in (e.high, e.low))
    return Interval(None if e.value is None else -e.value, low, high)


def _final(results: Results, benchmark: str, arm: str) -> float | None:
    found = (s.pass_at_1.value for s in results.scores if (s.benchmark, s.arm) == (benchmark, arm) and s.final)
    return next(found, None)


# Was it the variety -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Controls:
    """The mid-trained arms with less variety than the treatment: those with as many training rows, and the others."""

    matched: Sequence[Difference]
    """Compared with the treatment on the main benchmark."""
    repeating: frozenset[str]
    """Those of the matched ones that repeat more than a fifth of their rows."""
    why_none: str
    """Why there is no matched one, as a sentence; empty where there is."""


def controls(results: Results) -> Controls:
    """Return what the treatment can be compared with to tell variety from more data."""
    arms = {arm.name: arm for arm in results.arms}
    mine, main, titles = arms[results.treatment], main_benchmark(results), results.titles
    here = {r.against: r for r in results.differences if r.benchmark == main and r.difference.value is not None}
    repeated = repeats(results)
    trained = [a for a in results.arms if a.midtrained and a.rl and a.name != mine.name]
    if not mine.midtrained:
        return Controls((), frozenset(), f"“{mine.title}” is not mid-trained, so there is no variety to speak of.")
    if not trained:
        why = "No other arm was mid-trained, so this run cannot tell variety from more data."
        return Controls((), frozenset(), why)
    if not mine.solutions:
        why = f"How many solutions “{mine.title}” was mid-trained on is not known, so variety cannot be told from more data."
        return Controls((), frozenset(), why)
    if (mine.ways or 1.0) <= ONE_WAY:
        why = f"All solutions of “{mine.title}” are of one way, so nothing can be said about variety."
        return Controls((), frozenset(), why)
    few = [a for a in trained if a.solutions and (a.ways or 1.0) <= max(ONE_WAY, FEWER_WAYS * (mine.ways or 1.0))]
    same = [a for a in few if MATCHED[0] <= (a.solutions or 0.0) / mine.solutions <= MATCHED[1]]
    matched = [here[a.name] for a in same if a.name in here]
    repeating = frozenset(
        r.against for r in matched if repeated[r.against] > REPEATS * (arms[r.against].solutions or 0.0)
    )
    why = ""
    if not matched and same:
        names = listed([f"“{titles[a.name]}”" for a in same])
        why = f"{names} had as many solutions without the variety, but no final evaluation on {main}."
    elif not matched and few:
        others = listed([f"“{a.title}” ({texts(a, repeated[a.name])})" for a in few])
        mine_has = texts(mine, repeated.get(mine.name, 0.0))
        why = f"No control had about as many solutions as the treatment ({mine_has}): {others}. So variety cannot be told from more data."
    elif not matched:
        why = "Every other mid-trained arm has much the same variety of ways, so this run says nothing about variety."
    return Controls(matched, repeating, why)


def variety(results: Results) -> str:
    """Return the sentence about variety against more data."""
    found, titles, arms = controls(results), results.titles, {arm.name: arm for arm in results.arms}
    if found.why_none:
        return found.why_none
    repeated = repeats(results)
    mine = arms[results.treatment]

    def part(r: Difference) -> str:
        text = f"{interval(r.difference, sign=True)} points against “{titles[r.against]}”"
        rows, again = arms[r.against].solutions or 0.0, repeated[r.against]
        return f"{text}, which repeats {100 * again / rows:.0f} % of its rows" if r.against in found.repeating else text

    parts = [part(r) for r in found.matched]
    rows, own = mine.solutions or 0.0, (mine.solutions or 0.0) - repeated.get(mine.name, 0.0)
    text = f"At as many mid-training rows, about {rows:,.0f} ({own:,.0f} different texts for the treatment): "
    if not found.repeating:
        text = f"At the same amount of mid-training data ({texts(mine, repeated.get(mine.name, 0.0))}): "
    if len(parts) <= 3:
        text += "; ".join(parts) + ". "
    else:
        order = sorted(range(len(parts)), key=lambda i: found.matched[i].difference.value or 0.0)
        text += f"from {parts[order[0]]} to {parts[order[-1]]}, over {len(parts)} such arms. "
    return text + _about_variety(found)


def variety_answer(results: Results) -> list[str]:
    """Return the two sentences under the question about variety: what each was mid-trained on, and what follows."""
    found, arms, repeated = controls(results), {arm.name: arm for arm in results.arms}, repeats(results)
    mine = arms[results.treatment]
    if found.why_none:
        return [found.why_none]
    own = f"“{mine.title}”: {texts(mine, repeated.get(mine.name, 0.0))}, of {mine.ways or 1.0:.1f} effective ways"
    others = [f"“{arms[r.against].title}”: {texts(arms[r.against], repeated[r.against])}" for r in found.matched]
    return [f"{own}. {'. '.join(others)}.", _about_variety(found)]


def _about_variety(found: Controls) -> str:
    """Return what the comparisons allow to be said; controls that repeat their texts say nothing about variety alone."""
    clean = [r for r in found.matched if r.against not in found.repeating]
    if not clean:
        kinds = {call(r) for r in found.matched}
        if kinds == {"higher"}:
            return "The lead is shown; whether it is by more ways or by more different texts is not."
        return "These controls had fewer different texts, so more ways cannot be told from more different texts."
    kinds = {call(r) for r in clean}
    among = "" if len(clean) == len(found.matched) else " Among the controls that do not repeat:"
    once = all(r.difference.over == QUESTIONS for r in clean)
    if once and kinds in ({"higher"}, {"lower"}):
        did = "helped" if kinds == {"higher"} else "hurt"
        text = f"In this one training run of each arm variety itself {did}; other runs may differ."
    elif kinds == {"higher"}:
        text = "Variety itself is shown to help."
    elif "lower" in kinds:
        text = "Variety itself is shown to hurt." if kinds == {"lower"} else "The controls disagree about variety."
    elif "higher" in kinds:
        text = "Variety itself is shown to help against some of these controls, not against all."
    else:
        text = "Variety itself is not shown to help."
    return f"{among.strip()} {text[0].lower()}{text[1:]}" if among else text


# How sure, and what not ---------------------------------------------------------------------------------------------------


def how_sure(row: Difference) -> str:
    """Return what the interval covers, and what the run could have seen."""
    e = row.difference
    text = f"The 95 % interval is over {e.over} ({plural(e.questions, 'question')}"
    seeds = [s for s in e.seeds if s]
    text += f"; {_seeds(seeds)})" if seeds else ")"
    if e.over == QUESTIONS:
        text += ". With one seed it says nothing about how another training run would turn out"
    elif seeds and min(seeds) <= 2:
        few = "one seed of an arm says" if min(seeds) == 1 else "two seeds say"
        text += f". It covers 95 % on average, but {few} little about the spread of training runs: its width is largely luck"
    if e.se and e.df:
        seen = e.se * float(stats.t.isf(0.025, e.df) + stats.t.isf(0.2, e.df))
        text += f"; a true difference of about {points(seen)} points would have been found four times in five"
    return text + "."


def _seeds(seeds: Sequence[int]) -> str:
    """Return `5 seeds each`, `1 seed each`, or `3 seeds against 1`."""
    if len(seeds) == 1:
        return plural(seeds[0], "seed")
    return (
        f"{plural(seeds[0], 'seed')} each" if len(set(seeds)) == 1 else f"{plural(seeds[0], 'seed')} against {seeds[1]}"
    )


def limits(results: Results, first: Difference) -> list[str]:
    """Return what this run does not show: other runs, other sets, variety where its controls cannot tell."""
    out = []
    if first.difference.over == QUESTIONS:
        out.append("How much training runs differ: there is one seed of each arm.")
    found = controls(results)
    if found.why_none:
        out.append("Whether it was the variety or more data.")
    elif found.repeating:
        names = listed([f"“{results.titles[name]}”" for name in sorted(found.repeating)])
        repeat = "repeats" if len(found.repeating) == 1 else "repeat"
        out.append(f"More ways apart from more different texts: {names} {repeat} many rows.")
    others = [r for r in results.differences if r.against == first.against and r.benchmark != first.benchmark]
    others = [r for r in others if r.difference.value is not None]
    comparisons = {b.name: sum(r.benchmark == b.name for r in results.differences) for b in results.benchmarks}
    floors = {r.benchmark: why for r in others if (why := at_floor(results, r.benchmark))}
    open_ = [r for r in others if call(r) == "open" and r.benchmark not in floors]
    if open_:
        sets = "; ".join(f"{r.benchmark} ({shown(r, comparisons[r.benchmark])})" for r in open_)
        out.append(f"A difference from “{results.titles[first.against]}” on {sets}.")
    lower = [r for r in others if call(r) == "lower"]
    if lower:
        sets = "; ".join(f"{r.benchmark} ({interval(r.difference, sign=True)})" for r in lower)
        out.append(f"A gain everywhere: it is shown to be lower on {sets}.")
    if floors:
        sets = "; ".join(f"{name} ({why})" for name, why in floors.items())
        out.append(f"Much about {sets}: at floor, where the base model is hardly ever right.")
    if at_floor(results, first.benchmark):
        out.append(f"{first.benchmark} itself is at floor for the base model ({at_floor(results, first.benchmark)}).")
    out.append("Anything about other models, or other kinds of questions.")
    return out


# What it cost, what rang --------------------------------------------------------------------------------------------------


def spent(results: Results, arm: str) -> tuple[float, float]:
    """Return seconds and tokens of an arm, all its seeds together, with the pools that it was mid-trained on."""
    pools = {f"pool {p}" for a in results.arms if a.name == arm for p in a.pools}
    parts = [c for c in results.cost if c.owner == arm or c.owner in pools]
    return sum(c.seconds for c in parts), sum(c.tokens for c in parts)


def cost(results: Results) -> str:
    """Return what the run cost, and the treatment beside its main control; empty where nothing was recorded."""
    seconds, tokens = sum(c.seconds for c in results.cost), sum(c.tokens for c in results.cost)
    if not seconds:
        return ""
    text = f"{duration(seconds)} of one machine and {short(tokens)} tokens, all arms and seeds."
    mine, other = spent(results, results.treatment), spent(results, results.control)
    if results.treatment and mine[0] and other[0] and any(a.pools for a in results.arms):
        titles = results.titles
        text += f" “{titles[results.treatment]}” took {duration(mine[0])} with its pools, “{titles[results.control]}” {duration(other[0])}."
    return text


def alarms(results: Results) -> str:
    """Return how many alarms rang in RL, and the first; that none did; empty where there was no RL."""
    if not results.curves:
        return ""
    if not results.alarms:
        return "None in RL."
    first = results.alarms[0]
    title = results.titles.get(first.arm, first.arm)
    more = f" and {plural(len(results.alarms) - 1, 'more', 'more')}" if len(results.alarms) > 1 else ""
    return f"“{title}”, seed {first.seed}: {first.what}{more}."


__all__ = ["Verdict", "call", "interval", "p_value", "points", "verdict"]
