"""How many different ways: entropy, effective numbers, distances between mixes, Vendi score.

Promises: pure functions of counts or similarity matrices; empty input gives NaN, malformed input ValueError.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def distribution(labels: Sequence[str], ways: Sequence[str]) -> Array:
    """Return the share of each of `ways` among `labels`, shape (len(ways),); NaN when there are no labels.

    Raises ValueError for a label that is not one of the ways.
    """
    place = {w: i for i, w in enumerate(ways)}
    unknown = sorted({x for x in labels if x not in place})
    if unknown:
        raise ValueError(f"unknown labels {unknown[:5]}; known are {list(ways)}")
    counts = np.bincount([place[x] for x in labels], minlength=len(ways)).astype(float)
    return np.asarray(counts / counts.sum() if counts.sum() else np.full(len(ways), np.nan))


def entropy(counts: ArrayLike, correct_bias: bool = False) -> float:
    """Return the Shannon entropy, in nats, of counts or weights.

    `correct_bias` adds (m - 1) / (2 N), the first-order bias of the plug-in estimate from N counts in m occupied
    classes (Miller 1955).
    """
    c = np.asarray(counts, float).ravel()
    if np.any(c < 0):
        raise ValueError("entropy needs counts or weights that are not negative")
    total = c.sum()
    if not total > 0:
        return float("nan")
    p = c[c > 0] / total
    plain = float(max(0.0, -(p * np.log(p)).sum()))
    return plain + (p.size - 1) / (2 * total) if correct_bias else plain


def effective_number(counts: ArrayLike) -> float:
    """Return exp(entropy): the number of equally common ways that would be as mixed as these (Hill number of order
    1).
    """
    return float(np.exp(entropy(counts)))


def total_variation(p: ArrayLike, q: ArrayLike) -> float:
    """Return half the summed absolute difference of two mixes: the share that would have to change ways. NaN for an empty mix."""
    a, b = np.asarray(p, float), np.asarray(q, float)
    if a.shape != b.shape:
        raise ValueError(f"the mixes must be over the same ways: {a.shape} against {b.shape}")
    if not (a.sum() > 0 and b.sum() > 0):
        return float("nan")
    return float(0.5 * np.abs(a / a.sum() - b / b.sum()).sum())


def vendi_score(similarity: ArrayLike) -> float:
    """Return the Vendi score of a similarity matrix (N, N) with ones on its diagonal: exp of the entropy of K / N's
    eigenvalues.

    Friedman and Dieng 2023, arXiv 2210.02410. 1 when all items are alike, N when no two share anything. K must be
    symmetric and positive semi-definite.
    """
    k = np.asarray(similarity, float)
    if k.ndim != 2 or k.shape[0] != k.shape[1] or not np.allclose(k, k.T, atol=1e-8):
        raise ValueError(f"a similarity matrix is square and symmetric, not {k.shape}")
    if k.shape[0] == 0:
        return float("nan")
    if not np.allclose(np.diag(k), 1.0, atol=1e-6):
        raise ValueError("a similarity matrix has ones on its diagonal")
    eigenvalues = np.linalg.eigvalsh(k / k.shape[0])
    if eigenvalues.min() < -1e-6:
        raise ValueError(f"a similarity matrix has no negative eigenvalues; the smallest is {eigenvalues.min():.3g}")
    return effective_number(np.clip(eigenvalues, 0.0, None))


def vendi_score_of_vectors(vectors_ND: ArrayLike) -> float:
    """Return the Vendi score of N items under cosine similarity of their vectors (N, D); uses the smaller Gram matrix.

    Raises ValueError for a zero vector, which has no direction.
    """
    x = np.asarray(vectors_ND, float)
    if x.size == 0:
        return float("nan")
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    if np.any(norms == 0):
        raise ValueError("a zero vector has no cosine similarity")
    x = x / norms
    gram = x @ x.T if x.shape[0] <= x.shape[1] else x.T @ x
    return effective_number(np.clip(np.linalg.eigvalsh(gram / x.shape[0]), 0.0, None))


def vendi_score_of_texts(texts: Sequence[str], words: int = 2) -> float:
    """Return the Vendi score of texts under cosine similarity of their counts of runs of up to `words` words.

    A surface measure: two wordings of one idea count as different. Compare only sets of equal size, since the score
    is bounded by it.
    """
    if not texts:
        return float("nan")
    place: dict[tuple[str, ...], int] = {}
    rows: list[dict[int, int]] = []
    for text in texts:
        tokens = text.lower().split() or [""]
        row: dict[int, int] = {}
        for size in range(1, words + 1):
            for i in range(len(tokens) - size + 1):
                j = place.setdefault(tuple(tokens[i : i + size]), len(place))
                row[j] = row.get(j, 0) + 1
        rows.append(row)
    x = np.zeros((len(rows), len(place)))
    for i, row in enumerate(rows):
        x[i, list(row)] = list(row.values())
    return vendi_score_of_vectors(x)
