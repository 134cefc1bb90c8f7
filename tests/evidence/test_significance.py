"""Permutation tests: exact against enumeration, uniform under the null; Holm by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from midway.evidence import holm, label_permutation, sign_flip


def _enumerated(d: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    sums = [abs(np.dot(s, d)) for s in product((-1, 1), repeat=d.size)]
    return float(np.mean([x >= abs(d.sum()) - 1e-12 for x in sums]))


def test_sign_flip_is_exact_on_lattices_and_small_samples() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        n = int(rng.integers(1, 11))
        for d in (rng.integers(-4, 5, n) / 8, rng.normal(size=n)):
            test = sign_flip(d)
            assert test.exact and test.pairs == n
            assert test.p == pytest.approx(_enumerated(d))


def test_sign_flip_of_single_samples_is_mcnemar() -> None:
    d = np.array([1.0] * 30 + [-1.0] * 12 + [0.0] * 500)
    test = sign_flip(d)
    assert test.exact and test.nonzero == 42
    assert test.p == pytest.approx(stats.binomtest(30, 42).pvalue)


def test_sign_flip_monte_carlo_agrees_with_exact_and_is_never_zero() -> None:
    rng = np.random.default_rng(1)
    d = rng.integers(-8, 9, 60) / 16 + 0.05
    exact = sign_flip(np.rint(d * 16) / 16)
    sampled = sign_flip(d + rng.normal(0, 1e-4, 60))
    assert exact.exact and not sampled.exact
    assert sampled.p == pytest.approx(sign_flip(np.rint(d * 80) / 80).p, abs=0.02)
    assert sign_flip(rng.normal(9, 1, 100)).p == pytest.approx(1 / 20_001)


def test_sign_flip_is_uniform_under_the_null() -> None:
    rng = np.random.default_rng(2)
    p = []
    for _ in range(2000):
        rate = rng.beta(1, 1, 12)
        p.append(sign_flip(rng.normal(rate, 0.2) - rng.normal(rate, 0.2)).p)  # 2^12 equally likely labellings
    assert stats.kstest(p, "uniform").pvalue > 0.01
    p = []
    for _ in range(2000):
        rate = rng.beta(1, 1, 60)
        p.append(sign_flip((rng.binomial(8, rate) - rng.binomial(8, rate)) / 8).p)  # ties: a coarse lattice
    for alpha in (0.01, 0.05, 0.1, 0.5):
        assert np.mean(np.array(p) <= alpha) >= 0.6 * alpha
        # 2.6 standard errors; a permutation p-value may be conservative, never liberal
        assert np.mean(np.array(p) <= alpha) <= alpha + 2.6 * np.sqrt(alpha * (1 - alpha) / 2000)


def test_sign_flip_without_information() -> None:
    assert sign_flip([0.0, 0.0]).p == 1.0
    assert np.isnan(sign_flip([np.nan]).p)
    assert sign_flip([np.nan, 0.5]).pairs == 1


def test_label_permutation_is_scipy_and_tells_its_floor() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=5), rng.normal(size=4)
    reference = stats.permutation_test(
        (a, b), lambda x, y: abs(np.mean(x) - np.mean(y)), alternative="greater", n_resamples=np.inf
    )
    assert label_permutation(a, b).p == pytest.approx(reference.pvalue)
    assert label_permutation([1, 2, 3], [10, 11, 12]).p == pytest.approx(0.1)


def test_label_permutation_is_uniform_under_the_null() -> None:
    rng = np.random.default_rng(4)
    p = np.array([label_permutation(*rng.normal(size=(2, 5))).p for _ in range(2000)])
    for alpha in (10 / 252, 0.1, 0.5):
        assert np.mean(p <= alpha + 1e-9) == pytest.approx(alpha, abs=0.03)


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.01, np.nan, 0.9]), [0.02, np.nan, 0.9])
    assert holm([]).size == 0


def test_holm_controls_the_family_wise_error() -> None:
    rng = np.random.default_rng(5)
    errors = [(holm(rng.uniform(size=8)) <= 0.05).any() for _ in range(4000)]
    assert np.mean(errors) == pytest.approx(0.05, abs=0.012)
