"""Values of columns that name themselves: text, numbers, positive numbers. What is neither raises TypeError or ValueError, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def scalar(row: Mapping[str, Any], name: str) -> str | None:
    """Return a column that holds text or a number, as text; None when it holds null. Raises KeyError or TypeError."""
    value = row[name]
    if isinstance(value, bool) or not isinstance(value, str | int | float | None):
        raise TypeError(f"{name} must be text or a number, not {type(value).__name__}")
    return None if value is None else str(value)


def positive(row: Mapping[str, Any], *names: str) -> dict[str, float]:
    """Return those of the columns that are set. Raises ValueError for what is no positive number."""
    found = {name: float(row[name]) for name in names if row.get(name) is not None}
    for name, value in found.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be a positive number, not {row[name]!r}")
    return {name: value for name, value in found.items() if value}
