"""Is a solution sound, not only right? Found by program: false arithmetic, an answer that no computation leads to or that is not worked
out, loops, two answers.

Promises: pure functions of the text; bounded in time for any text. A fault is reported only where it is plain: text that cannot be read as
arithmetic is no fault. It says nothing of whether the reasoning in words is good.
"""

from __future__ import annotations

import ast
import operator
import re
from collections import Counter
from collections.abc import Callable, Iterator

from midway.selection.text import computations

MAX_TEXT = 20_000
"""Characters of a text that are looked at."""
REPEATS = 3
"""So many equal sentences in one text are a loop."""
MIN_SENTENCE = 15
"""Characters of a sentence whose repetition counts."""

_OPERATORS: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_BOX = re.compile(r"\\boxed\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}")
_UNDONE = re.compile(
    r"\s*-?\d[\d.,]*(?:\s*(?:[+*×·]|\\times|\\cdot|\s-\s)\s*\d[\d.,]*)+\s*(?:=\s*\??|\s[A-Za-z]{3,})?\s*"
)
"""A sum, difference or product of numbers, with a unit or without. A quotient may be a fraction, and `3-5` a range."""
_SAID = re.compile(r"(?:final answer|the answer) is:?\s*\$?\\?(?:boxed\{)?([-+]?\d[\d,]*(?:\.\d+)?)", re.IGNORECASE)


def faults(text: str, answer: str | None = None) -> tuple[str, ...]:
    """Return what is wrong with a solution, each fault once: `false-arithmetic: 3+4=8`, `no-computation-gives: 12`,
    `not-worked-out: 6 + 5`, `loop: ...`, `two-answers: 3 and 4`; nothing for a sound one. `answer` is the answer that was read out of it.
    Reasoning before `</think>`, where a model may try and correct itself, is not looked at."""
    text = text.rpartition("</think>")[2][:MAX_TEXT]
    return tuple(dict.fromkeys([*_arithmetic(text, answer), *_loops(text), *_answers(text)]))


def _arithmetic(text: str, answer: str | None) -> Iterator[str]:
    numbers: set[float] = set()
    readable = False
    if answer and _UNDONE.fullmatch(answer[:200].strip("$ ")):
        yield f"not-worked-out: {answer[:60]}"
    for computation in computations(text):
        left, _, right = computation.rpartition("=")
        found, said = value(left), value(right)
        if found is None or said is None:
            continue
        readable = True
        numbers |= {said, *(float(n) for n in re.findall(r"\d+(?:\.\d+)?", left))}
        if abs(found - said) > rounding(right) + 1e-9 * abs(found):
            yield f"false-arithmetic: {computation}"
    wanted = value(answer.replace(",", "").strip("$ ")) if answer else None
    if readable and wanted is not None and not any(abs(wanted - n) <= 1e-6 * max(1.0, abs(n)) for n in numbers):
        yield f"no-computation-gives: {answer}"


def value(expression: str) -> float | None:
    """Return the value of an expression of numbers, + - * / and brackets; None for anything else, and for a division by zero."""
    plain = re.sub(r"(\d+(?:\.\d+)?)%", r"(\1/100)", expression)
    if len(plain) > 200 or not re.fullmatch(r"[\d.+\-*/() ]+", plain) or "**" in plain or "//" in plain:
        return None
    try:
        return _value(ast.parse(re.sub(r"(?<![\d.])0+(?=\d)", "", plain.strip()), mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, OverflowError, RecursionError, KeyError):
        return None


def _value(node: ast.expr) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    if isinstance(node, ast.BinOp):
        return _OPERATORS[type(node.op)](_value(node.left), _value(node.right))
    raise ValueError(type(node).__name__)


def rounding(number: str) -> float:
    """Return how far off a number may be that was written with so many decimals: half of the last place; 0 for a whole number."""
    _, point, decimals = number.rstrip("%").partition(".")
    return 0.5 * 10 ** -len(decimals) if point and decimals.isdigit() else 0.0


def _loops(text: str) -> Iterator[str]:
    sentences = (" ".join(part.split()) for part in _SENTENCE.split(text))
    counts = Counter(sentence for sentence in sentences if len(sentence) >= MIN_SENTENCE)
    for sentence, count in counts.items():
        if count >= REPEATS:
            yield f"loop: {sentence[:60]}"


def _answers(text: str) -> Iterator[str]:
    boxed = [box.strip() for box in _BOX.findall(text)]
    said = [number.replace(",", "") for number in _SAID.findall(text)]
    for found in (boxed, said):
        distinct = list(dict.fromkeys(_plain(answer) for answer in found))
        if len(distinct) > 1:
            yield f"two-answers: {distinct[0][:30]} and {distinct[1][:30]}"


def _plain(answer: str) -> str:
    number = value(answer.replace(",", "").strip("$ "))
    return re.sub(r"\s+", "", answer) if number is None else f"{number:.10g}"
