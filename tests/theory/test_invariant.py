"""The conserved quantity, as a property of flows, and the growth of a preference that follows from it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midway.theory import RULES, Trainer, conserved, flow, ratio_at, shares_at, simulate, ways


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(RULES)), st.integers(2, 16), st.floats(0, 1), st.integers(0, 2**31))
def test_the_difference_is_conserved_between_equals_and_not_between_unequals(
    rule: str, group: int, equal: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(1, 4))
    q = np.array([equal, equal, *rng.random(2)])
    solved = flow(ways(4), theta, q, Trainer(rule, group=group), np.linspace(0, 6, 7)).theta_TXK[:, 0]
    kept = conserved(solved, 0, 1)
    scale = np.abs(kept[0]) + np.exp(-solved).max() * 1e-3
    assert np.all(np.abs(kept - kept[0]) < 1e-4 * scale)
    other = conserved(solved, 0, 2)
    if abs(q[0] - q[2]) > 0.1 and np.abs(solved[-1] - solved[0]).max() > 0.1:
        assert np.abs(other - other[0]).max() > 1e-6


@pytest.mark.parametrize("wrong", [1, 3, 20])
@pytest.mark.parametrize("right", [(0.2, 0.1), (0.01, 0.02, 0.005), (0.3,)])
@pytest.mark.parametrize("rule", ["reinforce", "grpo"])
def test_shares_against_the_flow(wrong: int, right: tuple[float, ...], rule: str) -> None:
    p0 = sum(right)
    law = np.array([*right, *np.full(wrong, (1 - p0) / wrong)])
    q = np.array([*np.ones(len(right)), *np.zeros(wrong)])
    solved = flow(ways(law.size), np.log(law)[None], q, Trainer(rule, group=8), np.geomspace(0.1, 1500, 8))
    for pi, success in zip(solved.pi_TC, solved.success_T, strict=True):
        assert shares_at(right, float(success), wrong) == pytest.approx(pi[: len(right)], rel=2e-4)
    assert solved.success_T[-1] > 0.99


def test_the_numbers_of_the_issue_hold_for_one_wrong_way() -> None:
    grown = [ratio_at(2, a, b) for a, b in ((0.3, 0.99), (0.03, 0.99), (0.3, 0.999), (0.03, 0.999))]
    assert np.round(grown).tolist() == [14, 50, 43, 157]


@pytest.mark.parametrize("wrong", [1, 2, 16])
def test_the_preference_grows_as_a_power_of_the_odds(wrong: int) -> None:
    """odds ^ (M / (M + 1)), and without limit."""
    far = [ratio_at(2, 0.3, 1 - 10.0**-k, wrong) for k in (8, 10)]
    assert np.log(far[1] / far[0]) / np.log(100) == pytest.approx(wrong / (wrong + 1), abs=0.01)


def test_a_higher_start_protects_variety_and_equals_stay_equal() -> None:
    assert np.all(np.diff([ratio_at(2, p0, 0.99) for p0 in (0.01, 0.03, 0.1, 0.3, 0.6)]) < 0)
    assert ratio_at(1, 0.3, 0.999) == pytest.approx(1)
    assert ratio_at(2, 0.3, 0.3) == pytest.approx(2)


def test_simulated_runs_with_small_steps_follow_it() -> None:
    """The median of noisy runs, at the success that each has reached."""
    space, q = ways(3), np.array([1.0, 1.0, 0.0])
    runs = simulate(
        space, np.log([[0.2, 0.1, 0.7]]), q, Trainer("grpo", group=64, rate=0.01), [900], replicas=60, seed=0
    )
    pi = runs.pi_TRC[0]
    said = np.array([ratio_at(2, 0.3, float(s)) for s in runs.success_TR[0]])
    assert runs.success_TR.mean() > 0.8
    assert np.median(pi[:, 0] / pi[:, 1] / said) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    "call",
    [
        lambda: shares_at([0.5, 0.6], 0.99),
        lambda: shares_at([0.3, 0.0], 0.99),
        lambda: shares_at([0.3, 0.2], 0.4),
        lambda: shares_at([0.3], 1.0),
        lambda: ratio_at(0, 0.3, 0.9),
    ],
)
def test_impossible_starts_are_refused(call: object) -> None:
    with pytest.raises(ValueError):
        call()  # type: ignore[operator]
