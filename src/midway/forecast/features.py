"""What a probe says of a model before anything is trained: numbers with intervals over questions.

Promises: pure functions of counts. What cannot be told is None (no labels of ways), never a guess; a number without data is NaN.
Intervals are at 95 %, over questions: what another draw of questions would give.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln

from midway.evidence import Estimate, difference, effective_number, mean, pass_at_k
from midway.evidence.signal import no_signal_of_counts
from midway.theory.probe import Probe

Array = NDArray[np.float64]
RESAMPLES = 400


@dataclass(frozen=True, slots=True)
class Number:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """See the fields."""

    questions: int
    samples: int
    """Unguided samples of a question (the most that any has)."""
    guided_samples: int
    """Guided samples of a question, of all heuristics together."""
    pass_at_1: Number
    pass_at_k: Number
    """At k = `samples`."""
    guided: Number
    """Share of guided samples that are right, all heuristics together."""
    hidden_reach: Number
    """Share of questions that k guided samples solve and k unguided ones do not, k = `reach_k` of each."""
    net_reach: Number
    """Share of questions that k guided samples solve, less the share that k unguided ones do: hidden reach less what they miss."""
    reach_k: int
    signal: Number
    """Share of groups of `group` samples that are neither all right nor all wrong."""
    group: int
    ways_unasked: Number | None
    """Effective number of ways among unguided samples that show one of them."""
    shown_unasked: Number | None
    """Share of unguided samples that show one of the ways."""
    ways_asked: Number | None
    """Effective number of ways among right guided samples that use the way asked for."""
    follows: Number | None
    """Share of guided samples that use the way asked for."""


def features(probe: Probe, group: int) -> Features:
    """Return what a probe says. `group`: the size of RL's groups."""
    judged, right = probe.judged_Q, probe.right_Q
    asked, solved = probe.asked_QW.sum(1), probe.solved_QW.sum(1)
    k = int(max(1, judged.max(initial=1)))
    both = int(max(1, min(k, asked.max(initial=1))))
    guided_at = np.asarray(pass_at_k(asked, solved, both))
    plain_at = np.asarray(pass_at_k(judged, right, both))
    told = probe.labelled and bool(probe.ways)
    return Features(
        questions=len(judged),
        samples=k,
        guided_samples=int(asked.max(initial=0)),
        pass_at_1=_mean(_share(right, judged)),
        pass_at_k=_mean(np.asarray(pass_at_k(judged, right, k))),
        guided=_mean(_share(solved, asked)),
        hidden_reach=_mean(guided_at * (1 - plain_at)),
        net_reach=_difference(guided_at, plain_at),
        reach_k=both,
        signal=_mean(np.clip(groups_with_signal(judged, right, group), 0, 1)),
        group=group,
        ways_unasked=_drawn(probe, lambda p: effective_number(p.shown_QW.sum(0))) if told else None,
        shown_unasked=_mean(_share(probe.shown_QW.sum(1), judged)) if told else None,
        ways_asked=_drawn(probe, lambda p: effective_number(p.followed_right_QW.sum(0))) if told else None,
        follows=_mean(_share(probe.followed_QW.sum(1), asked)) if told else None,
    )


def groups_with_signal(n_Q: Array, c_Q: Array, group: int) -> Array:
    """Return the expected share of groups with signal for questions of which c of n samples are right, shape (Q,).

    Unbiased where every question has `group` samples (`evidence.signal`). Else the mean over what the rate may be, with Jeffreys' prior:
    `1 - (B(c + 1/2 + G, n - c + 1/2) + B(c + 1/2, n - c + 1/2 + G)) / B(c + 1/2, n - c + 1/2)`.
    """
    n, c = np.asarray(n_Q, float), np.asarray(c_Q, float)
    if np.all(n >= group):
        return np.asarray(1 - no_signal_of_counts(n, c, group))
    a, b = c + 0.5, n - c + 0.5
    whole = betaln(a, b)
    return np.asarray(1 - np.exp(betaln(a + group, b) - whole) - np.exp(betaln(a, b + group) - whole))


def _share(part: Array, whole: Array) -> Array:
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _mean(value_Q: Array) -> Number:
    if not np.isfinite(value_Q).any():
        return Number(float("nan"), float("nan"), float("nan"))
    return _number(mean(np.clip(value_Q, 0, 1)[None, :]))


def _difference(first_Q: Array, second_Q: Array) -> Number:
    """Return the paired difference of two shares over the questions that have both."""
    both = np.isfinite(first_Q) & np.isfinite(second_Q)
    if not both.any():
        return Number(float("nan"), float("nan"), float("nan"))
    return _number(difference(first_Q[None, both], second_Q[None, both]))


def _number(found: Estimate) -> Number:
    return Number(found.value, found.low, found.high)


def _drawn(probe: Probe, statistic: Callable[[Probe], float]) -> Number:
    """Return a statistic with a percentile interval over resampled questions; the statistic of a draw without data is left out."""
    rng = np.random.default_rng(0)
    count = probe.judged_Q.size
    drawn = np.array([statistic(probe.take(rng.integers(0, count, count))) for _ in range(RESAMPLES)])
    known = drawn[np.isfinite(drawn)]
    low, high = np.percentile(known, [2.5, 97.5]) if known.size else (np.nan, np.nan)
    return Number(float(statistic(probe)), float(low), float(high))
