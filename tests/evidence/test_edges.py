"""Odd input to midway.evidence: a defined result or an error that says what is wrong; never a silent wrong number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from midway.evidence import (
    LabelError,
    bootstrap,
    contrast,
    corrected_difference,
    difference,
    holm,
    length_bins,
    majority_at_k,
    majority_of_all,
    mean,
    pass_at_k,
    pass_at_k_curve,
    ratio,
    total_variation,
    wilson,
)

NAN = float("nan")


def test_pass_at_k_of_numbers_is_a_number() -> None:
    value = pass_at_k(10, 3, 2)
    assert isinstance(value, float) and f"{value:.4f}" == "0.5333"
    assert pass_at_k([10, 10], [3, 0], 2).tolist() == [pytest.approx(8 / 15), 0.0]
    assert pass_at_k([], [], 1).shape == (0,)


@pytest.mark.parametrize(
    "args", [(2, 1, 3), (NAN, 1, 1), (5, NAN, 1), (5, NAN, 2), (5, 1, NAN), (0, 0, 1), (None, 1, 1)]
)
def test_what_is_not_known_is_nan(args: Any) -> None:
    assert np.isnan(pass_at_k(*args))


@pytest.mark.parametrize(
    "args", [(3, 4, 1), (-1, 0, 1), (3, -1, 1), (3, 1, 0), (3, 1, 1.5), (2.5, 1, 1), (float("inf"), 1, 1)]
)
def test_impossible_counts_are_refused(args: Any) -> None:
    with pytest.raises(ValueError, match="pass_at_k"):
        pass_at_k(*args)


def test_every_k_up_to_n() -> None:
    n, c = np.array([8, 8, 4, 0]), np.array([2, 8, 0, 0])
    curve = pass_at_k_curve(n, c, range(1, 9))
    assert curve.shape == (8, 4) and np.isnan(curve[:, 3]).all() and np.isnan(curve[4:, 2]).all()
    assert (np.diff(curve[:, 0]) >= 0).all() and (curve[:, 1] == 1).all() and (curve[:4, 2] == 0).all()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: holm([1.5]), "p-values"),
        (lambda: holm(0.01), "p-values"),  # type: ignore[arg-type]
        (lambda: wilson(1.2, 10), "share"),
        (lambda: majority_at_k([3, -1], [True, False], 1), "negative"),
        (lambda: majority_of_all([3, 2], [1, 0]), "questions, answers"),
        (lambda: majority_of_all([[NAN, 2]], [[1, 0]]), "NaN"),
        (lambda: ratio([[1, 2]], [[2]]), "one shape"),
        (lambda: bootstrap([1, 2], [1]), "as many"),
        (lambda: LabelError(3, 2, 1, 1), "hits"),
        (lambda: LabelError(0, 0, 1, 1), "hits"),
        (lambda: mean([0.5, 2.0]), "0, 1"),
        (lambda: difference([[1, 0, 1]], [[1, 0]]), "same questions"),
    ],
)
def test_malformed_input_is_refused_in_words(call: Callable[[], Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        call()


def test_empty_input_is_nan() -> None:
    assert np.isnan(mean([]).value) and np.isnan(difference([], []).value)
    assert (
        np.isnan(total_variation([0, 0], [1, 1])) and all(np.isnan(wilson(NAN, 10))) and all(np.isnan(wilson(0.5, 0)))
    )
    assert length_bins([]).size == 0


def test_samples_of_unknown_length_have_a_bin_of_their_own() -> None:
    bins = length_bins([1, 2, 3, 4, NAN, NAN], bins=2)
    assert len(set(bins[:4])) == 2 and set(bins[4:]).isdisjoint(bins[:4])
    assert length_bins([NAN, NAN]).tolist() == [0, 0]


def test_seeds_that_agree_by_chance_leave_the_sampling_noise() -> None:
    """Two seeds with the very same mean: the spread of seeds is estimated as 0, and with it the interval once was NaN or a point."""
    rng = np.random.default_rng(0)
    b = rng.integers(0, 5, (2, 200)) / 4
    b[1, rng.permutation(200)] = b[0, rng.permutation(200)]  # another order, the same mean
    a = rng.integers(0, 5, (1, 200)) / 4
    e = difference(a, b)
    assert np.isfinite(e.low) and e.high - e.low > 0.04


def test_a_difference_of_labels_with_errors_grows_and_widens() -> None:
    rng = np.random.default_rng(0)
    error = LabelError(80, 100, 90, 100)
    e = contrast([rng.normal(0.1, 0.2, 200)], [1.0])
    value, low, high = corrected_difference(e, error)
    assert value == pytest.approx(e.value / 0.7) and high - low > (e.high - e.low) / 0.7
    with pytest.raises(ValueError, match="no information"):
        corrected_difference(e, LabelError(5, 10, 5, 10))


def test_corrected_differences_cover() -> None:
    """Labels with errors on both sides, error measured on 100 + 100 texts: 95 % intervals of the true difference hold it."""
    rng, hits = np.random.default_rng(0), 0
    for _ in range(1000):

        def labels(p: float, n: int = 300) -> Any:
            true = rng.random(n) < p
            return np.where(true, rng.random(n) < 0.8, rng.random(n) < 0.1).astype(float)

        e = contrast([labels(0.5) - labels(0.3)], [1.0])
        error = LabelError(int(rng.binomial(100, 0.8)), 100, int(rng.binomial(100, 0.9)), 100)
        _, low, high = corrected_difference(e, error)
        hits += low <= 0.2 <= high
    assert 0.93 <= hits / 1000 <= 0.975
