"""One step at a branch: closed forms against the exact softmax, against sampling, and as properties of any distribution."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midway.theory import (
    exact_step,
    expected_change,
    first_order_step,
    gain_rate,
    largest_step,
    peaked_step,
    rare_step,
    tempered,
    uniform_step,
)

LAWS = st.lists(st.floats(0.01, 1.0), min_size=2, max_size=12).map(lambda x: np.array(x) / np.sum(x))


@pytest.mark.parametrize("ways", [1, 2, 3, 8, 64])
def test_uniform_closed_form_is_the_slope_of_the_exact_step(ways: int) -> None:
    push = 1e-6
    assert exact_step(np.full(ways, 1 / ways), push)[0, 0] / push == pytest.approx(uniform_step(ways), abs=1e-6)


@pytest.mark.parametrize("eps", [0.5, 0.1, 0.01, 0.001])
@pytest.mark.parametrize("alternatives", [1, 2, 63])
def test_peaked_and_rare_closed_forms(eps: float, alternatives: int) -> None:
    law = np.array([1 - eps, *np.full(alternatives, eps / alternatives)])
    slopes = (exact_step(law, 1e-4) - exact_step(law, -1e-4)) / 2e-4
    assert slopes[0, 0] == pytest.approx(peaked_step(eps, alternatives), rel=1e-5)
    assert slopes[1, 1] == pytest.approx(rare_step(eps, alternatives), rel=1e-5)


def test_the_peaked_step_lies_between_e2_and_2e2_and_the_rare_one_near_2e() -> None:
    eps = np.geomspace(1e-5, 1e-3, 9)
    assert np.all(peaked_step(eps, 1e9) >= 0.998 * eps**2)
    assert np.all(peaked_step(eps, 1) <= 2 * eps**2)
    assert rare_step(eps) / (2 * eps) == pytest.approx(np.ones(9), abs=3e-3)


def test_the_largest_uniform_step_is_at_two_and_not_the_largest_of_all() -> None:
    assert np.argmax(uniform_step(np.arange(1, 65))) == 1
    where, size = largest_step()
    assert first_order_step([where, 1 - where])[0, 0] == pytest.approx(size)
    assert size > uniform_step(2)


@given(LAWS)
def test_no_law_has_a_larger_step(law: np.ndarray) -> None:
    assert np.diag(first_order_step(law)).max() <= largest_step()[1] + 1e-12


@given(LAWS)
def test_a_step_moves_no_mass_in_total_and_none_on_average(law: np.ndarray) -> None:
    steps = first_order_step(law)
    assert steps.sum(1) == pytest.approx(np.zeros(law.size), abs=1e-12)
    assert law @ steps == pytest.approx(np.zeros(law.size), abs=1e-12)


@given(LAWS, st.floats(-2, 2))
def test_the_exact_step_gives_distributions_and_favours_the_sampled_token(law: np.ndarray, push: float) -> None:
    after = law + exact_step(law, push)
    assert after.sum(1) == pytest.approx(np.ones(law.size))
    assert np.all(after > 0)
    assert np.all(np.sign(push) * np.diag(after - law) >= -1e-12)


@pytest.mark.parametrize("law", [(0.2, 0.1, 0.7), (0.9, 0.05, 0.05), (0.25, 0.25, 0.5)])
@pytest.mark.parametrize("q", [(1.0, 0.5, 0.0), (0.3, 0.9, 0.1), (0.4, 0.4, 0.4)])
def test_expected_change_against_sampled_steps(law: tuple[float, ...], q: tuple[float, ...]) -> None:
    """150,000 REINFORCE steps with reward minus a constant baseline p, each exact; first order in a rate of 1e-3."""
    rng, rate, draws = np.random.default_rng(7), 1e-3, 150_000
    pi, success = np.array(law), np.array(q)
    p = pi @ success
    token = rng.choice(3, size=draws, p=pi)
    right = rng.random(draws) < success[token]
    moves = np.where(right[:, None], exact_step(pi, rate * (1 - p))[token], exact_step(pi, -rate * p)[token]) / rate
    error = moves.std(0) / np.sqrt(draws)
    assert np.all(np.abs(moves.mean(0) - expected_change(pi, success)) < 4.5 * error + 1e-3)
    gain = moves @ success
    assert abs(gain.mean() - gain_rate(pi, success)) < 4.5 * gain.std() / np.sqrt(draws) + 1e-3


@given(LAWS, st.integers(0, 2**31))
def test_the_rate_of_gain_is_never_negative_and_zero_only_without_differences(law: np.ndarray, seed: int) -> None:
    q = np.random.default_rng(seed).random(law.size)
    assert gain_rate(law, q) == pytest.approx(q @ expected_change(law, q))
    assert gain_rate(law, q) > 0
    assert gain_rate(law, np.full(law.size, q[0])) == pytest.approx(0, abs=1e-15)


def test_a_way_that_beats_the_mean_can_lose_mass() -> None:
    """A rare right way beside a common one, the wrong mass spread thin: docs/theory.md says so."""
    wrong = np.full(69, 0.01)
    change = expected_change([0.3, 0.01, *wrong], [1, 1, *np.zeros(69)])
    assert change[1] < 0 < change[0]


def test_temperature() -> None:
    assert tempered([0.8, 0.2, 0.0], 2.0) == pytest.approx([2 / 3, 1 / 3, 0.0])
    assert tempered([0.8, 0.2], 1.0) == pytest.approx([0.8, 0.2])


@pytest.mark.parametrize(
    "call",
    [
        lambda: exact_step([0.5, 0.6], 0.1),
        lambda: first_order_step([[0.5, 0.5]]),
        lambda: uniform_step(0),
        lambda: peaked_step(1.2),
        lambda: rare_step(0.1, 0),
        lambda: expected_change([0.5, 0.5], [0.5, 1.5]),
        lambda: gain_rate([0.5, 0.5], [0.5]),
        lambda: tempered([1.0], 0.0),
    ],
)
def test_impossible_arguments_are_refused(call: object) -> None:
    with pytest.raises(ValueError):
        call()  # type: ignore[operator]
