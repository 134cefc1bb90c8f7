"""Charts of rows as inline SVG: paired differences, before and after, parts of a whole. `figures` has lines and the primitives.

Promises: as `figures`. A row has its name above its mark and its numbers written out at the right, so that it can be read without an axis,
on a phone, and in print.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from math import isfinite

from midway.report.figures import COLOURS, TOP, hit, marker, nothing, opened, short, text_at, ticks

WIDE = 440.0
"""Width of a chart of rows."""
ROW = 40.0
NOTE = 12.0
"""More, where a row has a note."""
FOOT = 38.0
TITLE = 40
"""Characters of a name that fit beside the numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """A difference with its interval, in points; `nan` for an end that is not known."""

    label: str
    value: float
    low: float
    high: float
    style: int
    """The arm, which picks colour and marker."""
    text: str
    """The numbers, as they are written at the right."""
    shown: bool = True
    """A mark is hollow where nothing is shown."""
    main: bool = False
    """The row that matters most has a band behind it."""
    note: str = ""
    """What must be known of it: written after the name."""
    view: str = ""
    """The viewer's screen that shows what is behind it, as a part of its link (docs/view.md)."""


def paired(rows: Sequence[Paired], *, x_label: str, sides: tuple[str, str] = ("", ""), describe: str = "") -> str:
    """Return dots with intervals around a zero line; `sides` says what left and right of it mean."""
    finite = [v for r in rows for v in (r.value, r.low, r.high) if isfinite(v)]
    if not finite:
        return nothing()
    x_ticks = ticks(min(0.0, *finite), max(0.0, *finite), 6)
    x0, x1 = x_ticks[0], x_ticks[-1]
    top = TOP + (14 if any(sides) else 0)
    tops = [top]
    for row in rows:
        tops.append(tops[-1] + _height(row))
    bottom = tops[-1]

    def px(v: float) -> float:
        return 14 + (v - x0) / (x1 - x0) * (WIDE - 28)

    out = [opened(bottom + FOOT, describe, WIDE)]
    for i, row in enumerate(rows):
        if row.main:
            size = f'x="4" y="{tops[i]:.1f}" width="{WIDE - 8:.0f}" height="{_height(row) - 2:.0f}"'
            out.append(f'<rect class="main" {size} rx="4"/>')
    for t in x_ticks:
        kind = "zero" if t == 0 else "grid"
        out.append(f'<line class="{kind}" x1="{px(t):.1f}" x2="{px(t):.1f}" y1="{top}" y2="{bottom}"/>')
        out.append(text_at(px(t), bottom + 15, short(t), "middle"))
    left, right = sides
    if left and px(0) > 120:
        out.append(text_at(px(0) - 5, TOP + 4, f"\u2190 {left}", "end"))
    if right and px(0) < WIDE - 120:
        out.append(text_at(px(0) + 5, TOP + 4, f"{right} \u2192", "start"))
    for i, row in enumerate(rows):
        out += _paired(row, tops[i], px)
    out.append(text_at(WIDE / 2, bottom + 32, x_label, "middle", kind="axis"))
    return "".join(out) + "</svg>"


def _height(row: Paired) -> float:
    return ROW + (NOTE if row.note else 0.0)


def _paired(row: Paired, y: float, px: Callable[[float], float]) -> list[str]:
    kind = "row strong" if row.main else "row"
    label = row.label if len(row.label) <= TITLE else row.label[: TITLE - 1] + "\u2026"
    out = [text_at(14, y + 14, label, "start", kind=kind), figures_at(y + 14, row.text, kind, row.view)]
    if row.note:
        out.append(text_at(14, y + 14 + NOTE, row.note, "start", kind="row small"))
    c, middle = row.style % COLOURS, y + _height(row) - 13
    if isfinite(row.low) and isfinite(row.high):
        ends = f'x1="{px(row.low):.1f}" x2="{px(row.high):.1f}" y1="{middle:.1f}" y2="{middle:.1f}"'
        out.append(f'<line class="l whisker c{c}" {ends}/>')
    mark = marker(px(row.value), middle, row.style, 4.4)
    out.append(mark if row.shown else mark.replace('class="m ', 'class="m hollow ', 1))
    out.append(hit(px(row.value), middle, f"{row.label}: {row.text}" + (f" ({row.note})" if row.note else "")))
    return out


