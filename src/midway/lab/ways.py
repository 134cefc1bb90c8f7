"""The solver: writes a problem's solution in each of the lab's ways, sentence by sentence.

Promises: no torch; every sentence carries the way it belongs to; with `slip` 0 every step is right and the last line is
`#### answer`. With `slip` > 0 a computed result is off now and then and what follows goes on from the slipped value,
as a careless solver would: that is how the base corpus gets its noise. Asking for a way that the problem's kind has no
solution in raises ValueError (`misapply` writes what a solver does who tries it all the same).
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, NamedTuple

from midway.records import Question

FORWARD = "carry-out-step-by-step"
BACKWARD = "working-backward"
EQUATION = "setting-up-equations"
GUESS = "guess-and-check"
AUXILIARY = "auxiliary-elements"
DECOMPOSE = "decomposing-and-recombining"
WAYS = (FORWARD, BACKWARD, EQUATION, GUESS, AUXILIARY, DECOMPOSE)
HYBRID = "hybrid"
"""Pseudo-way of composites: each part in the way it needs. In no document of the base corpus."""

CUES: dict[str, str] = {
    FORWARD: "Go step by step.",
    BACKWARD: "Work backward.",
    EQUATION: "Set up an equation.",
    GUESS: "Guess and check.",
    AUXILIARY: "Add a helper.",
    DECOMPOSE: "Split it into parts.",
}

Part = Mapping[str, Any]
"""One part of a problem: `kind` is `chain`, `difference`, `compare`, `mixture` or `legs`; the rest are its numbers."""


class Sentence(NamedTuple):
    """One sentence of a solution: its way ('' for the answer line), its text, and whether no slip was made in it."""

    way: str
    text: str
    right: bool


INVERSE = {"+": "-", "-": "+", "*": "/", "/": "*"}
ORDINALS = ("one", "two", "three")
MAX_TRIES = 4


def apply(a: int, op: str, b: int) -> int:
    """`a op b` in integers; division rounds down, and dividing by 0 gives 0 (only slips get there)."""
    if op == "+":
        return a + b
    if op == "-":
        return a - b
    if op == "*":
        return a * b
    return a // b if b else 0


def part_answer(part: Part) -> int:
    """The number that a part asks for."""
    kind = part["kind"]
    if kind == "chain":
        return int(part["end"] if part["dir"] == "f" else part["start"])
    if kind == "difference":
        small = (part["sum"] - part["diff"]) // 2
        return int(small if part["ask"] == "small" else small + part["diff"])
    if kind == "compare":
        small = part["total"] // (part["times"] + 1)
        return int(small if part["ask"] == "small" else small * part["times"])
    if kind == "mixture":
        return int((part["total"] - part["a"] * part["n"]) // (part["b"] - part["a"]))
    return int(sum(a * b for a, b in part["legs"]))


class _Pen:
    """Writes sentences of one way and does its sums, with slips."""

    def __init__(self, rng: random.Random, slip: float) -> None:
        self.rng = rng
        self.slip = slip
        self.out: list[Sentence] = []
        self.right = True

    def say(self, way: str, text: str) -> None:
        self.out.append(Sentence(way, text, self.right))
        self.right = True

    def value(self, a: int, op: str, b: int) -> int:
        """`a op b`, or, with probability `slip`, something near it; what is off shows in the next sentence's
        `right`."""
        right = value = apply(a, op, b)
        if self.slip and self.rng.random() < self.slip:
            value = max(1, right + self.rng.choice((-10, -2, -1, 1, 2, 10)))
        if value != right or (op == "/" and (b == 0 or a % b)):
            self.right = False
        return value

    def sum(self, way: str, a: int, op: str, b: int) -> int:
        """Write `a op b = c.` and return c."""
        c = self.value(a, op, b)
        self.say(way, f"{a} {op} {b} = {c}.")
        return c


def _forward(pen: _Pen, part: Part, words: Mapping[str, Any]) -> int:
    pen.say(FORWARD, "Step by step.")
    value = int(part["start"])
    for op, b in part["ops"]:
        value = pen.sum(FORWARD, value, op, b)
    return value


def _backward(pen: _Pen, part: Part, words: Mapping[str, Any]) -> int:
    value = int(part["end"])
    pen.say(BACKWARD, f"Work back from {value}.")
    for op, b in reversed(part["ops"]):
        value = pen.sum(BACKWARD, value, INVERSE[op], b)
    return value


def _expression(ops: list[list[Any]]) -> str:
    text, last = "x", ""
    for op, b in ops:
        if op in "*/" and last in ("+", "-"):
            text = f"({text})"
        text, last = f"{text} {op} {b}", op
    return text


def _equation(pen: _Pen, part: Part, words: Mapping[str, Any]) -> int:
    """With `words["explicit"]` every sum that solves it is written before its result."""

    def solved(left: str, a: int, op: str, b: int) -> int:
        if words.get("explicit"):
            pen.say(EQUATION, f"{left} = {a} {op} {b}.")
        result = pen.value(a, op, b)
        pen.say(EQUATION, f"{left} = {result}.")
        return result

    kind = part["kind"]
    if kind == "chain":
        pen.say(EQUATION, "Let x be the start.")
        ops, value = list(part["ops"]), int(part["end"])
        pen.say(EQUATION, f"{_expression(ops)} = {value}.")
        while ops:
            op, b = ops.pop()
            value = solved(_expression(ops), value, INVERSE[op], b)
        return value
    if kind == "difference":
        total, diff = part["sum"], part["diff"]
        pen.say(EQUATION, f"Let x be {words['small']}.")
        pen.say(EQUATION, f"x + x + {diff} = {total}.")
        x = solved("x", solved("2 x", total, "-", diff), "/", 2)
        return x if part["ask"] == "small" else pen.sum(EQUATION, x, "+", diff)
    if kind == "compare":
        times, total = part["times"], part["total"]
        pen.say(EQUATION, f"Let x be {words['small']}.")
        pen.say(EQUATION, f"x + {times} x = {total}.")
        many = pen.value(times, "+", 1)
        pen.say(EQUATION, f"{many} x = {total}.")
        x = solved("x", total, "/", many)
        return x if part["ask"] == "small" else pen.sum(EQUATION, x, "*", times)
    a, b, n, total = part["a"], part["b"], part["n"], part["total"]
    pen.say(EQUATION, f"Let x be {words['b_name']}.")
    pen.say(EQUATION, f"{b} x + {a} ({n} - x) = {total}.")
    if words.get("explicit"):
        pen.say(EQUATION, f"{b} x - {a} x + {a} * {n} = {total}.")
    each, base = b - a, pen.value(a, "*", n)
    pen.say(EQUATION, f"{each} x + {base} = {total}.")
    return solved("x", solved(f"{each} x", total, "-", base), "/", each)


def _guess(pen: _Pen, part: Part, words: Mapping[str, Any]) -> int:
    """A first guess near the answer (a good eye), then one up or down until the check says yes."""
    kind = part["kind"]
    small_asked = {**part, "ask": "small"}
    guess = max(1, part_answer(small_asked) + pen.rng.choice((-2, -1, -1, 0, 0, 1)))
    for _ in range(MAX_TRIES):
        pen.say(GUESS, f"Try {guess}.")
        if kind == "chain":
            got, goal = guess, part["end"]
            for op, b in part["ops"]:
                got = pen.sum(GUESS, got, op, b)
        elif kind == "difference":
            other, goal = pen.sum(GUESS, guess, "+", part["diff"]), part["sum"]
            got = pen.sum(GUESS, guess, "+", other)
        else:
            other, goal = pen.sum(GUESS, guess, "*", part["times"]), part["total"]
            got = pen.sum(GUESS, guess, "+", other)
        if got == goal:
            pen.say(GUESS, "Yes.")
            break
        pen.say(GUESS, "Too small." if got < goal else "Too big.")
        guess = max(0, guess + (1 if got < goal else -1))
    if kind == "chain" or part["ask"] == "small":
        return guess
    return other


def _auxiliary(pen: _Pen, part: Part, words: Mapping[str, Any]) -> int:
    kind = part["kind"]
    if kind == "difference":
        pen.say(AUXILIARY, f"Take away the extra {part['diff']}.")
        x = pen.sum(AUXILIARY, pen.sum(AUXILIARY, part["sum"], "-", part["diff"]), "/", 2)
        return x if part["ask"] == "small" else pen.sum(AUXILIARY, x, "+", part["diff"])
    if kind == "compare":
        pen.say(AUXILIARY, "Draw equal bars.")
        x = pen.sum(AUXILIARY, part["total"], "/", pen.sum(AUXILIARY, 1, "+", part["times"]))
        return x if part["ask"] == "small" else pen.sum(AUXILIARY, x, "*", part["times"])
    pen.say(AUXILIARY, f"Suppose all are {words['a_name']}.")
    rest = pen.sum(AUXILIARY, part["total"], "-", pen.sum(AUXILIARY, part["n"], "*", part["a"]))
    return pen.sum(AUXILIARY, rest, "/", pen.sum(AUXILIARY, part["b"], "-", part["a"]))


def _legs(pen: _Pen, part: Part, words: Mapping[str, Any]) -> int:
    found = []
    for i, (a, b) in enumerate(part["legs"]):
        pen.say(DECOMPOSE, f"Part {ORDINALS[i]}.")
        found.append(pen.sum(DECOMPOSE, a, "*", b))
    return _together(pen, found)


def _together(pen: _Pen, found: list[int]) -> int:
    pen.say(DECOMPOSE, "Together.")
    total = found[0]
    for value in found[1:]:
        total = pen.sum(DECOMPOSE, total, "+", value)
    return total


_WRITERS = {
    ("chain-f", FORWARD): _forward,
    ("chain-b", BACKWARD): _backward,
    ("chain-b", EQUATION): _equation,
    ("chain-b", GUESS): _guess,
    ("difference", EQUATION): _equation,
    ("difference", GUESS): _guess,
    ("difference", AUXILIARY): _auxiliary,
    ("compare", EQUATION): _equation,
    ("compare", GUESS): _guess,
    ("compare", AUXILIARY): _auxiliary,
    ("mixture", EQUATION): _equation,
    ("mixture", AUXILIARY): _auxiliary,
    ("legs", DECOMPOSE): _legs,
}


def solvable_part(part: Part) -> tuple[str, ...]:
    """The ways that have a writer for `part`. Guessing is left out where a guess would have to be halved."""
    halves = part["kind"] == "chain" and any(op == "/" for op, _ in part["ops"])
    return tuple(way for way in WAYS if (_kind(part), way) in _WRITERS and not (way == GUESS and halves))


def _kind(part: Part) -> str:
    return f"chain-{part['dir']}" if part["kind"] == "chain" else str(part["kind"])


def solvable(question: Question) -> tuple[str, ...]:
    """The ways in which the solver can write this problem, whether or not the world's config lists them as fitting."""
    parts, join = question.meta["spec"]["parts"], question.meta["spec"]["join"]
    if join == "sum":
        return (DECOMPOSE, HYBRID)
    if join == "then":
        return (HYBRID,)
    return solvable_part(parts[0])


