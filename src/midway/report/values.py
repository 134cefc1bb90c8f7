"""What all computing of the report shares: numbers as JSON, an evaluation's values in the shape that `evidence` wants.

Promises: pure; NaN and infinity become None.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from midway.evidence import Estimate
from midway.results.samples import Evaluation

Array = NDArray[np.float64]
Json = dict[str, Any]


def number(value: float) -> float | None:
    """Return a JSON number, None for NaN or infinity."""
    return float(value) if np.isfinite(value) else None


def as_json(e: Estimate, bound: float = 1.0) -> Json:
    """Return an estimate as a dict; NaN becomes None. Intervals end at what rates can differ by: `bound`, 2 for a difference of gains."""
    return {
        "value": number(e.value),
        "low": number(float(np.clip(e.low, -bound, bound))),
        "high": number(float(np.clip(e.high, -bound, bound))),
        "se": number(e.se),
        "df": number(e.df),
        "p": number(e.p),
        "questions": e.questions,
        "seeds": list(e.seeds),
        "over": e.over,
    }


def shape(ev: Evaluation, y: Array) -> Array:
    """Return (S, Q) values as they are, or (Q,) for a fixed model."""
    return np.asarray(y[0] if ev.fixed else y)
