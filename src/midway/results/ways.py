"""Which ways the samples use: mix, composition, and what the labels are worth; one part of the results.

Promises: no file is touched here; a rate whose labels have a measured error comes as labelled and corrected, with the uncertainty of that
measurement in the interval; labels that carry no information are said to (`corrected` is None), never corrected to something.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from midway import evidence
from midway.evidence import (
    LabelError,
    corrected_difference,
    corrected_rate,
    difference,
    effective_number,
    entropy,
    length_bins,
    matched_arms,
    matched_difference,
    ratio,
    total_variation,
)
from midway.results.contents import Contents
from midway.results.numbers import estimate, number, shape
from midway.results.samples import Evaluation, Labels
from midway.results.types import (
    Composition,
    Correctness,
    Interval,
    LabelCounts,
    LengthMatched,
    Mix,
    Share,
    Ways,
)
from midway.rundir.layout import AFTER_RL

Array = NDArray[np.float64]
Labelled = tuple[Evaluation, Labels]
"""An evaluation and its labels."""
LENGTH_BINS = 20


def ways_of(run: Contents) -> Ways:
    """Return mix, composition, both at equal length, correctness of composed samples, and how good the labels are."""
    labelled: list[Labelled] = [(ev, ev.labels) for ev in run.evaluations.values() if ev.labels]
    errors = [lab.labeller for _, lab in labelled if lab.labeller]
    return Ways(
        mix=tuple(_mix(run, ev, lab) for ev, lab in labelled),
        shares=tuple(share for ev, lab in labelled for share in _shares(ev, lab)),
        composition=tuple(_composition(ev, lab) for ev, lab in labelled),
        length_matched=tuple(_length_matched(run)),
        correctness=tuple(_correctness(ev, lab) for ev, lab in labelled if _has_composed(run, ev, lab)),
        labellers=tuple(error for i, error in enumerate(errors) if error not in errors[:i]),
        program=tuple(lab.program for _, lab in labelled if lab.program),
    )


def _mix(run: Contents, ev: Evaluation, lab: Labels) -> Mix:
    counts = list(lab.counts.values())
    return Mix(
        benchmark=ev.benchmark,
        arm=ev.arm,
        phase=ev.phase,
        counts=lab.counts,
        labelled=int(lab.composed.size),
        entropy=number(entropy(counts)) if counts else None,
        effective_ways=number(effective_number(counts)) if counts else None,
        moved=_moved(run, ev),
    )


def _composition(ev: Evaluation, lab: Labels) -> Composition:
    rate = ratio(_cells(lab, ev, lab.composed.astype(float)), _cells(lab, ev, np.ones(lab.composed.size)))
    return Composition(
        benchmark=ev.benchmark,
        arm=ev.arm,
        phase=ev.phase,
        rate=estimate(rate),
        corrected=_corrected(rate, lab.labeller.counts if lab.labeller else None),
        mean_tokens=number(float(np.nanmean(lab.tokens))) if lab.tokens.size else None,
        labeller=lab.labeller,
    )


def _has_composed(run: Contents, ev: Evaluation, lab: Labels) -> bool:
    """Is it a final model with composed samples that were judged?"""
    return ev.phase == run.arms[ev.arm].final_phase and bool(lab.composed[np.isfinite(lab.correct)].any())


def _correctness(ev: Evaluation, lab: Labels) -> Correctness:
    right = np.isfinite(lab.correct)
    single = right & ~lab.composed
    stratum = lab.question * 64 + length_bins(lab.tokens, 5)
    matched = matched_difference(
        lab.correct[right],
        lab.composed[right],
        stratum[right],
        lab.question[right],
        None if ev.fixed else lab.seed[right],
    )
    return Correctness(
        benchmark=ev.benchmark,
        arm=ev.arm,
        composed=number(float(lab.correct[right & lab.composed].mean())),
        single=number(float(lab.correct[single].mean())) if single.any() else None,
        matched=estimate(matched.difference),
        used=matched.used,
    )


def _shares(ev: Evaluation, lab: Labels) -> list[Share]:
    """Return for each way the share of labelled samples that use it, as labelled and corrected for the labeller's error."""
    total = _cells(lab, ev, np.ones(lab.composed.size))
    known = (lab.labeller.ways if lab.labeller else None) or {}
    out = []
    for way in sorted({*lab.by_way, *known}):
        count = lab.by_way.get(way)
        rate = ratio(np.zeros_like(total) if count is None else shape(ev, count), total)
        out.append(
            Share(
                benchmark=ev.benchmark,
                arm=ev.arm,
                phase=ev.phase,
                way=way,
                rate=estimate(rate),
                corrected=_corrected(rate, known.get(way)),
            )
        )
    return out


