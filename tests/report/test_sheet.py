"""Logarithmic axes and sheets of panels: values are where they belong, every text is escaped, a sheet is well-formed XML."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from midway.report.figures import Series, decades, lines, power
from midway.report.sheet import Cell, sheet


def points(svg: str) -> list[tuple[float, float]]:
    found = re.search(r'<polyline[^>]*points="([^"]+)"', svg)
    assert found
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in found.group(1).split())]


def test_equal_ratios_are_equal_distances_on_logarithmic_axes() -> None:
    x, y = [1, 10, 100, 1000], [1e-6, 1e-4, 1e-2, 1.0]
    at = points(lines([Series("a", 0, x, y)], x_label="x", y_label="y", log_x=True, log_y=True, x_ticks=(1, 1000)))
    for axis in (0, 1):
        steps = [b[axis] - a[axis] for a, b in pairwise(at)]
        assert steps == pytest.approx([steps[0]] * 3, abs=0.11)
    assert at[0][1] > at[-1][1]


def test_what_is_not_positive_is_left_out_of_a_logarithmic_axis() -> None:
    svg = lines(
        [Series("a", 0, [1, 2, 3], [0.0, 0.1, 1.0], low=[-1, 0.05, 0.5], high=[1, 2, 3])],
        x_label="",
        y_label="",
        log_y=True,
    )
    assert len(points(svg)) == 2
    assert "nan" not in svg


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0.5, 20, [0.1, 1, 10, 100]), (1, 1, [1, 10]), (1e-12, 1, [10.0**e for e in range(-12, 1, 2)])],
)
def test_decades_span_the_values(low: float, high: float, ticks: list[float]) -> None:
    assert decades(low, high) == pytest.approx(ticks)


def test_powers_read_well() -> None:
    assert [power(v) for v in (100, 1, 0.01, 1e-3, 1e-12)] == ["100", "1", "0.01", "10⁻³", "10⁻¹²"]


def test_a_sheet_is_one_well_formed_file_with_everything_in_it() -> None:
    panel = lines(
        [Series("a", 0, [0, 1], [0, 1]), Series("b", 1, [0, 1], [1, 0], faint=True)], x_label="x", y_label="y"
    )
    text = sheet(
        [Cell(f"panel {i} <&>", panel, [("one & two", 0, False), ("thin", 1, True)]) for i in range(3)],
        [("common", 2)],
        columns=2,
    )
    root = ElementTree.fromstring(text)
    words = [e.text for e in root.iter() if e.tag.endswith("text")]
    assert [w for w in words if w and w.startswith("panel")] == [f"panel {i} <&>" for i in range(3)]
    assert words.count("one & two") == 3 and words.count("common") == 1
    assert text.count('class="l faint c1"') == 3 + 3
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    places = [(float(e.attrib["x"]), float(e.attrib["y"])) for e in root if "y" in e.attrib and "width" not in e.attrib]
    assert all(0 <= x < width and 0 < y <= height for x, y in places)
