"""`arms.X.midtrain_until`: mid-train an arm only until it is as good before RL as another one. Imports no torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import Field

from midway.recipe.section import Section
from midway.registry import near


class UntilConfig(Section):
    """Mid-training ends at the first measurement that reaches the other arm's pass@1 before RL, seed by seed."""

    match: str
    """The arm whose pass@1 before RL is to be reached."""
    benchmark: str
    """The benchmark on which both are measured. Take one that is there for this alone: what is reported about it is chosen, not found."""
    every: int = Field(5, ge=1)
    """Optimizer steps from one measurement to the next."""
    questions: int = Field(80, ge=1)
    """Questions of the benchmark that are asked, the first ones; the other arm counts on the same."""
    samples: int = Field(4, ge=1)
    """Answers to each, at most as many as the benchmark has."""


def check_until(name: str, arms: Mapping[str, Any], benchmarks: Collection[str], treatment: str | None) -> None:
    """Raise ValueError where an arm cannot be matched as its `midtrain_until` says."""
    until, where = arms[name].midtrain_until, f"arms.{name}.midtrain_until"
    if until.match not in arms or until.match == name:
        raise ValueError(f"{where}.match: there is no other arm {until.match!r}{near(until.match, sorted(arms))}")
    other = arms[until.match]
    if not arms[name].midtrain or not other.midtrain:
        raise ValueError(f"{where}: both arms need mid-training")
    if other.midtrain_until is not None:
        raise ValueError(f"{where}.match: {until.match} is matched itself; name the arm that it is matched to")
    if name == treatment:
        raise ValueError(f"{where}: {name} is the treatment, to which others are matched; name another `treatment`")
    if until.benchmark not in benchmarks:
        raise ValueError(
            f"{where}.benchmark: there is no benchmark {until.benchmark!r}{near(until.benchmark, sorted(benchmarks))}"
        )
