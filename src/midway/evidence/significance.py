"""Exact permutation tests and Holm's correction.

Promises: a p-value is never 0 (the observed labelling is one of the permutations); NaN pairs are left out; exact
where it says so. What each test is about: `sign_flip` is about *these trained models* on other questions;
`label_permutation` is about other training runs. Neither covers both; the t interval of `midway.evidence.intervals`
does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb, gcd

import numpy as np
from numpy.typing import ArrayLike, NDArray

MAX_LATTICE = 100_000_000
"""Largest product of pairs and attainable sums for which the exact distribution is computed (about a second)."""


@dataclass(frozen=True, slots=True)
class PermutationTest:
    p: float
    exact: bool
    pairs: int
    """Pairs (or runs) used."""
    nonzero: int
    """Pairs whose difference is not zero; the others carry no information."""


def sign_flip(difference_Q: ArrayLike, resamples: int = 20_000, seed: int = 0) -> PermutationTest:
    """Return the two-sided sign-flip test of paired differences, one per question.

    Null: exchanging the two arms on any question changes nothing, so each difference has a symmetric law around 0.
    Statistic: |sum of differences|. Exact by convolution where the differences lie on a lattice (they do when every
    question has the same number of samples) and by enumeration for up to 20 nonzero pairs; else Monte Carlo with p =
    (b + 1) / (resamples + 1).
    """
    d = np.asarray(difference_Q, float).ravel()
    d = d[np.isfinite(d)]
    pairs = d.size
    d = d[d != 0]
    if d.size == 0:
        return PermutationTest(1.0 if pairs else float("nan"), True, pairs, 0)
    lattice = _lattice(d)
    if lattice is not None and d.size * int(np.abs(lattice).sum()) <= MAX_LATTICE:
        return PermutationTest(_convolved(lattice), True, pairs, d.size)
    if d.size <= 20:
        signs = (np.arange(2**d.size)[:, None] >> np.arange(d.size)) & 1
        sums = np.abs((1 - 2 * signs) @ d)
        return PermutationTest(float(np.mean(sums >= abs(d.sum()) * (1 - 1e-12))), True, pairs, d.size)
    rng = np.random.default_rng(seed)
    reached = 0
    chunk = max(1, 8_000_000 // d.size)
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        flips = rng.integers(0, 2, size=(rows, d.size), dtype=np.int8).astype(np.float32) * 2 - 1
        reached += int((np.abs(flips @ d.astype(np.float32)) >= abs(d.sum()) * (1 - 1e-6)).sum())
    return PermutationTest((reached + 1) / (resamples + 1), False, pairs, d.size)


def label_permutation(a_S: ArrayLike, b_S: ArrayLike) -> PermutationTest:
    """Return the exact two-sided permutation test of the seed means of two arms: all ways to deal the runs to the arms.

    Null: the arm's name does not matter for a training run. With 3 runs against 3 no p-value below 0.1 is possible,
    with 4 against 4 none below 0.029: the test says so instead of assuming normality. Up to about 12 runs an arm.
    """
    a, b = np.asarray(a_S, float).ravel(), np.asarray(b_S, float).ravel()
    a, b = a[np.isfinite(a)], b[np.isfinite(b)]
    if not a.size or not b.size:
        return PermutationTest(float("nan"), True, a.size + b.size, 0)
    if comb(a.size + b.size, a.size) > 3_000_000:
        raise ValueError(
            f"label_permutation enumerates all deals; {a.size} + {b.size} runs are too many, use difference()"
        )
    both = np.concatenate([a, b])
    deals = np.array(list(combinations(range(both.size), a.size)))
    sums = both[deals].sum(axis=1)
    gaps = np.abs(sums / a.size - (both.sum() - sums) / b.size)
    observed = abs(a.mean() - b.mean())
    return PermutationTest(float(np.mean(gaps >= observed - 1e-12)), True, both.size, both.size)


def holm(p_values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Holm's adjusted p-values (step-down; family-wise error under any dependence). NaN stay NaN and do not
    count.
    """
    p = np.asarray(p_values, float)
    if p.ndim != 1 or np.any((p < 0) | (p > 1)):
        raise ValueError("holm needs a list of p-values in [0, 1], NaN for a test that could not be made")
    out = np.full(p.shape, np.nan)
    where = np.flatnonzero(np.isfinite(p))
    order = where[np.argsort(p[where], kind="stable")]
    factors = np.arange(order.size, 0, -1)
    out[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0) if order.size else []
    return out


def _lattice(d: NDArray[np.float64]) -> NDArray[np.int64] | None:
    """Return integers proportional to d, or None: differences of counts over n1 and n2 samples are multiples of 1 /
    lcm.
    """
    bases = np.arange(1, 4097)
    few = d[:8, None] * bases
    for base in bases[(np.abs(few - np.rint(few)) < 1e-7).all(axis=0)]:
        scaled = d * base
        rounded = np.rint(scaled)
        if np.abs(scaled - rounded).max() < 1e-7:
            whole = rounded.astype(np.int64)
            return np.asarray(whole // gcd(*np.abs(whole).tolist()))
    return None


def _convolved(whole: NDArray[np.int64]) -> float:
    """Return P(|sum of +-d| >= |observed sum|) exactly: add one pair after another to the law of the sum."""
    steps = np.abs(whole)
    law = np.ones(1)
    for step in np.sort(steps):
        new = np.zeros(law.size + 2 * int(step))
        new[: law.size] += 0.5 * law
        new[2 * int(step) :] += 0.5 * law
        law = new
    support = np.arange(law.size) - int(steps.sum())
    return float(min(1.0, law[np.abs(support) >= abs(int(whole.sum()))].sum()))
