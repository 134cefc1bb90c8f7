"""Missed ways, cold starts, noisy verifiers and KL: closed forms against sampling, flows and published numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midway.theory import (
    Trainer,
    escape_time,
    flow,
    kl_fixed_point,
    misses_while_moving,
    noisy_drift,
    observed,
    sft_time,
    simulate,
    ways,
)
from midway.theory.predictions.routes import sft


@pytest.mark.parametrize("tau", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("mu", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("group", [2, 4, 16, 64])
def test_missed_ways_against_sampled_groups(tau: float, mu: float, group: int) -> None:
    rng, draws = np.random.default_rng(group), 20_000
    counts = rng.multinomial(group, [tau, mu - tau, 1 - mu], size=draws)
    share = float(((counts[:, 0] == 0) & (counts[:, 1] > 0) & (counts[:, 2] > 0)).mean())
    chance = float(misses_while_moving(tau, mu, group))
    assert abs(share - chance) < 4.5 * np.sqrt(max(chance * (1 - chance), 1e-5) / draws)


def test_the_issues_numbers_of_missed_ways_are_not_monotone() -> None:
    found = misses_while_moving(0.05, 0.5, [2, 4, 8, 16, 32, 64])
    assert np.round(found, 2).tolist() == [0.45, 0.71, 0.66, 0.44, 0.19, 0.04]


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 100))
def test_missed_ways_are_probabilities(a: float, b: float, group: int) -> None:
    value = misses_while_moving(min(a, b), max(a, b), group)
    assert -1e-12 <= value <= 1


@pytest.mark.parametrize("wrong", [1, 4])
@pytest.mark.parametrize(("rule", "group"), [("reinforce", 4), ("dr_grpo", 4), ("grpo", 16), ("maxrl", 8)])
@pytest.mark.parametrize("start", [0.1, 0.01])
def test_escape_times_are_where_the_flow_passes_one_half(rule: str, group: int, start: float, wrong: int) -> None:
    """A softmax with W wrong ways is 1 + 1/W times as fast as one logit."""
    law = np.array([start, *np.full(wrong, (1 - start) / wrong)])
    time = escape_time(start, rule=rule, group=group) / (1 + 1 / wrong)
    q = np.array([1.0, *np.zeros(wrong)])
    solved = flow(ways(law.size), np.log(law)[None], q, Trainer(rule, group=group), [time])
    assert solved.success_T[0] == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize("start", [0.1, 0.01, 1e-4])
def test_sft_time_against_the_flow_of_sft(start: float) -> None:
    """Two logits again move twice as fast as one."""
    after = sft(np.log([start, 1 - start]), np.array([1.0, 0.0]), sft_time(start) / 2)
    assert after[0] == pytest.approx(after[1], abs=1e-5)


def test_the_issues_numbers_of_cold_starts_and_their_powers() -> None:
    assert [round(escape_time(p)) for p in (1e-2, 1e-4)] == [108, 10017]
    assert [round(sft_time(p), 1) for p in (1e-2, 1e-4)] == [5.6, 10.2]

    def power(low: float, high: float, **how: object) -> float:
        return float(np.log(escape_time(low, **how) / escape_time(high, **how)) / np.log(high / low))  # type: ignore[arg-type]

    assert power(1e-6, 1e-5) == pytest.approx(1, abs=0.01)
    assert power(1e-6, 1e-5, rule="grpo") == pytest.approx(0.5, abs=0.01)
    assert power(1e-6, 1e-5, rule="grpo", group=16) == pytest.approx(1, abs=0.01)


def test_maxrl_in_a_large_group_escapes_like_sft() -> None:
    for start in (0.1, 0.01, 1e-3):
        assert escape_time(start, rule="maxrl") == pytest.approx(sft_time(start), rel=1e-6)


@pytest.mark.parametrize(("yes", "no"), [(0.8, 0.2), (0.6, 0.4), (0.9, 0.5), (0.5, 0.5), (0.3, 0.6)])
@pytest.mark.parametrize("p", [0.2, 0.5])
def test_noisy_drift_against_simulated_steps(yes: float, no: float, p: float) -> None:
    runs, rate = 15_000, 0.01
    seen = observed([1.0, 0.0], yes, no)
    theta = np.log([[p, 1 - p]])
    found = simulate(ways(2), theta, seen, Trainer("grpo", group=8, rate=rate), [0, 1], replicas=runs, seed=3)
    # the logit of two ways moves by twice the step of one
    logit = np.log(found.pi_TRC[1, :, 0] / found.pi_TRC[1, :, 1]) - np.log(p / (1 - p))
    assert abs(logit.mean() / (2 * rate) - noisy_drift(p, yes, no)) < 4.5 * logit.std() / (2 * rate) / np.sqrt(runs)


def test_the_fields_numbers_of_noise_and_collapse_below_zero() -> None:
    found = [noisy_drift(0.5, a, b) for a, b in ((0.8, 0.2), (0.6, 0.4), (0.5, 0.5), (0.4, 0.6))]
    assert found == pytest.approx([0.278, 0.093, 0.0, -0.093], abs=6e-4)
    solved = flow(ways(2), np.log([[0.5, 0.5]]), observed([1.0, 0.0], 0.4, 0.6), Trainer(group=8), [60.0])
    assert solved.pi_TC[-1, 0] < 0.05


@pytest.mark.parametrize("kl", ["reverse", "k3"])
@pytest.mark.parametrize("beta", [0.5, 2.0, 10.0])
@pytest.mark.parametrize(("rule", "group"), [("grpo", 8), ("rloo", 8)])
def test_flows_with_kl_end_at_the_fixed_point(kl: str, beta: float, rule: str, group: int) -> None:
    law = np.array([0.2, 0.8])
    trainer = Trainer(rule, group=group, beta=beta, kl=kl)  # type: ignore[arg-type]
    solved = flow(ways(2), np.log(law)[None], [1, 0], trainer, [2000.0 / beta], law)
    assert solved.success_T[0] == pytest.approx(kl_fixed_point(0.2, beta, kl, rule, group), abs=1e-4)


@pytest.mark.parametrize("kl", ["reverse", "k3"])
def test_with_kl_equal_ways_end_in_the_references_ratio(kl: str) -> None:
    law = np.array([0.2, 0.1, 0.7])
    trainer = Trainer("grpo", group=8, beta=0.3, kl=kl)  # type: ignore[arg-type]
    end = flow(ways(3), np.log(law)[None], [1, 1, 0], trainer, [4000.0], law).pi_TC[0]
    assert end[0] / end[1] == pytest.approx(2, abs=1e-3)
    assert end[0] + end[1] > 0.5


def test_the_fields_fixed_points() -> None:
    assert [round(kl_fixed_point(0.2, b), 3) for b in (2, 5, 10)] == [0.409, 0.281, 0.240]


@pytest.mark.parametrize(
    "call",
    [
        lambda: misses_while_moving(0.6, 0.5, 8),
        lambda: escape_time(0.5, 0.4),
        lambda: sft_time(0.0),
        lambda: observed(0.5, 1.2, 0.0),
        lambda: kl_fixed_point(0.2, 0.0),
        lambda: kl_fixed_point(0.2, 1.0, "forward"),
    ],
)
def test_impossible_arguments_are_refused(call: object) -> None:
    with pytest.raises(ValueError):
        call()  # type: ignore[operator]
