"""Power before a run, diversity measures against closed forms, composition at equal length, labels with error."""

from __future__ import annotations

import numpy as np
import pytest

from midway.evidence import (
    LabelError,
    corrected_rate,
    difference,
    distribution,
    effective_number,
    entropy,
    length_bins,
    matched_arms,
    matched_difference,
    minimum_detectable_effect,
    rogan_gladen,
    total_variation,
    vendi_score,
    vendi_score_of_texts,
    vendi_score_of_vectors,
)


@pytest.mark.parametrize(("questions", "seeds", "samples"), [(200, 3, 4), (500, 5, 1), (300, 1, 8)])
def test_the_promised_power_is_met_by_simulated_experiments(questions: int, seeds: int, samples: int) -> None:
    seed_sd, between, correlation, p = 0.01, 0.15, 0.8, 0.5
    plan = minimum_detectable_effect(
        questions, seeds, samples, pass_rate=p, seed_sd=seed_sd, between=between, correlation=correlation
    )
    rng = np.random.default_rng(0)
    sd = np.sqrt(between * p * (1 - p))
    found = []
    for _ in range(1500):
        shared = rng.uniform(-1, 1, questions) * np.sqrt(3 * correlation) * sd
        tables = []
        for move in (plan.difference / 2, -plan.difference / 2):
            own = rng.uniform(-1, 1, questions) * np.sqrt(3 * (1 - correlation)) * sd
            training = rng.normal(0, seed_sd, (seeds, 1)) if seeds > 1 else 0.0
            chance = np.clip(p + move + shared + own + training, 0, 1)
            tables.append(rng.binomial(samples, chance, (seeds, questions)) / samples)
        found.append(difference(tables[0], tables[1]).p < 0.05)
    assert np.mean(found) == pytest.approx(0.8, abs=0.045)


def test_power_knows_what_helps() -> None:
    plan = minimum_detectable_effect(500, 3, 4, seed_sd=0.02)
    assert plan.from_seeds + plan.from_questions + plan.from_samples == pytest.approx(1)
    assert minimum_detectable_effect(500, 5, 4, seed_sd=0.02).difference < plan.difference
    assert minimum_detectable_effect(5000, 3, 4, seed_sd=0.02).from_seeds > plan.from_seeds
    assert str(plan).startswith("with 3 seeds x 500 questions x 4 samples you can see differences of ")
    assert "of the noise would fall with more seeds" in str(plan)
    assert "these trained models only" in str(minimum_detectable_effect(500, 1, 4))
    with pytest.raises(ValueError, match="at least 2 questions"):
        minimum_detectable_effect(1, 1, 1)
    with pytest.raises(ValueError, match="pass_rate"):
        minimum_detectable_effect(10, 1, 1, pass_rate=1.0)


def test_entropy_and_mixes() -> None:
    assert entropy([5, 5, 5, 5]) == pytest.approx(np.log(4))
    assert effective_number([1, 1, 0]) == pytest.approx(2)
    assert entropy([7]) == 0 and np.isnan(entropy([0, 0]))
    assert total_variation([1, 0], [0.25, 0.75]) == pytest.approx(0.75)
    np.testing.assert_allclose(distribution(["a", "b", "a"], ["a", "b", "c"]), [2 / 3, 1 / 3, 0])
    with pytest.raises(ValueError, match="unknown labels"):
        distribution(["z"], ["a"])
    rng = np.random.default_rng(0)
    draws = [rng.multinomial(60, np.full(6, 1 / 6)) for _ in range(3000)]
    plain, better = np.mean([entropy(d) for d in draws]), np.mean([entropy(d, True) for d in draws])
    assert abs(better - np.log(6)) < 0.005 < abs(plain - np.log(6))


def test_vendi_score_closed_forms() -> None:
    assert vendi_score(np.eye(7)) == pytest.approx(7)
    assert vendi_score(np.ones((7, 7))) == pytest.approx(1)
    # two groups of alike items of sizes 6 and 2: exp of the entropy of (3/4, 1/4)
    blocks = np.kron(np.eye(2), np.ones((4, 4)))
    assert vendi_score(blocks) == pytest.approx(2)
    x = np.repeat(np.eye(2), [6, 2], axis=0)
    assert vendi_score_of_vectors(x) == pytest.approx(np.exp(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25))))
    rng = np.random.default_rng(1)
    for shape in ((5, 30), (30, 5)):
        v = rng.normal(size=shape)
        u = v / np.linalg.norm(v, axis=1, keepdims=True)
        assert vendi_score_of_vectors(v) == pytest.approx(vendi_score(u @ u.T))
    assert vendi_score_of_texts(["a b c", "a b c"]) == pytest.approx(1)
    assert vendi_score_of_texts(["a b", "c d", "e f"]) == pytest.approx(3)
    with pytest.raises(ValueError, match="diagonal"):
        vendi_score(2 * np.eye(3))


