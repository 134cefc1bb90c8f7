"""Whether the answers can be checked: every gold answer, and every reference solution, through the verifier."""

from __future__ import annotations

from collections.abc import Iterator

from midway.checks.base import Check, Finding, Level, Subject
from midway.domains import check_gold

SHOWN = 20


def run(subject: Subject) -> Iterator[Finding]:
    for name, questions in subject.sets().items():
        found = list(check_gold(questions))
        text = f"gold: {name}: {len(questions) - len(found):,} of {len(questions):,} gold answers verify"
        yield Finding(
            "\n  ".join([text, *(str(problem) for problem in found[:SHOWN])]),
            Level.PROBLEM if found else Level.NOTE,
            len(found),
        )


CHECK = Check("gold", run, needs="verifier")
