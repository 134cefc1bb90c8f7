"""`midway check --time`: what the run would take on this machine, stage by stage, and on disk."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SECONDS = {"s": 1, "min": 60, "h": 3600}


def seconds(text: str) -> float:
    value, unit = text.split()
    return float(value) * SECONDS[unit]


@pytest.mark.slow
def test_every_stage_is_priced_and_nothing_is_left_behind(
    lay_out: Callable[..., Path], here: Callable[..., Any], tmp_path: Path
) -> None:
    recipe = lay_out(
        labels={"by": "likelihood", "pool": "guided"},
        seeds=[0, 1],
        adherence={"scorer": "likelihood", "rivals": 1},
        forecast={"questions": 8, "unguided": 2, "guided": 1},
    )
    text = recipe.read_text()
    recipe.write_text(text.replace("  rl-only: []\n", "  rl-only: []\n  longer: {compute_matched: true}\n"))
    done = here("check", recipe, "--time", "--no-gold")
    total = re.search(r"hours: about ([\d.]+ \w+) on this machine \(.+, \d+ cores\)", done.stdout)
    assert total, done.stdout
    priced = dict(
        re.findall(
            r"^  ((?:pool|score|forecast|midtrain|rl|\d+ evaluations)[^\n]*?)  +([\d.]+ (?:s|min|h))  ",
            done.stdout,
            re.MULTILINE,
        )
    )
    names = {name.strip() for name in priced}
    assert {"pool guided", "pool unguided", "midtrain polya", "midtrain reference", "rl rl-only", "rl polya"} <= names
    assert {"score guided", "forecast"} <= names
    assert "16 unguided and 16 guided completions of 8 questions" in done.stdout
    steps = {arm: int(count) for arm, count in re.findall(r"rl (\S+) +\S+ \S+  (\d+) steps", done.stdout)}
    assert steps["rl-only"] == 3 and steps["longer"] > 3, (
        "as many steps as the seconds of what the treatment does before RL buy"
    )
    assert re.search(
        r"rl polya +\S+ \S+  3 steps of [\d.]+ s \([\d.]+ s writing, [\d.]+ s learning\), 2 seeds", done.stdout
    )
    assert sum(map(seconds, priced.values())) <= 1.2 * seconds(total[1]) + 10
    assert "not priced: labeller, label" in done.stdout
    assert re.search(r"disk: about [\d.]+ GB stay \(16 trained models of [\d.]+ GB\)", done.stdout)
    assert not list(tmp_path.glob("runs/*"))

    plain = here("check", recipe, "--no-gold", "--no-model")
    assert "hours: not priced (--time measures this machine for a minute" in plain.stdout
