"""Means, paired differences and RL gains with intervals over questions *and* training seeds.

Promises: every function takes one value per (seed, question), such as pass@1 or pass@k of that question, and says
what its interval covers. NaN is a question without judged samples: it is left out, in pairs where two arms are
compared, and the number of questions used is part of the answer. An interval that cannot be had (one question) is
NaN, never zero wide.

Shapes: an array of shape (S, Q) is an arm trained with S seeds; an array of shape (Q,) is one fixed model without
training randomness, such as the base model. Columns are the same questions in the same order in every argument.

The method (docs/statistics.md has the derivation and the measured coverage). With y[s, q] = mu + seed_s + question_q +
noise[s, q], the variance of a difference of two arms' means has two parts: one that is estimated over hundreds of
questions, and one that is estimated over a handful of seeds (the spread of the seeds' means, with S - 1 degrees of
freedom each, combined much as Welch did). The estimate divided by its standard error is then referred to Student's t
with `f * exp(a(f) / v)` degrees of freedom, where f are the degrees of freedom of the seed part, v its ratio to the
question part and a(f) is chosen so that the coverage stays at its nominal value for every true ratio. Satterthwaite's
formula, which is what is usually used here, covers as little as 92 % with three seeds and 87 % with two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Array = NDArray[np.float64]

QUESTIONS = "questions"
QUESTIONS_AND_SEEDS = "questions and seeds"
BORROWED = "questions and seeds (seed spread of the one-seed arm taken from the other arm)"
FIXED = "questions (no training randomness)"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number and what is known about it. `low` and `high` bound the `level` interval."""

    value: float
    low: float
    high: float
    se: float
    df: float
    p: float
    """Two-sided p-value of `value == 0`; NaN for a mean, where that question makes no sense."""
    questions: int
    seeds: tuple[int, ...]
    """Number of seeds of each arm; 0 for a fixed model."""
    over: str
    """What the interval covers: one of QUESTIONS, QUESTIONS_AND_SEEDS, BORROWED, FIXED."""
    level: float = 0.95


def mean(y_SQ: ArrayLike, level: float = 0.95) -> Estimate:
    """Return the mean over questions and seeds of values in [0, 1], such as pass@k, with its interval.

    The interval is Wilson's score interval with the effective number of questions `m (1 - m) / se^2` (Korn and Graubard
    1998) and a t quantile: it stays within [0, 1] and keeps its coverage near 0 and 1. When every value is 0, or
    every value is 1, each question counts as one observation. Assumes that questions are a random sample of a larger
    set. Raises ValueError for values outside [0, 1].
    """
    arm = _Arm(y_SQ)
    if np.nanmin(arm.y, initial=0.0) < -1e-9 or np.nanmax(arm.y, initial=1.0) > 1 + 1e-9:
        raise ValueError("mean() is for values in [0, 1]; for differences use difference() or gain()")
    raw = contrast([y_SQ], [1.0], level=level)
    m = raw.value
    if not np.isfinite(raw.se):
        return replace(raw, p=float("nan"))
    low, high = _wilson_of(m, raw, level)
    return replace(raw, low=low, high=high, p=float("nan"))


def difference(a_SQ: ArrayLike, b_SQ: ArrayLike, level: float = 0.95) -> Estimate:
    """Return mean(a) - mean(b), paired on questions; seeds of the two arms are independent of each other.

    A positive correlation between equal seed numbers of two arms, if there is any, makes the interval too wide, never
    too narrow.
    """
    return contrast([a_SQ, b_SQ], [1.0, -1.0], level=level)


def gain(after_SQ: ArrayLike, before_SQ: ArrayLike, level: float = 0.95) -> Estimate:
    """Return the RL gain of one arm, mean(after) - mean(before), paired on questions and on seeds.

    `before` has shape (Q,) where all seeds start from one model (the base), else the same (S, Q) as `after`: row s of
    both is the same seed.
    """
    return contrast([_gain(after_SQ, before_SQ)], [1.0], level=level)


def difference_of_gains(
    after_a: ArrayLike, before_a: ArrayLike, after_b: ArrayLike, before_b: ArrayLike, level: float = 0.95
) -> Estimate:
    """Return gain(a) - gain(b): did RL gain more from start a than from start b?

    Paired on questions, and within an arm on seeds.
    """
    return contrast([_gain(after_a, before_a), _gain(after_b, before_b)], [1.0, -1.0], level=level)


