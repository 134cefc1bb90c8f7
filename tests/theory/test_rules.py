"""The weight of each algorithm: against groups sampled one by one, closed forms, limits, and that it is the same for all
ways.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midway.theory import RULES, Trainer, advantages, expected_step, signal, ways, weight, weight_limit

BY_HAND: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "reinforce": lambda r: r,
    "rloo": lambda r: r - (r.sum() - r) / (r.size - 1),
    "dr_grpo": lambda r: r - r.mean(),
    "grpo": lambda r: (r - r.mean()) / r.std() if r.std() else 0 * r,
    "grpo_trl": lambda r: (r - r.mean()) / (r.std(ddof=1) + 1e-4),
    "maxrl": lambda r: (r - r.mean()) / r.mean() if r.any() else 0 * r,
    "maxrl_plain": lambda r: r / r.mean() if r.any() else 0 * r,
}
"""Each rule as its paper writes it, on the rewards of one group."""


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("group", [2, 5, 16])
def test_advantages_are_those_of_the_papers(rule: str, group: int) -> None:
    for right in range(group + 1):
        rewards = np.array([1.0] * right + [0.0] * (group - right))
        plus, minus = advantages(rule, right, group)
        assert np.where(rewards == 1, plus, minus) == pytest.approx(BY_HAND[rule](rewards))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("p", [0.03, 0.3, 0.85])
@pytest.mark.parametrize("group", [2, 8])
def test_weight_against_sampled_groups(rule: str, p: float, group: int) -> None:
    """3,000 groups, sample by sample, with the reward of the papers; three ways whose mean success is p."""
    rng, draws = np.random.default_rng(3), 3_000
    pi = np.array([0.5, 0.3, 0.2])
    q = p + 0.5 * min(p, 1 - p) * np.array([1, -1, -1])
    way = rng.choice(3, size=(draws, group), p=pi)
    reward = (rng.random((draws, group)) < q[way]).astype(float)
    advantage = np.array([BY_HAND[rule](r) for r in reward])
    step = (advantage[..., None] * (np.eye(3)[way] - pi)).mean(1)
    expected = weight(rule, p, group) * pi * (q - p)
    assert np.all(np.abs(step.mean(0) - expected) < 4.5 * step.std(0) / np.sqrt(draws))


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(RULES)), st.integers(2, 5), st.integers(0, 2**31))
def test_the_expected_step_is_one_weight_times_the_gradient(rule: str, group: int, seed: int) -> None:
    """The module's theorem, by enumerating every outcome of a group."""
    rng = np.random.default_rng(seed)
    pi, q = rng.dirichlet(np.ones(3)), rng.random(3)
    step = expected_step(ways(3), np.log(pi)[None], q, Trainer(rule, group=group, rate=0.5)) / 0.5
    assert step[0] == pytest.approx(weight(rule, pi @ q, group) * pi * (q - pi @ q), abs=1e-12)


P = np.array([0.0, 1e-6, 0.01, 0.3, 0.5, 0.99, 1.0])


@pytest.mark.parametrize("group", [2, 3, 16, 64])
def test_closed_forms_of_the_weight(group: int) -> None:
    inner = P[1:-1]
    assert weight("reinforce", P, group) == pytest.approx(np.ones(P.size))
    assert weight("rloo", P, group) == pytest.approx(np.ones(P.size))
    assert weight("dr_grpo", P, group) == pytest.approx(np.full(P.size, 1 - 1 / group))
    assert weight("maxrl_plain", inner, group) == pytest.approx(-np.expm1(group * np.log1p(-inner)) / inner)
    assert weight("maxrl", inner, group) == pytest.approx(-np.expm1((group - 1) * np.log1p(-inner)) / inner)
    assert weight("grpo", [0.0, 1.0], group) == pytest.approx([np.sqrt(group - 1)] * 2)


def test_the_numbers_of_the_field() -> None:
    """14.9 is MaxRL without a baseline; 10.1 is GRPO in a large group, at G = 16 it is 3.7."""
    assert weight("maxrl_plain", 0.01, 16) == pytest.approx(14.9, abs=0.05)
    assert weight("maxrl", 0.01, 16) == pytest.approx(14.0, abs=0.05)
    assert weight_limit("grpo", 0.01) == pytest.approx(10.05, abs=0.01)
    assert weight("grpo", 0.01, 16) == pytest.approx(3.73, abs=0.01)


@pytest.mark.parametrize("rule", ["reinforce", "dr_grpo", "grpo", "grpo_trl", "maxrl"])
def test_the_limit_of_a_large_group(rule: str) -> None:
    p = np.array([0.05, 0.3, 0.7])
    assert weight(rule, p, 20_000) == pytest.approx(weight_limit(rule, p), rel=2e-3)


@pytest.mark.parametrize("group", [1, 2, 8, 32])
def test_signal_against_sampling(group: int) -> None:
    rng, draws = np.random.default_rng(1), 40_000
    for p in (0.02, 0.4, 0.95):
        right = rng.binomial(group, p, draws)
        share = ((right > 0) & (right < group)).mean()
        assert abs(share - signal(p, group)) <= 4.5 * np.sqrt(max(share * (1 - share), 1e-6) / draws)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: weight("ppo", 0.5, 8), "choose from"),
        (lambda: weight("grpo", 0.5, 1), "at least 2"),
        (lambda: weight("grpo", 1.5, 8), "between 0 and 1"),
        (lambda: advantages("grpo", 9, 8), "group of 8"),
        (lambda: weight_limit("grpo", 0.0), "strictly"),
        (lambda: signal(0.5, 0), "at least one"),
    ],
)
def test_errors_say_what_is_wrong(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
