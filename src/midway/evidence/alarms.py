"""What goes wrong in RL and shows in its log: pure functions on the rows of metrics.jsonl, for the trainer, `midway status` and the report.

Promises: an alarm carries its number, its threshold, where it was seen, and what to do. Rows are mappings of numbers with `step`. What a
trainer does not log is not looked at. One bad step is no alarm: shares must be above their threshold by three standard errors over 8 to 20
steps (the scatter between the steps is the error), other quantities are means over 10 steps. So a run of fewer than 8 steps has no alarms,
and thresholds are crossed only by what lasts.

Assumes that steps scatter independently. Where they do not (a slow drift), three standard errors are too few, and an alarm near its
threshold may be noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

Rows = Sequence[Mapping[str, float]]

SHARE_STEPS, FEWEST, SURE = 20, 8, 3.0
"""Steps that a share is averaged over, at most and at least; standard errors that it must be above its threshold."""
MEAN_STEPS, WITHIN = 10, 20
"""Steps of other means; steps within which entropy may not fall by half."""
LOOK_EVERY = 10
"""Steps between two looks of a trainer: each look reads the whole log."""
PREFIX = "alarm/"
"""How an alarm's key in metrics.jsonl begins."""
CONTINUED, CONTINUED_RIGHT = "rollouts/continued", "rollouts/continued_right"
"""Cut-off rollouts that the trainer continued to twice the limit, and how many of them are right."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    cut_off: float = 0.10
    no_signal: float = 0.80
    unjudged: float = 0.01
    entropy: float = 0.01
    """Nats per token."""
    entropy_fall: float = 0.5
    length: float = 2.0
    """Times the length at the start, or one part in so many."""
    kl: float = 1.0
    """Nats per token from the reference."""
    clip: float = 0.3
    held_out: int = 64
    """Samples behind a point of a curve: its noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Something that makes RL a waste, or its result not what it seems."""

    name: str
    what: str
    """What was seen, with its number."""
    value: float
    threshold: float
    first: int
    """First and last step in which it was seen at its worst."""
    last: int
    advice: str


def alarms(rows: Rows, limits: Limits = Limits()) -> tuple[Alarm, ...]:
    """Return the alarms of a log, each at its worst, in a fixed order."""
    steps = [row for row in rows if "reward" in row or "loss" in row]
    found = (look(rows if look is _cut_off else steps, limits) for look in _OF_STEPS)
    return (*(alarm for alarm in found if alarm), *([held] if (held := _held_out(rows, limits)) else []))


# Shares -------------------------------------------------------------------------------------------------------------------


def _cut_off(rows: Rows, limits: Limits) -> Alarm | None:
    alarm = _cut_off_share(rows, limits)
    tried = [row for row in rows if CONTINUED in row]
    if alarm is None or not tried:
        return alarm
    told = f"; of {tried[-1][CONTINUED]:.0f} continued to twice the limit {tried[-1][CONTINUED_RIGHT]:.0f} are right"
    return replace(alarm, what=alarm.what + told)


def _cut_off_share(rows: Rows, limits: Limits) -> Alarm | None:
    key = "rollouts/cut_off" if any("rollouts/cut_off" in row for row in rows) else "completions/clipped_ratio"
    return _share(
        rows,
        key,
        "cut-off",
        limits.cut_off,
        "of the rollouts are cut off at max_completion_length",
        "Raise rl.max_completion_length, or choose with training.overlong what becomes of them (mask, soft): "
        "scored as they stand, right work in progress counts as wrong.",
    )


def _no_signal(rows: Rows, limits: Limits) -> Alarm | None:
    return _share(
        rows,
        "frac_reward_zero_std",
        "no-signal",
        limits.no_signal,
        "of the groups have no signal (all rewards alike)",
        "Leave out questions that the model always or never solves (questions.rl_filter), or raise rl.num_generations.",
    )


def _unjudged(rows: Rows, limits: Limits) -> Alarm | None:
    return _share(
        rows,
        "rollouts/unjudged",
        "unjudged",
        limits.unjudged,
        "of the rollouts could not be judged, and so taught nothing",
        "Read the column `reason` of the rollouts: deadlines (verify.seconds), a sandbox that is missing, a verifier that died.",
    )


def _share(rows: Rows, key: str, name: str, threshold: float, what: str, advice: str) -> Alarm | None:
    worst: tuple[float, int, int] | None = None
    points = _points(rows, key)
    for end in range(FEWEST, len(points) + 1):
        window = points[max(0, end - SHARE_STEPS) : end]
        mean, error = _mean_and_error([value for _, value in window])
        if mean - SURE * error > threshold and (worst is None or mean > worst[0]):
            worst = (mean, window[0][0], window[-1][0])
    if worst is None:
        return None
    value, first, last = worst
    text = f"{value:.0%} {what} (steps {first} to {last}; at most {threshold:.0%} is sound)"
    return Alarm(name=name, what=text, value=value, threshold=threshold, first=first, last=last, advice=advice)


def _mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    mean = math.fsum(values) / len(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return mean, math.sqrt(variance / len(values))


# Means --------------------------------------------------------------------------------------------------------------------


def _entropy(rows: Rows, limits: Limits) -> Alarm | None:
    means = _means(rows, "entropy")
    low = min(means, key=lambda mean: mean[2], default=None)
    if low is not None and low[2] < limits.entropy:
        first, last, value = low
        return Alarm(
            name="entropy-low",
            what=f"entropy is {value:.3g} nats per token (steps {first} to {last}; below {limits.entropy:g} nothing is tried out any more)",
            value=value,
            threshold=limits.entropy,
            first=first,
            last=last,
            advice=_ENTROPY,
        )
    return None


def _entropy_fall(rows: Rows, limits: Limits) -> Alarm | None:
    worst: tuple[float, int, int, float, float] | None = None
    means = _means(rows, "entropy")
    for k, (first, _, before) in enumerate(means):
        for begin, last, now in means[k + 1 :]:
            if begin - first > WITHIN:
                break
            if before > 0 and (worst is None or now / before < worst[0]):
                worst = (now / before, first, last, before, now)
    if worst is None or worst[0] >= limits.entropy_fall:
        return None
    ratio, first, last, before, now = worst
    return Alarm(
        name="entropy-fall",
        what=f"entropy fell from {before:.3g} to {now:.3g} nats per token within {WITHIN} steps (steps {first} to {last})",
        value=ratio,
        threshold=limits.entropy_fall,
        first=first,
        last=last,
        advice=_ENTROPY,
    )


_ENTROPY = "Lower rl.learning_rate, raise rl.temperature or rl.epsilon_high, or set rl.entropy_coef: what is not sampled cannot be learnt."


def _length(rows: Rows, limits: Limits) -> Alarm | None:
    means = _means(rows, "completions/mean_length")
    if not means or means[0][2] <= 0:
        return None
    start = means[0][2]
    first, last, now = max(means, key=lambda mean: abs(math.log(max(mean[2], 1e-9) / start)))
    ratio = now / start
    if 1 / limits.length <= ratio <= limits.length:
        return None
    return Alarm(
        name="length",
        what=f"mean length went from {start:.0f} to {now:.0f} tokens (steps {first} to {last})",
        value=ratio,
        threshold=limits.length if ratio > 1 else 1 / limits.length,
        first=first,
        last=last,
        advice="Read rollouts of these steps: longer may be reasoning or padding, shorter may be a short cut. "
        "A length reward (training.reward) or training.overlong: soft holds it.",
    )


def _kl(rows: Rows, limits: Limits) -> Alarm | None:
    return _above(
        rows,
        "kl",
        "kl",
        limits.kl,
        "KL from the reference is {:.3g} nats per token",
        "Lower rl.learning_rate, or raise rl.beta.",
    )


def _clip(rows: Rows, limits: Limits) -> Alarm | None:
    return _above(
        rows,
        "clip_ratio/region_mean",
        "clip-ratio",
        limits.clip,
        "{:.0%} of the tokens are clipped",
        "Lower rl.learning_rate, or take fewer steps on the same rollouts (rl.num_iterations, rl.steps_per_generation).",
    )


def _above(rows: Rows, key: str, name: str, threshold: float, what: str, advice: str) -> Alarm | None:
    first, last, value = max(_means(rows, key), key=lambda mean: mean[2], default=(0, 0, -math.inf))
    if value <= threshold:
        return None
    text = f"{what.format(value)} (steps {first} to {last}; at most {threshold:g} is sound)"
    return Alarm(name=name, what=text, value=value, threshold=threshold, first=first, last=last, advice=advice)


_OF_STEPS: tuple[Callable[[Rows, Limits], Alarm | None], ...] = (
    _cut_off,
    _no_signal,
    _unjudged,
    _entropy,
    _entropy_fall,
    _length,
    _kl,
    _clip,
)


# Held-out questions -------------------------------------------------------------------------------------------------------


def _held_out(rows: Rows, limits: Limits) -> Alarm | None:
    """Reward rises while pass@1 on held-out questions falls: by more than two standard errors, both of them."""
    rewards = _means(rows, "reward")
    keys = sorted({key for row in rows for key in row if key.startswith("eval/") and key.endswith("/pass@1")})
    worst: Alarm | None = None
    for key in keys if rewards else ():
        points = _points(rows, key)
        if len(points) < 2:
            continue
        (best_at, best), (last_at, last) = max(points, key=lambda point: (point[1], -point[0])), points[-1]
        middle = (best + last) / 2
        noise = 2 * math.sqrt(max(middle * (1 - middle), 0.0) * 2 / limits.held_out)
        before, after = _near(rewards, best_at), rewards[-1][2]
        if last_at <= best_at or best - last <= noise or after - before <= _reward_noise(rows):
            continue
        name = key.removeprefix("eval/").removesuffix("/pass@1")
        if worst is None or best - last > worst.value:
            worst = Alarm(
                name="held-out",
                what=f"pass@1 on {name} fell from {best:.0%} (step {best_at}) to {last:.0%} (step {last_at}) "
                f"while reward rose from {before:.3g} to {after:.3g}",
                value=best - last,
                threshold=noise,
                first=best_at,
                last=last_at,
                advice="Read the rollouts named here: the reward has a hole that the model has found, or the questions are too few.",
            )
    return worst


def _near(means: Sequence[tuple[int, int, float]], step: int) -> float:
    """Return the mean of the steps that begin next after `step`."""
    return next((value for first, _, value in means if first > step), means[-1][2])


def _reward_noise(rows: Rows) -> float:
    """Return two standard errors of a difference of two means of reward."""
    window = [value for _, value in _points(rows, "reward")][-MEAN_STEPS:]
    return 2 * math.sqrt(2) * _mean_and_error(window)[1]


# Rows ---------------------------------------------------------------------------------------------------------------------


def _points(rows: Rows, key: str) -> list[tuple[int, float]]:
    """Return (step, value) of a quantity, where it is a number."""
    return list(_numbers(rows, key))


def _numbers(rows: Rows, key: str) -> Iterator[tuple[int, float]]:
    for row in rows:
        value, step = row.get(key), row.get("step")
        if value is not None and step is not None and math.isfinite(value):
            yield int(step), float(value)


def _means(rows: Rows, key: str) -> list[tuple[int, int, float]]:
    """Return (first step, last step, mean) of all runs of MEAN_STEPS steps; none where there are fewer."""
    points = _points(rows, key)
    out = []
    for end in range(MEAN_STEPS, len(points) + 1):
        window = points[end - MEAN_STEPS : end]
        out.append((window[0][0], window[-1][0], math.fsum(value for _, value in window) / MEAN_STEPS))
    return out
