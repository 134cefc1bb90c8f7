"""Fit the forecast's constants on conditions whose outcome is known.

Promises: least squares with weak priors (`PRIOR`, a factor of `WIDTH` either way), so that a constant about which the
conditions say nothing stays where it was; the spread is of conditions that were left out of the fit in turn, never of fitted ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from midway.theory.forecast import Budget, Calibration, Constants, course
from midway.theory.probe import Probe

Array = NDArray[np.float64]
NOISE = 0.05
"""What an outcome is off by for chance alone, in shares: the unit of a residual."""
WIDTH = 3.0
STEP = 0.1
"""By how much a logarithm is moved to see what it does."""
FITTED = ("pace", "unseen", "focus", "forget", "polish", "alone", "added", "elsewhere")
SHARES = ("forget", "elsewhere")


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A probe, both arms' budgets, and what came out: success on held-out questions, in shares."""

    probe: Probe
    plain: Budget
    treated: Budget
    base: float
    plain_after: float
    treated_before: float
    treated_after: float

    @property
    def lead(self) -> float:
        return self.treated_after - self.plain_after


PRIOR = Constants(
    pace=3.0, luck=0.5, unseen=0.5, strength=1.0, focus=3.0, keep=0.03, forget=0.1, polish=0.001, elsewhere=0.5
)
"""Where the search begins and what it is drawn to: set by hand so that it is right about the pilot of docs/forecast.md."""


def _constants(x: Array) -> Constants:
    """Return constants from what is searched: logarithms, and logits of shares."""
    found = zip(FITTED, x, strict=True)
    return replace(PRIOR, **{n: float(1 / (1 + np.exp(-v)) if n in SHARES else np.exp(v)) for n, v in found})


def _start() -> Array:
    return _searched_of(PRIOR)


def _searched_of(constants: Constants) -> Array:
    """Return what `_constants` takes."""
    values = [(name, getattr(constants, name)) for name in FITTED]
    return np.array([np.log(v / (1 - v)) if name in SHARES else np.log(v) for name, v in values])


def errors(condition: Condition, constants: Constants) -> Array:
    """Return what came out minus what was expected: the gain of RL alone, of mid-training, of both, and the lead; shape (4,), in shares."""
    plain, treated = (
        course(condition.probe, condition.plain, constants),
        course(condition.probe, condition.treated, constants),
    )
    return np.array(
        [
            condition.plain_after - condition.base - plain.gain,
            condition.treated_before - condition.base - (treated.before - treated.base),
            condition.treated_after - condition.base - treated.gain,
            condition.lead - (treated.after - plain.after),
        ]
    )


def _residuals(x: Array, condition: Condition) -> Array:
    return np.asarray(errors(condition, _constants(x)) / NOISE)


def _searched(conditions: Sequence[Condition]) -> Array:
    """Return the best x (see `_constants`). Raises ValueError without conditions."""
    if not conditions:
        raise ValueError("there are no conditions to learn from")
    start = _start()

    def residuals(x: Array) -> Array:
        return np.concatenate([*(_residuals(x, c) for c in conditions), (x - start) / np.log(WIDTH)])

    found = least_squares(residuals, start, diff_step=0.02, xtol=3e-3, ftol=3e-3, max_nfev=12)
    return np.asarray(found.x)


def fit(conditions: Sequence[Condition], source: str = "") -> Calibration:
    """Return the calibration: constants of all conditions, and the spread of those left out in turn. Raises ValueError for fewer than 3."""
    if len(conditions) < 3:
        raise ValueError("a spread needs at least three conditions")
    best = _searched(conditions)
    plain, _, treated, lead = np.sqrt((_left_out(conditions, best) ** 2).mean(0))
    return Calibration(
        constants=_constants(best),
        spread={"plain": float(plain), "treated": float(treated), "lead": float(lead)},
        conditions=len(conditions),
        source=source,
    )


def left_out(conditions: Sequence[Condition], constants: Constants) -> Array:
    """Return `errors` of each condition with constants of the others alone, shape (conditions, 4). `constants`: those that `fit` gave for
    all of them."""
    return _left_out(conditions, _searched_of(constants))


def _left_out(conditions: Sequence[Condition], best: Array) -> Array:
    """What the others alone would give is one Gauss-Newton step from the constants of all; then the error is computed in full."""
    start = _start()
    at_CR = np.array([_residuals(best, c) for c in conditions])
    slope_CRX = np.empty((*at_CR.shape, best.size))
    for x in range(best.size):
        moved = best.copy()
        moved[x] += STEP
        slope_CRX[..., x] = (np.array([_residuals(moved, c) for c in conditions]) - at_CR) / STEP
    out = []
    for n, one in enumerate(conditions):
        rest = [m for m in range(len(conditions)) if m != n]
        jacobian = np.concatenate([*slope_CRX[rest], np.eye(best.size) / np.log(WIDTH)])
        off = np.concatenate([*at_CR[rest], (best - start) / np.log(WIDTH)])
        step = -np.linalg.lstsq(jacobian, off, rcond=None)[0]
        out.append(errors(one, _constants(best + np.clip(step, -1.0, 1.0))))
    return np.array(out)
