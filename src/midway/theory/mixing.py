"""When hybrid chains rise under policy gradient, and where the mass ends.

Promises: closed forms and exact derivatives; rates are per unit of time (learning rate x steps) at weight w = 1,
multiply by `rules.weight`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from midway.theory.space import Space, is_hybrid
from midway.theory.step import rates

Array = NDArray[np.float64]


def hybrid_rate(space: Space, theta_XK: ArrayLike, q_C: ArrayLike) -> float:
    """Return the expected rate of change of the share of hybrid chains under the exact gradient of success, any
    space.

    `dH/dt = grad H . grad p`: hybrids rise where both gradients point the same way.
    """
    pi = space.probability(theta_XK)
    q = rates(q_C, len(space.choices), "q_C")
    mixed = is_hybrid(space).astype(float)
    towards = space.ascent(pi * (mixed - pi @ mixed), theta_XK)
    return float((towards * space.ascent(pi * (q - pi @ q), theta_XK)).sum())


def hybrid_rate_two(first: ArrayLike, second: ArrayLike, synergy: float) -> Array:
    """Return `hybrid_rate` for two parts with two ways of equal success, without memory: broadcast over the
    probabilities of way A.

    `2 s [a^2 (1-a)^2 (1-2b)^2 + b^2 (1-b)^2 (1-2a)^2]`: the sign of s decides, and at a = b = 1/2 nothing moves (a
    saddle).
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    if np.any((a < 0) | (a > 1) | (b < 0) | (b > 1)):
        raise ValueError("needs probabilities between 0 and 1")
    return np.asarray(2 * synergy * ((a * (1 - a) * (1 - 2 * b)) ** 2 + (b * (1 - b) * (1 - 2 * a)) ** 2))


def ends(space: Space, q_C: ArrayLike) -> NDArray[np.bool_]:
    """Return, for each chain of a space without memory, whether mass can gather on it for good, shape (C,).

    It can where no chain that differs in one part alone succeeds as often or more. So a pure way stays an end as long
    as it beats the hybrids one change away, however good the other hybrids are; where equals are neighbours only
    chance decides between them.
    """
    q = rates(q_C, len(space.choices), "q_C")
    chains = np.array(space.choices)
    if space.shape[0] != chains.shape[1]:
        raise ValueError("ends is for chains without memory")
    one_apart = (chains[:, None] != chains[None]).sum(-1) == 1
    return np.array([bool(np.all(q[c] > q[one_apart[c]])) for c in range(len(q))])
