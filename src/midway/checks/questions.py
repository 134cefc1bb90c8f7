"""What is asked: the question sets and their sizes."""

from __future__ import annotations

from collections.abc import Iterator

from midway.checks.base import Check, Finding, Subject


def run(subject: Subject) -> Iterator[Finding]:
    recipe = subject.recipe
    yield Finding(f"recipe {recipe.name}" + (f": {recipe.title}" if recipe.title else ""))
    yield Finding("questions: " + ", ".join(f"{name} {len(found):,}" for name, found in subject.sets().items()))


CHECK = Check("questions", run)
