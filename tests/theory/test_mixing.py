"""Hybrid chains: their rate of change, where they come from before RL, and where the mass ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midway.theory import (
    Trainer,
    chains,
    ends,
    flow,
    hybrid_rate,
    hybrid_rate_two,
    is_hybrid,
    logits_after_sft,
    simulate,
    success_with_synergy,
    ways,
)

SHARE = st.floats(0.02, 0.98)


@settings(max_examples=60, deadline=None)
@given(SHARE, SHARE, st.one_of(st.floats(-0.4, -0.01), st.floats(0.01, 0.4)))
def test_two_by_two_closed_form_and_its_sign(a: float, b: float, synergy: float) -> None:
    space = chains(2, 2)
    theta = np.log([[a, 1 - a], [b, 1 - b]])
    q = success_with_synergy(space, [0.5, 0.5], synergy)
    rate = hybrid_rate(space, theta, q)
    assert rate == pytest.approx(hybrid_rate_two(a, b, synergy), abs=1e-12)
    assert rate * np.sign(synergy) >= -1e-15


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_rate_is_the_slope_of_the_flow_and_of_simulated_runs(memory: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    space = chains(2, 3, memory)
    theta, q = rng.normal(size=space.shape), rng.random(9)
    hybrid = is_hybrid(space)
    rate = hybrid_rate(space, theta, q)
    solved = flow(space, theta, q, Trainer("rloo", group=4), [1e-3])
    start = space.probability(theta)[hybrid].sum()
    assert (solved.pi_TC[0, hybrid].sum() - start) / 1e-3 == pytest.approx(rate, abs=1e-3)
    small = 0.002
    runs = simulate(space, theta, q, Trainer("rloo", group=8, rate=small), [1], replicas=10_000, seed=seed)
    moved = (runs.pi_TRC[0][:, hybrid].sum(-1) - start) / small
    assert abs(moved.mean() - rate) < 4.5 * moved.std() / 100 + 2e-3


def test_an_even_start_is_a_saddle() -> None:
    assert hybrid_rate_two(0.5, 0.5, 0.3) == 0
    assert hybrid_rate_two(0.5, 0.4, 0.3) > 0


@pytest.mark.parametrize("parts", [2, 3])
@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.7, 0.2, 0.1)])
def test_hybrids_after_sft_on_pure_chains(parts: int, shares: tuple[float, ...]) -> None:
    space = chains(parts, len(shares))
    law = space.probability(logits_after_sft(space, shares, 0.1))
    assert law[is_hybrid(space)].sum() == pytest.approx(1 - (np.array(shares) ** parts).sum())
    space = chains(parts, len(shares), memory=True)
    law = space.probability(logits_after_sft(space, shares, 0.1))
    assert law[~is_hybrid(space)].sum() == pytest.approx(0.9 ** (parts - 1))


def test_after_sft_the_likelihood_of_pure_chains_is_largest() -> None:
    """Without memory, no other logits give the pure chains in these shares a higher likelihood."""
    space, shares = chains(2, 3), np.array([0.5, 0.3, 0.2])
    pure = np.flatnonzero(~is_hybrid(space))
    best = logits_after_sft(space, shares, 0.1)
    rng = np.random.default_rng(0)
    top = shares @ space.log_probability(best)[pure]
    assert all(shares @ space.log_probability(best + rng.normal(0, 0.2, best.shape))[pure] < top for _ in range(200))


@pytest.mark.parametrize("pure", [(0.5, 0.5), (0.6, 0.4)])
@pytest.mark.parametrize("synergy", [-0.2, 0.05, 0.2])
def test_flows_that_begin_near_an_end_stay_and_others_leave(pure: tuple[float, float], synergy: float) -> None:
    space = chains(2, 2)
    q = success_with_synergy(space, pure, synergy)
    for c, chain in enumerate(space.choices):
        theta = np.where(np.eye(2)[list(chain)] == 1, 3.0, 0.0)
        end = flow(space, theta, q, Trainer("grpo", group=8), [3000.0]).pi_TC[-1]
        assert (end[c] > 0.97) == ends(space, q)[c]


def test_a_pure_way_stays_an_end_until_the_hybrids_beat_it() -> None:
    space = chains(2, 2)
    for synergy, kept in ((0.05, True), (0.15, False)):
        assert bool(ends(space, success_with_synergy(space, [0.6, 0.4], synergy))[0]) == kept


def test_between_equal_neighbours_no_chain_is_an_end() -> None:
    assert not ends(chains(2, 3), np.full(9, 0.5)).any()


@pytest.mark.parametrize(
    "call",
    [
        lambda: chains(0, 2),
        lambda: ways(0),
        lambda: ends(chains(2, 2, memory=True), [0.1] * 4),
        lambda: hybrid_rate_two(1.2, 0.5, 0.1),
        lambda: success_with_synergy(chains(2, 2), [0.5], 0.1),
        lambda: logits_after_sft(chains(2, 2), [0.5, 0.6], 0.1),
        lambda: logits_after_sft(chains(2, 2), [0.5, 0.5], 0.0),
    ],
)
def test_impossible_arguments_are_refused(call: object) -> None:
    with pytest.raises(ValueError):
        call()  # type: ignore[operator]
