"""Expected steps, flows and simulated runs agree with each other, and with an update that is written down a second time,
sample by sample.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from midway.theory import Trainer, chains, drift, expected_step, flow, outcomes, simulate, ways
from midway.theory.training import _update

START = np.log([[0.2, 0.1, 0.7]])
RATES = np.array([1.0, 0.6, 0.1])
REFERENCE = np.array([0.3, 0.2, 0.5])


def loss(theta: np.ndarray, old: np.ndarray, way: np.ndarray, advantage: np.ndarray, trainer: Trainer) -> float:
    """GRPO's objective of one group as its paper writes it (maximised), with the k3 estimate of KL."""
    now, before = log_softmax(theta)[way], log_softmax(old)[way]
    ratio = np.exp(now - before)
    clipped = np.clip(ratio, 1 - trainer.clip[0], 1 + trainer.clip[1])
    gap = np.log(REFERENCE)[way] - now
    return float((np.minimum(ratio * advantage, clipped * advantage) - trainer.beta * (np.exp(gap) - gap - 1)).mean())


@pytest.mark.parametrize("inner", [1, 3])
@pytest.mark.parametrize("beta", [0.0, 0.2])
@pytest.mark.parametrize("seed", range(6))
def test_an_update_is_gradient_ascent_on_the_papers_loss(inner: int, beta: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    trainer = Trainer("grpo", group=7, rate=0.8, inner=inner, beta=beta)
    old = rng.normal(size=4)
    global_reference = softmax(rng.normal(size=4))
    way = rng.integers(0, 4, 7)
    reward = np.array([1.0, 0, 1, 0, 0, 1, float(seed % 2)])
    advantage = (reward - reward.mean()) / reward.std()
    theta = old.copy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "REFERENCE", global_reference)
        for _ in range(inner):
            slope = [
                (loss(theta + d, old, way, advantage, trainer) - loss(theta - d, old, way, advantage, trainer)) / 2e-6
                for d in np.eye(4) * 1e-6
            ]
            theta = theta + trainer.rate * np.array(slope)
    right = np.bincount(way[reward == 1], minlength=4)[None, None]
    wrong = np.bincount(way[reward == 0], minlength=4)[None, None]
    found = _update(ways(4), old[None, None], right, wrong, trainer, global_reference)
    assert found[0, 0] == pytest.approx(theta, abs=1e-6)


@pytest.mark.parametrize(
    "trainer",
    [
        Trainer("grpo", group=6, rate=0.7, inner=4),
        Trainer("grpo_trl", group=5, rate=0.7, inner=3, clip=(0.2, 0.28)),
        Trainer("maxrl", group=4, rate=0.5, inner=2, beta=0.1),
        Trainer("rloo", group=4, rate=0.5, beta=0.3, kl="reverse"),
    ],
)
def test_expected_step_against_simulated_steps(trainer: Trainer) -> None:
    space, runs = ways(3), 15_000
    expected = expected_step(space, START, RATES, trainer, REFERENCE)
    rng = np.random.default_rng(5)
    pi = softmax(START[0])
    counts = rng.multinomial(trainer.group, pi, size=(runs, 1))
    right = rng.binomial(counts, RATES)
    start = np.broadcast_to(START, (runs, 1, 3))
    moved = (_update(space, start, right, counts - right, trainer, REFERENCE) - start)[:, 0]
    assert np.all(np.abs(moved.mean(0) - expected[0]) < 4.5 * moved.std(0) / np.sqrt(runs))


@pytest.mark.parametrize("rule", ["reinforce", "rloo", "dr_grpo", "grpo", "maxrl"])
@pytest.mark.parametrize("group", [4, 16])
def test_flow_within_two_percent_of_simulated_runs(rule: str, group: int) -> None:
    trainer = Trainer(rule, group=group, rate=0.04)
    record = list(range(0, 401, 40))
    runs = simulate(ways(3), START, RATES, trainer, record, replicas=100, seed=2)
    solved = flow(ways(3), START, RATES, trainer, np.array(record) * trainer.rate)
    assert np.abs(runs.success_TR.mean(1) / solved.success_T - 1).max() < 0.02
    assert solved.success_T[-1] - solved.success_T[0] > 0.3