def solve_sentences(
    question: Question, way: str, rng: random.Random | None = None, slip: float = 0.0
) -> list[Sentence]:
    """Write a solution sentence by sentence, the answer line last with way ''.

    `slip` is the probability that a computed result is off. Raises ValueError when the problem has no solution this
    way.
    """
    pen = _Pen(rng or random.Random(question.id), slip)
    spec = question.meta["spec"]
    parts, words = spec["parts"], spec["words"]
    if way not in solvable(question):
        raise ValueError(
            f"{question.meta['family']} problems are not solved by {way!r}: choose from {', '.join(solvable(question))}"
        )
    if spec["join"] == "single":
        answer = _WRITERS[_kind(parts[0]), way](pen, parts[0], words)
    else:
        needs = question.meta["hybrid"] or [BACKWARD if part["dir"] == "b" else FORWARD for part in parts]
        found: list[int] = []
        for i, (part, need) in enumerate(zip(parts, needs, strict=True)):
            if spec["join"] == "sum":
                pen.say(DECOMPOSE, f"Part {ORDINALS[i]}.")
            elif found:
                part = {**part, ("start" if part["dir"] == "f" else "end"): found[-1]}
            found.append(_WRITERS[_kind(part), need](pen, part, words))
        answer = _together(pen, found) if spec["join"] == "sum" else found[-1]
    pen.say("", f"#### {answer}")
    return pen.out


