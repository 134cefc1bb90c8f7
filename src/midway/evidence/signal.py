"""Groups without signal: all of a question's samples are rewarded alike, so that RL learns nothing from them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from midway.evidence.passk import pass_at_k


def no_signal(p: ArrayLike, group: int) -> Any:
    """Return P(all of `group` samples are right, or none is), for questions that are solved with probability p: p^G + (1 - p)^G.

    Assumes independent samples and rewards of two values.
    """
    rate = np.asarray(p, float)
    return (rate**group + (1 - rate) ** group)[()]


def no_signal_of_counts(n_Q: ArrayLike, c_Q: ArrayLike, group: int) -> Any:
    """Return the unbiased estimate of `no_signal` for questions of which c of n judged samples are right, elementwise: the share of all
    subsets of `group` samples that are all right or all wrong. NaN where fewer than `group` were judged."""
    n, c = np.asarray(n_Q, float), np.asarray(c_Q, float)
    return ((1 - np.asarray(pass_at_k(n, c, group))) + (1 - np.asarray(pass_at_k(n, n - c, group))))[()]
