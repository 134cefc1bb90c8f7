"""Advantages of a group whose aim is pass@k and not pass@1: pure functions of a group's rewards. Imports no torch.

Both look at all subsets of k of the group's n samples; a subset is worth its best reward. Rewards may be any numbers; a reward that is not
known (NaN) is left out of the group, and its advantage is 0. So is everybody's where fewer than k are known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import comb

import numpy as np

Array = np.ndarray


def best_of_k(rewards_K: Array, k: int) -> tuple[float, float]:
    """Return mean and standard deviation of the best reward over all subsets of k of the samples.

    The m-th smallest of n rewards is the best of C(m-1, k-1) subsets. For rewards of 0 and 1 the mean is the estimator of pass@k of Chen
    et al. (arXiv:2107.03374).
    """
    ordered = np.sort(rewards_K)
    share = np.array([comb(m, k - 1) for m in range(ordered.size)], dtype=float) / comb(ordered.size, k)
    mean = float(share @ ordered)
    return mean, float(np.sqrt(share @ (ordered - mean) ** 2))


def best_with_each(rewards_K: Array, k: int) -> Array:
    """Return, for each sample, the mean of the best reward over the subsets of k that it is in.

    Where it is the p-th smallest, it is the best of C(p-1, k-1) of these, and the m-th smallest (m > p) of C(m-2, k-2).
    """
    size, order = rewards_K.size, np.argsort(rewards_K, kind="stable")
    ordered = rewards_K[order]
    out = np.empty(size)
    for p in range(size):
        total = comb(p, k - 1) * ordered[p]
        if k > 1:
            total += sum(comb(m - 1, k - 2) * ordered[m] for m in range(p + 1, size))
        out[order[p]] = total / comb(size - 1, k - 1)
    return out


def best_without_each(rewards_K: Array, k: int) -> Array:
    """Return, for each sample, the mean of the best reward over the subsets of k that it is in, without it; 0 for k = 1."""
    if k == 1:
        return np.zeros(rewards_K.size)
    return np.array([best_of_k(np.delete(rewards_K, i), k - 1)[0] for i in range(rewards_K.size)])


def pass_at_k_training(rewards_K: Array, k: int) -> Array:
    """Return the advantages of pass@k training: the mean, over the subsets that a sample is in, of the subset's own advantage, which is
    its best reward, centred and scaled over all subsets.

    Source: Chen et al. 2025, "Pass@k training for adaptively balancing exploration and exploitation of large reasoning models"
    (arXiv:2508.10751, section 2.3, the analytical derivation; theirs is for rewards of 0 and 1). 0 where all subsets are worth the same.
    """
    mean, deviation = best_of_k(rewards_K, k)
    if deviation < 1e-9:
        return np.zeros(rewards_K.size)
    return (best_with_each(rewards_K, k) - mean) / deviation


def pkpo(rewards_K: Array, k: int) -> Array:
    """Return the advantages whose policy gradient is an unbiased estimate of the gradient of the expected best of k: k times what a sample
    adds to the subsets that it is in.

    Source: Walder and Karkhanis 2025, "Pass@k policy optimization" (arXiv:2505.15201), the estimator with the baseline that leaves the
    sample out of its own subset. Theirs is a sum over the n samples; this is n times theirs, for a loss that is a mean over them.
    """
    return k * (best_with_each(rewards_K, k) - best_without_each(rewards_K, k))


AT_K: Mapping[str, Callable[[Array, int], Array]] = {"pass-at-k": pass_at_k_training, "pkpo": pkpo}
"""By the algorithm's name."""


def of_groups(name: str, rewards: Array, group: int, k: int) -> Array:
    """Return the advantages of a batch of groups, one after the other; NaN rewards are left out as above."""
    out = np.zeros(rewards.size)
    for start in range(0, rewards.size, group):
        known = start + np.flatnonzero(~np.isnan(rewards[start : start + group]))
        if known.size >= k:
            out[known] = AT_K[name](rewards[known], k)
    return out