def figures_at(y: float, text: str, kind: str, view: str) -> str:
    """Return a row's numbers at the right; with the viewer's screen that they come from, where there is one."""
    more = f' data-view="{escape(view, quote=True)}"' if view else ""
    return text_at(WIDE - 14, y, text, "end", kind=kind, more=more)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A rate before and after, in percent."""

    label: str
    before: float
    after: float
    style: int
    text: str
    view: str = ""


def moved(rows: Sequence[Moved], *, x_label: str, describe: str = "") -> str:
    """Return for each row where it was (hollow) and where it is (filled), on one axis from 0."""
    finite = [v for r in rows for v in (r.before, r.after) if isfinite(v)]
    if not finite:
        return nothing()
    x_ticks = ticks(0.0, max(*finite, 1.0), 5)
    bottom = TOP + ROW * len(rows)

    def px(v: float) -> float:
        return 14 + v / x_ticks[-1] * (WIDE - 28)

    out = [opened(bottom + FOOT, describe, WIDE)]
    for t in x_ticks:
        kind = "zero" if t == 0 else "grid"
        out.append(f'<line class="{kind}" x1="{px(t):.1f}" x2="{px(t):.1f}" y1="{TOP}" y2="{bottom}"/>')
        out.append(text_at(px(t), bottom + 15, short(t), "middle"))
    for i, row in enumerate(rows):
        y, c = TOP + ROW * i, row.style % COLOURS
        out += [text_at(14, y + 14, row.label, "start", kind="row"), figures_at(y + 14, row.text, "row", row.view)]
        ends = f'x1="{px(row.before):.1f}" x2="{px(row.after):.1f}" y1="{y + 27:.1f}" y2="{y + 27:.1f}"'
        out.append(f'<line class="l whisker c{c}" {ends}/>')
        out.append(marker(px(row.before), y + 27, row.style, 4.4).replace('class="m ', 'class="m hollow ', 1))
        out.append(marker(px(row.after), y + 27, row.style, 4.4))
        out.append(hit(px(row.after), y + 27, f"{row.label}: {row.text}"))
    out.append(text_at(WIDE / 2, bottom + 32, x_label, "middle", kind="axis"))
    return "".join(out) + "</svg>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A bar made of parts (name, amount); a part's colour is its place among all names."""

    label: str
    parts: Sequence[tuple[str, float]]
    text: str
    """Written at the right."""
    view: str = ""


def parted(
    rows: Sequence[Parts],
    names: Sequence[str],
    *,
    x_label: str,
    whole: float | None = None,
    amount: Callable[[float], str] = "{:,.0f}".format,
    describe: str = "",
) -> str:
    """Return bars below each other in one scale: the longest, or `whole`, is as wide as the chart; `amount` writes what a part has."""
    totals = [sum(amount for _, amount in row.parts) for row in rows]
    longest = max([whole or 0.0, *totals])
    if not rows or longest <= 0:
        return nothing()
    height = TOP + ROW * len(rows) + (20 if x_label else 6)
    out = [opened(height, describe, WIDE)]
    for i, row in enumerate(rows):
        y, x = TOP + ROW * i, 14.0
        out.append(text_at(14, y + 13, row.label, "start", kind="row"))
        out.append(figures_at(y + 13, row.text, "row", row.view))
        for name, size in row.parts:
            wide = size / longest * (WIDE - 28)
            if wide <= 0:
                continue
            tip = escape(f"{row.label}: {name} {amount(size)}", quote=True)
            box = f'x="{x:.1f}" y="{y + 18:.1f}" width="{max(wide, 0.6):.1f}" height="13"'
            out.append(f'<rect class="part p{names.index(name) % 10}" {box} data-tip="{tip}"/>')
            x += wide
    if x_label:
        out.append(text_at(WIDE / 2, height - 4, x_label, "middle", kind="axis"))
    return "".join(out) + "</svg>"
