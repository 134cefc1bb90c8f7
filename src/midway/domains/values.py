"""Values of columns that name themselves: text, numbers, positive numbers. What is neither raises TypeError or ValueError, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def is_missing(value: Any) -> bool:
    """Whether a column holds nothing: null, NaN, empty text, an empty list, or the text that a table writes for one of these."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    if isinstance(value, str):
        return not value.strip() or value.strip().lower() in ("nan", "null", "<na>", "nat")
    return isinstance(value, list | tuple) and not value


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
