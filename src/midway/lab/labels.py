"""The labeller: which ways a text uses, step by step, and whether each step is right.

Promises: no torch; never raises on any text. It reads the text only (not how it was made) and the problem's numbers:
a sum belongs to the way whose next step it is, whatever the opening words say, and is right when the arithmetic
holds *and*
it is a step that this way takes at this point from the values in the text. A slip therefore makes one step wrong,
not all
that follow; a lucky answer after wrong steps is seen. For a question without the lab's `spec` only the arithmetic
and the opening words are judged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from midway.lab.ways import AUXILIARY, BACKWARD, DECOMPOSE, EQUATION, FORWARD, GUESS, INVERSE, Part
from midway.records import Question

_SENTENCE = re.compile(r"[^.\n]+")
_SUM = re.compile(r"^(-?\d+) ([-+*/]) (-?\d+) = (-?\d+)$")
_ANSWER = re.compile(r"####\s*(-?\d+)?")
_OPENINGS = (
    (re.compile(r"^step by step\b", re.I), FORWARD),
    (re.compile(r"^work(ing)? back", re.I), BACKWARD),
    (re.compile(r"^let x be\b", re.I), EQUATION),
    (re.compile(r"^try\b", re.I), GUESS),
    (re.compile(r"^(take away the extra|draw equal bars|suppose all are|add a helper)\b", re.I), AUXILIARY),
    (re.compile(r"^(part (one|two|three)|together)\b", re.I), DECOMPOSE),
)

Ref = int | str
"""An operand in a plan: a number, or `r1`, `r2` (last result, the one before), `g` (the guess), `x` (the root
found)."""
Plan = list[tuple[Ref, str, Ref]]


@dataclass(frozen=True, slots=True)
class StepLabel:
    """One sentence: the way it belongs to ('' if unknown), and whether it is right. Openings are right by
    themselves."""

    text: str
    way: str
    right: bool


@dataclass(frozen=True, slots=True)
class Labels:
    """What the labeller found. `ways`: in order of first use, '' never among them."""

    steps: tuple[StepLabel, ...]
    answer: str | None
    """What stands after the last `####`, None when there is none."""
    answer_right: bool

    @property
    def ways(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(step.way for step in self.steps if step.way))

    @property
    def steps_right(self) -> bool:
        """True when there is at least one step and all are right."""
        return bool(self.steps) and all(step.right for step in self.steps)

    @property
    def composed(self) -> bool:
        """True when two or more ways besides splitting into parts were used: a hybrid."""
        return len(set(self.ways) - {DECOMPOSE}) > 1

    @property
    def direct(self) -> bool:
        """True for a bare answer without any working."""
        return not self.steps and self.answer is not None

    @property
    def sound(self) -> bool:
        """Right answer, and every step right."""
        return self.answer_right and self.steps_right


def _plan(part: Part, way: str, first: Ref | None = None) -> Plan:
    """The sums that `way` asks for on `part`; `first` replaces the known end of a chain (when it came from another
    part)."""
    kind = part["kind"]
    if kind == "chain":
        if way == FORWARD and part["dir"] == "f":
            refs: list[Ref] = [part["start"] if first is None else first, *["r1"] * len(part["ops"])]
            return [(ref, op, b) for ref, (op, b) in zip(refs, part["ops"], strict=False)]
        if way == BACKWARD and part["dir"] == "b":
            refs = [part["end"] if first is None else first, *["r1"] * len(part["ops"])]
            return [(ref, INVERSE[op], b) for ref, (op, b) in zip(refs, reversed(part["ops"]), strict=False)]
        if way == GUESS and part["dir"] == "b":
            refs = ["g", *["r1"] * len(part["ops"])]
            return [(ref, op, b) for ref, (op, b) in zip(refs, part["ops"], strict=False)]
        return []
    if kind == "legs":
        return [(a, "*", b) for a, b in part["legs"]] if way == DECOMPOSE else []
    if kind == "mixture":
        if way == AUXILIARY:
            return [
                (part["n"], "*", part["a"]),
                (part["total"], "-", "r1"),
                (part["b"], "-", part["a"]),
                ("r2", "/", "r1"),
            ]
        return []
    op, by = ("+", part["diff"]) if kind == "difference" else ("*", part["times"])
    large: Plan = [("r1", op, by)] if part["ask"] == "large" else []
    if way == AUXILIARY and kind == "difference":
        return [(part["sum"], "-", part["diff"]), ("r1", "/", 2), *large]
    if way == AUXILIARY:
        return [(1, "+", part["times"]), (part["total"], "/", "r1"), *large]
    if way == GUESS:
        return [("g", op, by), ("g", "+", "r1")]
    if way == EQUATION and large:
        return [("x", op, by)]
    return []


def _root(part: Part) -> Fraction | None:
    """The true value of the x that an equation about `part` is set up for."""
    kind = part["kind"]
    if kind == "chain":
        return Fraction(part["start"])
    if kind == "difference":
        return Fraction(part["sum"] - part["diff"], 2)
    if kind == "compare":
        return Fraction(part["total"], part["times"] + 1)
    if kind == "mixture":
        return Fraction(part["total"] - part["a"] * part["n"], part["b"] - part["a"])
    return None


class _Linear:
    """Reads `3 x + 2 (7 - x) = 20` as a linear equation. Fails with ValueError."""

    def __init__(self, text: str) -> None:
        self.tokens = re.findall(r"\d+|[-+*/()x]", text)
        if re.sub(r"\s", "", text) != "".join(self.tokens):
            raise ValueError(text)
        self.i = 0

    def peek(self) -> str:
        return self.tokens[self.i] if self.i < len(self.tokens) else ""

    def take(self) -> str:
        self.i += 1
        return self.tokens[self.i - 1] if self.i <= len(self.tokens) else ""

    def sum(self) -> tuple[Fraction, Fraction]:
        a, c = self.product()
        while self.peek() in ("+", "-"):
            sign = 1 if self.take() == "+" else -1
            b, d = self.product()
            a, c = a + sign * b, c + sign * d
        return a, c

    def product(self) -> tuple[Fraction, Fraction]:
        a, c = self.atom()
        while (self.peek() and self.peek() in "*/(x") or self.peek().isdigit():
            op = self.take() if self.peek() in "*/" else "*"
            b, d = self.atom()
            if op == "/":
                if b or not d:
                    raise ValueError("division by x or 0")
                a, c = a / d, c / d
            else:
                if a and b:
                    raise ValueError("not linear")
                a, c = a * d + b * c, c * d
        return a, c

    def atom(self) -> tuple[Fraction, Fraction]:
        token = self.take()
        if token == "-":
            a, c = self.atom()
            return -a, -c
        if token == "(":
            inner = self.sum()
            if self.take() != ")":
                raise ValueError("missing )")
            return inner
        if token == "x":
            return Fraction(1), Fraction(0)
        if token.isdigit():
            return Fraction(0), Fraction(int(token))
        raise ValueError(f"unexpected {token!r}")


def solve_linear(text: str) -> Fraction | None:
    """The root of a linear equation in x; None when it is none, has no root, or any number is one."""
    left, _, right = text.partition("=")
    try:
        lhs, rhs = _Linear(left), _Linear(right)
        (a, c), (b, d) = lhs.sum(), rhs.sum()
        if lhs.peek() or rhs.peek() or a == b:
            return None
        return (d - c) / (a - b)
    except ValueError:
        return None


class _Reader:
    """Goes through the sentences of one text. State: part, way, place in the plan, values so far."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.parts: list[Part] = list(spec.get("parts", []))
        self.join = str(spec.get("join", "single"))
        self.part = 0
        self.marked = 0
        self.way = ""
        self.place = 0
        self.results: list[int] = []
        self.ends: dict[int, int] = {}
        self.together = False
        self.sums_together = 0
        self.guess: int | None = None
        self.verdict = ""
        self.root: Fraction | None = None
        self.equations = 0
        self.x: int | None = None

    # --- plans

    def first(self, part: int) -> Ref | None:
        """The value that a later part of a `then` problem starts from, when an earlier part has given one."""
        if self.join != "then" or part == 0:
            return None
        return self.ends.get(part - 1, None)

    def operand(self, ref: Ref) -> int | None:
        if isinstance(ref, int):
            return ref
        if ref == "g":
            return self.guess
        if ref == "x":
            return self.x
        back = int(ref[1])
        return self.results[-back] if len(self.results) >= back else None

    def matches(self, part: int, way: str, place: int, a: int, op: str, b: int) -> bool:
        plan = _plan(self.parts[part], way, self.first(part))
        if place >= len(plan):
            return False
        want_a, want_op, want_b = plan[place]
        return (self.operand(want_a), want_op, self.operand(want_b)) == (a, op, b)

    # --- sentences

    def read(self, text: str) -> StepLabel:
        for pattern, way in _OPENINGS:
            if pattern.match(text):
                return StepLabel(text, way, self.open(way, text))
        if "x" in text and "=" in text:
            return StepLabel(text, EQUATION, self.equation(text))
        if found := _SUM.match(text):
            a, op, b, c = int(found[1]), found[2], int(found[3]), int(found[4])
            return self.sum(text, a, op, b, c)
        if text.lower() in ("too small", "too big", "yes"):
            return StepLabel(text, GUESS, self.check(text.lower()))
        return StepLabel(text, self.way, False)

    def open(self, way: str, text: str) -> bool:
        right = True
        numbers = [int(n) for n in re.findall(r"-?\d+", text)]
        if way == DECOMPOSE:
            self.together = text.lower().startswith("together")
            if not self.together:
                self.part = min(self.marked, max(0, len(self.parts) - 1)) if self.join == "sum" else 0
                self.place = self.marked if self.join == "single" else 0
                self.marked += 1
        elif way == GUESS:
            previous, self.guess = self.guess, numbers[0] if numbers else None
            if self.guess is None:
                right = False
            elif previous is not None and self.verdict:
                up = self.verdict == "too small"
                right = self.guess > previous if up else self.guess < previous or self.guess == previous == 0
            self.place, self.verdict = 0, ""
        else:
            self.next_part(way)
            self.place = 0
            if way == BACKWARD and numbers and self.parts:
                part, first = self.parts[self.part], self.first(self.part)
                right = part.get("dir") == "b" and numbers[0] == (part["end"] if first is None else first)
        self.way = way
        return right

    def next_part(self, way: str) -> None:
        """In a `then` problem an opening after a finished part opens the next one."""
        if self.join == "then" and self.part in self.ends and self.part + 1 < len(self.parts):
            self.part += 1

    def sum(self, text: str, a: int, op: str, b: int, c: int) -> StepLabel:
        holds = {"+": a + b == c, "-": a - b == c, "*": a * b == c, "/": b != 0 and a == b * c}[op]
        way, planned = self.way, not self.parts
        if self.together and self.parts:
            legs = self.parts[0].get("legs")
            ends = self.results[: len(legs)] if legs else [self.ends[p] for p in sorted(self.ends)]
            left = ends[:1] if self.sums_together == 0 else self.results[-1:]
            right = ends[self.sums_together + 1 : self.sums_together + 2]
            planned = op == "+" and left == [a] and right == [b]
            self.sums_together += 1
            way = DECOMPOSE
        elif self.parts:
            planned = self.matches(self.part, way, self.place, a, op, b)
            if not planned:
                # structure before words: does it begin, or go on with, another way?
                for part, other in self.elsewhere():
                    if self.matches(part, other, 0, a, op, b):
                        way, self.part, self.place, planned = other, part, 0, True
                        break
            self.way = way
        if not self.together:
            self.place += 1
            if self.parts and self.place >= len(_plan(self.parts[self.part], way, self.first(self.part))):
                self.ends[self.part] = c
        self.results.append(c)
        return StepLabel(text, way, holds and planned)

    def elsewhere(self) -> list[tuple[int, str]]:
        parts = [self.part]
        if self.join == "then" and self.part in self.ends and self.part + 1 < len(self.parts):
            parts = [self.part + 1]
        ways = (FORWARD, BACKWARD, AUXILIARY, DECOMPOSE)
        return [(part, way) for part in parts for way in ways if (part, way) != (self.part, self.way)]

    def equation(self, text: str) -> bool:
        root = solve_linear(text)
        if root is None:
            return False
        if self.equations == 0:
            right = not self.parts or root == _root(self.parts[self.part])
        else:
            right = root == self.root
        self.equations += 1
        self.root = root
        if found := re.match(r"^x = (-?\d+)$", text):
            self.x = int(found[1])
            if not self.parts or not _plan(self.parts[self.part], EQUATION):
                self.ends[self.part] = self.x
        self.way, self.place = EQUATION, 0
        return right

    def check(self, verdict: str) -> bool:
        self.verdict = verdict
        if not self.parts:
            return True
        if not self.results:
            return False
        part = self.parts[self.part]
        goal = part.get("total", part.get("sum", part.get("end")))
        if goal is None:
            return False
        got = self.results[-1]
        return verdict == ("yes" if got == goal else "too small" if got < goal else "too big")


def label(question: Question, text: str) -> Labels:
    """Label every sentence of `text` as an answer to `question`; see the module's first lines for what `right`
    means."""
    body = text.split("####", 1)[0]
    answers = [found[1] for found in _ANSWER.finditer(text)]
    answer = answers[-1] if answers else None
    reader = _Reader(question.meta.get("spec", {}))
    steps = tuple(reader.read(sentence.strip()) for sentence in _SENTENCE.findall(body) if sentence.strip())
    return Labels(steps, answer, answer is not None and answer == question.answer)
