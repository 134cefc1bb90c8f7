"""Which ways the samples use: mix, composition, and what the labels are worth; one part of results.json.

Promises: no file is touched here; a rate whose labels have a measured error comes as labelled and corrected, with the uncertainty of that
measurement in the interval; labels that carry no information are said to (`corrected` is None), never corrected to something.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from midway.evidence import (
    Estimate,
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
from midway.report.values import as_json, number, shape
from midway.results.load import Run
from midway.results.samples import Evaluation, Labels

Array = NDArray[np.float64]
Json = dict[str, Any]
LENGTH_BINS = 20


def ways_of(run: Run) -> Json:
    """Return mix, composition, both at equal length, correctness of composed samples, and how good the labels are."""
    mixes, composition, matched, correctness, program = [], [], [], [], []
    shares: list[Json] = []
    for (benchmark, arm, phase), ev in run.evaluations.items():
        if ev.labels is None:
            continue
        lab = ev.labels
        counts = list(lab.counts.values())
        mixes.append(
            {
                "benchmark": benchmark,
                "arm": arm,
                "phase": phase,
                "counts": lab.counts,
                "labelled": int(lab.composed.size),
                "entropy": number(entropy(counts)) if counts else None,
                "effective_ways": number(effective_number(counts)) if counts else None,
                "moved": _moved(run, ev),
            }
        )
        shares += _shares(ev, lab)
        if lab.program:
            program.append({"benchmark": benchmark, "arm": arm, "phase": phase, **lab.program})
        composed, total = _cells(lab, ev, lab.composed.astype(float)), _cells(lab, ev, np.ones(lab.composed.size))
        rate = ratio(composed, total)
        row: Json = {"benchmark": benchmark, "arm": arm, "phase": phase, "rate": as_json(rate), "corrected": None}
        row["mean_tokens"] = number(float(np.nanmean(lab.tokens))) if lab.tokens.size else None
        row["labeller"] = lab.error
        row["corrected"] = _corrected(rate, lab.error)
        composition.append(row)
        right = np.isfinite(lab.correct)
        if phase == run.arms[arm].final_phase and lab.composed[right].any():
            bins = length_bins(lab.tokens, 5)
            stratum = lab.question * 64 + bins
            m = matched_difference(
                lab.correct[right],
                lab.composed[right],
                stratum[right],
                lab.question[right],
                None if ev.fixed else lab.seed[right],
            )
            correctness.append(
                {
                    "benchmark": benchmark,
                    "arm": arm,
                    "composed": number(float(lab.correct[right & lab.composed].mean())),
                    "single": number(float(lab.correct[right & ~lab.composed].mean()))
                    if (right & ~lab.composed).any()
                    else None,
                    "matched": as_json(m.difference),
                    "used": m.used,
                }
            )
    for benchmark in run.benchmarks:
        a = run.final(benchmark, run.treatment) if run.treatment else None
        for arm in run.arms:
            b = run.final(benchmark, arm)
            if a is None or b is None or arm == run.treatment or a.labels is None or b.labels is None:
                continue
            matched.append({"benchmark": benchmark, "against": arm, **_length_matched(a, a.labels, b, b.labels)})
    return {
        "mix": mixes,
        "shares": shares,
        "composition": composition,
        "length_matched": matched,
        "correctness": correctness,
        "labellers": _labellers(run),
        "program": program,
    }


def _shares(ev: Evaluation, lab: Labels) -> list[Json]:
    """Return for each way the share of labelled samples that use it, as labelled and corrected for the labeller's error."""
    total = _cells(lab, ev, np.ones(lab.composed.size))
    known: Json = (lab.error or {}).get("ways") or {}
    out = []
    for way in sorted({*lab.by_way, *known}):
        count = lab.by_way.get(way)
        rate = ratio(np.zeros_like(total) if count is None else shape(ev, count), total)
        corrected = _corrected(rate, known.get(way))
        out.append(
            {
                "benchmark": ev.benchmark,
                "arm": ev.arm,
                "phase": ev.phase,
                "way": way,
                "rate": as_json(rate),
                "corrected": corrected,
            }
        )
    return out


def _labellers(run: Run) -> list[Json]:
    """Return every labeller whose error was measured, once."""
    found = [ev.labels.error for ev in run.evaluations.values() if ev.labels and ev.labels.error]
    return [error for i, error in enumerate(found) if error not in found[:i]]


def _moved(run: Run, ev: Evaluation) -> float | None:
    """Return the total variation between the mixes before and after RL, for an evaluation after RL."""
    before = run.before(ev.benchmark, ev.arm) if ev.phase == "after-rl" else None
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


def _error(error: Json | None) -> LabelError | None:
    try:
        return LabelError(*(int((error or {})[k]) for k in ("hits", "positives", "rejections", "negatives")))
    except (KeyError, TypeError, ValueError):
        return None


def _corrected(rate: Estimate, error: Json | None) -> Json | None:
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
    return {"value": value, "low": low, "high": high}


def _length_matched(a: Evaluation, la: Labels, b: Evaluation, lb: Labels) -> Json:
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
    known, corrected = _error(la.error), None
    if known is not None and la.error == lb.error and np.isfinite(m.difference.value):
        try:
            value, low, high = corrected_difference(m.difference, known)
            corrected = {"value": number(value), "low": number(low), "high": number(high)}
        except ValueError:
            corrected = None
    return {"unmatched": as_json(plain), "matched": as_json(m.difference), "corrected": corrected, "used": m.used}


def _rate(lab: Labels, ev: Evaluation) -> Array:
    composed = np.atleast_2d(_cells(lab, ev, lab.composed.astype(float)))
    total = np.atleast_2d(_cells(lab, ev, np.ones(lab.composed.size)))
    return np.asarray(np.where(total > 0, composed / np.maximum(total, 1), np.nan))