@pytest.mark.parametrize("kl", ["k3", "reverse"])
def test_flow_with_kl_and_with_chains_against_simulated_runs(kl: str) -> None:
    space = chains(2, 2, memory=True)
    q = np.array([0.4, 0.9, 0.6, 0.2])
    theta = np.array([[0.3, 0.0], [1.5, 0.0], [0.0, 1.0]])
    reference = space.probability(theta)
    trainer = Trainer("grpo", group=16, rate=0.04, beta=0.1, kl=kl)  # type: ignore[arg-type]
    record = list(range(0, 501, 50))
    runs = simulate(space, theta, q, trainer, record, replicas=100, seed=4, reference_C=reference)
    solved = flow(space, theta, q, trainer, np.array(record) * trainer.rate, reference)
    assert np.abs(runs.success_TR.mean(1) / solved.success_T - 1).max() < 0.02
    assert np.abs(runs.pi_TRC.mean(1) - solved.pi_TC).max() < 0.03


def test_groups_in_a_batch_average_their_steps() -> None:
    many, one = Trainer("grpo", group=4, rate=0.1, groups=50), Trainer("grpo", group=4, rate=0.1)
    assert expected_step(ways(3), START, RATES, many) == pytest.approx(expected_step(ways(3), START, RATES, one))
    spread = [simulate(ways(3), START, RATES, t, [1], replicas=400, seed=0).success_TR.std() for t in (one, many)]
    assert spread[0] / spread[1] == pytest.approx(np.sqrt(50), rel=0.15)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**31))
def test_probabilities_of_chains_and_their_gradient(parts: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for memory in (False, True):
        space = chains(parts, count, memory)
        theta = rng.normal(size=space.shape)
        assert space.probability(theta).sum() == pytest.approx(1)
        weight = rng.normal(size=len(space.choices))
        direction = rng.normal(size=space.shape)
        ahead, behind = (weight @ space.log_probability(theta + s * 1e-5 * direction) for s in (1, -1))
        assert (space.ascent(weight, theta) * direction).sum() == pytest.approx((ahead - behind) / 2e-5, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(["reinforce", "grpo", "maxrl"]), st.integers(0, 2**31))
def test_success_never_falls_along_a_flow_and_the_sum_of_logits_stays(rule: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    theta, q = rng.normal(size=(1, 4)), rng.random(4)
    solved = flow(ways(4), theta, q, Trainer(rule, group=8), np.linspace(0, 8, 9))
    assert np.all(np.diff(solved.success_T) >= -1e-9)
    assert solved.theta_TXK.sum((1, 2)) == pytest.approx(np.full(9, theta.sum()), abs=1e-6)


def test_random_rewards_move_nothing_on_average_and_collapse_by_chance() -> None:
    """Rewards that do not depend on the way: no expected step, but each run drifts away from an even mix."""
    q = np.full(4, 0.5)
    assert expected_step(ways(4), np.zeros((1, 4)), q, Trainer(group=6)) == pytest.approx(np.zeros((1, 4)), abs=1e-12)
    runs = simulate(ways(4), np.zeros((1, 4)), q, Trainer(group=8, rate=0.5), [0, 400], replicas=400, seed=1)
    mean, error = runs.pi_TRC[-1].mean(0), runs.pi_TRC[-1].std(0) / 20
    assert np.all(np.abs(mean - 0.25) < 4.5 * error)
    assert runs.pi_TRC[-1].max(-1).mean() > 0.6


def test_outcomes_are_all_and_each_once() -> None:
    found = outcomes(3, 5)
    slow = {t for t in product(range(6), repeat=3) if sum(t) == 5}
    assert {tuple(row) for row in found.tolist()} == slow
    assert len(found) == len(slow)


def test_the_same_seed_gives_the_same_runs() -> None:
    a, b, c = (simulate(ways(3), START, RATES, Trainer(), [10], replicas=5, seed=s).success_TR for s in (1, 1, 2))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Trainer("grpo", group=1), "at least 2"),
        (lambda: Trainer(rate=0), "rate > 0"),
        (lambda: outcomes(20, 64), "are enumerated"),
        (lambda: drift(ways(3), START, RATES, Trainer(inner=2)), "one step a batch"),
        (lambda: drift(ways(3), START, RATES, Trainer(beta=0.1)), "reference_C"),
        (lambda: drift(ways(3), np.zeros((1, 2)), RATES, Trainer()), "have the shape"),
        (lambda: drift(ways(3), START, [0.1, 2.0, 0.3], Trainer()), "between 0 and 1"),
        (lambda: flow(ways(3), START, RATES, Trainer(), [1, 1]), "increasing"),
        (lambda: simulate(ways(3), START, RATES, Trainer(), [], replicas=2, seed=0), "step numbers"),
        (
            lambda: expected_step(ways(3), START, RATES, replace(Trainer(group=4, inner=2), groups=3)),
            "several groups",
        ),
    ],
)
def test_errors_say_what_is_wrong(call: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()  # type: ignore[operator]
