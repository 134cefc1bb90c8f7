"""The predictions of the paper's argument as small experiments, by name.

Promises: each is one function of a seed that returns a frozen result, which gives an account of itself in words, a
table and the curves of one figure. `PREDICTIONS` lists them in the order of docs/theory.md.
"""

from __future__ import annotations

from collections.abc import Callable

from midway.theory.account import Result
from midway.theory.predictions.branch import Spread, StepSizes, spread, step_sizes
from midway.theory.predictions.forms import ClosedForms, closed_forms
from midway.theory.predictions.mixtures import Composition, Origin, composition, origin
from midway.theory.predictions.routes import RoutesAlive, WrongWays, routes_alive, wrong_ways
from midway.theory.predictions.shown import FixedBudget, WaysShown, fixed_budget, ways_shown

PREDICTIONS: dict[str, Callable[[int], Result]] = {
    "forms": closed_forms,
    "P1": step_sizes,
    "P2": routes_alive,
    "P3": composition,
    "P4": origin,
    "P5": ways_shown,
    "P6": fixed_budget,
    "P7": wrong_ways,
    "P8": spread,
}

__all__ = [
    "PREDICTIONS",
    "ClosedForms",
    "Composition",
    "FixedBudget",
    "Origin",
    "RoutesAlive",
    "Spread",
    "StepSizes",
    "WaysShown",
    "WrongWays",
]
