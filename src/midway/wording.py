"""Counts in words, the same everywhere: `1 row`, `3 rows`, `1,200 questions`. Imports nothing of midway."""

from __future__ import annotations


def plural(count: float, one: str, many: str = "") -> str:
    """Return `1 seed`, `3 seeds`, `1,200 questions`; `many` is the plural where it is not `one` with an s."""
    return f"{count:,.0f} {one if round(count) == 1 else many or one + 's'}"
