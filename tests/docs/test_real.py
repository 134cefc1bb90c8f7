"""The numbers of docs/real.md are those of the run whose results.json is committed beside its report."""

from __future__ import annotations

import re
from pathlib import Path

from midway.results import Results, read_results

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "real.md").read_text()


def cells(heading: str, row: str) -> list[str]:
    """Return the cells of a row of the table under a heading."""
    part = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    line = next(line for line in part.splitlines() if line.startswith(f"| {row} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def agree(results: Results, benchmark: str, arm: str, phase: str, cell: str) -> None:
    """Assert that a cell (`value [low, high]`, in percent) is pass@1 of a model on a benchmark."""
    value = next(s for s in results.scores if (s.benchmark, s.arm, s.phase) == (benchmark, arm, phase)).pass_at_1
    written = [float(number) for number in re.findall(r"[\d.]+", cell)]
    found = [100 * value.value, 100 * value.low, 100 * value.high][: len(written)]
    assert [f"{number:.1f}" for number in found] == [f"{number:.1f}" for number in written], (arm, phase, benchmark)


def test_pass_at_1_is_that_of_the_committed_results() -> None:
    results = read_results(DOCS / "real-report" / "results.json")
    rows = {
        "base": ("base", "base"),
        "unguided solutions": ("unguided", "before-rl"),
        "several ways": ("several", "before-rl"),
    }
    for row, (arm, phase) in rows.items():
        found = cells("After mid-training, before RL", row)
        for benchmark, cell in zip(("stories", "two-steps", "svamp"), found, strict=True):
            agree(results, benchmark, arm, phase, cell)


def test_pass_at_1_with_rl_is_that_of_the_committed_results() -> None:
    results = read_results(DOCS / "real-report" / "cpu" / "results.json")
    rows = {"RL only": "rl-only", "unguided solutions": "unguided", "several ways": "several"}
    for row, arm in rows.items():
        before, after = cells("With RL, on two cores, one seed", row)[:2]
        agree(
            results, "stories", "base" if arm == "rl-only" else arm, "base" if arm == "rl-only" else "before-rl", before
        )
        agree(results, "stories", arm, "after-rl", after)
