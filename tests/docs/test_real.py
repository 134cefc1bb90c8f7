"""The numbers of docs/real.md are those of the run whose results.json is committed beside its report."""

from __future__ import annotations

import gzip
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from midway.domains import Verifier
from midway.forecast.features import features
from midway.questions import load
from midway.recipe import load_recipe
from midway.records import Judgement
from midway.results import Results, read_results
from midway.theory.probe import Probe

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "real.md").read_text()
RL = "With RL, on two cores, one seed"


def cells(heading: str, row: str, table: str = "") -> list[str]:
    """Return the cells of a row of the first table under a heading, or of the one whose head begins with `table`."""
    part = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    part = part.split(f"\n| {table} |", 1)[1] if table else part
    line = next(line for line in part.splitlines() if line.startswith(f"| {row} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def agree(results: Results, benchmark: str, arm: str, phase: str, cell: str) -> None:
    """Assert that a cell (`value [low, high]`, in percent) is pass@1 of a model on a benchmark."""
    value = next(s for s in results.scores if (s.benchmark, s.arm, s.phase) == (benchmark, arm, phase)).pass_at_1
    written = [float(number) for number in re.findall(r"[\d.]+", cell)]
    found = [100 * value.value, 100 * value.low, 100 * value.high][: len(written)]
    assert [f"{number:.1f}" for number in found] == [f"{number:.1f}" for number in written], (arm, phase, benchmark)


CARD = "Before and after RL"
ROWS = {"RL only": "rl-only", "unguided solutions": "unguided", "one heuristic": "one-way", "several ways": "several"}


PAIRS = {"rl-only": "several − RL only, paired", "unguided": "several − unguided, paired"}


def phases(arm: str) -> list[tuple[str, str]]:
    """Return arm and phase of the model before RL, and of the one after it."""
    return [("base", "base") if arm == "rl-only" else (arm, "before-rl"), (arm, "after-rl")]


def test_the_runs_on_the_card_are_the_committed_results() -> None:
    results = read_results(DOCS / "real-report" / "results.json")
    assert len(results.seeds) == 3
    for row, arm in ROWS.items():
        before, after = cells(CARD, row, "stories")[:2]
        agree(results, "stories", *phases(arm)[0], before)
        if arm == "one-way":
            assert after == "not run" and not [s for s in results.scores if (s.arm, s.phase) == (arm, "after-rl")]
            continue
        agree(results, "stories", *phases(arm)[1], after)
        for benchmark, cell in zip(("two-steps", "svamp"), cells(CARD, row, "other questions, after RL"), strict=True):
            agree(results, benchmark, *phases(arm)[1], cell)
        for (one, phase), cell in zip(phases(arm), cells(CARD, row, "stories, pass@16"), strict=True):
            at_16 = next(
                p for p in results.pass_at_k if (p.benchmark, p.arm, p.phase, p.k) == ("stories", one, phase, 16)
            )
            assert cell == interval(asdict(at_16.estimate)), (one, phase)
    for benchmark, cell in zip(("two-steps", "svamp"), cells(CARD, "base", "other questions, after RL"), strict=True):
        agree(results, benchmark, "base", "base", cell)
    for benchmark, name in OUTSIDE.items():
        agree(results, benchmark, "base", "base", re.findall(rf"{name} ([\d.]+ \[[\d., ]+\])", PAGE)[0])


OUTSIDE = {
    "gsm8k": "GSM8K",
    "math500": "MATH-500",
    "humaneval": "HumanEval",
    "musr-murder-mystery": "MuSR murder mysteries",
    "musr-object-placements": "object placements",
}


def test_the_sets_outside_are_the_committed_results() -> None:
    results = read_results(DOCS / "real-report" / "outside" / "results.json")
    for row, arm in {"base": "base", **ROWS}.items():
        for benchmark, cell in zip(("svamp", *OUTSIDE), cells(RL, row, "after RL | SVAMP"), strict=True):
            agree(
                results, benchmark, arm, "base" if arm == "base" else "before-rl", cell
            )  # the arms are its checkpoints
    differences = [d.difference for d in results.differences if d.arm == "several"]
    assert len(differences) == 24 and sum(d.low > 0 or d.high < 0 for d in differences) == 1


def test_gains_and_differences_on_the_card_are_the_committed_results() -> None:
    found = json.loads((DOCS / "real-report" / "results.json").read_text())
    gains = {gain["arm"]: gain for gain in found["gains"] if gain["benchmark"] == "stories"}
    differences = {(d["benchmark"], d["against"]): interval(d["difference"]) for d in found["differences"]}
    for row, arm in ROWS.items():
        if arm != "one-way":
            assert cells(CARD, row, "stories")[2] == interval(gains[arm]["gain"])
    for arm, row in PAIRS.items():
        _, after, learned = cells(CARD, row, "stories")
        assert after.strip("*") == differences["stories", arm]
        assert learned == interval(gains[arm]["treatment_minus_this"])
    others = cells(CARD, "several − RL only, paired", "other questions, after RL")
    assert others == [differences[benchmark, "rl-only"] for benchmark in ("two-steps", "svamp")]
    whole = {arm: found["forecast"]["arms"][arm] for arm in ("rl-only", "several")} | {
        "lead": found["forecast"]["lead"]
    }
    table = (DOCS / "forecast.md").read_text().split("| one H200, three seeds,", 1)[1]
    for name, (arm, value) in zip(("RL only", "several ways, then RL", "lead"), whole.items(), strict=True):
        best, low, high = (math.floor(100 * value[part] + 0.5) for part in ("value", "low", "high"))
        said = f"{best} [{low}, {high}]".replace("-", "−")
        assert f"| {name} | {said} |" in table, arm


def interval(value: Mapping[str, float]) -> str:
    return f"{100 * value['value']:.1f} [{100 * value['low']:.1f}, {100 * value['high']:.1f}]".replace("-", "−")


def test_gains_differences_and_forecast_are_those_of_the_committed_results() -> None:
    found = json.loads((DOCS / "real-report" / "cpu" / "results.json").read_text())
    gains = {gain["arm"]: gain for gain in found["gains"] if gain["benchmark"] == "stories"}
    for row, arm in ROWS.items():
        assert cells(RL, row)[2] == interval(gains[arm]["gain"])
    for arm, row in {**PAIRS, "one-way": "several − one heuristic, paired"}.items():
        difference = next(
            d["difference"] for d in found["differences"] if (d["against"], d["benchmark"]) == (arm, "stories")
        )
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
    for row, arm in ROWS.items():
        for (one, phase), cell in zip(phases(arm), cells(RL, row)[:2], strict=True):
            agree(results, "stories", one, phase, cell)
    ends = re.findall(
        r"RL only ends at ([\d.]+), unguided at ([\d.]+), one heuristic at ([\d.]+), several ways at ([\d.]+) %", PAGE
    )
    for arm, cell in zip(ROWS.values(), ends[0], strict=True):
        agree(results, "two-steps", arm, "after-rl", cell)
    card = read_results(DOCS / "real-report" / "results.json")
    for found, words in ((results, "several − unguided is"), (card, "three seeds, it is")):
        of = next(d for d in found.differences if (d.benchmark, d.against) == ("two-steps", "unguided"))
        assert f"{words} {interval(asdict(of.difference))}" in PAGE


def test_what_the_probe_said_before_training_is_in_its_counts() -> None:
    counts = Probe.from_dict(json.loads((DOCS / "real-report" / "probe.json").read_text()))
    found = features(counts, 8)
    hidden, net = found.hidden_reach, found.net_reach
    interval = f"{100 * hidden.value:.0f} % [{100 * hidden.low:.0f}, {100 * hidden.high:.0f}]"
    assert found.reach_k == 8 and f"hidden reach is {interval} with 8\nsamples" in PAGE
    both = f"{100 * net.value:.0f} [{100 * net.low:.0f}, {100 * net.high:.0f}]".replace("-", "−")
    missed = f"{100 * (hidden.value - net.value):.0f} %"
    assert f"That is {missed}, so net reach" in PAGE and f"is {both} points" in PAGE
    guide = (DOCS / "guide-model.md").read_text()
    assert f"guided samples miss {missed} that unguided ones solve, so net reach is {both} points" in guide
