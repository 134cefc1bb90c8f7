"""The numbers of docs/real.md are those of the run whose results.json is committed beside its report."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping
from pathlib import Path

from midway.domains import Verifier
from midway.questions import load
from midway.recipe import load_recipe
from midway.records import Judgement
from midway.results import Results, read_results

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "real.md").read_text()
RL = "With RL, on two cores, one seed"


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


def interval(value: Mapping[str, float]) -> str:
    return f"{100 * value['value']:.1f} [{100 * value['low']:.1f}, {100 * value['high']:.1f}]"


def test_gains_differences_and_forecast_are_those_of_the_committed_results() -> None:
    found = json.loads((DOCS / "real-report" / "cpu" / "results.json").read_text())
    gains = {gain["arm"]: gain for gain in found["gains"]}
    rows = {"rl-only": "RL only", "unguided": "unguided solutions", "several": "several ways"}
    for arm, row in rows.items():
        assert cells(RL, row)[2] == interval(gains[arm]["gain"])
    for arm, row in {"rl-only": "several − RL only, paired", "unguided": "several − unguided, paired"}.items():
        difference = next(d["difference"] for d in found["differences"] if d["against"] == arm)
        _, after, learned = cells(RL, row)
        assert after.strip("*") == interval(difference)
        assert learned == interval(gains[arm]["treatment_minus_this"])
    lead = found["forecast"]["lead"]
    assert f"lead {100 * lead['value']:.0f} [{100 * lead['low']:.0f}, {100 * lead['high']:.0f}]" in PAGE


def test_the_pools_are_those_that_are_recorded() -> None:
    """Right, reached and cut off, from the recorded completions and our verifier."""
    questions = {q.text: q for source in load_recipe("smollm2/cpu").questions.train for q in load(source)}
    rows = {
        "unguided": "unguided",
        "guided": "six heuristics, two samples each",
        "one-way": "one heuristic (carry out step by step)",
    }
    for pool, row in rows.items():
        with gzip.open(DOCS.parent / "benchmarks" / "recorded" / f"smollm2-cpu-{pool}.jsonl.gz", "rt") as file:
            answers = [json.loads(line) for line in file]
        asked = [(questions[a["question"]], a["completion"], a["finish"] == "length") for a in answers]
        with Verifier(workers=1) as verifier:
            right = [v.judgement == Judgement.CORRECT for v in verifier.verify_batch(asked)]
        reached = {a["question"] for a, ok in zip(answers, right, strict=True) if ok}
        cut = sum(a["finish"] == "length" for a in answers) / len(answers)
        written = [f"{100 * sum(right) / len(right):.1f} %", str(len(reached)), f"{100 * cut:.0f} %"]
        assert cells(RL, row) == written


def test_pass_at_1_with_rl_is_that_of_the_committed_results() -> None:
    results = read_results(DOCS / "real-report" / "cpu" / "results.json")
    rows = {"RL only": "rl-only", "unguided solutions": "unguided", "several ways": "several"}
    for row, arm in rows.items():
        before, after = cells(RL, row)[:2]
        agree(
            results, "stories", "base" if arm == "rl-only" else arm, "base" if arm == "rl-only" else "before-rl", before
        )
        agree(results, "stories", arm, "after-rl", after)
