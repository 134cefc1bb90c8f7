"""Estimators against closed forms and against brute force, and the field's known traps."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from math import comb

import numpy as np
import pytest

from midway.evidence import majority_at_k, majority_of_all, pass_at_k, pass_at_k_curve


def test_pass_at_k_is_the_share_of_subsets_that_hold_a_correct_sample() -> None:
    for n in range(1, 10):
        for c in range(n + 1):
            samples = [True] * c + [False] * (n - c)
            for k in range(1, n + 1):
                subsets = [any(s) for s in combinations(samples, k)]
                assert pass_at_k(n, c, k) == pytest.approx(np.mean(subsets), abs=1e-12)


def test_pass_at_k_against_exact_integers_on_thousands_of_random_cases() -> None:
    rng = np.random.default_rng(1)
    n = rng.integers(1, 3000, 5000)
    c = rng.integers(0, n + 1)
    k = rng.integers(1, n + 1)
    exact = [1 - comb(int(a - b), int(x)) / comb(int(a), int(x)) for a, b, x in zip(n, c, k, strict=True)]
    np.testing.assert_allclose(pass_at_k(n, c, k), exact, rtol=1e-9, atol=1e-12)


def test_pass_at_k_is_unbiased() -> None:
    rng = np.random.default_rng(2)
    p, n = 0.13, 12
    c = rng.binomial(n, p, 200_000)
    for k in (1, 2, 5, 12):
        assert pass_at_k(n, c, k).mean() == pytest.approx(1 - (1 - p) ** k, abs=0.005)


def test_too_few_judged_samples_is_nan_and_never_wrong() -> None:
    # trap: a question of which 3 of 4 samples are missing counted as 1/4
    np.testing.assert_array_equal(pass_at_k([1, 0, 4], [1, 0, 1], 4), [np.nan, np.nan, 1.0])
    np.testing.assert_array_equal(pass_at_k([1, 0], [1, 0], 1), [1.0, np.nan])


def test_traps_bootstrap_with_replacement_and_first_k() -> None:
    n, c, k = 8, 2, 4
    right = 1 - comb(6, 4) / comb(8, 4)
    with_replacement = 1 - (6 / 8) ** 4
    assert pass_at_k(n, c, k) == pytest.approx(right)
    assert abs(right - with_replacement) > 0.05
    # first-k depends on the order of the samples; the estimator sees counts only, and equals its mean over all orders
    rng = np.random.default_rng(3)
    samples = np.array([1, 1, 0, 0, 0, 0, 0, 0], bool)
    first_k = [rng.permutation(samples)[:k].any() for _ in range(20_000)]
    assert np.mean(first_k) == pytest.approx(right, abs=0.015)


def test_curve_is_monotone_and_shaped_k_first() -> None:
    curve = pass_at_k_curve([[16, 16], [16, 3]], [[1, 0], [16, 1]], [1, 2, 4])
    assert curve.shape == (3, 2, 2)
    assert np.isnan(curve[2, 1, 1]) and np.all(np.diff(curve[:, 0, 0]) > 0)


@pytest.mark.parametrize(("n", "c", "k"), [(3, 4, 1), (3, -1, 1), (-1, 0, 1), (3, 1, 0)])
def test_impossible_counts_are_refused(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="pass_at_k needs"):
        pass_at_k(n, c, k)


def _majority_by_hand(answers: list[str | None], right: str, k: int) -> float:
    total = 0.0
    subsets = list(combinations(range(len(answers)), k))
    for subset in subsets:
        votes = Counter(a for a in (answers[i] for i in subset) if a is not None)
        if votes:
            top = max(votes.values())
            leaders = [a for a, v in votes.items() if v == top]
            total += (right in leaders) / len(leaders)
    return total / len(subsets)


def test_majority_against_brute_force() -> None:
    rng = np.random.default_rng(4)
    for _ in range(300):
        n = int(rng.integers(1, 9))
        answers = [None if x == 4 else "abcd"[x] for x in rng.integers(0, 5, n)]
        votes = Counter(a for a in answers if a is not None)
        counts, correct = list(votes.values()), [a == "a" for a in votes]
        for k in range(1, n + 1):
            got = majority_at_k(counts, correct, k, abstained=answers.count(None))
            assert got == pytest.approx(_majority_by_hand(answers, "a", k), abs=1e-12)
        table = np.array([[votes.get(x, 0) for x in "abcd"]])
        assert majority_of_all(table, [[1, 0, 0, 0]])[0] == pytest.approx(_majority_by_hand(answers, "a", n))


def test_majority_limits() -> None:
    assert np.isnan(majority_at_k([2, 1], [True, False], 4))
    assert majority_at_k([1], [True], 1) == 1.0
    assert majority_at_k([], [], 2, abstained=3) == 0.0
    # majority@1 is pass@1
    assert majority_at_k([3, 5], [True, False], 1, abstained=2) == pytest.approx(0.3)
