"""Within one question: which completions are copies of a better one, and in what order to take the rest.

Promises: pure functions of one chunk of ranked candidates (all candidates of each of its questions, best first); nothing depends on
the order in which completions were generated or on which questions share a chunk.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from midway.selection.text import U32, WORDS, Shingled, bands, computation_tokens, shingles, tokens

I64 = npt.NDArray[np.int64]
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
        views = [(s, s.fingerprints().tolist(), bands(g, self.threshold).tolist()) for s, g in self._views]
        seen: list[dict[tuple[int, int] | int, list[int]]] = [{} for _ in views]
        group = None
        for i, current in enumerate(groups.tolist()):
            if current != group:
                group, seen = current, [{} for _ in views]
            for view, (shingled, prints, keys) in enumerate(views):
                if prints[i] and (match := self._match(i, shingled, prints, keys, seen[view])) >= 0:
                    original[i] = match
                    break
            if original[i] < 0:
                for view, (_, prints, keys) in enumerate(views):
                    if prints[i]:
                        seen[view].setdefault(prints[i], []).append(i)
                        for band, key in enumerate(keys[i]):
                            seen[view].setdefault((band, key), []).append(i)
        return original

    def _match(
        self,
        i: int,
        shingled: Shingled,
        prints: list[int],
        keys: list[list[int]],
        seen: dict[tuple[int, int] | int, list[int]],
    ) -> int:
        if prints[i] in seen:  # the same list of shingles
            return seen[prints[i]][0]
        near: set[int] = set()
        for band, key in enumerate(keys[i]):
            near.update(seen.get((band, key), ()))
        return next((j for j in sorted(near) if shingled.jaccard(i, j) >= self.threshold), -1)

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
    start = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0)) if len(order) else np.zeros(0, dtype=np.int64)
    out = np.empty(len(order), dtype=np.int64)
    out[order] = np.arange(len(order)) - start
    return out
