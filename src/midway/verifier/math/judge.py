"""Judges mathematical answers: finds the final answer, compares cheaply and exactly, leaves the hard rest to
math-verify.

Promises: `cheap` is bounded in time and memory for any input and may run anywhere; it returns a Verdict, or the `Hard`
rest.
`hard` calls sympy, which may hang or eat memory: it belongs into a process that can be killed (see pool.py). What is
too large for sympy (digits, nesting, length, towers of powers) is never shown to it: such answers are `unjudged`.

Reasons: correct: `RULE:HOW` (the rule of extract.py that found the answer; how it was compared: `exact` or `sympy`).
Wrong:
`wrong-answer:RULE`, `no-answer`, `truncated`. Unjudged: `too-large`, `unreadable-gold`, `no-gold`, `verifier-error:
...`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from midway.records import Judgement, Verdict
from midway.verifier import choice, extract, rules
from midway.verifier.math import compare

MAX_SYMPY_LENGTH = 800
MAX_SYMPY_DEPTH = 25
MAX_SYMPY_DIGITS = 60
MAX_SYMPY_EXPONENT = 10_000

_LETTER = re.compile(r"\(?\s*(?:\\t(?:ext)?\{)?\s*\(?([A-J])\)?\s*\}?\s*\)?\.?")
_LETTER_TEXT = re.compile(r"\(?([A-J])[.):]?\s+[A-Z]\w+")


_PAIRS = {word: pair for pair in (("yes", "no"), ("true", "false")) for word in pair}
_MISSING = frozenset({"nan", "null", "<na>", "nat", "undefined"})


def is_missing(gold: str | None) -> bool:
    """Whether there is no gold: null, empty, NaN, or the text that a table writes for one of these."""
    if gold is None or not gold.strip():
        return True
    return gold.strip().lower() in _MISSING and rules.on("missing-gold")


@dataclass(frozen=True, slots=True)
class Hard:
    """What the cheap pass could not decide: is any of `readings` the same answer as `gold`?"""

    gold: str
    readings: tuple[str, ...]
    rule: str


@lru_cache(maxsize=65536)
def gold_answer(gold: str) -> str:
    """Return the answer in a gold string, which may be the answer itself or a text that ends in one."""
    marked = re.search(r"\\boxed|\\fbox|####|answer\s+is|answer\s*:", gold, re.IGNORECASE)
    if not marked and len(gold) <= 300:
        return gold.strip()
    try:
        found = extract.find(gold)
    except extract.Truncated:
        return re.split(r"\\(?:boxed|fbox)\s*\{", gold)[-1].strip()
    return found.answer if found else gold.strip()


@lru_cache(maxsize=65536)
def _gold_letter(gold: str) -> str:
    match = _LETTER.fullmatch(gold) or _LETTER_TEXT.fullmatch(gold.split("\n")[-1])
    return match[1] if match else ""


def cheap(gold: str | None, text: str, truncated: bool = False, tolerance: float = 0.0) -> Verdict | Hard:
    """Judge in bounded time, or return what is left to decide. `tolerance` is the absolute error that is allowed."""
    if is_missing(gold) or gold is None:
        return Verdict(Judgement.UNJUDGED, None, "no-gold")
    answer = gold_answer(gold)
    letter = _gold_letter(answer)
    try:
        found = extract.find(text)
        if letter and (found is None or found.rule not in ("boxed", "bare")):
            given = choice.letter_of(extract.answer_part(text))
            if given:
                return _verdict(given == letter, given, "letter")
    except extract.Truncated:
        return Verdict(Judgement.WRONG, None, "truncated")
    if letter:
        answer = letter
    pair = _PAIRS.get(answer.strip(" .$").lower())
    if pair and (found is None or (found.rule == "bare" and " " in found.answer)) and not truncated:
        said = choice.named(extract.answer_part(text).strip(), pair)
        if said and said[0] >= 0:
            return _verdict(pair[said[0]] == answer.strip(" .$").lower(), pair[said[0]], said[1])
    if found is None or (truncated and found.rule not in extract.EXPLICIT):
        return Verdict(Judgement.WRONG, None, "truncated" if truncated else "no-answer")
    undecided: list[str] = []
    for reading in (found.answer, *found.also):
        decision = compare.equal(answer, reading, tolerance)
        if decision is not None:
            if decision is False and _says_nothing(answer, found):
                return Verdict(Judgement.WRONG, None, "no-answer")
            if decision or not undecided or found.rule != "bare":
                return _verdict(decision, reading, found.rule)
            break
        undecided.append(reading)
    readings = tuple(r for r in undecided if re.search(r"[\d\\^_=()]|^\W*\w{1,3}\W*$", r))
    if not readings and _says_nothing(answer, found):
        return Verdict(Judgement.WRONG, None, "no-answer")
    if not readings:
        return _verdict(False, found.answer, found.rule)
    return Hard(answer, readings, found.rule)


def _says_nothing(gold: str, found: extract.Found) -> bool:
    """Whether a few bare words (`I do not know`) stand where the gold is a number or a formula."""
    return (
        found.rule == "bare" and bool(re.search(r"\d", gold)) and not re.search(r"[\d\\^_=+]|^\W*\w+\W*$", found.answer)
    )


def _verdict(correct: bool, extracted: str, rule: str, how: str = "exact") -> Verdict:
    if correct:
        return Verdict(Judgement.CORRECT, extracted, f"{rule}:{how}")
    return Verdict(Judgement.WRONG, extracted, f"wrong-answer:{rule}")


def _too_large(text: str) -> bool:
    if len(text) > MAX_SYMPY_LENGTH or re.search(rf"\d{{{MAX_SYMPY_DIGITS + 1}}}", text):
        return True
    depth = deepest = 0
    for character in text:
        depth += (character in "({[") - (character in ")}]")
        deepest = max(deepest, depth)
    if deepest > MAX_SYMPY_DEPTH:
        return True
    for match in re.finditer(r"(?:\^|\*\*)\s*[{(]?\s*-?(\d+)", text):
        if int(match[1]) > MAX_SYMPY_EXPONENT:
            return True
        if re.match(r"\s*[})]?\s*(?:\^|\*\*|!)", text[match.end() :]):
            return True
    return bool(re.search(r"\d{4,}\s*!|!\s*!|\)\s*!|\^\s*\{?\s*\(", text))


def hard(task: Hard) -> Verdict:
    """Decide with math-verify. May take arbitrarily long: call it where it can be killed."""
    from math_verify import parse, verify

    if _too_large(task.gold) or all(_too_large(r) for r in task.readings):
        return Verdict(Judgement.UNJUDGED, task.readings[0][:200], "too-large")
    gold = parse(_dollars(task.gold), parsing_timeout=None, raise_on_error=True)
    if not any(not isinstance(g, str) for g in gold):
        return Verdict(Judgement.UNJUDGED, task.readings[0], "unreadable-gold")
    for reading in task.readings:
        if _too_large(reading):
            continue
        given = parse(_dollars(reading), parsing_timeout=None, raise_on_error=True)
        if verify(gold, given, timeout_seconds=None, raise_on_error=True):
            return _verdict(True, reading, task.rule, "sympy")
    return _verdict(False, task.readings[0], task.rule)


def _dollars(text: str) -> str:
    text = text.strip()
    return text if "$" in text or "\\(" in text or "\\[" in text else f"${text}$"


def judge_task(fields: Mapping[str, Any]) -> Verdict:
    """Do a task of the domain `math` in a worker: the fields of a `Hard`."""
    return hard(Hard(fields["gold"], tuple(fields["readings"]), fields["rule"]))


def warm() -> None:
    """Import math-verify and use it once, before judges are forked."""
    import logging

    import math_verify

    for name in ("math_verify.parser", "math_verify.grader"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warm = math_verify.parse("$x+1$", parsing_timeout=None)
    math_verify.verify(warm, warm, timeout_seconds=None)
