"""The numbers of docs/real.md are those of the run whose results.json is committed beside its report."""

from __future__ import annotations

import re
from pathlib import Path

from midway.results import read_results

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "real.md").read_text()


def cells(heading: str, row: str) -> list[str]:
    """Return the cells of a row of the table under a heading."""
    part = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    line = next(line for line in part.splitlines() if line.startswith(f"| {row} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_pass_at_1_is_that_of_the_committed_results() -> None:
    results = read_results(DOCS / "real-report" / "results.json")
    rows = {
        "base": ("base", "base"),
        "unguided solutions": ("unguided", "before-rl"),
        "several ways": ("several", "before-rl"),
    }
    for row, (arm, phase) in rows.items():
        for benchmark, cell in zip(
            ("stories", "two-steps", "svamp"), cells("After mid-training, before RL", row), strict=True
        ):
            score = next(s for s in results.scores if (s.benchmark, s.arm, s.phase) == (benchmark, arm, phase))
            value = score.pass_at_1
            written = [float(number) for number in re.findall(r"[\d.]+", cell)]
            found = [100 * value.value, 100 * value.low, 100 * value.high][: len(written)]
            assert [f"{number:.1f}" for number in found] == [f"{number:.1f}" for number in written], (row, benchmark)
