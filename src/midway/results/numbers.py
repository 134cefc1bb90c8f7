"""Numbers on their way from arrays to results: NaN and infinity become None, intervals end where the quantity ends. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from midway import evidence
from midway.results.samples import Evaluation
from midway.results.types import Estimate

Array = NDArray[np.float64]


def number(value: float) -> float | None:
    """Return the number, None for NaN or infinity."""
    return float(value) if np.isfinite(value) else None


def estimate(e: evidence.Estimate, bound: float = 1.0) -> Estimate:
    """Return an estimate as it is stored; `bound` is what the quantity can be at most: 1 for rates, 2 for a difference of gains."""
    return Estimate(
        value=number(e.value),
        low=number(float(np.clip(e.low, -bound, bound))),
        high=number(float(np.clip(e.high, -bound, bound))),
        se=number(e.se),
        df=number(e.df),
        p=number(e.p),
        questions=e.questions,
        seeds=tuple(e.seeds),
        over=e.over,
    )


def shape(ev: Evaluation, y_SQ: Array) -> Array:
    """Return the values as they are, (S, Q), or (Q,) for a fixed model: the form that `evidence` wants."""
    return np.asarray(y_SQ[0] if ev.fixed else y_SQ)


def pass1(ev: Evaluation) -> Array:
    """Return pass@1 per seed and question, (S, Q), or (Q,) for a fixed model; NaN where nothing was judged."""
    return shape(ev, evidence.pass_at_k(ev.judged, ev.correct, 1))


def over_seeds(y_SQ: Array) -> Array:
    """Return the mean over seeds of (S, Q) or (Q,); NaN where no seed has the question."""
    z_SQ = np.atleast_2d(y_SQ)
    n_Q = np.isfinite(z_SQ).sum(axis=0)
    return np.asarray(np.where(n_Q > 0, np.nansum(z_SQ, axis=0) / np.maximum(n_Q, 1), np.nan))


def over_questions(y_SQ: Array) -> Array:
    """Return the mean over questions of each seed, (S,)."""
    return over_seeds(np.atleast_2d(y_SQ).T)
