"""`midtrain_until`: a real mid-training ends at the first measurement that reaches another arm's pass@1, or goes on to its usual end."""

from __future__ import annotations

import json

import pytest
from rl_runs import lab_recipe

import midway
from midway.results import Run
from midway.rundir import layout, read_json

pytestmark = pytest.mark.slow
SINGLE = {"source": "lab", "options": {"families": ["single"]}}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    how = {"max_tokens": 64}
    until = {"match": "few", "benchmark": "level", "every": 2, "questions": 20, "samples": 2}
    arms = {
        "few": {
            "midtrain": [{"strategy": "reference", "questions": 60}],
            "midtrain_args": {"max_steps": 10},
            "rl": False,
        },
        "matched": {
            "midtrain": [{"strategy": "reference", "questions": 60}],
            "midtrain_args": {"max_steps": 30},
            "midtrain_until": until,
            "rl": False,
        },
        "slow": {
            "midtrain": [{"strategy": "reference", "questions": 60}],
            "midtrain_args": {"max_steps": 4, "learning_rate": 1e-9},
            "midtrain_until": until,
            "rl": False,
        },
    }
    recipe = lab_recipe(
        arms,
        midtrain={"learning_rate": 1e-3, "per_device_train_batch_size": 16, "lr_scheduler_type": "constant"},
        benchmarks=[
            {**SINGLE, "name": "level", "split": "train", "seed": 7, "limit": 20, "samples": 2, "sampling": how}
        ],
    )
    return midway.run(recipe, out=tmp_path_factory.mktemp("until") / "run")


def result(run: Run, arm: str) -> dict[str, object]:
    return dict(read_json(run.files.manifest(layout.midtrain(arm, 0)))["result"])


def curve(run: Run, arm: str) -> dict[int, float]:
    rows = [json.loads(line) for line in run.files.metrics(layout.midtrain(arm, 0)).read_text().splitlines()]
    return {row["step"]: row["eval/level/pass@1"] for row in rows if "eval/level/pass@1" in row}


def test_it_ends_at_the_first_measurement_that_reaches_the_target(run: Run) -> None:
    found = result(run, "matched")
    until, points = found["until"], curve(run, "matched")
    judged = run.samples("level", "few", phase="before-rl")["judgement"]
    assert until["target"] == pytest.approx((judged == "correct").sum() / len(judged))  # type: ignore[index]
    assert until["reached"] and until["match"] == "few"  # type: ignore[index]
    last = max(points)
    assert found["steps"] == last < 30
    assert points[last] == until["value"] >= until["target"]  # type: ignore[index]
    assert all(value < until["target"] for step, value in points.items() if 0 < step < last)  # type: ignore[index]


def test_what_never_reaches_it_goes_on_to_its_end_and_says_so(run: Run) -> None:
    found = result(run, "slow")
    assert found["steps"] == 4
    assert not found["until"]["reached"]  # type: ignore[index]
    assert list(curve(run, "slow")) == [0, 2, 4]
