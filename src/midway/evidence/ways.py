"""What RL did to the ways: composition, comparisons at equal length, and labels with known error.

Promises: works on flat arrays with one entry per sample; questions (and seeds) are clusters in every interval; strata
in which one side is empty carry no information, are left out, and the share of samples that was used is reported.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from midway.evidence.intervals import Estimate, contrast

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Matched:
    """A difference within strata. `used`: share of the samples in strata where both sides occur. `strata`: how many
    those are.
    """

    difference: Estimate
    first: float
    """The first side's rate, weighted like the difference."""
    second: float
    used: float
    strata: int


def length_bins(lengths: ArrayLike, bins: int = 20) -> NDArray[np.int64]:
    """Return for each sample the number of its length bin; edges are quantiles of all lengths given (both arms
    together). Samples of unknown length (NaN) have a bin of their own, the last.
    """
    x = np.asarray(lengths, float)
    known = x[~np.isnan(x)]
    if known.size == 0:
        return np.zeros(x.shape, np.int64)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.where(np.isnan(x), edges.size + 1, np.searchsorted(edges, x, side="right")).astype(np.int64)


def matched_difference(
    outcome: ArrayLike,
    first: ArrayLike,
    stratum: ArrayLike,
    question: ArrayLike,
    seed: ArrayLike | None = None,
    *,
    level: float = 0.95,
) -> Matched:
    """Return the mean of `outcome` on the first side minus that on the other, compared only within strata.

    One entry per sample: outcome (0/1 or a number), first (bool: which side), stratum (int, e.g. length bin, or
    question and length bin together), question and seed (ints; the clusters). Strata are weighted as by Mantel and
    Haenszel, `n1 n0 / (n1 + n0)`. The variance is that of the linearised estimate (infinitesimal
    jackknife) with questions and seeds as clusters.

    `seed` is for the two sides of one trained arm: both sides are summed within a seed. Without it the model is fixed.
    """
    x, side = np.asarray(outcome, float), np.asarray(first, bool)
    s_raw, q_raw = np.asarray(stratum), np.asarray(question)
    t_raw = np.zeros(x.size, np.int64) if seed is None else np.asarray(seed)
    parts = _weights(x, side, s_raw)
    nan = float("nan")
    if parts is None:
        none = Estimate(nan, nan, nan, nan, nan, nan, 0, (), "questions", level)
        return Matched(none, nan, nan, 0.0, 0)
    influence, value, rate1, rate0, used, strata = parts
    questions, q = np.unique(q_raw, return_inverse=True)
    seeds, t = np.unique(t_raw, return_inverse=True)
    cells = np.zeros((seeds.size, questions.size))
    np.add.at(cells, (t, q), influence)
    cells *= cells.size
    raw = contrast([cells[0] if seed is None else cells], [1.0], level=level)
    return Matched(_shift(raw, value), rate1, rate0, used, strata)


def matched_arms(
    outcome_a: ArrayLike,
    stratum_a: ArrayLike,
    question_a: ArrayLike,
    seed_a: ArrayLike | None,
    outcome_b: ArrayLike,
    stratum_b: ArrayLike,
    question_b: ArrayLike,
    seed_b: ArrayLike | None,
    *,
    level: float = 0.95,
) -> Matched:
    """Return mean outcome of arm a minus arm b within strata (e.g. length bins), paired on questions, seeds
    independent.

    Arguments as in `matched_difference`, once for each arm; a fixed model (base) passes seed None.
    """
    xa, xb = np.asarray(outcome_a, float), np.asarray(outcome_b, float)
    x = np.concatenate([xa, xb])
    side = np.arange(x.size) < xa.size
    parts = _weights(x, side, np.concatenate([np.asarray(stratum_a), np.asarray(stratum_b)]))
    nan = float("nan")
    if parts is None:
        return Matched(Estimate(nan, nan, nan, nan, nan, nan, 0, (), "questions", level), nan, nan, 0.0, 0)
    influence, value, rate1, rate0, used, strata = parts
    both_q = np.concatenate([np.asarray(question_a), np.asarray(question_b)])
    questions, q = np.unique(both_q, return_inverse=True)
    arms = []
    for mask, seed in ((side, seed_a), (~side, seed_b)):
        labels = np.zeros(int(mask.sum()), np.int64) if seed is None else np.asarray(seed)
        seeds, t = np.unique(labels, return_inverse=True)
        cells = np.zeros((seeds.size, questions.size))
        np.add.at(cells, (t, q[mask]), influence[mask])
        cells *= cells.size
        arms.append(cells[0] if seed is None else cells)
    raw = contrast(arms, [1.0, 1.0], level=level)
    return Matched(_shift(raw, value), rate1, rate0, used, strata)


@dataclass(frozen=True, slots=True)
class LabelError:
    """How a labeller did on labelled samples of known truth: `hits` of `positives` found, `rejections` of `negatives`
    left alone.
    """

    hits: int
    positives: int
    rejections: int
    negatives: int

    def __post_init__(self) -> None:
        if not (
            0 <= self.hits <= self.positives
            and 0 <= self.rejections <= self.negatives
            and self.positives
            and self.negatives
        ):
            raise ValueError(
                f"a labeller's error needs 0 <= hits <= positives, 0 <= rejections <= negatives and some of both: {self}"
            )

    @property
    def sensitivity(self) -> float:
        return self.hits / self.positives

    @property
    def specificity(self) -> float:
        return self.rejections / self.negatives


