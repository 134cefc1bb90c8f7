"""pass@k and majority@k from counts of judged samples.

Promises: unbiased estimators, exact in floating point up to n of many thousands, vectorised. `n` is always the number
of samples of a question that *were judged*: a sample that is missing or could not be judged is left out of `n`, never
counted as wrong. Where fewer than k samples were judged the answer is NaN, which the interval functions leave out and
count. Impossible counts (c > n, negative, k < 1) raise ValueError.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

Array = NDArray[np.float64]


def pass_at_k(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> Any:
    """Return the unbiased estimate of P(at least one of k fresh samples is correct), elementwise.

    n: samples judged, c: of those correct, k: samples allowed; broadcast together. The estimate is
    `1 - C(n-c, k) / C(n, k)`: the share of all k-subsets, drawn *without* replacement, that hold a correct sample
    (Chen et al. 2021, arXiv 2107.03374, equation 1). NaN where n < k, and where n, c or k is NaN (not known). Result: an array of
    float64, a plain number for scalars.

    Assumes that the n samples of a question are independent and identically distributed; nothing about the
    questions. Raises ValueError where c > n, n < 0, c < 0 or k < 1, and for counts that are not whole.
    """
    n_, c_, k_ = np.broadcast_arrays(np.asarray(n, float), np.asarray(c, float), np.asarray(k, float))
    if np.any(n_ < 0) or np.any(c_ < 0) or np.any(c_ > n_):
        raise ValueError("pass_at_k needs 0 <= c <= n: c correct among n judged samples of each question")
    if np.any(k_ < 1):
        raise ValueError("pass_at_k needs k >= 1")
    for name, x in (("n", n_), ("c", c_), ("k", k_)):
        if np.any(np.isinf(x)) or np.any(x[np.isfinite(x)] % 1 != 0):
            raise ValueError(f"pass_at_k counts samples: {name} must be whole numbers (NaN where not known)")
    wrong = n_ - c_
    safe = (n_ >= k_) & (wrong >= k_)
    w, m, kk = (np.where(safe, x, 1.0) for x in (wrong, n_, k_))
    # log of C(w, k) / C(m, k); the k! cancel
    log_miss = gammaln(w + 1) - gammaln(w - kk + 1) - gammaln(m + 1) + gammaln(m - kk + 1)
    value = np.where(safe, -np.expm1(np.minimum(log_miss, 0.0)), 1.0)
    value = np.where(c_ == 0, 0.0, value)
    known = (n_ >= k_) & np.isfinite(c_)
    return np.where(known, np.where(k_ == 1, np.divide(c_, np.maximum(n_, 1)), value), np.nan)[()]


def pass_at_k_curve(n_Q: ArrayLike, c_Q: ArrayLike, ks: Sequence[int]) -> Array:
    """Return pass@k for each k of `ks` and each question: shape (len(ks), *n.shape), NaN where n < k."""
    n, c = np.asarray(n_Q, float), np.asarray(c_Q, float)
    return np.asarray(pass_at_k(n[None], c[None], np.asarray(ks, float).reshape((-1,) + (1,) * n.ndim)))


def majority_at_k(counts: Sequence[int], correct: Sequence[bool], k: int, abstained: int = 0) -> float:
    """Return P(the most frequent answer among k samples drawn without replacement is a correct one).

    `counts[g]` samples gave answer g, which is right where `correct[g]`; `abstained` judged samples gave no answer:
    they use up a draw and do not vote. Ties are broken at random, so a tie of t answers with one correct counts 1/t;
    a draw in which nobody votes counts 0. Exact over all k-subsets. NaN when fewer than k samples were judged.

    Answers must already be grouped: two spellings of the same answer split the vote. Cost O(groups x k^2) per
    leading count; for k = n use `majority_of_all`, which is vectorised.
    """
    total = sum(counts) + abstained
    if k < 1:
        raise ValueError("majority_at_k needs k >= 1")
    if len(counts) != len(correct):
        raise ValueError(f"majority_at_k got {len(counts)} counts but {len(correct)} correctness flags")
    if abstained < 0 or any(count < 0 for count in counts):
        raise ValueError("majority_at_k needs counts that are not negative")
    if total < k:
        return float("nan")
    won = 0.0
    for top in range(1, k + 1):
        # ways[right][tied][x]: subsets of x samples in which `tied` groups reach exactly `top`, `right` of them
        # correct, and the others stay below
        ways: dict[tuple[int, int], list[int]] = {(0, 0): _choose(abstained, k)}
        for count, right in zip(counts, correct, strict=True):
            below = [comb(count, i) for i in range(min(top - 1, count, k) + 1)]
            new: dict[tuple[int, int], list[int]] = {}
            for (rights, tied), poly in ways.items():
                _add(new, (rights, tied), _product(poly, below, k))
                if count >= top:
                    _add(new, (rights + bool(right), tied + 1), _product(poly, [0] * top + [comb(count, top)], k))
            ways = new
        won += sum(poly[k] * rights / tied for (rights, tied), poly in ways.items() if tied and rights)
    return won / comb(total, k)


def majority_of_all(counts_QG: ArrayLike, correct_QG: ArrayLike) -> Array:
    """Return, for each question, the chance that the most frequent of all its answers is right (ties at random).

    counts_QG: samples of question q that gave answer g (0 where the answer does not occur); correct_QG: is it right.
    NaN is returned for no question: one where nobody answered is 0. Use `np.where(judged == 0, nan, ...)` outside.
    """
    counts, correct = np.asarray(counts_QG), np.asarray(correct_QG, bool)
    if counts.ndim != 2 or counts.shape != correct.shape:
        raise ValueError(
            f"majority_of_all needs two arrays (questions, answers), not {counts.shape} and {correct.shape}"
        )
    if not np.all(counts >= 0):
        raise ValueError("majority_of_all needs counts that are neither negative nor NaN")
    top = counts.max(axis=1, initial=0, keepdims=True)
    leads = (counts == top) & (top > 0)
    tied = leads.sum(axis=1)
    return np.where(tied > 0, (leads & correct).sum(axis=1) / np.maximum(tied, 1), 0.0)


def _choose(n: int, k: int) -> list[int]:
    return [comb(n, i) for i in range(k + 1)]


def _product(a: list[int], b: list[int], k: int) -> list[int]:
    out = [0] * (k + 1)
    for i, x in enumerate(a):
        if x:
            for j, y in enumerate(b[: k + 1 - i]):
                out[i + j] += x * y
    return out


def _add(table: dict[tuple[int, int], list[int]], key: tuple[int, int], poly: list[int]) -> None:
    old = table.get(key)
    table[key] = poly if old is None else [x + y for x, y in zip(old, poly, strict=True)]