def test_longer_is_not_more_composed_once_lengths_match() -> None:
    """Composition depends on length alone; arm a merely writes longer. Unmatched it looks better, matched not."""
    rng = np.random.default_rng(2)
    values, covered = [], 0
    for _ in range(300):
        length_a, length_b = rng.gamma(9, 12, 2000), rng.gamma(6, 12, 2000)
        a, b = (rng.random(2000) < np.minimum(x / 200, 0.9) for x in (length_a, length_b))
        assert a.mean() - b.mean() > 0.08
        bins = length_bins(np.concatenate([length_a, length_b]), 40)
        q = np.repeat(np.arange(200), 10)
        m = matched_arms(a, bins[:2000], q, None, b, bins[2000:], q, None)
        values.append(m.difference.value)
        covered += m.difference.low <= 0.005 and m.difference.high >= 0.0
        assert m.difference.value == pytest.approx(m.first - m.second)
    assert abs(np.mean(values)) < 0.01
    assert covered / 300 > 0.92


def test_matched_difference_against_a_computation_by_hand() -> None:
    outcome = [1, 0, 1, 0, 1, 1]
    first = [True, True, False, False, True, False]
    stratum = [0, 0, 0, 0, 1, 2]  # strata 1 and 2 have one side only
    m = matched_difference(outcome, first, stratum, question=[0, 1, 0, 1, 2, 3])
    assert (m.first, m.second, m.strata) == (0.5, 0.5, 1)
    assert m.used == pytest.approx(4 / 6)
    assert matched_difference([1], [True], [0], [0]).strata == 0


def test_matched_difference_covers_with_questions_and_seeds() -> None:
    rng = np.random.default_rng(3)
    hits = 0
    questions, seeds, samples = 80, 4, 6
    q = np.tile(np.repeat(np.arange(questions), samples), seeds)
    s = np.repeat(np.arange(seeds), questions * samples)
    for _ in range(1000):
        # composed solutions are right more often by 0.1, on every question; hard questions are composed more often
        hard = rng.uniform(0, 0.5, questions)
        composed = rng.random(q.size) < 0.2 + hard[q]
        effect = 0.1 + rng.normal(0, 0.03, seeds)[s]
        right = rng.random(q.size) < 0.8 - hard[q] + effect * composed
        m = matched_difference(right, composed, q, q, s)
        hits += m.difference.low <= 0.1 <= m.difference.high
    assert 0.93 <= hits / 1000 <= 0.97


def test_matched_difference_within_questions_of_a_fixed_model() -> None:
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(1000):
        q = np.repeat(np.arange(100), 8)
        hard, effect = rng.uniform(0, 0.5, 100), 0.1 + rng.uniform(-0.1, 0.1, 100)
        composed = rng.random(800) < 0.4
        right = rng.random(800) < 0.8 - hard[q] + effect[q] * composed
        m = matched_difference(right, composed, q, q)
        hits += m.difference.low <= 0.1 <= m.difference.high
    assert 0.93 <= hits / 1000 <= 0.97


def test_rogan_gladen_undoes_a_known_error() -> None:
    truth, se, sp = 0.3, 0.9, 0.85
    assert rogan_gladen(truth * se + (1 - truth) * (1 - sp), se, sp) == pytest.approx(truth)
    assert rogan_gladen(0.0, 0.9, 0.9) == 0.0
    with pytest.raises(ValueError, match="no information"):
        rogan_gladen(0.5, 0.5, 0.5)


@pytest.mark.parametrize(("truth", "positives", "negatives"), [(0.3, 100, 100), (0.05, 60, 200), (0.6, 40, 40)])
def test_corrected_rate_covers_when_the_labeller_was_measured_on_few(
    truth: float, positives: int, negatives: int
) -> None:
    rng = np.random.default_rng(4)
    se, sp, n = 0.85, 0.93, 300
    hits = 0
    for _ in range(2000):
        observed = rng.binomial(n, truth * se + (1 - truth) * (1 - sp)) / n
        error = LabelError(rng.binomial(positives, se), positives, rng.binomial(negatives, sp), negatives)
        _, low, high = corrected_rate(observed, n, error)
        hits += low <= truth <= high
    assert 0.94 <= hits / 2000 <= 0.975
