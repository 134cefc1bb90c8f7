"""Panels of `figures` beside each other as one SVG file that stands alone: with its own style, on white.

Promises: every text is escaped by whoever made it (`figures`) or here; nothing is fetched. Used by the docs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from midway.report.figures import COLOURS, WIDTH, key

COLOUR = ("#0072b2", "#d55e00", "#00805d", "#b0478a", "#8a6d00", "#3f3f46", "#2f9fd8", "#7a4fb5", "#8c5a2b", "#5f7d1f")
STYLE = "text{font:11.5px system-ui,sans-serif;fill:#555}text.row,text.axis,text.title{fill:#1b1f24}"
STYLE += (
    "text.title{font-weight:600;font-size:12.5px}.grid{stroke:#ddd}.zero{stroke:#1b1f24}.l{fill:none;stroke-width:2}"
)
STYLE += ".faint{stroke-width:1.3;opacity:.65}.band{opacity:.15}"
for number in range(COLOURS):
    STYLE += f".l.c{number}{{stroke:{COLOUR[number]}}}.m.c{number},.band.c{number}{{fill:{COLOUR[number]}}}"


@dataclass(frozen=True, slots=True)
class Cell:
    """A panel of a sheet: its title, its svg, and a legend of its own, of (label, style, faint)."""

    title: str
    svg: str
    legend: Sequence[tuple[str, int, bool]] = ()


def sheet(cells: Sequence[Cell], legend: Sequence[tuple[str, int]] = (), columns: int = 2) -> str:
    """Return one SVG file: cells in rows of `columns`, each with its legend below it, the common legend at the end."""
    sizes = [float(found.group(1)) for c in cells if (found := re.search(r'viewBox="0 0 \S+ (\d+)"', c.svg))]
    columns = min(columns, len(cells))
    out, y = [], 0.0
    for start in range(0, len(cells), columns):
        row = range(start, min(start + columns, len(cells)))
        below = 0.0
        for column, i in enumerate(row):
            x = column * (WIDTH + 20)
            inner = cells[i].svg.replace("<svg ", f'<svg x="{x:.0f}" y="{y + 22:.0f}" width="{WIDTH:.0f}" ', 1)
            out.append(f'<text class="title" x="{x + 14:.0f}" y="{y + 15:.0f}">{escape(cells[i].title)}</text>')
            out.append(inner.replace("<svg ", f'<svg height="{sizes[i]:.0f}" ', 1))
            drawn, end = _legend(cells[i].legend, x + 14, y + sizes[i] + 26, x + WIDTH)
            out += drawn
            below = max(below, end - y)
        y += below + 6
    drawn, end = _legend([(*entry, False) for entry in legend], 14.0, y, columns * (WIDTH + 20))
    out += drawn
    width, height = columns * (WIDTH + 20), max(end, y) + 4
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}">'
    return f'{head}<style>{STYLE}</style><rect width="100%" height="100%" fill="#fff"/>{"".join(out)}</svg>\n'


def _legend(entries: Sequence[tuple[str, int, bool]], left: float, y: float, right: float) -> tuple[list[str], float]:
    """Return the legend's elements, wrapped between left and right, and where it ends."""
    out, x = [], left
    for label, style, faint in entries:
        if x > left and x + 34 + 6.2 * len(label) > right:
            x, y = left, y + 18
        mark = key(style, faint).replace("<svg ", f'<svg x="{x:.0f}" y="{y + 2:.0f}" width="26" height="12" ', 1)
        out.append(f'{mark}<text x="{x + 30:.0f}" y="{y + 12:.0f}">{escape(label)}</text>')
        x += 46 + 6.2 * len(label)
    return out, y + (20 if entries else 0)