def _moved(run: Contents, ev: Evaluation) -> float | None:
    """Return the total variation between the mixes before and after RL, for an evaluation after RL."""
    before = run.before(ev.benchmark, ev.arm) if ev.phase == AFTER_RL else None
    if before is None or not before.labels or not ev.labels:
        return None
    old, new = before.labels.counts, ev.labels.counts
    ways = sorted({*old, *new})
    return number(total_variation([old.get(w, 0) for w in ways], [new.get(w, 0) for w in ways])) if ways else None


def _cells(lab: Labels, ev: Evaluation, values: Array) -> Array:
    out = np.zeros(ev.judged.shape)
    row = np.searchsorted(np.asarray(ev.seeds), lab.seed)
    np.add.at(out, (row, lab.question), values)
    return shape(ev, out)


def _error(counts: LabelCounts | None) -> LabelError | None:
    """Return the measured error; None where it was not measured or makes no sense."""
    if counts is None or None in (counts.hits, counts.positives, counts.rejections, counts.negatives):
        return None
    try:
        return LabelError(counts.hits, counts.positives, counts.rejections, counts.negatives)  # type: ignore[arg-type]
    except ValueError:
        return None


def _corrected(rate: evidence.Estimate, error: LabelCounts | None) -> Interval | None:
    """Return the corrected rate; None where the labeller's error is not known or its labels carry no information.

    A rate below the false alarms, or above the hits, that were measured shows that the measured error is not that of these samples: the
    interval then reaches to where it would be without false alarms, or without misses, instead of shrinking to a point.
    """
    known = _error(error)
    if known is None or not np.isfinite(rate.se):
        return None
    few = stats.norm.isf(0.025) / stats.t.isf(0.025, rate.df)
    effective = rate.value * (1 - rate.value) / rate.se**2 * few**2 if rate.se > 0 else float(rate.questions)
    try:
        value, low, high = corrected_rate(rate.value, effective, known)
    except ValueError:
        return None
    if rate.value <= 1 - known.specificity:
        high = max(high, min(1.0, rate.high / known.sensitivity))
    if rate.value >= known.sensitivity:
        low = min(low, max(0.0, (rate.low + known.specificity - 1) / known.specificity))
    return Interval(value, low, high)


def _length_matched(run: Contents) -> list[LengthMatched]:
    """Return the treatment's rate of composed samples against every other arm's, on every benchmark, at the end of both."""
    rows = []
    for benchmark in run.benchmarks:
        a = run.final(benchmark, run.treatment)
        for arm in run.arms:
            b = run.final(benchmark, arm)
            if arm != run.treatment and a and b and a.labels and b.labels:
                rows.append(_matched((a, a.labels), (b, b.labels)))
    return rows


def _matched(first: Labelled, second: Labelled) -> LengthMatched:
    (a, la), (b, lb) = first, second
    bins = length_bins(np.concatenate([la.tokens, lb.tokens]), LENGTH_BINS)
    cut = la.tokens.size
    m = matched_arms(
        la.composed,
        bins[:cut],
        la.question,
        None if a.fixed else la.seed,
        lb.composed,
        bins[cut:],
        lb.question,
        None if b.fixed else lb.seed,
    )
    plain = difference(shape(a, _rate(la, a)), shape(b, _rate(lb, b)))
    known, corrected = _error(la.labeller.counts if la.labeller else None), None
    if known is not None and la.labeller == lb.labeller and np.isfinite(m.difference.value):
        with suppress(ValueError):
            corrected = Interval(*map(number, corrected_difference(m.difference, known)))
    return LengthMatched(
        benchmark=a.benchmark,
        against=b.arm,
        unmatched=estimate(plain),
        matched=estimate(m.difference),
        corrected=corrected,
        used=m.used,
    )


def _rate(lab: Labels, ev: Evaluation) -> Array:
    composed = np.atleast_2d(_cells(lab, ev, lab.composed.astype(float)))
    total = np.atleast_2d(_cells(lab, ev, np.ones(lab.composed.size)))
    return np.asarray(np.where(total > 0, composed / np.maximum(total, 1), np.nan))