def ratio(numerator_SQ: ArrayLike, denominator_SQ: ArrayLike, level: float = 0.95) -> Estimate:
    """Return sum(numerator) / sum(denominator), such as composed samples over labelled samples, with a Wilson interval.

    The variance is that of the linearised ratio (Cochran 1977, section 6.3), with questions and seeds as clusters.
    For ratios in [0, 1]. Cells without samples have denominator 0.
    """
    num, den = np.atleast_2d(np.asarray(numerator_SQ, float)), np.atleast_2d(np.asarray(denominator_SQ, float))
    if num.shape != den.shape:
        raise ValueError(f"ratio needs arrays of one shape, not {num.shape} and {den.shape}")
    total = float(np.nansum(den))
    if total <= 0:
        nan = float("nan")
        return Estimate(nan, nan, nan, nan, nan, nan, 0, (num.shape[0],), QUESTIONS, level)
    value = float(np.nansum(num)) / total
    used = np.nansum(den, axis=0) > 0
    influence = ((np.nan_to_num(num) - value * np.nan_to_num(den)) / total * (num.shape[0] * used.sum()))[:, used]
    fixed = np.ndim(numerator_SQ) == 1
    raw = contrast([influence[0] if fixed else influence], [1.0], level=level)
    if not np.isfinite(raw.se):
        return replace(raw, value=value, p=float("nan"))
    low, high = _wilson_of(value, raw, level)
    return replace(raw, value=value, low=low, high=high, p=float("nan"))


def wilson(share: float, n: float, z: float = 1.959964) -> tuple[float, float]:
    """Return Wilson's score interval for a share of n (effective) observations; `z` is the normal or t quantile.

    NaN without observations or for a NaN share. Raises ValueError for a share outside [0, 1].
    """
    if share < 0 or share > 1:
        raise ValueError(f"wilson needs a share in [0, 1], not {share}")
    if not n > 0 or np.isnan(share):
        return float("nan"), float("nan")
    z2n = z * z / n
    centre = (share + z2n / 2) / (1 + z2n)
    half = z / (1 + z2n) * np.sqrt(max(share * (1 - share), 0.0) / n + z2n / (4 * n))
    return (
        float(max(0.0, centre - half)) if share > 0 else 0.0,
        float(min(1.0, centre + half)) if share < 1 else 1.0,
    )


def _wilson_of(share: float, raw: Estimate, level: float) -> tuple[float, float]:
    spread = share * (1 - share)
    if raw.se == 0 or spread <= 0:
        return wilson(share, raw.questions, t_quantile(level, raw.questions - 1))
    return wilson(share, spread / raw.se**2, t_quantile(level, raw.df))


def t_quantile(level: float, df: float) -> float:
    """Return the two-sided quantile of Student's t: 1.96 for level 0.95 and many degrees of freedom."""
    return float(special.stdtrit(df, (1 + level) / 2))


def contrast(arms: Sequence[ArrayLike], weights: Sequence[float], level: float = 0.95) -> Estimate:
    """Return sum_i weights[i] * mean(arms[i]) with the interval described at the top of this module.

    Each arm is (S_i, Q) or (Q,). Questions that are NaN in all seeds of some arm are left out; a question that some
    seeds of an arm lack is averaged over the seeds that have it.
    """
    cells = [_Arm(a) for a in arms]
    width = {c.y.shape[1] for c in cells}
    if len(width) != 1:
        raise ValueError(f"the arms must have the same questions in the same order; they have {sorted(width)} columns")
    ok = np.all([np.isfinite(c.y).any(axis=0) for c in cells], axis=0)
    q = int(ok.sum())
    nan = float("nan")
    if q == 0:
        seeds = tuple(0 if c.fixed else c.y.shape[0] for c in cells)
        return Estimate(nan, nan, nan, nan, nan, nan, 0, seeds, QUESTIONS, level)
    splits = [_Split(c.y[:, ok]) for c in cells]
    seeds = tuple(0 if c.fixed else s.seeds for c, s in zip(cells, splits, strict=True))
    over = _covers([n for c, n in zip(cells, seeds, strict=True) if not c.fixed])
    per_question = sum((w * s.mean_Q for w, s in zip(weights, splits, strict=True)), np.zeros(q))
    value = float(per_question.mean())
    if q < 2:
        return Estimate(value, nan, nan, nan, nan, nan, q, seeds, over, level)
    parts, dfs, noise = _seed_parts(cells, weights, splits)
    # question part: what would stay with infinitely many seeds; where no arm has two seeds noise is part of it
    question_part = max(float(per_question.var(ddof=1)) / q - sum(noise), 0.0)
    se = float(np.sqrt(question_part + sum(parts)))
    df = float(degrees_of_freedom(question_part, q - 1, parts, dfs, noise))
    if se == 0 and sum(noise) > 0:
        # by chance all seeds of an arm have the very same mean: the sampling noise, which is known, is still there
        se, df = float(np.sqrt(sum(noise))), float(q - 1)
    if se == 0:
        # every question has the same difference: nothing to estimate a spread from, so no interval
        return Estimate(value, nan, nan, 0.0, df, 1.0 if value == 0 else nan, q, seeds, over, level)
    half = t_quantile(level, df) * se
    p = float(2 * special.stdtr(df, -abs(value) / se))
    return Estimate(value, value - half, value + half, se, df, p, q, seeds, over, level)


