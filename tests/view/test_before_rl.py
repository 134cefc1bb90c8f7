"""Where RL is not done, arms are compared before it."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl

from midway.view.questions import asked_of, table_of
from midway.view.viewed import Params, Runs


def differences(path: Path) -> pl.DataFrame:
    viewed = Runs([path]).get(path.name)
    params = Params({"benchmark": "single", "arm": "polya", "control": "one-heuristic"})
    return table_of(viewed, asked_of(viewed, params)).select("id", "diff", "gain", "before", "after")


def test_arms_are_compared_before_rl_where_one_has_nothing_after_it(stored: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(stored, run)
    whole = differences(run)
    assert whole["gain"].is_not_null().any() and whole["diff"].is_not_null().any()
    for folder in run.glob("arms/one-heuristic/seed-*/evaluations/single/after-rl"):
        shutil.rmtree(folder)
    cut = differences(run)
    assert cut["diff"].is_not_null().any(), "before RL both have samples"
    assert cut["gain"].equals(whole["gain"]), "the arm's own gain is still there"
    assert not cut["diff"].equals(whole["diff"])