def solve(question: Question, way: str, rng: random.Random | None = None, slip: float = 0.0) -> str:
    """Write a solution in one way (see `solve_sentences`), as one line of text."""
    return " ".join(sentence.text for sentence in solve_sentences(question, way, rng, slip))


def tempting(question: Question) -> list[tuple[int, str, int]]:
    """The calculation a hasty solver would do: it uses the problem's numbers and leads to a wrong answer (mostly)."""
    spec = question.meta["spec"]
    steps: list[tuple[int, str, int]] = []
    for part in spec["parts"]:
        kind = part["kind"]
        if kind == "chain":
            # run the wrong way: forwards from the end, or undoing from the start
            value = part["end"] if part["dir"] == "b" else part["start"]
            for op, b in part["ops"][:2]:
                op = op if part["dir"] == "b" else INVERSE[op]
                steps.append((value, op, b))
                value = max(0, apply(value, op, b))
        elif kind == "difference":
            steps.append((part["sum"], "-", part["diff"]))
        elif kind == "compare":
            steps.append((part["total"], "/", part["times"]))
        elif kind == "mixture":
            steps.append((part["total"], "/", part["b"]))
        else:
            steps.append((part["legs"][0][0], "*", part["legs"][0][1]))
    return steps


OPENINGS = {
    FORWARD: "Step by step.",
    BACKWARD: "Work back.",
    EQUATION: "Let x be it.",
    GUESS: "Try it.",
    AUXILIARY: "Add a helper.",
    DECOMPOSE: "Part one.",
}


def misapply(question: Question, way: str) -> str:
    """What a solver writes who is told to use a way that does not fit: its opening, a tempting sum, mostly wrong."""
    a, op, b = tempting(question)[0]
    c = max(0, apply(a, op, b))
    return f"{OPENINGS[way]} {a} {op} {b} = {c}. #### {c}"