def rogan_gladen(rate: float, sensitivity: float, specificity: float) -> float:
    """Return the true rate behind an observed one, clipped to [0, 1] (Rogan and Gladen 1978).

    Raises ValueError when sensitivity + specificity <= 1: such a labeller says nothing.
    """
    if sensitivity + specificity <= 1:
        raise ValueError(
            f"sensitivity {sensitivity:.3f} + specificity {specificity:.3f} <= 1: labels carry no information"
        )
    return float(np.clip((rate + specificity - 1) / (sensitivity + specificity - 1), 0.0, 1.0))


def corrected_rate(
    rate: float, effective_n: float, error: LabelError, level: float = 0.95
) -> tuple[float, float, float]:
    """Return (rate, low, high) corrected for the labeller's error, whose own uncertainty widens the interval.

    rate: observed share of positive labels; effective_n: independent samples it is worth, `rate (1 - rate) / se^2`
    from a clustered standard error (with few degrees of freedom, times `(z / t)^2`). Method: Lang and
    Reiczigel 2014, which adds pseudo-observations so that small validation sets still cover. Assumes that the error
    was measured on samples like these.
    """
    z = float(stats.norm.isf((1 - level) / 2))
    value = rogan_gladen(rate, error.sensitivity, error.specificity)
    n = effective_n + z * z
    p = (effective_n * rate + z * z / 2) / n
    n_se, n_sp = error.positives + 2, error.negatives + 2
    se, sp = (error.hits + 1) / n_se, (error.rejections + 1) / n_sp
    if se + sp <= 1:
        return value, 0.0, 1.0
    youden = se + sp - 1
    est = (p + sp - 1) / youden
    error_se, error_sp = se * (1 - se) / n_se, sp * (1 - sp) / n_sp
    shift = 2 * z * z * (est * error_se - (1 - est) * error_sp)
    half = z * np.sqrt(p * (1 - p) / n + est**2 * error_se + (1 - est) ** 2 * error_sp) / youden
    return value, float(np.clip(est + shift - half, 0, 1)), float(np.clip(est + shift + half, 0, 1))


def corrected_difference(e: Estimate, error: LabelError, level: float = 0.95) -> tuple[float, float, float]:
    """Return (value, low, high) of a difference of two rates of positive labels, corrected for the labeller's error.

    Errors that are the same on both sides shrink a difference by `sensitivity + specificity - 1`; this divides by it. The interval carries
    the uncertainty of that measurement (delta method, add-one rates as in `corrected_rate`). Assumes that the labeller errs alike on both
    sides. Clipped to [-1, 1]; NaN where the estimate has no interval. Raises ValueError when the labels carry no information.
    """
    if error.sensitivity + error.specificity <= 1:
        raise ValueError(
            f"sensitivity {error.sensitivity:.3f} + specificity {error.specificity:.3f} <= 1: labels carry no information"
        )
    youden = error.sensitivity + error.specificity - 1
    n_se, n_sp = error.positives + 2, error.negatives + 2
    se, sp = (error.hits + 1) / n_se, (error.rejections + 1) / n_sp
    value = e.value / youden
    if not np.isfinite(e.se):
        return float(np.clip(value, -1, 1)), float("nan"), float("nan")
    spread = e.se**2 + value**2 * (se * (1 - se) / n_se + sp * (1 - sp) / n_sp)
    half = float(stats.t.isf((1 - level) / 2, e.df)) * float(np.sqrt(spread)) / youden
    low, high, value = (float(np.clip(x, -1, 1)) for x in (value - half, value + half, value))
    return value, low, high


def _weights(
    x: Array, side: NDArray[np.bool_], stratum: NDArray[np.generic]
) -> tuple[Array, float, float, float, float, int] | None:
    """Return the influence of each sample, the difference, both rates, the share used and the number of strata."""
    _, k = np.unique(stratum, return_inverse=True)
    size = int(k.max(initial=-1)) + 1
    n1 = np.bincount(k[side], minlength=size).astype(float)
    n0 = np.bincount(k[~side], minlength=size).astype(float)
    both = (n1 > 0) & (n0 > 0)
    if not both.any():
        return None
    n = np.maximum(n1 + n0, 1)
    x1 = np.bincount(k[side], weights=x[side], minlength=size)
    x0 = np.bincount(k[~side], weights=x[~side], minlength=size)
    w = np.where(both, n1 * n0 / n, 0.0)
    total = w.sum()
    gaps = (n0 * x1 - n1 * x0) / n
    value = float(gaps.sum() / total)
    # infinitesimal jackknife: how the estimate moves with the weight of one sample, through gap and stratum weight
    by_gap = np.where(side, n0[k] * x - x0[k], x1[k] - n1[k] * x) / n[k] - gaps[k] / n[k]
    by_weight = (np.where(side, n0[k], n1[k]) / n[k]) ** 2
    influence = (by_gap - value * by_weight) / total
    rate1 = float((w * x1 / np.maximum(n1, 1)).sum() / total)
    rate0 = float((w * x0 / np.maximum(n0, 1)).sum() / total)
    used = float(both[k].mean())
    return influence, value, rate1, rate0, used, int(both.sum())


def _shift(raw: Estimate, value: float) -> Estimate:
    """Return `raw`, whose value is 0 by construction, moved to `value`, with its p-value."""
    if not np.isfinite(raw.se) or raw.se == 0:
        nan = float("nan")
        return Estimate(value, nan, nan, nan, nan, nan, raw.questions, raw.seeds, raw.over, raw.level)
    half = raw.high - raw.value
    p = float(2 * stats.t.sf(abs(value) / raw.se, raw.df))
    return Estimate(value, value - half, value + half, raw.se, raw.df, p, raw.questions, raw.seeds, raw.over, raw.level)