# a(f) of degrees_of_freedom, minimax over all true variance ratios at level 0.95
# (benchmarks/report.py --df computes it again)
_F = np.array([1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0, 20.0, 40.0, 100.0])
_A = np.array([0.215, 0.333, 0.440, 0.611, 0.738, 0.836, 0.974, 1.040, 1.101, 1.187, 1.273, 1.346, 1.401, 1.432])


def degrees_of_freedom(
    question_part: float,
    question_df: float,
    parts: Sequence[ArrayLike],
    dfs: Sequence[float],
    floors: Sequence[float] | None = None,
) -> Array:
    """Return the degrees of freedom of t for a variance of a mean that is a question part plus seed parts.

    f, the degrees of freedom of the sum of the seed parts V_i with f_i each, is
    `(sum V)^2 / sum(V_i^2 / (f_i + 1)) - 1`, kept between min f_i and sum f_i: half-way between Welch's two formulas
    (1938: + 0, - 0; 1947: + 2, - 2), the one too cautious and the other too bold for two or three seeds. `floors` are
    what each V_i is at least, namely the sampling noise in it, which is known well: a smaller V_i is chance, and for f
    the floor takes its place. With v = sum V / question_part, the result is `f * exp(a(f) / v)`, combined with the
    question part's own degrees of freedom. Elementwise where parts are arrays.
    """
    used = [(np.asarray(v, float), d) for v, d in zip(parts, dfs, strict=True)]
    total = sum((v for v, _ in used), np.zeros(()))
    whole = np.maximum(question_part + total, 1e-300)
    slack = (question_part / whole) ** 2 / question_df
    if used:
        sure = [(np.maximum(v, low), d) for (v, d), low in zip(used, floors or [0.0] * len(used), strict=True)]
        square = sum((v * v / (d + 1) for v, d in sure), np.zeros(()))
        f = sum((v for v, _ in sure), np.zeros(())) ** 2 / np.maximum(square, 1e-300) - 1
        f = np.clip(f, min(dfs), sum(dfs))
        a = np.interp(-1 / f, -1 / _F, _A)
        slack = slack + np.exp(-np.minimum(a * question_part / np.maximum(total, 1e-300), 700.0)) / f
    return np.asarray(1 / np.maximum(slack, 1e-12))


