"""What a prediction hands on: its words, its table and the curves of its figure. Data only: who draws and who prints
is not known here.

Promises: frozen; `plain` turns any result into what JSON can hold, with 7 digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True, slots=True)
class Curve:
    """A line through points; `style` picks colour, dash and marker, equal numbers are the same thing in every "
    "panel."""

    label: str
    style: int
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    thin: bool = False
    """Without markers: a closed form beside what was simulated."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of axes. `percent`: y is a share, shown as a percentage."""

    title: str
    x_label: str
    y_label: str
    curves: Sequence[Curve]
    log_x: bool = False
    log_y: bool = False
    percent: bool = False
    x_ticks: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """One prediction in words: what the argument implies, what came out, what that means; a table; the figure's "
    "panels."""

    title: str
    setting: str
    implied: str
    came_out: str
    means: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    panels: Sequence[Panel]


class Result(Protocol):
    """A prediction's typed result."""

    def account(self) -> Account: ...


def plain(value: Any) -> Any:
    """Return dataclasses, arrays and tuples as dicts, lists and numbers of 7 digits; NaN and infinity as None."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return float(f"{value:.7g}") if np.isfinite(value) else None
    return value


def markdown(account: Account) -> str:
    """Return an account as Markdown: heading, paragraphs (those that are not empty), table."""
    lines = [f"### {account.title}", "", account.setting, ""]
    for heading, text in (
        ("What the argument implies.", account.implied),
        ("What comes out.", account.came_out),
        ("What that means.", account.means),
    ):
        if text:
            lines += [f"*{heading}* {text}", ""]
    lines += ["| " + " | ".join(row) + " |" for row in (account.head, ["---"] * len(account.head), *account.rows)]
    return "\n".join(lines).rstrip() + "\n"
