"""What `midway check` looks at before anything is spent: a list of small checks, a file each. A new one is a file and a line in CHECKS."""

from collections.abc import Collection, Iterator

from midway.checks import (
    arms,
    floor,
    gold,
    hours,
    launch,
    leaks,
    memory,
    model,
    packages,
    pools,
    power,
    questions,
    signal,
    trainer,
)
from midway.checks.base import Check, Finding, Level, Subject

CHECKS: tuple[Check, ...] = (
    questions.CHECK,
    pools.CHECK,
    arms.CHECK,
    leaks.CHECK,
    power.CHECK,
    floor.CHECK,
    signal.CHECK,
    trainer.CHECK,
    packages.CHECK,
    launch.CHECK,
    model.CHECK,
    memory.CHECK,
    gold.CHECK,
    hours.CHECK,
)
"""In the order in which they are shown."""
OPTIONS = {"model": "--no-model", "verifier": "--no-gold"}
"""Options of `midway check` that leave out the checks with these needs."""


SKIPPED = {"time": "not priced (--time measures this machine for a minute: hours of each stage, disk)"}
"""What is said of a check that was left out, by what it needs."""


def run_checks(subject: Subject, without: Collection[str] = ()) -> Iterator[Finding]:
    """Yield the findings of all checks but those that need what is in `without` (`model`, `verifier`)."""
    readable = True
    for check in CHECKS:
        if check.needs and check.needs in without:
            yield Finding(f"{check.name}: {SKIPPED.get(check.needs) or f'not looked at ({OPTIONS[check.needs]})'}")
        elif check.needs in ("model", "time") and not readable:
            yield Finding(f"{check.name}: not looked at, since the model cannot be read")
        else:
            for finding in check.run(subject):
                readable = readable and not (check is model.CHECK and finding.level is Level.PROBLEM)
                yield finding


__all__ = ["CHECKS", "Check", "Finding", "Level", "Subject", "run_checks"]
