"""One policy-gradient step at a branch: how far one sampled token moves the softmax.

Promises: pure functions of probabilities; the exact step and its first order, so that the gap between both can be
measured. Probabilities that do not sum to 1 within 1e-9, or are negative, raise ValueError. Probabilities, steps and
`push` have no unit; `push` is the learning rate times the advantage.

Assumes free logits at the branch (a table, not a network), one on-policy step, no clipping, no KL. Source of the
argument: arXiv 2605.08472, section on theory, as reported by its readers; the equations here are derived anew.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax, softmax

Array = NDArray[np.float64]


def probabilities(pi: ArrayLike, what: str = "pi_K") -> Array:
    """Return pi as float64, shape (..., K). Raises ValueError unless every row is a distribution over K >= 1 ways."""
    p = np.asarray(pi, float)
    if p.ndim < 1 or p.shape[-1] < 1 or np.any(p < 0) or not np.allclose(p.sum(-1), 1.0, atol=1e-9):
        raise ValueError(f"{what} needs probabilities that sum to 1 along the last axis, not {p!r}")
    return p


def rates(q: ArrayLike, ways: int, what: str = "q_K") -> Array:
    """Return success rates as float64, shape (K,). Raises ValueError unless there is one in [0, 1] for each of the "
    "K ways."""
    r = np.asarray(q, float)
    if r.shape != (ways,) or not np.all((r >= 0) & (r <= 1)):
        raise ValueError(f"{what} needs {ways} success rates between 0 and 1, one for each way, not {r!r}")
    return r


def exact_step(pi_K: ArrayLike, push: float) -> Array:
    """Return the change of every probability after one REINFORCE step, shape (K, K): row a is the case that a was
    sampled.

    The logits move by `push * (e_a - pi)`, the softmax follows exactly. push = learning rate x advantage; negative
    lowers a. Ways of probability zero stay at zero.
    """
    p = probabilities(pi_K)
    if p.ndim != 1:
        raise ValueError(f"exact_step needs one distribution, not shape {p.shape}")
    with np.errstate(divide="ignore"):
        logits = np.log(p)
    return np.asarray(softmax(logits + push * (np.eye(p.size) - p), axis=-1) - p)


def first_order_step(pi_K: ArrayLike) -> Array:
    """Return the first order of `exact_step` divided by push, shape (K, K): `pi_k (delta_ak - pi_k - pi_a + sum_b
    pi_b^2)`.

    The diagonal, the move of the sampled token itself, is `pi_a [(1 - pi_a)^2 + sum_{b != a} pi_b^2]`. Each row sums
    to 0. Averaged over the sampled token (weights pi_a) every column is 0: with the same advantage for all tokens a
    step has no expected direction.
    """
    p = probabilities(pi_K)
    if p.ndim != 1:
        raise ValueError(f"first_order_step needs one distribution, not shape {p.shape}")
    return np.asarray(p * (np.eye(p.size) - p - p[:, None] + (p**2).sum()))


def uniform_step(ways: ArrayLike) -> Array:
    """Return the sampled token's first-order step over push where N tokens share the mass: `(1/N)(1 - 1/N)`.

    Largest at N = 2 (0.25) among uniform laws. Largest of all laws is 8/27, at 1/3 against one alternative
    (`largest_step`). Raises ValueError for N < 1.
    """
    n = np.asarray(ways, float)
    if np.any(n < 1):
        raise ValueError("uniform_step needs at least one way")
    return np.asarray((1 / n) * (1 - 1 / n))


def peaked_step(eps: ArrayLike, alternatives: ArrayLike = 1) -> Array:
    """Return the sampled *top* token's step over push: `(1-e) e^2 (1 + 1/m)` at top probability 1-e, e spread evenly
    over m.

    Between e^2 (m large) and 2 e^2 (m = 1) for small e.
    """
    e, m = np.asarray(eps, float), np.asarray(alternatives, float)
    _share(e, m)
    return np.asarray((1 - e) * e**2 * (1 + 1 / m))


def rare_step(eps: ArrayLike, alternatives: ArrayLike = 1) -> Array:
    """Return the step over push of a *rare* token when it is sampled: top probability 1-e, e spread evenly over m
    rare tokens.

    `(e/m) [(1 - e/m)^2 + (1-e)^2 + (m-1)(e/m)^2]`, about `2 e / m`: far larger than the top token's, and m times 1/e
    rarer to be sampled.
    """
    e, m = np.asarray(eps, float), np.asarray(alternatives, float)
    _share(e, m)
    each = e / m
    return np.asarray(each * ((1 - each) ** 2 + (1 - e) ** 2 + (m - 1) * each**2))


def largest_step() -> tuple[float, float]:
    """Return (probability, step over push) of the largest first-order step of a sampled token over all laws: 1/3 and
    8/27.

    One alternative is best for the sampled token; then `2 x (1-x)^2` is largest at x = 1/3.
    """
    return 1 / 3, 8 / 27


def expected_change(pi_K: ArrayLike, q_K: ArrayLike) -> Array:
    """Return the first order, over the learning rate, of the expected change of each probability under exact policy
    gradient, shape (K,).

    `pi_k [pi_k (q_k - p) - sum_j pi_j^2 (q_j - p)]` with p = sum pi q. A way with q_k above the mean p can still lose
    mass: it must beat the second term too.
    """
    p_K = probabilities(pi_K)
    q = rates(q_K, p_K.shape[-1])
    lead = p_K * (q - p_K @ q)
    return np.asarray(p_K * (lead - p_K @ lead))


def gain_rate(pi_K: ArrayLike, q_K: ArrayLike) -> float:
    """Return the first order, over the learning rate, of the expected gain in success: `sum_k pi_k^2 (q_k - p)^2`.

    It is 0 exactly where all ways in use succeed equally often, whatever the entropy: the squared length of the
    gradient of p.
    """
    p_K = probabilities(pi_K)
    q = rates(q_K, p_K.shape[-1])
    return float(((p_K * (q - p_K @ q)) ** 2).sum())


def tempered(pi_K: ArrayLike, temperature: float) -> Array:
    """Return the law sampled at a temperature: proportional to `pi^(1/T)`. Raises ValueError unless T > 0."""
    if not temperature > 0:
        raise ValueError("temperature must be above 0")
    with np.errstate(divide="ignore"):
        return np.asarray(np.exp(log_softmax(np.log(probabilities(pi_K)) / temperature, axis=-1)))


def _share(eps: Array, alternatives: Array) -> None:
    if np.any((eps < 0) | (eps > 1)) or np.any(alternatives < 1):
        raise ValueError("needs 0 <= eps <= 1 and at least one alternative")
