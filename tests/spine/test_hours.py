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
    recipe = lay_out(labels={"by": "likelihood", "pool": "guided"}, seeds=[0, 1])
    done = here("check", recipe, "--time", "--no-gold")
    total = re.search(r"hours: about ([\d.]+ \w+) on this machine \(.+, \d+ cores\)", done.stdout)
    assert total, done.stdout
    priced = dict(
        re.findall(
            r"^  ((?:pool|midtrain|rl|\d+ evaluations)[^\n]*?)  +([\d.]+ (?:s|min|h))  ", done.stdout, re.MULTILINE
        )
    )
    names = {name.strip() for name in priced}
    assert {"pool guided", "pool unguided", "midtrain polya", "midtrain reference", "rl rl-only", "rl polya"} <= names
    assert re.search(
        r"rl polya +\S+ \S+  3 steps of [\d.]+ s \([\d.]+ s writing, [\d.]+ s learning\), 2 seeds", done.stdout
    )
    assert sum(map(seconds, priced.values())) <= 1.2 * seconds(total[1]) + 10
    assert "not priced: labeller, label" in done.stdout
    assert re.search(r"disk: about [\d.]+ GB stay \(14 trained models of [\d.]+ GB\)", done.stdout)
    assert not list(tmp_path.glob("runs/*"))

    plain = here("check", recipe, "--no-gold", "--no-model")
    assert "hours: not priced (--time measures this machine for a minute" in plain.stdout
