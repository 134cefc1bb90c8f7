"""Each alarm fires on the log that it is for, names number, threshold and steps, and is silent on a sound one."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from midway.evidence.alarms import FEWEST, SHARE_STEPS, Alarm, Limits, alarms

Row = dict[str, float]
SOUND = {
    "reward": 0.5,
    "frac_reward_zero_std": 0.4,
    "rollouts/cut_off": 0.02,
    "rollouts/unjudged": 0.0,
    "entropy": 0.4,
    "completions/mean_length": 200.0,
    "kl": 0.02,
    "clip_ratio/region_mean": 0.01,
}


def log(steps: int = 40, **changed: Callable[[int], float]) -> list[Row]:
    """A sound log with noise; a changed quantity (`_` stands for `/`) is a function of the step."""
    chance = random.Random(0)
    rows: list[Row] = []
    for step in range(1, steps + 1):
        row: Row = {"step": step, **{key: value * chance.uniform(0.8, 1.2) for key, value in SOUND.items()}}
        rows.append(row | {key: change(step) for key, change in changed.items()})
    return rows


def only(rows: list[Row], limits: Limits = Limits()) -> Alarm:
    (alarm,) = alarms(rows, limits)
    return alarm


def test_a_sound_log_is_silent() -> None:
    assert alarms(log()) == () == alarms([]) and alarms(log(1)) == ()
    assert alarms([{"step": step, "loss": 1.0} for step in range(50)]) == (), "a trainer that logs little"


FIRES: dict[str, tuple[dict[str, Callable[[int], float]], float]] = {
    "cut-off": ({"rollouts/cut_off": lambda step: 0.3}, 0.3),
    "no-signal": ({"frac_reward_zero_std": lambda step: 1.0 if step > 20 else 0.4}, 1.0),
    "unjudged": ({"rollouts/unjudged": lambda step: 0.05}, 0.05),
    "entropy-low": ({"entropy": lambda step: 0.005}, 0.005),
    "entropy-fall": ({"entropy": lambda step: 0.4 if step <= 20 else 0.1}, 0.25),
    "length": ({"completions/mean_length": lambda step: 200.0 if step <= 15 else 500.0}, 2.5),
    "kl": ({"kl": lambda step: 2.0}, 2.0),
    "clip-ratio": ({"clip_ratio/region_mean": lambda step: 0.5}, 0.5),
}


@pytest.mark.parametrize("name", FIRES)
def test_each_fires(name: str) -> None:
    changed, value = FIRES[name]
    alarm = only(log(**changed))
    assert alarm.name == name and alarm.value == pytest.approx(value)
    assert 1 <= alarm.first < alarm.last <= 40 and alarm.advice.endswith((".", "learnt."))
    assert any(mark in alarm.what for mark in (f"{value:.0%}", f"{value:.3g}", "to 500", "to 0.1")), alarm.what


def test_shorter_is_a_drift_too() -> None:
    alarm = only(log(**{"completions/mean_length": lambda step: 200.0 if step <= 15 else 40.0}))
    assert alarm.name == "length" and alarm.value == pytest.approx(0.2) and alarm.threshold == 0.5


@pytest.mark.parametrize("steps", [1, FEWEST - 1])
def test_few_steps_say_nothing(steps: int) -> None:
    assert alarms(log(steps, **{"rollouts/cut_off": lambda step: 1.0, "frac_reward_zero_std": lambda step: 1.0})) == ()
    assert only(log(FEWEST, **{"rollouts/cut_off": lambda step: 1.0})).name == "cut-off"


def test_a_share_near_its_threshold_is_no_alarm() -> None:
    """Groups of eight in batches of eight: steps scatter by a tenth and more. 200 logs at the threshold itself: few alarms."""
    chance = random.Random(1)

    def drawn(share: float) -> Callable[[int], float]:
        return lambda step: sum(chance.random() < share for _ in range(8)) / 8

    fired = sum(bool(alarms(log(60, frac_reward_zero_std=drawn(0.8)))) for _ in range(200))
    assert fired <= 30
    assert sum(bool(alarms(log(60, frac_reward_zero_std=drawn(0.95)))) for _ in range(50)) >= 48


def test_one_bad_step_is_no_alarm() -> None:
    shares = ("frac_reward_zero_std", "rollouts/cut_off", "rollouts/unjudged")
    spikes: dict[str, Callable[[int], float]] = {key: lambda step: 1.0 if step == 20 else 0.0 for key in shares}
    assert alarms(log(**spikes)) == ()


def test_old_logs_have_trls_own_share_and_nothing_else_is_asked_of_them() -> None:
    rows = [{"step": step, "reward": 0.5, "completions/clipped_ratio": 0.4} for step in range(1, 31)]
    assert only(rows).name == "cut-off" and "40%" in only(rows).what


def test_the_worst_window_is_told() -> None:
    share = only(log(100, **{"rollouts/unjudged": lambda step: 0.5 if 41 <= step <= 60 else 0.02}))
    assert (share.first, share.last, share.value) == (41, 60, 0.5) and share.last - share.first + 1 == SHARE_STEPS


def test_what_was_continued_is_told() -> None:
    rows = log(**{"rollouts/cut_off": lambda step: 0.3})
    rows.insert(20, {"step": 20, "rollouts/continued": 64.0, "rollouts/continued_right": 9.0})
    assert "of 64 continued to twice the limit 9 are right" in only(rows).what
    assert alarms([{"step": 20, "rollouts/continued": 64.0, "rollouts/continued_right": 9.0}]) == ()


def curve(points: dict[int, float], reward: Callable[[int], float]) -> list[Row]:
    rows = log(60, reward=reward)
    return sorted(rows + [{"step": s, "eval/single/pass@1": v} for s, v in points.items()], key=lambda row: row["step"])


def rising(step: int) -> float:
    return 0.2 + 0.01 * step


def test_reward_rises_while_held_out_falls() -> None:
    alarm = only(curve({0: 0.5, 20: 0.6, 40: 0.4, 60: 0.2}, rising))
    assert alarm.name == "held-out" and (alarm.first, alarm.last) == (20, 60) and alarm.value == pytest.approx(0.4)
    assert "fell from 60% (step 20) to 20% (step 60)" in alarm.what
    assert only(curve({0: 0.9, 60: 0.2}, rising)).first == 0


@pytest.mark.parametrize(
    ("points", "reward", "limits"),
    [
        ({0: 0.5, 60: 0.6}, rising, Limits()),  # both rise
        ({0: 0.6, 60: 0.2}, lambda step: 0.5, Limits()),  # the reward does not
        ({0: 0.6, 60: 0.2}, lambda step: 0.8 - 0.01 * step, Limits()),  # both fall
        ({0: 0.6, 60: 0.45}, rising, Limits()),  # within the noise of 64 samples
        ({0: 0.6, 60: 0.2}, rising, Limits(held_out=8)),  # within the noise of 8
        ({0: 0.6, 20: 0.2, 60: 0.6}, rising, Limits()),  # it came back
        ({60: 0.2}, rising, Limits()),  # one point
    ],
)
def test_held_out_is_silent(points: dict[int, float], reward: Callable[[int], float], limits: Limits) -> None:
    assert alarms(curve(points, reward), limits) == ()


def test_what_is_not_a_number_is_left_out() -> None:
    rows = log(**{"kl": lambda step: math.nan if step % 2 else 0.02, "rollouts/cut_off": lambda step: math.inf})
    assert alarms(rows) == ()
    assert only(log(**{"rollouts/unjudged": lambda step: 0.2}), Limits(unjudged=0.1)).threshold == 0.1