def bootstrap(
    numerator_Q: ArrayLike,
    denominator_Q: ArrayLike | None = None,
    *,
    level: float = 0.95,
    resamples: int = 4000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Return (value, low, high) of a mean over questions, or of sum(numerator) / sum(denominator), by bootstrap.

    The question is the cluster: whole questions, with all their samples and seeds, are drawn with replacement.
    Percentile interval, widened for small numbers of questions (Hesterberg 2015, "expanded percentile interval").
    Covers the choice of questions only, not training seeds: resampling three seeds gives intervals that are far too
    narrow, so it is not offered.
    """
    num = np.asarray(numerator_Q, float)
    keep = np.isfinite(num)
    den = np.ones_like(num) if denominator_Q is None else np.asarray(denominator_Q, float)
    if num.ndim != 1 or num.shape != den.shape:
        raise ValueError(f"bootstrap needs one number a question, and as many of both: {num.shape} and {den.shape}")
    keep &= np.isfinite(den)
    num, den = num[keep], den[keep]
    q = num.size
    if q < 2 or den.sum() == 0:
        value = float(num.sum() / den.sum()) if q and den.sum() else float("nan")
        return value, float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    drawn = np.empty(resamples)
    chunk = max(1, 4_000_000 // q)
    for start in range(0, resamples, chunk):
        index = rng.integers(0, q, size=(min(chunk, resamples - start), q), dtype=np.int32)
        with np.errstate(invalid="ignore"):
            drawn[start : start + index.shape[0]] = num[index].sum(axis=1) / den[index].sum(axis=1)
    tail = float(special.ndtr(-np.sqrt(q / (q - 1)) * t_quantile(level, q - 1)))
    low, high = np.nanquantile(drawn, [tail, 1 - tail])
    return float(num.sum() / den.sum()), float(low), float(high)


class _Arm:
    """Values of one arm as (S, Q); `fixed` where it came as (Q,)."""

    def __init__(self, values: ArrayLike) -> None:
        y = np.asarray(values, float)
        if y.ndim not in (1, 2) or 0 in y.shape[:-1]:
            raise ValueError(f"an arm is an array (questions,) or (seeds, questions), not of shape {y.shape}")
        self.fixed = y.ndim == 1
        self.y: Array = np.atleast_2d(y)


class _Split:
    """One arm taken apart: question means, and for two or more seeds the spread of seeds and the noise."""

    def __init__(self, y: Array) -> None:
        present = np.isfinite(y)
        y, present = y[present.any(axis=1)], present[present.any(axis=1)]
        self.seeds = y.shape[0]
        self.mean_Q: Array = np.nanmean(y, axis=0)
        self.seed_variance = self.noise = self.per_cell = 0.0
        if self.seeds < 2:
            return
        rest = y - self.mean_Q
        effect = np.array([r[p].mean() for r, p in zip(rest, present, strict=True)])
        # sample variance of the seeds' means: seed spread plus noise / Q, both belong to the seed part
        self.seed_variance = float(effect.var(ddof=1))
        rest = rest - effect[:, None]
        noise_df = int(present.sum()) - y.shape[1] - self.seeds + 1
        if noise_df > 0:
            self.noise = float(np.nansum(rest**2)) / noise_df
        self.per_cell = float((1 / present.sum(axis=0)).mean()) / y.shape[1]


def _seed_parts(
    cells: Sequence[_Arm], weights: Sequence[float], splits: Sequence[_Split]
) -> tuple[list[float], list[float], list[float]]:
    """Return the variances that come from seeds, their degrees of freedom, and the sampling noise in them."""
    known = [s for s in splits if s.seeds > 1]
    lent_df = float(sum(s.seeds - 1 for s in known))
    parts, dfs, noise, lending = [], [], [], False
    for cell, w, split in zip(cells, weights, splits, strict=True):
        if split.seeds > 1:
            parts.append(w * w * split.seed_variance / split.seeds)
            dfs.append(split.seeds - 1.0)
            noise.append(w * w * split.noise * split.per_cell)
        elif not cell.fixed and known:
            lending = True
            parts.append(w * w * sum(s.seed_variance * (s.seeds - 1) for s in known) / lent_df)
            dfs.append(lent_df)
            noise.append(w * w * sum(s.noise * (s.seeds - 1) for s in known) / lent_df / split.mean_Q.size)
    if lending:
        # one estimate of spread serves several arms: they are one part
        return [sum(parts)], [lent_df], [sum(noise)]
    return parts, dfs, noise


def _covers(trained: Sequence[int]) -> str:
    """Return what an interval covers, given the number of seeds of each trained arm."""
    if not trained:
        return FIXED
    if max(trained) == 1:
        return QUESTIONS
    return BORROWED if min(trained) == 1 else QUESTIONS_AND_SEEDS


def _gain(after: ArrayLike, before: ArrayLike) -> Array:
    a, b = np.asarray(after, float), np.asarray(before, float)
    if b.ndim == 2 and a.shape != b.shape:
        raise ValueError(
            f"after {a.shape} and before {b.shape} must have the same seeds, or before must be (questions,)"
        )
    return np.asarray(a - b)
