"""`training.keep: best`: questions that are held out of RL choose the state that becomes the model."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
import torch
from rl_runs import lab_recipe
from transformers import AutoModelForCausalLM

import midway
from midway.results import Run
from midway.rundir import layout, read_json


def recipe(keep: str, arms: dict[str, object], **rl: object) -> object:
    steps = {"max_steps": 6, "save_steps": 2, **rl}
    return lab_recipe(arms, rl=steps, training={"keep": keep, "held_out": 12})


pytestmark = pytest.mark.slow
ARMS = {"hot": {"rl_args": {"learning_rate": 0.02}}, "cold": {"rl_args": {"learning_rate": 1e-12}}}


@pytest.fixture(scope="module")
def best(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return midway.run(recipe("best", ARMS), out=tmp_path_factory.mktemp("best") / "run")  # type: ignore[arg-type]


def weights(run: Run, arm: str) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(run.files.model(layout.rl(arm, 0)), dtype=torch.float32)
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def measured(run: Run, arm: str) -> dict[int, float]:
    rows = [json.loads(line) for line in run.files.metrics(layout.rl(arm, 0)).read_text().splitlines()]
    return {row["step"]: row["eval/held-out/pass@1"] for row in rows if "eval/held-out/pass@1" in row}


def test_held_out_questions_are_training_questions_that_rl_never_asks(best: Run) -> None:
    everything = set(pl.read_parquet(best.files.questions("rl"))["id"])
    found = {}
    for arm in ARMS:
        stage = best.files.stage(layout.rl(arm, 0))
        held = set(pl.read_parquet(stage / "curve/held-out.parquet")["id"])
        asked = set(pl.read_parquet(stage / "rows.parquet")["question_id"])
        assert len(held) == 12 and held | asked == everything and not held & asked
        assert not held & set(best.rollouts(arm)["question_id"])
        found[arm] = held
    assert found["hot"] == found["cold"]


def test_the_best_state_is_kept(best: Run, tmp_path: Path) -> None:
    """A learning rate far too high ruins the model: the first state is better than the last, and is what a run of two steps leaves."""
    points = measured(best, "hot")
    assert list(points) == [0, 2, 4, 6]
    candidates = {step: value for step, value in points.items() if step}
    expected = max(candidates, key=lambda step: (candidates[step], -step))
    result = read_json(best.files.manifest(layout.rl("hot", 0)))["result"]
    assert result["kept_step"] == expected < 6 and result["kept_pass_at_1"] == candidates[expected]
    assert result["steps"] == 6 and not (best.files.stage(layout.rl("hot", 0)) / "best").exists()
    short = midway.run(recipe("best", {"hot": ARMS["hot"]}, max_steps=expected), out=tmp_path / "short")  # type: ignore[arg-type]
    assert torch.equal(weights(best, "hot"), weights(short, "hot"))
    (note,) = {arm.rl_note for arm in best.results.arms if arm.rl}
    assert note == "kept: the best state by held-out training questions"


def test_of_equal_states_the_first_is_kept(best: Run) -> None:
    points = measured(best, "cold")
    assert len({value for step, value in points.items() if step}) == 1, (
        "nothing moves, and the samples are the same at every step"
    )
    assert read_json(best.files.manifest(layout.rl("cold", 0)))["result"]["kept_step"] == 2
