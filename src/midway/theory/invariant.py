"""What exact policy gradient does to ways that are equally right: it conserves `exp(-theta_a) - exp(-theta_b)`, and
the richer way gets richer.

Promises: solutions by one root search, no time stepping; checked against the flow in the tests. Holds for every rule
of `rules` (they differ in speed only), on-policy, without KL, for free logits. It does not hold for one noisy run:
chance adds to it.

Why: between two ways with equal q the logits move in proportion to pi, d theta_a / d theta_b = exp(theta_a -
theta_b). The sum of all logits is conserved too, because every step sums to 0. Both together fix the end.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

Array = NDArray[np.float64]


def conserved(theta_TK: ArrayLike, a: int, b: int) -> Array:
    """Return `exp(-theta_a) - exp(-theta_b)` for logits of shape (..., K). Defined for logits as they are: a shift "
    "of all changes its scale."""
    theta = np.asarray(theta_TK, float)
    return np.asarray(np.exp(-theta[..., a]) - np.exp(-theta[..., b]))


def shares_at(right_K: ArrayLike, success: float, wrong: int = 1) -> Array:
    """Return the probabilities of the right ways, shape (K,), when success has grown to `success`, starting from
    right_K.

    right_K: probabilities of K ways that always succeed, summing to p0 < 1; the rest is shared evenly by `wrong` ways
    that never do. Solves `1/x_k - 1/x_j = 1/pi_k - 1/pi_j` for the right ways, the sum of logits conserved, and sum
    x_k = success / (1 - success) times the wrong mass. Raises ValueError unless every share is positive and p0 <=
    success < 1.
    """
    start = np.asarray(right_K, float)
    p0 = float(start.sum())
    if start.ndim != 1 or np.any(start <= 0) or not p0 < 1 or not p0 <= success < 1 or wrong < 1:
        raise ValueError("needs positive shares that sum to p0 < 1, p0 <= success < 1 and at least one wrong way")
    odds = success / (1 - success)
    sum_of_logs = np.log(start).sum() + wrong * np.log((1 - p0) / wrong)
    behind = 1 / start - 1 / start.max()

    def right(log_richest: float) -> Array:
        return np.asarray(1 / (behind + np.exp(-log_richest)))

    def excess(log_richest: float) -> float:
        x = right(log_richest)
        return float(np.log(x).sum() + wrong * np.log(x.sum() / (wrong * odds)) - sum_of_logs)

    low = float(np.log(start.max()))
    high = low + 1.0
    while excess(high) < 0:
        high += 2 * (high - low)
    x = right(low if excess(low) >= 0 else float(brentq(excess, low, high, xtol=1e-13)))
    return np.asarray(x / x.sum() * success)


def ratio_at(ratio: float, start: float, success: float, wrong: int = 1) -> float:
    """Return what a preference `ratio` : 1 between two right ways has become when success has grown from `start` to
    `success`.

    For large odds it grows as `odds ^ (wrong / (wrong + 1))`: without limit, and the faster the more wrong ways share
    the rest.
    """
    if not ratio > 0:
        raise ValueError("ratio must be above 0")
    a, b = shares_at([start * ratio / (1 + ratio), start / (1 + ratio)], success, wrong)
    return float(a / b)
