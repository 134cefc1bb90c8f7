"""Advantages for pass@k: the closed forms against all subsets written out, and against the gradient of pass@k itself."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, product
from math import comb

import numpy as np
import pytest

from midway.training.advantages import best_of_k, of_groups, pass_at_k_training, pkpo

RNG = np.random.default_rng(0)
GROUPS = [
    np.array([1.0, 0, 0, 1, 0, 0, 0, 0]),
    np.array([1.0, 1, 1, 1, 1, 0]),
    np.array([0.3, -0.2, 0.3, 1.5, 0.0]),
    RNG.normal(size=7),
]


def subsets(group: np.ndarray, k: int) -> list[tuple[int, ...]]:
    return list(combinations(range(group.size), k))


@pytest.mark.parametrize("group", GROUPS, ids=range(len(GROUPS)))
@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_both_are_what_all_subsets_say(group: np.ndarray, k: int) -> None:
    drawn = subsets(group, k)
    best = np.array([group[list(s)].max() for s in drawn])
    mean, deviation = best_of_k(group, k)
    assert (mean, deviation) == pytest.approx((best.mean(), best.std()))
    chen = [np.mean([b - best.mean() for s, b in zip(drawn, best, strict=True) if i in s]) for i in range(group.size)]
    expected = np.zeros(group.size) if best.std() == 0 else np.array(chen) / best.std()
    assert pass_at_k_training(group, k) == pytest.approx(expected)
    added = [
        sum(b - max((group[j] for j in s if j != i), default=0.0) for s, b in zip(drawn, best, strict=True) if i in s)
        for i in range(group.size)
    ]
    assert pkpo(group, k) == pytest.approx(group.size * np.array(added) / comb(group.size, k))


def test_chens_formula_for_right_and_wrong() -> None:
    """As printed in the paper: for N samples of which `wrong` are wrong."""
    for size, wrong, k in product((6, 8), range(1, 6), (2, 3, 4)):
        group = np.array([0.0] * wrong + [1.0] * (size - wrong))
        mean = 1 - comb(wrong, k) / comb(size, k)
        found = pass_at_k_training(group, k)
        if wrong < k:
            assert not found.any(), "whatever is drawn, one is right"
            continue
        deviation = np.sqrt(mean * (1 - mean))
        assert found[-1] == pytest.approx((1 - mean) / deviation)
        assert found[0] == pytest.approx((1 - mean - comb(wrong - 1, k - 1) / comb(size - 1, k - 1)) / deviation)


@pytest.mark.parametrize(("k", "size"), [(1, 2), (2, 4), (3, 4)])
def test_pkpo_is_the_gradient_of_pass_at_k(k: int, size: int) -> None:
    """A policy that is right with probability p = sigmoid(x): the mean over all groups that it can draw is d(1 - (1 - p)^k)/dx."""
    p = 0.3
    expected = k * (1 - p) ** (k - 1) * p * (1 - p)
    total = 0.0
    for drawn in product((0.0, 1.0), repeat=size):
        group = np.array(drawn)
        chance = np.prod(np.where(group == 1, p, 1 - p))
        score = group - p  # d log pi / dx of each sample
        total += chance * (pkpo(group, k) * score).mean()
    assert total == pytest.approx(expected)


def test_what_is_not_known_is_left_out() -> None:
    nan = np.nan
    batch = np.array([1, 0, nan, 0, 1.0, nan, nan, nan])
    for name, alone in (("pass-at-k", pass_at_k_training), ("pkpo", pkpo)):
        of: Callable[..., np.ndarray] = alone
        found = of_groups(name, batch, 4, 2)
        assert found[[0, 1, 3]] == pytest.approx(of(np.array([1.0, 0, 0]), 2))
        assert found[2] == 0 and not found[4:].any(), "one known sample is no subset of two"
