"""Lines, dots and bars as inline SVG, drawn here: no font, nothing fetched, complete without a script. `rows` has charts of rows.

Promises: every colour is a CSS variable, so that dark mode and print can change it; arms differ by marker and dash
as well as by colour; a panel is 380 or 440 units wide, readable on a phone at full width; every text is escaped. Why not a library:
docs/report.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from math import floor, isfinite, log2, log10

WIDTH = 380.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 12.0, 10.0, 40.0
DASHES = ("", "6 3", "2 3", "9 3 2 3")
COLOURS = 10
LONGEST = 60
"""Characters that fit a panel; the data table below each figure has the whole text."""
LABELLED = 470.0
"""Width of a chart whose lines carry their names at their ends."""
LABELS = 158.0
"""Of that, the part for the names."""
NAME = 24
"""Characters of a name that fit there."""
GAP = 13.0
"""Units between two names at least."""
HITS = 40
"""Points of a line at most that show their numbers under the pointer."""


@dataclass(frozen=True, slots=True)
class Series:
    """A line with an optional band; `style` numbers the arm, and picks colour, dash and marker."""

    label: str
    style: int
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    faint: bool = False
    """A thin line without markers: one seed behind the mean."""
    tips: Sequence[str] = ()
    """What each point shows under the pointer."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of the page: panels (title, svg), a legend of (label, style), and its data as a table."""

    id: str
    title: str
    caption: str
    panels: Sequence[tuple[str, str]]
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    legend: Sequence[tuple[str, int]] = ()
    swatches: Sequence[tuple[str, int]] = field(default_factory=tuple)
    zero: str = ""
    """A sentence about series that are zero throughout, which are not drawn."""


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return round numbers that span low to high."""
    if not high > low + 1e-9 * abs(low):
        high = low + (abs(low) or 1.0)
    raw = (high - low) / about
    unit = 10.0 ** floor(log10(raw))
    step = next(m * unit for m in (1, 2, 2.5, 5, 10) if m * unit >= raw * 0.999)
    start = floor(low / step + 1e-9)
    out = []
    while start * step <= high + step * 0.999:
        out.append(round(start * step, 12))
        start += 1
    return out


def decades(low: float, high: float) -> list[float]:
    """Return the powers of ten that span low to high, at most about six of them."""
    first, last = floor(log10(low) + 1e-9), -floor(-log10(high) + 1e-9)
    last = max(last, first + 1)
    every = -(-(last - first) // 6)
    return [10.0**e for e in range(first, last + every, every)]


def power(value: float) -> str:
    """Return the tick label of a power of ten: as a number from 0.01 on, below as 10 with an exponent."""
    exponent = str(round(log10(value)))
    return short(value) if value > 0.005 else "10" + exponent.translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def short(value: float) -> str:
    """Return a tick label: 1500 -> 1.5k, 2000000 -> 2M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}".replace("-", "\u2212")


