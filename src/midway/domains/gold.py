"""Runs a question source against its own gold before money is spent.

Promises: every question whose gold answer does not verify against itself, or whose reference solution does not verify
against the gold, is reported with its id; a gold that verifies is never reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import tee

from midway.domains.verifier import Verifier
from midway.records import Question
from midway.registry import domain


@dataclass(frozen=True, slots=True)
class Problem:
    """A gold that does not verify: `check` is `answer` (the gold against itself) or `solution` (the reference)."""

    question_id: str
    name: str
    check: str
    reason: str
    checked: bool = True
    """False where there is nothing to check: a program without a reference."""


def _golds(questions: Iterable[Question]) -> Iterator[tuple[Question, str, str]]:
    for question in questions:
        for check, text in domain(question.domain).golds(question):
            yield question, check, text


def check_gold(questions: Iterable[Question], verifier: Verifier | None = None) -> Iterator[Problem]:
    """Yield a Problem for every gold answer or reference solution that does not verify. Streams, in order.

    `verifier` is used if given; else one is made for the time of the check.
    """
    own = Verifier() if verifier is None else None
    try:
        left, right = tee(_golds(questions))
        verdicts = (verifier or own).verify_batch((q, text) for q, _, text in left)  # type: ignore[union-attr]
        for (question, check, text), verdict in zip(right, verdicts, strict=True):
            if not verdict.correct:
                why = (
                    f"{verdict.judgement}: {verdict.reason}"
                    if text
                    else f"unjudged: {domain(question.domain).no_gold()}"
                )
                checked = bool(text) or check != "solution"
                yield Problem(question.id, question.name, check, why, checked)
    finally:
        if own:
            own.close()


def check_weak(questions: Iterable[Question], verifier: Verifier | None = None) -> Iterator[Problem]:
    """Yield a Problem for everything that a question lets pass and no sound question would: a program that returns nothing or raises."""
    own = Verifier() if verifier is None else None
    try:
        left, right = tee((q, what, text) for q in questions for what, text in domain(q.domain).must_fail(q))
        verdicts = (verifier or own).verify_batch((q, text) for q, _, text in left)  # type: ignore[union-attr]
        for (question, what, _), verdict in zip(right, verdicts, strict=True):
            if verdict.correct:
                yield Problem(question.id, question.name, "tests", f"{what} passes")
    finally:
        if own:
            own.close()
