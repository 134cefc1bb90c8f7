"""Within one question: which completions are copies of a better one, and in what order to take the rest.

Promises: pure functions of one chunk of ranked candidates (all candidates of each of its questions, best first); nothing depends on
the order in which completions were generated or on which questions share a chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

from midway.selection.text import U32, WORDS, Shingled, bands, computation_tokens, shingles, tokens

I64 = npt.NDArray[np.int64]
Seen = dict[tuple[int, int] | int, list[int]]
"""Kept candidates of a question by fingerprint and by (band, key)."""
PAIR = 2
"""Computations in a shingle of a computation sequence (its end counts as one)."""


class Similarity:
    """Shingles and signatures of the candidates of a chunk, made once."""

    def __init__(self, texts: pl.Series, *, threshold: float, same_computation: bool) -> None:
        self.threshold = threshold
        self.words: Shingled = shingles(tokens(texts), width=WORDS)
        self.signatures: U32 = self.words.signatures()
        self._views = [(self.words, self.signatures)]
        if same_computation:
            computed = shingles(computation_tokens(texts), width=PAIR)
            self._views.append((computed, computed.signatures()))

    def copies(self, groups: I64) -> I64:
        """Return for each candidate the index of the better candidate that it copies, or -1.

        `groups` holds the question of each candidate, equal ones consecutive, best candidate first. In that order a candidate is a
        copy if it has at least `threshold` Jaccard similarity (exact, on pairs that MinHash banding proposes) with one that was kept.
        """
        original = np.full(len(groups), -1, dtype=np.int64)
        views = [(shingled, shingled.fingerprints(), bands(g, self.threshold)) for shingled, g in self._views]
        starts: list[int] = (
            np.flatnonzero(np.concatenate([[True], groups[1:] != groups[:-1]])).tolist() if len(groups) else []
        )
        for start, end in pairwise([*starts, len(groups)]):
            if end - start > 1:
                seen: list[Seen] = [{} for _ in views]
                lists = [(s, p[start:end].tolist(), k[start:end].tolist()) for s, p, k in views]
                for i in range(start, end):
                    original[i] = self._place(i, i - start, lists, seen)
        return original

    def _place(
        self, i: int, at: int, views: Sequence[tuple[Shingled, list[int], list[list[int]]]], seen: Sequence[Seen]
    ) -> int:
        """Return the kept candidate that i copies; if there is none, keep i and return -1."""
        for (shingled, prints, keys), known in zip(views, seen, strict=True):
            if not prints[at]:
                continue  # nothing to compare
            if prints[at] in known:  # the same list of shingles
                return known[prints[at]][0]
            near = {j for key in enumerate(keys[at]) for j in known.get(key, ())}
            for j in sorted(near):
                if shingled.jaccard(i, j) >= self.threshold:
                    return j
        for (_, prints, keys), known in zip(views, seen, strict=True):
            if prints[at]:
                known[prints[at]] = [i]
                for key in enumerate(keys[at]):
                    known.setdefault(key, []).append(i)
        return -1

    def spread(self, rows: I64, n: int) -> I64:
        """Return `rows` (best first) in the order of taking: the best, then again and again the one least similar to those taken.

        Similarity to what is taken is the largest MinHash estimate of the Jaccard similarity; ties go to the better rank. After n the
        rest follows by rank. (Farthest-first traversal, Gonzalez 1985.)
        """
        if len(rows) <= 2:
            return rows
        signatures = self.signatures[rows]
        taken = [0]
        nearest = np.zeros(len(rows))
        for _ in range(min(n, len(rows)) - 1):
            agreement = (signatures == signatures[taken[-1]]).sum(axis=1)
            nearest = np.maximum(nearest, agreement)
            nearest[taken[-1]] = np.inf
            taken.append(int(nearest.argmin()))
        left = np.ones(len(rows), dtype=bool)
        left[taken] = False
        return np.concatenate([rows[taken], rows[left]])


def places(groups: I64, order: I64) -> I64:
    """Return the place (from 0) of each candidate within its group when taken in `order` (groups consecutive)."""
    sorted_groups = groups[order]
    first = np.concatenate([[True], sorted_groups[1:] != sorted_groups[:-1]]) if len(order) else np.zeros(0, dtype=bool)
    start = (
        np.maximum.accumulate(np.where(first, np.arange(len(order)), 0)) if len(order) else np.zeros(0, dtype=np.int64)
    )
    out = np.empty(len(order), dtype=np.int64)
    out[order] = np.arange(len(order)) - start
    return out