def marker(x: float, y: float, style: int, size: float = 3.4) -> str:
    """Return the marker of an arm: circle, square, triangle, diamond, repeated with the colours."""
    c = f'class="m c{style % COLOURS}"'
    kind = (style + style // COLOURS) % 4
    if kind == 0:
        return f'<circle {c} cx="{x:.1f}" cy="{y:.1f}" r="{size}"/>'
    if kind == 1:
        return f'<rect {c} x="{x - size:.1f}" y="{y - size:.1f}" width="{2 * size}" height="{2 * size}"/>'
    s = size * 1.3
    shape = [(0, -s), (s, s), (-s, s)] if kind == 2 else [(0, -s), (s, 0), (0, s), (-s, 0)]
    return f'<polygon {c} points="{" ".join(f"{x + a:.1f},{y + b:.1f}" for a, b in shape)}"/>'


def key(style: int, faint: bool = False) -> str:
    """Return the small sample of a line for a legend; a faint one has no marker."""
    kind = "l faint" if faint else "l"
    line = f'<line class="{kind} c{style % COLOURS}"{_dash(style)} x1="0" y1="7" x2="30" y2="7"/>'
    mark = "" if faint else marker(15, 7, style)
    return f'<svg class="key" viewBox="0 0 30 14" aria-hidden="true">{line}{mark}</svg>'


def lines(
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str,
    log_x: bool = False,
    log_y: bool = False,
    percent: bool = False,
    x_ticks: Sequence[float] = (),
    describe: str = "",
    height: float = 250.0,
    names: bool = False,
) -> str:
    """Return a line chart; `percent` shows shares as percentages, `names` writes each line's name at its end.

    A logarithmic x axis has a tick at each value of x (for k), or at `x_ticks`; a logarithmic y axis has them at powers of ten and leaves
    out values that are not positive. Not both `percent` and `log_y`.
    """

    def drawn(v: float) -> bool:
        return isfinite(v) and (v > 0 or not log_y)

    xs = [log2(v) if log_x else v for s in series for v in s.x]
    ys = [v for s in series for v in (*s.y, *s.low, *s.high) if drawn(v)]
    if not xs or not ys:
        return nothing()
    scale = 100.0 if percent else 1.0
    y_ticks = decades(min(ys), max(ys)) if log_y else ticks(min(ys) * scale, max(ys) * scale)
    y0, y1 = (log10(y_ticks[0]), log10(y_ticks[-1])) if log_y else (y_ticks[0], y_ticks[-1])
    x_values = list(x_ticks) or (sorted({v for s in series for v in s.x}) if log_x else ticks(min(xs), max(xs), 5))
    x0, x1 = (min(xs), max(xs)) if log_x else (x_values[0], max(max(xs), x_values[0] + 1e-9))
    x1 = x1 if x1 > x0 else x0 + 1

    right = LABELLED - LABELS if names else WIDTH - RIGHT

    def px(v: float) -> float:
        v = log2(v) if log_x else v
        return LEFT + 6 + (v - x0) / (x1 - x0) * (right - LEFT - 12)

    def py(v: float) -> float:
        v = log10(v) if log_y else v * scale
        return height - BOTTOM - (v - y0) / (y1 - y0) * (height - TOP - BOTTOM)

    out = [opened(height, describe, LABELLED if names else WIDTH)]
    for t in y_ticks:
        y = py(t / scale)
        out.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        out.append(text_at(LEFT - 5, y + 4, power(t) if log_y else short(t), "end"))
    shown = x_values if log_x else [t for t in x_values if x0 <= t <= x1]
    last = -99.0
    for t in shown:
        if px(t) - last > 24:
            out.append(text_at(px(t), height - BOTTOM + 16, short(t), "middle"))
            last = px(t)
    out.append(text_at((LEFT + right) / 2, height - 6, x_label, "middle", kind="axis"))
    middle = (TOP + height - BOTTOM) / 2
    turn = f'transform="rotate(-90 11 {middle:.0f})"'
    out.append(text_at(11, middle, y_label, "middle", kind="axis", more=turn))
    for s in series:
        if s.low and s.high:
            edge = [(px(a), py(b)) for a, b in zip(s.x, s.high, strict=True) if drawn(b)]
            edge += [(px(a), py(b)) for a, b in reversed(list(zip(s.x, s.low, strict=True))) if drawn(b)]
            if edge:
                out.append(f'<polygon class="band c{s.style % COLOURS}" points="{_points(edge)}"/>')
    for s in series:
        at = [(px(a), py(b)) for a, b in zip(s.x, s.y, strict=True) if drawn(b)]
        kind = "l faint" if s.faint else "l"
        out.append(f'<polyline class="{kind} c{s.style % COLOURS}"{_dash(s.style)} points="{_points(at)}"/>')
        if not s.faint:
            every = max(1, len(at) // 8)
            out += [marker(a, b, s.style) for a, b in at[::every]]
    if names:
        ends = [(px(s.x[-1]), py(s.y[-1]), s.label, s.style) for s in series if not s.faint and s.y and drawn(s.y[-1])]
        out += end_names(ends, right, TOP + 4, height - BOTTOM)
    for s in series:
        every = max(1, -(-len(s.tips) // HITS))
        for i in range(len(s.tips) - 1, -1, -every):
            if drawn(s.y[i]):
                out.append(hit(px(s.x[i]), py(s.y[i]), s.tips[i]))
    return "".join(out) + "</svg>"


def hit(x: float, y: float, tip: str) -> str:
    """Return an unseen spot that shows `tip` under the pointer (the page's script reads it)."""
    return f'<circle class="hit" cx="{x:.1f}" cy="{y:.1f}" r="8" data-tip="{escape(tip, quote=True)}"/>'


def end_names(ends: Sequence[tuple[float, float, str, int]], right: float, top: float, bottom: float) -> list[str]:
    """Return the names of lines beside their ends (x, y, name, style), moved apart so that none covers another."""
    order = sorted(range(len(ends)), key=lambda i: ends[i][1])
    at: list[float] = []
    for i in order:
        at.append(max(ends[i][1], at[-1] + GAP if at else top))
    low = bottom
    for k in range(len(at) - 1, -1, -1):
        at[k] = min(at[k], low)
        low = at[k] - GAP
    out = []
    for k, i in enumerate(order):
        x, y, name, style = ends[i]
        c = style % COLOURS
        name = name if len(name) <= NAME else name[: NAME - 1] + "\u2026"
        out.append(f'<path class="leader c{c}" d="M{x + 5:.1f},{y:.1f}L{right + 6:.1f},{at[k]:.1f}"/>')
        out.append(f'<text class="name c{c}" x="{right + 9:.1f}" y="{at[k] + 4:.1f}">{escape(name)}</text>')
    return out


def forest(rows: Sequence[tuple[str, float, float, float, int]], *, x_label: str, describe: str = "") -> str:
    """Return dots with intervals around a zero line; a row is (label, value, low, high, style) in points."""
    if not rows:
        return nothing()
    finite = [v for r in rows for v in r[1:4] if isfinite(v)]
    if not finite:
        return nothing()
    x_ticks = ticks(min(0.0, *finite), max(0.0, *finite), 6)
    x0, x1 = x_ticks[0], x_ticks[-1]
    row_height = 36.0
    height = TOP + row_height * len(rows) + BOTTOM

    def px(v: float) -> float:
        return 14 + (v - x0) / (x1 - x0) * (WIDTH - 28)

    out = [opened(height, describe)]
    for t in x_ticks:
        kind = "zero" if t == 0 else "grid"
        out.append(f'<line class="{kind}" x1="{px(t):.1f}" x2="{px(t):.1f}" y1="{TOP}" y2="{height - BOTTOM}"/>')
        out.append(text_at(px(t), height - BOTTOM + 16, short(t), "middle"))
    for i, (label, value, low, high, style) in enumerate(rows):
        y = TOP + row_height * i
        out.append(text_at(14, y + 12, label, "start", kind="row"))
        if isfinite(low) and isfinite(high):
            line = f'x1="{px(low):.1f}" x2="{px(high):.1f}" y1="{y + 23:.1f}" y2="{y + 23:.1f}"'
            out.append(f'<line class="l whisker c{style % COLOURS}" {line}/>')
        out.append(marker(px(value), y + 23, style, 4.2))
    out.append(text_at(WIDTH / 2, height - 6, x_label, "middle", kind="axis"))
    return "".join(out) + "</svg>"


def bars(rows: Sequence[tuple[str, float, str]], *, x_label: str, style: int = 0, describe: str = "") -> str:
    """Return horizontal bars with their values written out; a row is (label, value, text)."""
    if not rows:
        return nothing()
    top = max(r[1] for r in rows) or 1.0
    row_height = 34.0
    height = TOP + row_height * len(rows) + 22
    out = [opened(height, describe)]
    for i, (label, value, text) in enumerate(rows):
        y = TOP + row_height * i
        wide = max(1.0, value / top * (WIDTH - 90))
        out.append(text_at(6, y + 11, label, "start", kind="row"))
        out.append(f'<rect class="bar c{style % COLOURS}" x="6" y="{y + 15:.1f}" width="{wide:.1f}" height="13"/>')
        out.append(text_at(10 + wide, y + 26, text, "start"))
    out.append(text_at(WIDTH / 2, height - 5, x_label, "middle", kind="axis"))
    return "".join(out) + "</svg>"


def stacked(rows: Sequence[tuple[str, Sequence[float]]], *, x_label: str, describe: str = "") -> str:
    """Return horizontal bars that each add up to 100 %; part i has colour i, and wide parts carry their share."""
    if not rows:
        return nothing()
    row_height = 36.0
    height = TOP + row_height * len(rows) + 24
    out = [opened(height, describe)]
    for i, (label, parts) in enumerate(rows):
        y, x, total = TOP + row_height * i, 6.0, sum(parts) or 1.0
        out.append(text_at(6, y + 11, label, "start", kind="row"))
        for j, part in enumerate(parts):
            wide = part / total * (WIDTH - 12)
            out.append(f'<rect class="part p{j % 10}" x="{x:.1f}" y="{y + 15:.1f}" width="{wide:.1f}" height="16"/>')
            if wide > 24:
                share = f"{100 * part / total:.0f}"
                out.append(text_at(x + wide / 2, y + 27, share, "middle", kind=f"on{j % 10}"))
            x += wide
    out.append(text_at(WIDTH / 2, height - 5, x_label, "middle", kind="axis"))
    return "".join(out) + "</svg>"


def nothing() -> str:
    """Return a panel that says there is nothing to draw."""
    return opened(60, "no data") + text_at(WIDTH / 2, 34, "no data", "middle") + "</svg>"


def opened(height: float, describe: str, width: float = WIDTH) -> str:
    return f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(describe, quote=True)}">'


def text_at(x: float, y: float, text: str, anchor: str, *, kind: str = "tick", more: str = "") -> str:
    text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "\u2026"
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(text)}</text>'


def _points(at: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in at)


def _dash(style: int) -> str:
    dash = DASHES[(style // 2 + style // COLOURS) % 4]
    return f' stroke-dasharray="{dash}"' if dash else ""
