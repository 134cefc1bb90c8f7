"""Agreement and the area under the curve, against closed forms and brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest

from midway.adherence import agreement, label_auc


def test_auc_is_the_share_of_pairs_in_order() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 6, 80).astype(float), rng.random(80) < 0.4
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[labels] for b in scores[~labels]]
    got = label_auc(scores.tolist(), labels.tolist(), [f"q{i // 4}" for i in range(80)])
    assert got.value == pytest.approx(np.mean(pairs)) and got.low < got.value < got.high
    assert label_auc([1, 2, 3, 4], [False, False, True, True], list("abcd")).value == 1.0
    assert math.isnan(label_auc([1.0, 2.0], [True, True], ["a", "b"]).value)
    with pytest.raises(ValueError, match="NaN"):
        label_auc([float("nan")], [True], ["a"])


def test_the_interval_covers_as_it_says() -> None:
    """Completions of a question share a shift that moves neither score nor label: 95 % intervals hold the truth about that often."""
    rng = np.random.default_rng(3)
    truth, inside, trials = 0.7602499389065233, 0, 60  # Phi(1 / sqrt 2)
    for _ in range(trials):
        labels = rng.random((40, 5)) < 0.5
        scores = rng.normal(size=(40, 5)) + labels
        questions = np.repeat(np.arange(40), 5).astype(str)
        got = label_auc(scores.ravel().tolist(), labels.ravel().tolist(), questions.tolist())
        inside += got.low <= truth <= got.high
    assert inside >= 51  # fewer has a chance below 0.1 % if 95 % hold


def test_the_interval_is_of_questions_not_completions() -> None:
    scores, labels = [0.1, 0.9, 0.4, 0.6] * 20, [False, True, True, False] * 20
    many = label_auc(scores, labels, [str(i) for i in range(80)])
    few = label_auc(
        [s for s in scores for _ in range(10)],
        [x for x in labels for _ in range(10)],
        [str(i // 10) for i in range(800)],
    )
    assert few.high - few.low == pytest.approx(
        many.high - many.low, rel=0.15
    )  # ten copies of each completion bring nothing
    assert math.isnan(label_auc([0.0, 1.0], [False, True], ["a", "b"]).low)


def test_agreement_of_two_scorers() -> None:
    one = {str(i): float(i) for i in range(20)}
    same = agreement(one, {k: 2 * v + 1 for k, v in one.items()})
    assert same["spearman"] == pytest.approx(1.0) and same["kappa"] == pytest.approx(1.0) and same["n"] == 20
    opposite = agreement(one, {k: -v for k, v in one.items()})
    assert opposite["spearman"] == pytest.approx(-1.0) and opposite["kappa"] == pytest.approx(-1.0)
    # 10 above and 10 below the median in each; 6 + 6 agree: observed 0.6, expected 0.5, kappa 0.2
    order = [*range(6), *range(10, 14), *range(6, 10), *range(14, 20)]
    got = agreement(one, {str(k): float(place) for place, k in enumerate(order)})
    assert got["kappa"] == pytest.approx(0.2) and got["low"] < got["spearman"] < got["high"]


def test_agreement_says_nothing_where_there_is_nothing() -> None:
    assert agreement({"a": 1.0, "b": None}, {"a": 1.0, "c": 2.0})["n"] == 1
    constant = agreement({str(i): 1.0 for i in range(9)}, {str(i): float(i) for i in range(9)})
    assert math.isnan(constant["spearman"]) and math.isnan(constant["kappa"])
