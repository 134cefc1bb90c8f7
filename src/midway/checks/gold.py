"""Whether the answers can be checked: every gold answer and reference solution through the verifier, and every program's tests against
programs that do nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from midway.checks.base import Check, Finding, Level, Subject
from midway.domains import Problem, Verifier, check_gold, check_weak
from midway.wording import plural

SHOWN = 20


def run(subject: Subject) -> Iterator[Finding]:
    with Verifier() as verifier:
        for name, questions in subject.sets().items():
            found = list(check_gold(questions, verifier))
            wrong = [problem for problem in found if problem.checked]
            unchecked = len(found) - len(wrong)
            text = f"gold: {name}: {len(questions) - len(found):,} of {len(questions):,} gold answers verify"
            text += f", {unchecked:,} not checked (no reference)" if unchecked else ""
            yield _finding(text, wrong)
            if weak := list(check_weak(questions, verifier)):
                many = len({problem.question_id for problem in weak})
                yield _finding(
                    f"tests: {name}: {many:,} of {plural(len(questions), 'question')} let a program pass that does nothing",
                    weak,
                )


def _finding(text: str, problems: Sequence[Problem]) -> Finding:
    lines = [f"{p.name or p.question_id} ({p.question_id}): {p.check}: {p.reason}" for p in problems[:SHOWN]]
    more = [f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
    return Finding("\n  ".join([text, *lines, *more]), Level.PROBLEM if problems else Level.NOTE, len(problems))


CHECK = Check("gold", run, needs="verifier")
