"""Whether the trainer is there, in the environment that the recipe names, and takes its arguments."""

from __future__ import annotations

from collections.abc import Iterator

from midway import registry
from midway.checks.base import Check, Finding, Level, Subject
from midway.rundir import RunError


def run(subject: Subject) -> Iterator[Finding]:
    recipe = subject.recipe
    if not any(arm.rl for arm in recipe.arms.values()):
        return
    try:
        found = registry.find("trainers", recipe.training.trainer).ready(recipe)
    except RunError as error:
        yield Finding(f"trainer: {error}", Level.PROBLEM, count=1)
        return
    if found:
        yield Finding(f"trainer: {found}")


CHECK = Check("trainer", run)
