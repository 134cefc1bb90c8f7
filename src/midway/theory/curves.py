"""The learning curve that the table of ways predicts for a real model, from how it answered before RL.

Promises: exact flow (see `training`), no chance; one number is unknown and has to be fitted: how far a network's logits of a way move in
one optimizer step. It is fitted once for all curves of one training setup, so that curves from other starts are predictions.

Assumes what a table assumes: each kind of question has logits of its own, a way succeeds as often after RL as before (RL changes the choice
alone), and a way that was never seen stays unseen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

from midway.theory.space import ways
from midway.theory.step import gain_rate
from midway.theory.training import Trainer, flow

Array = NDArray[np.float64]
SLOWEST, FASTEST = 1e-4, 1e3
"""Bounds of the fitted time of one optimizer step."""
POINTS = 120
"""Times, evenly spread in their logarithm, at which a curve is solved once for the fit; between them it is interpolated."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of question before RL: its share of all questions, the shares of its ways (W,) and their success (W,)."""

    weight: float
    share_W: Sequence[float]
    success_W: Sequence[float]


@dataclass(frozen=True, slots=True)
class Measured:
    """A measured learning curve: how the model stood before, and success (T,) after so many optimizer steps (T,)."""

    kinds: Sequence[Kind]
    step_T: Sequence[float]
    success_T: Sequence[float]


def ceiling(kinds: Sequence[Kind]) -> float:
    """Return the success at which the table ends: every kind in the best of the ways it was seen to use."""
    return float(sum(k.weight * _seen(k)[1].max() for k in kinds))


def gain_rate_of(kinds: Sequence[Kind]) -> float:
    """Return the rate of gain at the start, `sum_w pi^2 (q - p)^2` (see `step.gain_rate`) averaged over the kinds, at w(p) = 1."""
    return float(sum(k.weight * gain_rate(*_seen(k)) for k in kinds))


def predicted(kinds: Sequence[Kind], steps: ArrayLike, scale: float, trainer: Trainer) -> Array:
    """Return success after `steps` (T,) optimizer steps, not decreasing in T. scale: time (learning rate x steps) of one step.

    Raises ValueError for steps below 0 and for weights that do not sum to 1.
    """
    at = np.asarray(steps, float)
    if not np.isclose(sum(k.weight for k in kinds), 1.0):
        raise ValueError("the weights of the kinds must sum to 1")
    if at.size == 0 or at.min() < 0 or not scale > 0:
        raise ValueError("needs steps >= 0 and a scale above 0")
    times, back = np.unique(at * scale, return_inverse=True)
    total = np.zeros(times.size)
    for kind in kinds:
        share, success = _seen(kind)
        if share.size == 1 or np.ptp(success) == 0:
            total += kind.weight * float(share @ success)
            continue
        total += kind.weight * flow(ways(share.size), np.log(share)[None], success, trainer, times).success_T
    return np.asarray(total[back])


def fit_scale(curves: Sequence[Measured], trainer: Trainer) -> float:
    """Return the one time scale under which `predicted` is nearest to all curves together, in squared error over their points.

    Raises ValueError where there is no point after step 0. The answer is a bound (SLOWEST, FASTEST) where no scale in between is nearer.
    """
    if not any(step > 0 for curve in curves for step in curve.step_T):
        raise ValueError("a scale needs a measured point after step 0")

    longest = max(max(curve.step_T) for curve in curves)
    end = FASTEST * 2.0 ** np.ceil(np.log2(longest))
    solved = [(curve, *_solved(_frozen(curve.kinds), float(end), trainer)) for curve in curves]

    def error(log_scale: float) -> float:
        total = 0.0
        for curve, times, success in solved:
            at = np.asarray(curve.step_T, float) * np.exp(log_scale)
            near = np.interp(np.log(np.maximum(at, times[0])), np.log(times), success[1:])
            total += float(((np.where(at > 0, near, success[0]) - np.asarray(curve.success_T, float)) ** 2).sum())
        return total

    # a coarse look first: the error need not have one valley
    grid = np.linspace(np.log(SLOWEST), np.log(FASTEST), 25)
    values = [error(x) for x in grid]
    best = int(np.argmin(values))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, grid.size - 1)]
    found = minimize_scalar(error, bounds=(low, high), method="bounded", options={"xatol": 1e-3})
    return float(np.exp(found.x if found.fun <= values[best] else grid[best]))


def _frozen(kinds: Sequence[Kind]) -> tuple[Kind, ...]:
    return tuple(Kind(k.weight, tuple(k.share_W), tuple(k.success_W)) for k in kinds)


@lru_cache(maxsize=64)
def _solved(kinds: tuple[Kind, ...], end: float, trainer: Trainer) -> tuple[Array, Array]:
    """Return POINTS times (T,) up to `end` and the success (1 + T,) at 0 and at them."""
    times = np.geomspace(SLOWEST * 0.5, end, POINTS)
    return times, predicted(kinds, np.concatenate([[0.0], times]), 1.0, trainer)


def _seen(kind: Kind) -> tuple[Array, Array]:
    """Return shares and success of the ways that were seen."""
    share, success = np.asarray(kind.share_W, float), np.asarray(kind.success_W, float)
    used = share > 0
    if not used.any() or np.any(np.isnan(success[used])):
        raise ValueError("a kind needs a way with a share above 0, and the success of every such way")
    return share[used] / share[used].sum(), success[used]
