"""What a case is, and the ways in which an answer is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from midway.domains import verify
from midway.records import Question


@dataclass(frozen=True)
class Case:
    """A text and whether it must be paid; `style` says what it is written in the style of."""

    question: Question
    text: str
    right: bool
    style: str

    def holds(self) -> bool:
        """Whether it is judged as it must be: a rewriting correct, a near-miss anything but correct."""
        return verify(self.question, self.text).correct == self.right

    def __str__(self) -> str:
        q = self.question
        gold = q.answer if q.domain == "math" else (q.choices, q.answer_index) if q.domain == "choice" else q.tests
        return f"{self.style} ({'rewriting' if self.right else 'near-miss'}): gold {gold!r}, text {self.text!r}"


PLAIN = (
    "\\boxed{{{}}}",
    "So it is \\boxed{{{}}}.",
    "The answer is {}.",
    "**Answer:** {}",
    "#### {}",
    "<answer>{}</answer>",
    "Final answer: ${}$",
    "The final answer is $\\boxed{{{}}}$.",
    "We find $x + 1$ first. The answer is ${}$.",
    "A: {}",
)
OTHER_LANGUAGES = (
    "Ответ: {}",
    "Ответ — {}.",
    "Das Ergebnis ist {}.",
    "El resultado es {}.",
    "La solution est {}.",
    "A resposta é {}.",
    "La risposta è {}.",
    "正确答案应该是{}。",
    "答え：{}",
    "정답: {}",
)
STATED = (
    "The answer is {0}, since $k$ must divide ${1}$.",
    "The answer is {0} because ${1}$ is too large.",
    "Answer: the largest $n$ is {0}.",
    "Answer: {0} is the smallest value of $k$.",
    "The answer is the value of $f({1})$, which is {0}.",
    "**Answer:** The minimum of $|x-{1}|$ is **{0}**.",
    "Answer: $f({1})$ equals {0}",
    "The answer is {0}, where $m = {1}$.",
    "The answer is {0} for $n = {1}$.",
)
FULL_WIDTH = str.maketrans("0123456789.,-+%/()", "０１２３４５６７８９．，－＋％／（）")


def math(gold: str, text: str, right: bool, style: str) -> Case:
    return Case(Question("math", "", answer=gold), text, right, style)


def said(r: Random, gold: str, value: str, miss: str, *, number: bool = False) -> Case:
    """The gold in one of its spellings (`value`) or a near-miss in one of its (`miss`), said in one of many ways."""
    right = r.random() < 0.5
    shown, other = (value, miss) if right else (miss, value)
    ways: list[Callable[[], tuple[str, str]]] = [
        lambda: (r.choice(PLAIN).format(shown), "plain"),
        lambda: (
            f"\\boxed{{?}} is what we look for.\n\n{r.choice(('The answer is', 'Answer:'))} {shown}",
            "placeholder",
        ),
    ]
    if number:
        ways += [
            lambda: (r.choice(STATED).format(shown, other), "stated-value"),
            lambda: (f"{r.choice(OTHER_LANGUAGES).format(shown)}\n({other} - 1)", "languages"),
            lambda: (f"\\boxed{{{shown.translate(FULL_WIDTH)}}}", "full-width"),
        ]
    hedges = [
        f"\\boxed{{{value}, {miss}}}",
        f"The answer is {value} or {miss}.",
        f"\\boxed{{{miss}}}\\boxed{{{value}}}",
        f"\\boxed{{{value} \\text{{ or }} {miss}}}",
        f"\\boxed{{{miss}}} for (a) and \\boxed{{{value}}} for (b)",
    ]
    if not right and r.random() < 0.25:
        return math(gold, r.choice(hedges), False, "joined-boxes")
    text, style = r.choice(ways)()
    return math(gold, text, right, style)
