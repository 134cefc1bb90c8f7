"""Intervals hold what they promise: 95 % of 2,000 simulated experiments, with questions and seeds as clusters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from midway.evidence import (
    Estimate,
    bootstrap,
    contrast,
    difference,
    difference_of_gains,
    gain,
    mean,
    pass_at_k,
    ratio,
    wilson,
)
from midway.evidence.intervals import BORROWED, FIXED, QUESTIONS, QUESTIONS_AND_SEEDS

EXPERIMENTS = 2000
Rng = np.random.Generator
Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def arms(
    rng: Rng, questions: int, seeds: tuple[int, ...], samples: int, shift: tuple[float, ...], seed_sd: float
) -> list[Floats]:
    """Draw pass@1 tables: a shared difficulty, an arm's own taste per question, seeds, seed-by-question noise, samples.

    On the probability scale, so that the true mean of arm i is 0.5 + shift[i] exactly.
    """
    difficulty = rng.uniform(-0.22, 0.22, questions)
    out = []
    for s, move in zip(seeds, shift, strict=True):
        taste = rng.uniform(-0.08, 0.08, questions)
        training = rng.normal(0, seed_sd, (max(s, 1), 1)) if s else np.zeros((1, 1))
        quirk = rng.uniform(-0.06, 0.06, (max(s, 1), questions))
        p = np.clip(0.5 + move + difficulty + taste + training + quirk, 0, 1)
        y = rng.binomial(samples, p) / samples
        out.append(y if s else y[0])
    return out


def coverage(one: Callable[[Rng], Estimate], truth: float, seed: int = 0) -> float:
    rng = np.random.default_rng(seed)
    hits = 0
    for _ in range(EXPERIMENTS):
        e = one(rng)
        hits += e.low <= truth <= e.high
    return hits / EXPERIMENTS


# (questions, seeds of both arms, samples, sd of a seed's mean)
PLANS = [
    (100, 3, 4, 0.0),
    (300, 3, 4, 0.01),
    (300, 3, 4, 0.02),
    (200, 5, 2, 0.015),
    (30, 5, 16, 0.02),
    (500, 8, 1, 0.02),
]


@pytest.mark.parametrize(("questions", "seeds", "samples", "seed_sd"), PLANS)
def test_paired_difference_over_questions_and_seeds(questions: int, seeds: int, samples: int, seed_sd: float) -> None:
    def one(rng: Rng) -> Estimate:
        return difference(*arms(rng, questions, (seeds, seeds), samples, (0.05, 0.0), seed_sd))

    assert 0.94 <= coverage(one, 0.05) <= 0.96


@pytest.mark.parametrize("seed_sd", [0.0, 0.01, 0.03])
def test_two_seeds_are_no_worse_than_promised(seed_sd: float) -> None:
    def one(rng: Rng) -> Estimate:
        return difference(*arms(rng, 200, (2, 2), 4, (0.05, 0.0), seed_sd))

    assert 0.94 <= coverage(one, 0.05) <= 0.96


def test_unequal_and_missing_seeds() -> None:
    def one(rng: Rng) -> Estimate:
        return difference(*arms(rng, 200, (3, 5), 4, (0.05, 0.0), 0.015))

    def borrowed(rng: Rng) -> Estimate:
        return difference(*arms(rng, 200, (1, 4), 4, (0.05, 0.0), 0.015))

    assert 0.94 <= coverage(one, 0.05) <= 0.96
    assert 0.94 <= coverage(borrowed, 0.05) <= 0.96


def test_one_seed_is_about_the_questions_only() -> None:
    def one(rng: Rng) -> Estimate:
        return difference(*arms(rng, 300, (1, 1), 4, (0.05, 0.0), 0.0))

    e = one(np.random.default_rng(1))
    assert e.over == QUESTIONS and e.seeds == (1, 1)
    assert 0.94 <= coverage(one, 0.05) <= 0.96


@pytest.mark.parametrize(("seeds", "seed_sd"), [(1, 0.0), (3, 0.015), (5, 0.015)])
def test_mean_of_one_arm(seeds: int, seed_sd: float) -> None:
    def one(rng: Rng) -> Estimate:
        return mean(arms(rng, 150, (seeds,), 4, (0.1,), seed_sd)[0])

    assert 0.94 <= coverage(one, 0.6) <= 0.96


def test_mean_near_zero_keeps_its_coverage() -> None:
    def one(rng: Rng) -> Estimate:
        return mean(rng.binomial(1, rng.beta(0.3, 9.7, 100)).astype(float))

    assert 0.94 <= coverage(one, 0.03) <= 0.98


def test_pass_at_k_of_an_arm() -> None:
    rng = np.random.default_rng(5)
    truth = float(1 - np.mean((1 - rng.beta(0.5, 1.5, 2_000_000)) ** 8))

    def one(rng: Rng) -> Estimate:
        return mean(pass_at_k(16, rng.binomial(16, rng.beta(0.5, 1.5, 150)), 8))

    assert 0.94 <= coverage(one, truth) <= 0.96


@pytest.mark.parametrize("seeds", [3, 5])
def test_gain_and_difference_of_gains(seeds: int) -> None:
    def tables(rng: Rng) -> tuple[Floats, Floats, Floats, Floats]:
        base, mid, after_a, after_b = arms(rng, 200, (0, seeds, seeds, seeds), 4, (-0.1, -0.05, 0.1, 0.05), 0.01)
        # a seed's RL starts from that seed's mid-trained model
        return after_a + 0.5 * (mid - 0.45), mid, after_b, base

    def one(rng: Rng) -> Estimate:
        a, mid, _, _ = tables(rng)
        return gain(a, mid)

    def both(rng: Rng) -> Estimate:
        return difference_of_gains(*tables(rng))

    assert 0.94 <= coverage(one, 0.15) <= 0.96
    assert 0.94 <= coverage(both, 0.0) <= 0.96


def test_bootstrap_and_ratio_cover() -> None:
    rng = np.random.default_rng(6)
    hits = hits_ratio = 0
    experiments = 1000
    for i in range(experiments):
        den = rng.poisson(6, 60).astype(float)
        num = rng.binomial(den.astype(int), rng.beta(2, 4, 60)).astype(float)
        _, low, high = bootstrap(num, den, resamples=600, seed=i)
        e = ratio(num, den)
        hits += low <= 1 / 3 <= high
        hits_ratio += e.low <= 1 / 3 <= e.high
    assert 0.935 <= hits / experiments <= 0.965
    assert 0.935 <= hits_ratio / experiments <= 0.965


def test_p_values_of_differences_hold_their_level() -> None:
    rng = np.random.default_rng(7)
    p = [difference(*arms(rng, 200, (3, 3), 4, (0.0, 0.0), 0.01)).p for _ in range(EXPERIMENTS)]
    # calibrated at 0.05; at larger levels three seeds make it a little cautious
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.01)
    for alpha in (0.2, 0.5):
        assert alpha - 0.05 <= np.mean(np.array(p) <= alpha) <= alpha + 0.02


def test_one_fixed_model_is_the_paired_t_interval() -> None:
    rng = np.random.default_rng(8)
    a, b = rng.random(40), rng.random(40)
    e = difference(a, b)
    t = stats.ttest_rel(a, b)
    low, high = t.confidence_interval()
    assert (e.low, e.high, e.p) == pytest.approx((low, high, t.pvalue))
    assert e.over == FIXED


def test_only_seeds_differ_is_welch() -> None:
    """With no question part at all the interval is Welch's t over the seeds' means."""
    rng = np.random.default_rng(9)
    a = np.repeat(rng.random((4, 1)), 500, axis=1)
    b = np.repeat(rng.random((3, 1)), 500, axis=1)
    e = difference(a, b)
    w = stats.ttest_ind(a[:, 0], b[:, 0], equal_var=False)
    assert e.value / e.se == pytest.approx(w.statistic)
    assert w.df <= e.df <= 5  # between Welch's cautious formula and the pooled 3 + 2


def test_many_seeds_become_normal_theory() -> None:
    rng = np.random.default_rng(10)
    a, b = arms(rng, 400, (60, 60), 4, (0.0, 0.0), 0.02)
    e = difference(a, b)
    assert e.df > 90
    assert e.over == QUESTIONS_AND_SEEDS


def test_questions_without_judged_samples_are_left_out_in_pairs() -> None:
    rng = np.random.default_rng(11)
    a, b = rng.random((3, 50)), rng.random((3, 50))
    a[:, 7] = np.nan
    a[1, 9] = np.nan  # one seed lacks it: the other two speak for it
    e = difference(a, b)
    assert e.questions == 49
    keep = np.arange(50) != 7
    assert e.value == pytest.approx(np.nanmean(a[:, keep], axis=0).mean() - b[:, keep].mean())


def test_a_whole_missing_seed_is_not_a_seed() -> None:
    rng = np.random.default_rng(12)
    a, b = rng.random((3, 50)), rng.random((3, 50))
    a[2] = np.nan
    assert difference(a, b).value == pytest.approx(difference(a[:2], b).value)
    assert difference(a, b).se == pytest.approx(difference(a[:2], b).se)
    assert difference(a, b).seeds == (2, 3)
    a[1] = np.nan
    assert difference(a, b).over == BORROWED


def test_what_cannot_be_had_is_nan_and_not_zero_wide() -> None:
    one_question = difference([0.5], [0.25])
    assert one_question.value == 0.25 and np.isnan(one_question.low) and np.isnan(one_question.p)
    assert np.isnan(mean(np.full((2, 3), np.nan)).value)
    always_half = difference(np.full(9, 0.75), np.full(9, 0.25))
    assert always_half.value == 0.5 and np.isnan(always_half.low) and np.isnan(always_half.p)
    assert difference(np.full(9, 0.25), np.full(9, 0.25)).p == 1.0
    all_wrong = mean(np.zeros((3, 30)))
    assert all_wrong.value == 0 and all_wrong.low == 0 and 0.05 < all_wrong.high < 0.25
    all_right = mean(np.ones(30))
    assert all_right.high == 1 and 0.85 < all_right.low < 0.95


def test_borrowed_seed_spread_is_said() -> None:
    rng = np.random.default_rng(13)
    e = difference(rng.random((1, 20)), rng.random((4, 20)))
    assert e.over == BORROWED and e.seeds == (1, 4)


def test_wilson_against_published_values() -> None:
    # Agresti and Coull 1998: 0 of 10
    assert wilson(0.0, 10) == pytest.approx((0.0, 0.2775), abs=1e-3)
    assert wilson(0.5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-3)


def test_wrong_shapes_are_refused_with_a_reason() -> None:
    with pytest.raises(ValueError, match="same questions"):
        difference(np.zeros(4), np.zeros(5))
    with pytest.raises(ValueError, match="same seeds"):
        gain(np.zeros((3, 4)), np.zeros((2, 4)))
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        mean([-0.5, 0.5])
    with pytest.raises(ValueError, match="shape"):
        contrast([np.zeros((2, 2, 2))], [1.0])
