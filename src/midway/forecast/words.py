"""A forecast in one paragraph of plain words. Promises: every number in it stands in the record too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from midway.forecast.features import Features, Number
from midway.theory.forecast import Budget, Calibration, Expected, Range

SMALL = 0.10
"""A lead above this means that RL alone is not expected to find the ways within its budget."""
FOLLOWS = 0.2
"""A model of which fewer guided samples use the way asked for does not follow heuristics."""


def paragraph(
    found: Features, told: Expected, plain: Budget, treated: Budget, catch_up: int | None, known: Calibration
) -> str:
    """Return the forecast in words. `catch_up`: RL steps until RL alone is level at the earliest, None if it is not in sight. `known`: what
    the forecast was made with."""
    lead = told.lead
    sentences = [
        f"The base model is right in {_percent(told.base)} of its unguided samples and in {_percent(found.guided.value)} of guided ones; "
        f"{_percent(found.hidden_reach.value)} of the questions are solved by {found.reach_k} guided samples and not by as many unguided "
        f"ones, {_percent(found.hidden_reach.value - found.net_reach.value)} the other way round.",
        _reach(found.net_reach),
    ]
    sentences.append(_shown(found, lead, plain.steps))
    sentences.append(
        f"Expect RL alone to gain {_points(told.plain)} points in {plain.steps} steps, and mid-training with RL ({treated.steps} steps) "
        f"{_points(told.treated)}."
    )
    sentences.append(_lead(lead, told.level))
    sentences.append(_catch_up(lead, plain, catch_up))
    sentences.append(_tested(known))
    return " ".join(sentence for sentence in sentences if sentence)


def _reach(net: Number) -> str:
    """Return which of the two reaches more questions; nothing where there are no guided samples."""
    if net.value != net.value:
        return ""
    if net.high < 0:
        return "So unguided samples reach more questions."
    if net.low > 0:
        return "So guided samples reach more questions."
    return "Which of the two reaches more questions is not shown."


def _tested(known: Calibration) -> str:
    """How far forecasts of this kind were off."""
    if not known.conditions:
        return "The constants of this forecast were set by hand: no run has tested them yet."
    tried = known.held_out
    if not tried:
        return ""
    return (
        f"On {tried['conditions']:.0f} lab conditions that were forecast blind such forecasts of the lead were off by "
        f"{100 * tried['error']:.1f} points on average; the better of two simple guesses was off by {100 * tried['rival']:.1f}."
    )


def lines(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield a stored forecast as lines: what the probe counted, what is expected of the arms, and the paragraph."""
    found = record["features"]
    k, reach_k, group = found["samples"], found["reach_k"], found["group"]
    yield f"pass@1 {_span(found['pass_at_1'])} %, pass@{k} {_span(found['pass_at_k'])} %; guided samples right {_span(found['guided'])} %"
    yield (
        f"hidden reach: {_span(found['hidden_reach'])} % of the questions are solved by {reach_k} guided samples "
        f"and not by {reach_k} unguided ones"
    )
    if net := found.get("net_reach"):  # records made before midway counted it have none
        yield f"net reach: {_span(net)} points (solved by {reach_k} guided samples, less solved by {reach_k} unguided ones)"
    if found["shown_unasked"] is None:
        yield "ways: cannot be told, no program labels the ways of these questions"
    else:
        yield (
            f"ways: {_span(found['shown_unasked'])} % of unguided samples show one of them "
            f"(effective number {_span(found['ways_unasked'], 1)}); asked, {_span(found['follows'])} % use the way asked for "
            f"(effective number among right ones {_span(found['ways_asked'], 1)})"
        )
    yield f"groups of {group} with signal: {_span(found['signal'])} %"
    for name, arm in record["arms"].items():
        budget = record["budgets"][name]
        what = f"{name} ({'mid-training, then RL' if arm['midtrained'] else 'RL alone'}, {budget['steps']} steps)"
        yield f"expected gain of {what}: {100 * arm['gain']:+.1f} [{100 * arm['low']:+.1f}, {100 * arm['high']:+.1f}] points"
    lead = record["lead"]
    span = f"[{100 * lead['low']:+.1f}, {100 * lead['high']:+.1f}]"
    yield f"expected lead: {100 * lead['value']:+.1f} {span} points ({100 * lead['level']:.0f} % interval)"
    yield ""
    yield record["text"]


def _span(number: Mapping[str, float | None], unit: float = 100) -> str:
    shown = [("?" if x is None else f"{unit * x:.1f}") for x in (number["value"], number["low"], number["high"])]
    return f"{shown[0]} [{shown[1]}, {shown[2]}]"


def _shown(found: Features, lead: Range, steps: int) -> str:
    if found.shown_unasked is None or found.follows is None or found.ways_unasked is None or found.ways_asked is None:
        return "Which ways its samples use cannot be told here: no program labels them."
    follows, unasked, asked = found.follows.value, found.ways_unasked.value, found.ways_asked.value
    told = (
        f"Unasked, {_percent(found.shown_unasked.value)} of its samples show one of the ways, {_count(unasked)} of them in effect; "
        f"asked, {_percent(follows)} use the way they are asked for, and {_count(asked)} ways in effect lead to right answers."
    )
    if follows < FOLLOWS:
        return f"{told} It hardly follows heuristics: mid-training would teach it little."
    if lead.value > SMALL:
        return f"{told} RL alone will probably not find all of them in {steps:,} steps."
    if found.shown_unasked.value > 0:
        return f"{told} RL alone can choose among the ways that it shows by itself."
    return told


def _lead(lead: Range, level: float) -> str:
    low, high = (f"{100 * x:.0f}" for x in (lead.low, lead.high))
    span = f"between {low} and {high} points ({100 * level:.0f} % interval, best guess {100 * lead.value:.0f})"
    if lead.low > 0:
        return f"Several ways, then RL, should end ahead of RL alone, by {span}."
    if lead.high < 0:
        return f"Several ways, then RL, should end behind RL alone: {span}."
    return f"That mid-training ends ahead of RL alone is not clear: {span}."


def _catch_up(lead: Range, plain: Budget, catch_up: int | None) -> str:
    if lead.value <= 0.01:
        return "RL alone is expected to be level within its budget."
    if catch_up is None:
        return "No number of RL steps is in sight after which RL alone would be level."
    saved = catch_up - plain.steps
    if saved <= 0:
        return ""
    return f"RL alone would be level after {catch_up:,} steps at the earliest: mid-training saves {saved:,} or more."


def _percent(share: float) -> str:
    return "an unknown share" if share != share else f"{100 * share:.0f} %"


def _count(number: float) -> str:
    return "none" if number != number else f"{number:.1f}"


def _points(value: Range) -> str:
    return f"{100 * value.value:.0f} [{100 * value.low:.0f}, {100 * value.high:.0f}]"
