"""Policies with free logits: over ways (one branch), or over chains with a branch at each part.

Promises: arrays in, arrays out. A chain is a sequence of choices; its probability is the product of the softmaxes of
the contexts that it passes. Axes: R replicas, X contexts, K choices in a context, C chains. With one context a chain
is a way and C = K.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """All chains: `choices[c]` are chain c's choices, `uses_CXK[c, x, k]` counts how often it takes choice k in "
    "context x."""

    choices: tuple[tuple[int, ...], ...]
    uses_CXK: Array

    @property
    def shape(self) -> tuple[int, int]:
        """(contexts, choices): the shape of a policy's logits."""
        return self.uses_CXK.shape[1], self.uses_CXK.shape[2]

    def log_probability(self, theta: ArrayLike) -> Array:
        """Return the log-probability of each chain, shape (..., C), for logits of shape (..., X, K)."""
        logits = np.asarray(theta, float)
        if logits.shape[-2:] != self.shape:
            raise ValueError(
                f"logits of this space have the shape (..., {self.shape[0]}, {self.shape[1]}), not {logits.shape}"
            )
        if self.shape[0] == 1:
            return np.asarray(log_softmax(logits[..., 0, :], axis=-1))
        flat = log_softmax(logits, axis=-1).reshape(*logits.shape[:-2], -1)
        return np.asarray(flat @ self.uses_CXK.reshape(len(self.choices), -1).T)

    def probability(self, theta: ArrayLike) -> Array:
        """Return the probability of each chain, shape (..., C)."""
        return np.exp(self.log_probability(theta))

    def ascent(self, weight: Array, theta: ArrayLike) -> Array:
        """Return `sum_c weight_c grad log pi_c`, shape (..., X, K), for weights of shape (..., C)."""
        logits = np.asarray(theta, float)
        pi = np.exp(log_softmax(logits, axis=-1))
        if self.shape[0] == 1:
            taken = weight[..., None, :]
        else:
            taken = (weight @ self.uses_CXK.reshape(len(self.choices), -1)).reshape(logits.shape)
        return np.asarray(taken - taken.sum(-1, keepdims=True) * pi)


def ways(count: int) -> Space:
    """Return the space of `count` ways: one branch."""
    if count < 1:
        raise ValueError("a space needs at least one way")
    return Space(tuple((k,) for k in range(count)), np.eye(count)[:, None, :])


def chains(parts: int, count: int, memory: bool = False) -> Space:
    """Return the space of chains of `parts` parts with `count` ways at each: C = count ** parts.

    Without memory there is one context for each part: the way at a part does not depend on the ways before. With
    memory the contexts of the later parts know the way of the part before: 1 + (parts - 1) x count contexts.
    """
    if parts < 1 or count < 1:
        raise ValueError("a chain needs at least one part and one way")
    choices = tuple(product(range(count), repeat=parts))
    contexts = 1 + (parts - 1) * count if memory else parts
    uses = np.zeros((len(choices), contexts, count))
    for c, chain in enumerate(choices):
        for part, way in enumerate(chain):
            context = part if not memory else (0 if part == 0 else 1 + (part - 1) * count + chain[part - 1])
            uses[c, context, way] += 1
    return Space(choices, uses)


def is_hybrid(space: Space) -> NDArray[np.bool_]:
    """Return, for each chain, whether it uses two ways or more, shape (C,)."""
    return np.array([len(set(chain)) > 1 for chain in space.choices])


def success_with_synergy(space: Space, pure: ArrayLike, synergy: float) -> Array:
    """Return the success of each chain, shape (C,): the mean of its parts' `pure` rates, plus the synergy for
    hybrids, clipped to [0, 1].

    pure: success of the chain that uses way k throughout, shape (K,).
    """
    q = np.asarray(pure, float)
    if q.shape != (space.shape[1],) or np.any((q < 0) | (q > 1)):
        raise ValueError(f"needs {space.shape[1]} success rates between 0 and 1, one for each pure way")
    mean = np.array([np.mean([q[k] for k in chain]) for chain in space.choices])
    return np.asarray(np.clip(mean + synergy * is_hybrid(space), 0, 1))


def logits_after_sft(space: Space, share_K: ArrayLike, leak: float) -> Array:
    """Return the logits, shape (X, K), that maximise the likelihood of pure chains in these shares, smoothed by
    `leak`.

    The data hold no hybrid. Without memory every part gets the shares themselves, so hybrids come at the product of
    the shares. With memory the later contexts have seen only "go on in the same way": they get 1 - leak for it, and
    hybrids come at the rate of the leak. `leak` is spread evenly over the other ways of a later context; it must be
    above 0 (a table that has never seen a choice gives it none).
    """
    share = np.asarray(share_K, float)
    parts, count = len(space.choices[0]), space.shape[1]
    if share.shape != (count,) or np.any(share <= 0) or not np.isclose(share.sum(), 1):
        raise ValueError(f"needs {count} positive shares that sum to 1")
    if count < 2 or not 0 < leak < 1:
        raise ValueError("needs two ways or more and 0 < leak < 1")
    if space.shape[0] == parts:
        return np.log(np.tile(share, (parts, 1)))
    stay = np.full((count, count), leak / (count - 1))
    np.fill_diagonal(stay, 1 - leak)
    return np.log(np.concatenate([share[None], *[stay] * (parts - 1)]))
