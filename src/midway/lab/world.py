"""The lab's world: short English word problems with small numbers, drawn from a seed without end.

Promises: no torch; the same arguments give the same questions in every process and on every machine; a numeric instance
(the numbers of a problem with its family) belongs to exactly one of the splits `corpus`, `train` and `test`, so that no
test problem is a renamed training problem. When a split has too few different problems of a family for what is asked,
ValueError says how many there are.

The public face of the room for other rooms: `questions`, `solve`, `label`, `guided_messages`, `CUES`.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from midway.lab.labels import Labels, StepLabel, label
from midway.lab.ways import (
    AUXILIARY,
    BACKWARD,
    CUES,
    DECOMPOSE,
    EQUATION,
    FORWARD,
    GUESS,
    HYBRID,
    WAYS,
    Part,
    apply,
    part_answer,
    solvable,
    solvable_part,
    solve,
)
from midway.records import Message, Question

__all__ = [
    "CUES",
    "FAMILIES",
    "HYBRID",
    "WAYS",
    "Labels",
    "StepLabel",
    "WorldConfig",
    "draw",
    "guided_messages",
    "label",
    "plain_messages",
    "questions",
    "solve",
]

Split = Literal["corpus", "train", "test"]
SPLITS: tuple[Split, ...] = ("corpus", "train", "test")
LEVELS = (1, 2, 3)

HE = ("Tom", "Ben", "Sam", "Max", "Leo", "Dan")
SHE = ("Ann", "Eva", "Mia", "Lily", "Zoe", "Kim")
ITEMS = ("apples", "cards", "coins", "books", "shells", "pens")
MIXTURES = (("hens", 2, "cows", 4, "legs"), ("bikes", 2, "cars", 4, "wheels"), ("stools", 3, "tables", 4, "legs"))
MOVES = (("walks", "miles"), ("paints", "walls"), ("bakes", "cakes"))


@dataclass(frozen=True, slots=True)
class WorldConfig:
    """The knobs of the world: which ways fit which family, and how hard each level is (index 0 is level 1)."""

    fits: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(FITS))
    chain_ops: tuple[int, int, int] = (2, 3, 4)
    """Operations in a chain."""
    pair_ops: tuple[int, int, int] = (1, 1, 2)
    """Operations in each chain of a pair or of a composite."""
    largest: tuple[int, int, int] = (20, 30, 40)
    """Largest value within a chain; sums of two people may be 10 larger."""
    doubling: bool = False
    """Chains above level 1 may also double, triple or halve, once."""
    families: tuple[str, ...] = ()
    """The single families that the base corpus is about; empty for all."""
    explicit: bool = False
    """Equations write out the sums that solve them (`x + 4 = 9 + 1. x + 4 = 10.`), which a small model learns far more easily."""


FITS: dict[str, tuple[str, ...]] = {
    "forward": (FORWARD,),
    "backward": (BACKWARD,),
    "difference": (AUXILIARY, EQUATION),
    "compare": (EQUATION, GUESS),
    "mixture": (AUXILIARY,),
    "legs": (DECOMPOSE,),
    "pair": (DECOMPOSE,),
}
"""Default: for each kind of problem the ways that solve it. Only `forward` is what the base model does by default."""

UNIVERSAL: dict[str, tuple[str, ...]] = {
    **FITS,
    "backward": (BACKWARD, EQUATION, GUESS),
    "difference": (AUXILIARY, EQUATION, GUESS),
    "compare": (AUXILIARY, EQUATION, GUESS),
    "mixture": (AUXILIARY, EQUATION),
}
"""Equations solve nearly everything: a world in which one way is enough."""

TWO_WAYS: dict[str, tuple[str, ...]] = {
    **FITS,
    "backward": (BACKWARD, EQUATION),
    "difference": (AUXILIARY, EQUATION),
    "compare": (AUXILIARY, EQUATION),
    "mixture": (AUXILIARY, EQUATION),
}
"""Four kinds of problems with two ways each, of which equations are one: variety is not needed to solve them all."""

WORLDS: dict[str, WorldConfig] = {
    "default": WorldConfig(fits=dict(FITS)),
    "two-ways": WorldConfig(
        fits=TWO_WAYS, families=("forward", "backward", "difference", "compare", "mixture"), explicit=True
    ),
}
"""The worlds that recipes call by name."""


def world_config(name: str) -> WorldConfig:
    """The world called `name`. Raises ValueError for an unknown name."""
    if name not in WORLDS:
        raise ValueError(f"unknown world {name!r}: choose from {', '.join(WORLDS)}")
    return WORLDS[name]


class _Draw:
    """One problem being drawn: the random source, the level's numbers, and names that do not repeat."""

    def __init__(self, rng: random.Random, level: int, config: WorldConfig) -> None:
        self.rng = rng
        self.level = level
        self.largest = config.largest[level - 1]
        self.doubling = config.doubling and level > 1
        self.chain_ops = config.chain_ops[level - 1]
        self.pair_ops = config.pair_ops[level - 1]
        self.he, self.she = rng.choice(HE), rng.choice(SHE)
        self.item = rng.choice(ITEMS)

    def people(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """Two people as (name, pronoun), in random order."""
        pair = [(self.he, "He"), (self.she, "She")]
        self.rng.shuffle(pair)
        return pair[0], pair[1]

    def chain(self, direction: str, n: int, *, start: int | None = None, plain: bool = False) -> Part:
        """A chain of `n` operations whose values stay within 1..largest; `plain` allows only + and -."""
        rng = self.rng
        while True:
            value = first = start if start is not None else rng.randint(1, self.largest // 2)
            ops: list[list[Any]] = []
            for _ in range(n):
                kinds = ["+", "-"]
                if self.doubling and not plain and not any(op in "*/" for op, _ in ops):
                    kinds += ["*", "/"] if value % 2 == 0 else ["*"]
                op = rng.choice(kinds)
                b = rng.randint(1, 9) if op in "+-" else 2
                if op == "*" and self.level == 3:
                    b = rng.choice((2, 3))
                ops.append([op, b])
                value = apply(value, op, b)
                if not 1 <= value <= self.largest:
                    break
            else:
                return {"kind": "chain", "dir": direction, "start": first, "ops": ops, "end": value}

    def difference(self) -> Part:
        diff = self.rng.randint(1, 9)
        small = self.rng.randint(1, (self.largest + 10 - diff) // 2)
        ask = "small" if self.level == 1 else self.rng.choice(("small", "large"))
        return {"kind": "difference", "sum": 2 * small + diff, "diff": diff, "ask": ask}

    def mixture(self, a: int, b: int) -> Part:
        n = self.rng.randint(3, 6 + 2 * self.level)
        k = self.rng.randint(1, n - 1)
        return {"kind": "mixture", "n": n, "a": a, "b": b, "total": a * (n - k) + b * k}


# --- clothes: how a chain of operations reads. Each gives (opening, one sentence per operation, ending, question)


def _things(d: _Draw, part: Part, who: tuple[str, str] | None = None) -> tuple[str, str]:
    name, he = who or d.people()[0]
    verbs = {"+": ("gets {} more.", "finds {}.", "buys {}."), "-": ("loses {}.", "gives away {}.", "sells {}.")}
    out = [f"{name} has {part['start'] if part['dir'] == 'f' else 'some'} {d.item}."]
    for op, b in part["ops"]:
        if op == "*":
            out.append("Then the number doubles." if b == 2 else "Then the number triples.")
        elif op == "/":
            out.append(f"{he} gives away half.")
        else:
            out.append(f"{he} " + d.rng.choice(verbs[op]).format(b))
    if part["dir"] == "f":
        return " ".join(out), f"How many {d.item} does {name} have now?"
    return " ".join(out) + f" Now {name} has {part['end']}.", f"How many {d.item} did {name} have at first?"


def _bus(d: _Draw, part: Part) -> tuple[str, str]:
    out = [f"A bus starts with {part['start'] if part['dir'] == 'f' else 'some'} people."]
    says = {"+": "{} people get on.", "-": "{} people get off.", "/": "Then half get off."}
    for op, b in part["ops"]:
        out.append(says[op].format(b) if op != "*" else f"Then the number {'doubles' if b == 2 else 'triples'}.")
    if part["dir"] == "f":
        return " ".join(out), "How many people are on the bus now?"
    return " ".join(out) + f" Now there are {part['end']}.", "How many people were on the bus at first?"


def _tank(d: _Draw, part: Part) -> tuple[str, str]:
    out = [f"A tank holds {part['start'] if part['dir'] == 'f' else 'some'} liters."]
    says = {"+": "{} liters flow in.", "-": "{} liters flow out.", "/": "Then half flows out."}
    for op, b in part["ops"]:
        out.append(says[op].format(b) if op != "*" else f"Then the amount {'doubles' if b == 2 else 'triples'}.")
    if part["dir"] == "f":
        return " ".join(out), "How many liters are in the tank now?"
    return " ".join(out) + f" Now it holds {part['end']}.", "How many liters were in the tank at first?"


def _program(d: _Draw, part: Part) -> tuple[str, str]:
    out = [f"x = {part['start']}." if part["dir"] == "f" else "x = input."]
    out += [f"x = x {op} {b}." for op, b in part["ops"]] + ["print x."]
    if part["dir"] == "f":
        return " ".join(out), "What is printed?"
    return " ".join(out) + f" It prints {part['end']}.", "What was the input?"


def _rooms(d: _Draw, part: Part) -> tuple[str, str]:
    name, he = d.people()[0]
    out = [f"{name} is in {'room ' + str(part['start']) if part['dir'] == 'f' else 'some room'}."]
    out += [f"{he} goes {'up' if op == '+' else 'down'} {b} rooms." for op, b in part["ops"]]
    if part["dir"] == "f":
        return " ".join(out), f"In which room is {name} now?"
    return " ".join(out) + f" Now {name} is in room {part['end']}.", f"In which room was {name} at first?"


def _giving(d: _Draw, part: Part) -> tuple[str, str]:
    (one, _), (two, _) = d.people()
    flow = [-b if op == "+" else b for op, b in part["ops"]]
    other = d.rng.randint(1, 9) + sum(b for op, b in part["ops"] if op == "+")
    now = other + sum(flow)
    moves = [f"{one} gives {two} {b}." if op == "+" else f"{two} gives {one} {b}." for op, b in part["ops"]]
    if part["dir"] == "f":
        start = f"{one} has {other} {d.item} and {two} has {part['start']}."
        return " ".join([start, *moves]), f"How many {d.item} does {two} have now?"
    end = f"Now {one} has {now} and {two} has {part['end']}."
    return " ".join([f"{one} and {two} have {d.item}.", *moves, end]), f"How many {d.item} did {two} have at first?"


def _difference_text(d: _Draw, part: Part, one: str, two: str) -> str:
    """`one` has the larger number."""
    return f"{one} and {two} have {part['sum']} {d.item} together. {one} has {part['diff']} more {d.item} than {two}."


def _grammar(text: str) -> str:
    """One of a thing is singular."""
    text = re.sub(r"\b1 people get\b", "1 person gets", text)
    text = re.sub(r"\b1 (more )?(\w+)s (come|leave|flow)\b", r"1 \1\2 \3s", text)
    return re.sub(
        r"\b1 ((?:more )?)(apple|card|coin|book|shell|pen|room|liter|mile|wall|cake|hour)s\b", r"1 \1\2", text
    )


# --- families: a function from a draw to (parts, join, text, words that the solver needs)

Made = tuple[list[Part], str, str, dict[str, Any]]


def _chain(direction: str) -> Callable[[_Draw], Made]:
    def make(d: _Draw) -> Made:
        part = d.chain(direction, d.chain_ops)
        body, ask = d.rng.choice((_things, _things, _bus, _tank))(d, part)
        return [part], "single", f"{body} {ask}", {}

    return make


def _clothed(clothes: Callable[[_Draw, Part], tuple[str, str]], direction: str) -> Callable[[_Draw], Made]:
    def make(d: _Draw) -> Made:
        part = d.chain(direction, d.chain_ops, plain=True)
        body, ask = clothes(d, part)
        return [part], "single", f"{body} {ask}", {}

    return make


def _pair(first: str, second: str) -> Callable[[_Draw], Made]:
    def make(d: _Draw) -> Made:
        one, two = d.people()
        parts = [d.chain(first, d.pair_ops), d.chain(second, d.pair_ops)]
        bodies = [_things(d, part, who)[0] for part, who in zip(parts, (one, two), strict=True)]
        asks = [
            f"{who[0]}'s number {'now' if part['dir'] == 'f' else 'at first'}"
            for part, who in zip(parts, (one, two), strict=True)
        ]
        return parts, "sum", f"{bodies[0]} {bodies[1]} What is {asks[0]} plus {asks[1]}?", {}

    return make


def _make_difference(d: _Draw) -> Made:
    part = d.difference()
    (one, _), (two, _) = d.people()
    who = two if part["ask"] == "small" else one
    text = f"{_difference_text(d, part, one, two)} How many {d.item} does {who} have?"
    return [part], "single", text, {"small": two}


def _make_program_difference(d: _Draw) -> Made:
    part = d.difference()
    one, two = d.rng.choice(("xy", "ab", "pq", "mn"))
    want = two if part["ask"] == "small" else one
    text = f"{one} + {two} = {part['sum']}. {one} - {two} = {part['diff']}. print {want}. What is printed?"
    return [part], "single", text, {"small": two}


def _make_compare(d: _Draw) -> Made:
    times = d.rng.randint(2, 3 + d.level)
    small = d.rng.randint(2, 6 + d.level)
    ask = "small" if d.level == 1 else d.rng.choice(("small", "large"))
    part: Part = {"kind": "compare", "times": times, "total": small * (times + 1), "ask": ask}
    (one, _), (two, _) = d.people()
    who = two if ask == "small" else one
    text = (
        f"{one} has {times} times as many {d.item} as {two}. Together they have {part['total']}. "
        f"How many {d.item} does {who} have?"
    )
    return [part], "single", text, {"small": two}


def _make_mixture(d: _Draw) -> Made:
    a_name, a, b_name, b, feet = d.rng.choice(MIXTURES)
    part = d.mixture(a, b)
    text = (
        f"{d.rng.choice(HE + SHE)} counts {part['n']} {a_name} and {b_name} with {part['total']} {feet}. "
        f"Each of the {a_name} has {a}, each of the {b_name} has {b}. How many {b_name} are there?"
    )
    return [part], "single", text, {"a_name": a_name, "b_name": b_name}


def _make_legs(d: _Draw) -> Made:
    n, most = (2, 5) if d.level == 1 else (2, 7) if d.level == 2 else (3, 5)
    legs = [[d.rng.randint(2, most), d.rng.randint(2, most)] for _ in range(n)]
    part: Part = {"kind": "legs", "legs": legs}
    name, he = d.people()[0]
    does, what = d.rng.choice(MOVES)
    text = f"{name} {does} {legs[0][0]} {what} an hour for {legs[0][1]} hours."
    text += "".join(f" Then {he.lower()} {does} {a} an hour for {b} hours." for a, b in legs[1:])
    return [part], "single", f"{text} How many {what} is that in all?", {}


def _make_difference_then(d: _Draw) -> Made:
    part = {**d.difference(), "ask": "small"}
    (one, _), two = d.people()
    chain = d.chain("f", d.pair_ops, start=part_answer(part), plain=True)
    moves = _things(d, chain, two)[0].split(". ", 1)[1]
    moves = moves.replace(two[1], f"Then {two[0]}", 1)
    text = f"{_difference_text(d, part, one, two[0])} {moves} How many {d.item} does {two[0]} have now?"
    return [part, chain], "then", text, {"small": two[0]}


def _make_mixture_then(d: _Draw) -> Made:
    a_name, a, b_name, b, feet = d.rng.choice(MIXTURES)
    part = d.mixture(a, b)
    chain = d.chain("f", d.pair_ops, start=part_answer(part), plain=True)
    says = {"+": f"{{}} more {b_name} come.", "-": f"{{}} {b_name} leave."}
    moves = " ".join(says[op].format(n) for op, n in chain["ops"])
    text = (
        f"{d.rng.choice(HE + SHE)} counts {part['n']} {a_name} and {b_name} with {part['total']} {feet}. "
        f"Each of the {a_name} has {a}, each of the {b_name} has {b}. {moves} How many {b_name} are there now?"
    )
    return [part, chain], "then", text, {"a_name": a_name, "b_name": b_name}


def _make_forward_then_backward(d: _Draw) -> Made:
    one, two = d.people()
    first = d.chain("f", d.pair_ops)
    while True:
        second = d.chain("b", d.pair_ops)
        if second["end"] == first["end"]:
            break
    body = _things(d, first, one)[0]
    rest = _things(d, second, two)[0].rsplit(" Now ", 1)[0]
    text = f"{body} {rest} Now {two[0]} has as many as {one[0]}. How many {d.item} did {two[0]} have at first?"
    return [first, second], "then", text, {}


@dataclass(frozen=True, slots=True)
class Family:
    """`kind`: `single`, `composite` (parts need different ways) or `ood` (other clothes); `fits`: key into FITS."""

    kind: Literal["single", "composite", "ood"]
    fits: str
    make: Callable[[_Draw], Made]
    hybrid: tuple[str, ...] = ()
    """For composites: the way that each part needs, in order."""


FAMILIES: dict[str, Family] = {
    "forward": Family("single", "forward", _chain("f")),
    "backward": Family("single", "backward", _chain("b")),
    "difference": Family("single", "difference", _make_difference),
    "compare": Family("single", "compare", _make_compare),
    "mixture": Family("single", "mixture", _make_mixture),
    "legs": Family("single", "legs", _make_legs),
    "forward-pair": Family("single", "pair", _pair("f", "f")),
    "backward-pair": Family("single", "pair", _pair("b", "b")),
    "forward-and-backward": Family("composite", "pair", _pair("f", "b"), (FORWARD, BACKWARD)),
    "backward-and-forward": Family("composite", "pair", _pair("b", "f"), (BACKWARD, FORWARD)),
    "difference-then-forward": Family("composite", "", _make_difference_then, (AUXILIARY, FORWARD)),
    "mixture-then-forward": Family("composite", "", _make_mixture_then, (AUXILIARY, FORWARD)),
    "forward-then-backward": Family("composite", "", _make_forward_then_backward, (FORWARD, BACKWARD)),
    "program-forward": Family("ood", "forward", _clothed(_program, "f")),
    "program-backward": Family("ood", "backward", _clothed(_program, "b")),
    "program-difference": Family("ood", "difference", _make_program_difference),
    "rooms-forward": Family("ood", "forward", _clothed(_rooms, "f")),
    "rooms-backward": Family("ood", "backward", _clothed(_rooms, "b")),
    "giving-forward": Family("ood", "forward", _clothed(_giving, "f")),
    "giving-backward": Family("ood", "backward", _clothed(_giving, "b")),
}
SINGLES = tuple(name for name, family in FAMILIES.items() if family.kind == "single")
COMPOSITES = tuple(name for name, family in FAMILIES.items() if family.kind == "composite")
OOD = tuple(name for name, family in FAMILIES.items() if family.kind == "ood")
GROUPS = {"single": SINGLES, "composite": COMPOSITES, "ood": OOD, "all": tuple(FAMILIES)}


def split_of(family: str, parts: Sequence[Part]) -> Split:
    """The split that a numeric instance belongs to: 60 % corpus, 20 % train, 20 % test, by a hash of its numbers."""
    digest = hashlib.blake2b(json.dumps([family, list(parts)], sort_keys=True).encode(), digest_size=8).digest()
    bucket = digest[0] % 5
    return "train" if bucket == 3 else "test" if bucket == 4 else "corpus"


def draw(rng: random.Random, family: str, level: int, split: Split, config: WorldConfig | None = None) -> Question:
    """Draw one question of a family and level that belongs to `split`.

    Raises ValueError for an unknown family, level or split.
    """
    config = config or WorldConfig()
    if family not in FAMILIES:
        raise ValueError(f"unknown family {family!r}: choose from {', '.join(FAMILIES)} or {', '.join(GROUPS)}")
    if level not in LEVELS:
        raise ValueError(f"unknown level {level!r}: choose from 1, 2, 3")
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: choose from {', '.join(SPLITS)}")
    made = FAMILIES[family]
    while True:
        parts, join, text, words = made.make(_Draw(rng, level, config))
        if split_of(family, parts) == split:
            break
    if join == "sum":
        answer = sum(part_answer(part) for part in parts)
    else:
        answer = part_answer(parts[-1])
    fits = config.fits[made.fits] if made.fits else ()
    meta = {
        "family": family,
        "level": level,
        "kind": made.kind,
        "ways": [way for way in fits if join != "single" or way in solvable_part(parts[0])],
        "hybrid": list(made.hybrid),
        "spec": {"parts": parts, "join": join, "words": words | ({"explicit": True} if config.explicit else {})},
    }
    return Question("math", _grammar(text), str(answer), source=f"lab/{split}", meta=meta)


def questions(
    split: Split,
    n: int,
    seed: int = 0,
    families: Sequence[str] = ("single",),
    levels: Sequence[int] = LEVELS,
    config: WorldConfig | None = None,
    world: str = "default",
) -> list[Question]:
    """Return `n` different questions, in equal shares over families and levels, in an order drawn from `seed`.

    `families` takes family names and group names (`single`, `composite`, `ood`, `all`); `world` is a name, and `config`
    sets everything instead. Raises ValueError for unknown names, and when a family has too few different problems.
    """
    config = config or world_config(world)
    names = [name for given in families for name in GROUPS.get(given, (given,))]
    cells = [(family, level) for family in names for level in levels]
    if not cells:
        raise ValueError("no families or no levels: give at least one of each")
    rng = random.Random(f"midway.lab/{split}/{seed}/{','.join(names)}/{','.join(map(str, levels))}")
    found: dict[str, Question] = {}
    for i in range(n):
        family, level = cells[i % len(cells)]
        for _ in range(1000):
            question = draw(rng, family, level, split, config)
            if question.text not in found:
                break
        else:
            raise ValueError(
                f"{split} has no more different problems of {family} at level {level} after {i} questions: "
                "ask for fewer, or for more families or levels"
            )
        found[question.text] = question
    out = list(found.values())
    rng.shuffle(out)
    return [_named(question, i) for i, question in enumerate(out)]


def _named(question: Question, i: int) -> Question:
    """Give a question its name and a reference solution: the solver's, in the first way that fits (a hybrid of both for composites)."""
    name = f"{question.source.replace('/', '-')}-{question.meta['family']}-{i:05d}"
    way = next((w for w in question.meta["ways"] if w in solvable(question)), solvable(question)[0])
    return replace(question, name=name, solution=solve(question, way))


def plain_messages(question: Question) -> list[Message]:
    """The unguided prompt: the question alone."""
    return [{"role": "user", "content": question.text}]


def guided_messages(question: Question, way: str) -> list[Message]:
    """The lab's guided prompt: a short cue before the question. Raises ValueError for an unknown way."""
    if way not in CUES:
        raise ValueError(f"unknown way {way!r}: choose from {', '.join(CUES)}")
    return [{"role": "user", "content": f"{CUES[way]} {question.text}"}]
