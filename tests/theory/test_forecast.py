"""The forecast: its flow is the theory's, its counts are checked, its expectations move as they must, and its constants can be learnt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midway.theory import Trainer, conserved, flow, ways
from midway.theory.calibrate import Condition, errors, fit
from midway.theory.forecast import (
    CONSTANTS,
    Budget,
    Calibration,
    Constants,
    Policies,
    calibration,
    catch_up,
    course,
    expected,
    learning_curve,
    rates_of,
    shown,
    unasked,
    ways_flow,
)
from midway.theory.probe import Probe

KNOWN = Calibration(spread={"plain": 0.05, "treated": 0.05, "lead": 0.06}, conditions=8)
RL = Budget(steps=40)


def made(
    *, default: float, shown: float, asked: float, questions: int = 64, ways: int = 3, seed: int = 0, fits: bool = True
) -> Probe:
    """Return the counts of a model whose default is right in `default` of samples, which shows the one way that fits a question in `shown`
    of them, and is right in `asked` of the samples that use it."""
    rng = np.random.default_rng(seed)
    fitting = np.eye(ways)[rng.integers(0, ways, questions)] * fits
    shown_QW = np.stack([rng.multinomial(8, [*(row * shown), 1 - (row * shown).sum()])[:-1] for row in fitting])
    shown_right = rng.binomial(shown_QW, asked)
    right = shown_right.sum(1) + rng.binomial(8 - shown_QW.sum(1), default)
    asked_QW = np.full((questions, ways), 2)
    solved = rng.binomial(asked_QW, asked * fitting)
    return Probe(
        ways=tuple("abcdef"[:ways]),
        labelled=True,
        judged_Q=np.full(questions, 8.0),
        right_Q=right,
        shown_QW=shown_QW,
        shown_right_QW=shown_right,
        asked_QW=asked_QW,
        solved_QW=solved,
        followed_QW=asked_QW,
        followed_right_QW=solved,
    )


@pytest.mark.parametrize("group", [4, 16])
def test_the_flow_of_many_questions_is_the_theorys_of_each(group: int) -> None:
    rng = np.random.default_rng(group)
    pi, q = rng.dirichlet(np.ones(4), size=5), rng.random((5, 4))
    times = [0.0, 0.5, 2.0, 6.0]
    found = ways_flow(Policies(pi, q), group, times)
    trainer = Trainer("grpo_trl", group=group)
    for i in range(5):
        exact = flow(ways(4), np.log(pi[i])[None], q[i], trainer, times)
        assert found[:, i] == pytest.approx(exact.pi_TC, abs=2e-3)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([2, 8, 16]))
def test_success_never_falls_along_the_flow_and_shares_stay_shares(seed: int, group: int) -> None:
    rng = np.random.default_rng(seed)
    policies = Policies(rng.dirichlet(np.ones(3), size=4), rng.random((4, 3)))
    pi_TQK = ways_flow(policies, group, [0.0, 0.3, 1.0, 3.0])
    assert pi_TQK.sum(-1) == pytest.approx(1.0) and pi_TQK.min() >= 0
    assert np.diff((pi_TQK * policies.q_QK).sum(-1), axis=0).min() > -1e-9


def test_equally_right_ways_keep_the_invariant() -> None:
    start = np.array([[0.5, 0.2, 0.1, 0.2]])
    pi_TQK = ways_flow(Policies(start, np.array([[0.0, 1.0, 1.0, 0.0]])), 8, [0.0, 1.0, 4.0])
    theta = np.log(pi_TQK[:, 0])  # the step conserves the sum of the logits: shift to the start's
    theta += (np.log(start[0]).sum() - theta.sum(-1))[:, None] / 4
    kept = conserved(theta, 1, 2)
    assert kept == pytest.approx(kept[0], rel=1e-3)


def test_times_must_grow() -> None:
    with pytest.raises(ValueError, match="increasing"):
        ways_flow(Policies(np.ones((1, 1)), np.ones((1, 1))), 8, [1.0, 1.0])


def test_counts_go_to_json_and_back_and_impossible_ones_are_refused() -> None:
    probe = made(default=0.1, shown=0.05, asked=0.8)
    again = Probe.from_dict(probe.as_dict())
    assert again.as_dict() == probe.as_dict() and again.ways == probe.ways and np.isnan(again.nats)
    with pytest.raises(ValueError, match="right_Q cannot be above judged_Q"):
        replace(probe, right_Q=probe.judged_Q + 1)
    with pytest.raises(ValueError, match="shape"):
        replace(probe, ways=("a",))
    with pytest.raises(ValueError, match="needs"):
        Probe.from_dict({"ways": []})


def test_a_way_that_solves_when_asked_and_never_shows_gives_a_large_lead() -> None:
    hidden = expected(made(default=0.1, shown=0.0, asked=0.9), RL, replace(RL, midtrained=True), KNOWN)
    assert hidden.lead.value > 0.4 and hidden.lead.low > 0
    assert hidden.lead.value == pytest.approx(hidden.treated.value - hidden.plain.value)
    nothing = expected(made(default=0.1, shown=0.0, asked=0.9, fits=False), RL, replace(RL, midtrained=True), KNOWN)
    assert abs(nothing.lead.value) < 0.05


def test_ways_that_nobody_asked_for_count_where_they_show() -> None:
    asked = made(default=0.1, shown=0.1, asked=0.9)
    none = np.zeros((64, 0))
    blank = dict.fromkeys(
        ("shown_QW", "shown_right_QW", "asked_QW", "solved_QW", "followed_QW", "followed_right_QW"), none
    )
    shown_QV, right_QV = asked.shown_QW, asked.shown_right_QW
    counted = replace(asked, **blank, ways=(), others=asked.ways, other_QV=shown_QV, other_right_QV=right_QV)  # type: ignore[arg-type]
    assert Probe.from_dict(counted.as_dict()).as_dict() == counted.as_dict()
    assert unasked(counted, Constants()).success_Q.mean() == pytest.approx(
        unasked(asked, Constants()).success_Q.mean(), abs=0.03
    )
    hidden = replace(asked, **blank, ways=())  # type: ignore[arg-type]
    assert course(counted, RL, Constants()).gain > course(hidden, RL, Constants()).gain + 0.2
    kept = shown(counted, Constants()).pi_QK
    assert kept == pytest.approx(unasked(counted, Constants()).pi_QK), "nothing was asked for, so nothing was learnt"
    with pytest.raises(ValueError, match="other_right_QV cannot be above other_QV"):
        replace(counted, other_right_QV=shown_QV + 1)
    assert counted.take([0, 0, 3]).other_QV.shape == (3, 3)


def test_a_way_that_nobody_asked_for_is_not_taken_to_work_where_it_did_not_show() -> None:
    asked = made(default=0.1, shown=0.3, asked=0.9, ways=2)
    none = np.zeros((64, 0))
    names = ("shown_QW", "shown_right_QW", "asked_QW", "solved_QW", "followed_QW", "followed_right_QW")
    probe = replace(
        asked, **dict.fromkeys(names, none), ways=(), others=asked.ways,
        other_QV=asked.shown_QW, other_right_QV=asked.shown_right_QW,
    )  # type: ignore[arg-type]  # fmt: skip
    everywhere, here = (rates_of(probe, Constants(elsewhere=share)) for share in (1.0, 0.0))
    absent = probe.other_QV == 0
    assert everywhere[:, 1:][absent].min() > 0.7
    assert here[:, 1:][absent] == pytest.approx(np.broadcast_to(here[:, :1], (64, 2))[absent])
    often = probe.other_QV >= 4
    assert here[:, 1:][often].mean() > 0.6


def test_of_the_gain_a_share_comes_about() -> None:
    probe = made(default=0.1, shown=0.1, asked=0.9)
    whole, half = course(probe, RL, Constants()), course(probe, RL, Constants(alone=0.5))
    assert half.after - half.before == pytest.approx((whole.after - whole.before) / 2)
    treated = replace(RL, midtrained=True)
    whole, half = course(probe, treated, Constants()), course(probe, treated, Constants(added=0.5))
    assert half.before == pytest.approx(whole.before)
    assert half.after - half.before == pytest.approx((whole.after - whole.before) / 2)
    assert catch_up(probe, RL, treated, Constants(alone=0.1)) == catch_up(probe, RL, treated, Constants())


def test_ways_that_show_by_themselves_and_more_steps_take_the_lead_away() -> None:
    leads = [
        expected(made(default=0.1, shown=share, asked=0.9), RL, replace(RL, midtrained=True), KNOWN).lead.value
        for share in (0.0, 0.1, 0.4)
    ]
    assert leads[0] > leads[1] > leads[2]
    probe, slow = made(default=0.1, shown=0.02, asked=0.9), Constants(pace=0.3)
    curve = learning_curve(unasked(probe, slow), RL, [0, 20, 200, 1000], slow)
    assert np.all(np.diff(curve) > 0)
    steps = catch_up(probe, RL, replace(RL, midtrained=True), slow)
    assert steps is not None and steps > RL.steps
    there = course(probe, replace(RL, steps=steps), slow).after
    goal = course(probe, replace(RL, midtrained=True), slow).after
    assert there >= goal - 0.02


def test_time_goes_with_the_learning_rate_and_the_width() -> None:
    probe = made(default=0.1, shown=0.1, asked=0.9)
    slow = course(probe, replace(RL, steps=80), Constants()).after
    for other in (replace(RL, rate=2 * RL.rate), replace(RL, width=2 * RL.width)):
        assert course(probe, other, Constants()).after == pytest.approx(slow, abs=1e-3)


def test_after_mid_training_the_mass_is_on_ways_that_solve() -> None:
    probe = made(default=0.1, shown=0.0, asked=0.9)
    policies = shown(probe, Constants())
    assert policies.pi_QK.sum(1) == pytest.approx(1.0)
    solved = probe.solved_QW.sum(1) > 0
    best = probe.solved_QW.argmax(1)
    assert (policies.pi_QK[np.arange(64), 1 + best] > 0.5)[solved].all()


def test_the_interval_is_a_t_interval_of_the_spread_within_what_is_possible() -> None:
    probe = made(default=0.1, shown=0.0, asked=0.9)
    told = expected(probe, RL, replace(RL, midtrained=True), KNOWN, level=0.8)
    assert told.lead.high - told.lead.value == pytest.approx(1.3968 * 0.06, abs=1e-4)  # t, 8 degrees of freedom, 0.9
    assert told.plain.low >= -told.base and told.treated.high <= 1 - told.base
    with pytest.raises(ValueError, match="no spread"):
        expected(probe, RL, replace(RL, midtrained=True), Calibration())
    with pytest.raises(ValueError, match="RL alone"):
        expected(probe, replace(RL, midtrained=True), RL, KNOWN)


def test_the_stored_calibration_can_be_read_and_says_where_it_is_from() -> None:
    known = calibration(CONSTANTS)
    assert known.source and set(known.spread) == {"plain", "treated", "lead"}


def condition(seed: int, constants: Constants) -> Condition:
    """A condition whose outcome is what the constants say."""
    probe = made(default=0.1, shown=(0.0, 0.03, 0.1, 0.3)[seed % 4], asked=0.8, questions=24, seed=seed)
    plain = Budget(steps=(6, 20)[seed % 2])
    treated = replace(plain, midtrained=True)
    one, two = course(probe, plain, constants), course(probe, treated, constants)
    return Condition(
        probe=probe,
        plain=plain,
        treated=treated,
        base=one.base,
        plain_after=one.after,
        treated_before=two.before,
        treated_after=two.after,
    )


@pytest.mark.slow
def test_constants_are_learnt_from_conditions() -> None:
    true = Constants(pace=6.0, unseen=0.4, focus=3.0, keep=0.03, forget=0.2, polish=0.001, alone=0.6, added=0.8)
    learn = [condition(seed, true) for seed in range(6)]
    known = fit(learn, source="made up")
    found = known.constants
    assert known.conditions == 6 and known.source == "made up" and known.spread["lead"] < 0.05
    assert found.pace == pytest.approx(true.pace, rel=0.25), "the search began at 3"
    assert found.alone == pytest.approx(true.alone, abs=0.1), "the search began at 1"
    assert max(np.abs(errors(c, found)).max() for c in learn) < 0.03


def test_a_spread_needs_conditions() -> None:
    with pytest.raises(ValueError, match="at least three"):
        fit([condition(0, Constants())])
