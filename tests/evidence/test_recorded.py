"""Four real models on 1,319 GSM8K questions: our paired comparison table against one computed the spreadsheet way."""

from __future__ import annotations

import csv
import gzip
import json
from itertools import combinations
from math import comb, sqrt
from pathlib import Path
from statistics import mean as average
from statistics import stdev

import numpy as np
import pytest

from midway.evidence import bootstrap, difference, holm, mean, sign_flip

MODELS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
T_1318 = 1.961772  # two-sided 95 % quantile of Student's t with 1,318 degrees of freedom


@pytest.fixture(scope="module")
def verdicts() -> dict[str, list[int]]:
    lines = Path(__file__).with_name("data").joinpath("gsm8k_four_models.csv").read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    return {m: [int(r[m]) for r in rows] for m in MODELS}


def test_accuracies_are_the_counts_of_the_file(verdicts: dict[str, list[int]]) -> None:
    assert {m: sum(v) for m, v in verdicts.items()} == {
        "6b_finetuning": 286,
        "6b_verification": 515,
        "175b_finetuning": 458,
        "175b_verification": 742,
    }
    for v in verdicts.values():
        e = mean(np.array(v, float))
        assert e.questions == 1319 and e.value == pytest.approx(sum(v) / 1319)


def test_paired_table_by_hand(verdicts: dict[str, list[int]]) -> None:
    p_values, p_hand = [], []
    for first, second in combinations(MODELS, 2):
        a, b = verdicts[first], verdicts[second]
        # the spreadsheet: a column of differences, its mean, its standard deviation, t
        column = [y - x for x, y in zip(a, b, strict=True)]
        middle, half = average(column), T_1318 * stdev(column) / sqrt(1319)
        e = difference(np.array(b, float), np.array(a, float))
        assert (e.value, e.low, e.high) == pytest.approx((middle, middle - half, middle + half), abs=2e-6)
        # the exact test on the questions that only one of the two solved (McNemar)
        gained, lost = column.count(1), column.count(-1)
        tail = sum(comb(gained + lost, i) for i in range(min(gained, lost) + 1)) / 2 ** (gained + lost)
        test = sign_flip(np.array(column, float))
        assert test.exact and test.nonzero == gained + lost
        assert test.p == pytest.approx(min(1.0, 2 * tail), rel=1e-6, abs=1e-300)
        # the bootstrap over questions agrees with the t interval
        _, low, high = bootstrap(np.array(column, float), resamples=3000)
        assert (low, high) == pytest.approx((e.low, e.high), abs=0.003)
        p_values.append(test.p)
        p_hand.append(min(1.0, 2 * tail))
    order = sorted(range(6), key=p_hand.__getitem__)
    running, adjusted = 0.0, [0.0] * 6
    for rank, i in enumerate(order):
        running = max(running, (6 - rank) * p_hand[i])
        adjusted[i] = min(1.0, running)
    assert holm(p_values) == pytest.approx(adjusted, rel=1e-6)


def test_pairing_is_worth_having(verdicts: dict[str, list[int]]) -> None:
    """Unpaired, the interval of 175b minus 6b fine-tuning is wider: easy questions are easy for both."""
    a, b = (np.array(verdicts[m], float) for m in ("175b_finetuning", "6b_finetuning"))
    unpaired = np.sqrt(a.var(ddof=1) / a.size + b.var(ddof=1) / b.size)
    assert difference(a, b).se < 0.95 * unpaired


def test_the_small_copy_is_the_published_file(verdicts: dict[str, list[int]], shared_data: Path) -> None:
    table: dict[str, dict[str, int]] = {}
    with gzip.open(shared_data / "gsm8k_model_solutions" / "all.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            table.setdefault(row["question_id"], {})[row["model"]] = int(row["correct"])
    assert verdicts == {m: [table[q][m] for q in sorted(table)] for m in MODELS}
