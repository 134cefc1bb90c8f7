"""Alarms fire in RL that is trained for real and goes wrong, where a user sees them, and are silent in RL that goes well."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import yaml
from rl_runs import lab_recipe

import midway
from midway.recipe import loads_recipe
from midway.report import build_report
from midway.results import ArmAlarm, Run, loads
from midway.rundir import layout

pytestmark = pytest.mark.slow
PARTS = '''
import os
from dataclasses import dataclass

from midway.domains import Domain, task
from midway.registry import RewardPart
from midway.training.rewards import text_of


def open_leaky(options, *, questions, verifier, stop):
    """A reward with a hole: every answer that begins with 1 is right."""

    def leaky(completions, **columns):
        return [float("#### 1" in text_of(one)) for one in completions]

    return leaky


@dataclass(frozen=True, kw_only=True)
class Dying(Domain):
    name: str = "dying"

    def gold(self, row):
        return {"gold": row.pick("answer", what="answer")}

    def judge(self, question, text, *, truncated, require_sandbox):
        return task(die, {"text": text})


def die(fields):
    os._exit(1)


LEAKY = RewardPart(name="leaky", open=open_leaky)
DYING = Dying()
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("alarms")
    (path / "parts.py").write_text(PARTS)
    return path


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    arms = {
        "sound": [],
        "short": {"rl_args": {"max_completion_length": 4, "max_steps": 12}},
        "hot": {"rl_args": {"learning_rate": 0.02}},
        "far": {"rl_args": {"learning_rate": 0.01, "beta": 0.001, "max_steps": 16}},
        "stale": {"reward": "random", "rl_args": {"learning_rate": 0.02, "num_iterations": 12, "max_steps": 12}},
    }
    recipe = lab_recipe(arms, rl={"max_steps": 22, "max_completion_length": 24, "save_steps": 100})
    return midway.run(recipe, out=folder / "run")


def of(run: Run, arm: str) -> dict[str, ArmAlarm]:
    return {alarm.name: alarm for alarm in run.alarms if alarm.arm == arm}


def rows(run: Run, arm: str) -> list[dict[str, float]]:
    text = run.files.metrics(layout.rl(arm, 0)).read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_sound_rl_is_silent(run: Run) -> None:
    assert of(run, "sound") == {} and not any(key.startswith("alarm/") for row in rows(run, "sound") for key in row)


def test_completions_that_are_too_short(run: Run) -> None:
    alarm = of(run, "short")["cut-off"]
    assert alarm.value == 1.0 and alarm.first == 1
    frame = run.rollouts("short")
    assert frame["cut_off"].all() and set(frame["tokens"]) == {4}
    assert len(alarm.read) == 10 and set(alarm.read) <= set(frame["id"])
    (tried,) = [row for row in rows(run, "short") if "rollouts/continued" in row]
    assert tried["step"] == 10 and tried["alarm/cut-off"] == 1.0 and tried["rollouts/continued"] == 64
    right = tried["rollouts/continued_right"]
    assert right > 0, "twice four tokens are enough for `#### 5`"
    assert f"of 64 continued to twice the limit {right:.0f} are right" in alarm.what
    assert "no-signal" in of(run, "short"), "what is cut off before its answer is wrong in every group"


def test_a_learning_rate_far_too_high(run: Run) -> None:
    found = of(run, "hot")
    assert {"no-signal", "entropy-fall"} & set(found) and {"length", "cut-off"} & set(found), found
    assert any(key.startswith("alarm/") for row in rows(run, "hot") for key in row)


def test_a_model_far_from_its_reference(run: Run) -> None:
    found = of(run, "far")
    assert found["kl"].value > 1.0 and "raise rl.beta" in found["kl"].advice, found


def test_many_passes_over_the_same_samples_are_clipped(run: Run) -> None:
    found = of(run, "stale")
    assert found["clip-ratio"].value > 0.3 and "rl.num_iterations" in found["clip-ratio"].advice, found


def test_they_stand_in_status_and_report(run: Run, midway: Callable[..., object]) -> None:
    shown = str(getattr(midway("status", run.path), "stdout", ""))
    paths = build_report(run.path)
    typed = loads(paths.results.read_text(encoding="utf-8"))
    assert typed == run.results.__class__(**{**fields(run.results), "commands": typed.commands})
    assert typed.alarms == run.alarms
    page, words = paths.html.read_text(encoding="utf-8"), paths.markdown.read_text(encoding="utf-8")
    first = "Did RL add to it?"
    assert words.index("**Alarms:**") < words.index(first) and page.index('href="#alarms"') < page.index(first)
    assert "## Alarms" in words and 'id="alarms"' in page
    for alarm in run.alarms:
        assert alarm.what in shown and alarm.advice in shown
        assert alarm.what in page and f"{run.results.titles[alarm.arm]}, seed 0" in words


def fields(value: object) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__slots__}  # type: ignore[attr-defined]


def test_a_reward_with_a_hole(folder: Path) -> None:
    benchmark = {"source": "lab", "name": "single", "limit": 100, "options": {"families": ["single"]}, "samples": 1,
                 "sampling": {"max_tokens": 40}}  # fmt: skip
    recipe = lab_recipe(
        {"hole": {"reward": "leaky"}},
        rl={"max_steps": 24, "per_device_train_batch_size": 32, "learning_rate": 1.0e-3, "save_steps": 100},
        curve={"every": 12, "questions": 100, "samples": 2},
        plugins=[str(folder / "parts.py")],
        benchmarks=[benchmark],
    )
    found = midway.run(recipe, out=folder / "hole", until="rl")
    alarm = of(found, "hole")["held-out"]
    assert alarm.value > alarm.threshold and "pass@1 on single fell" in alarm.what and "reward rose" in alarm.what
    frame = found.rollouts("hole")
    read = frame.filter(pl.col("id").is_in(list(alarm.read)))
    assert read.height == 10 == read["question_id"].n_unique()
    assert (read["reward"] == 1.0).all() and (read["judgement"] == "wrong").all(), "rewarded and wrong: the hole"


def test_a_verifier_that_dies(folder: Path) -> None:
    questions = [{"question": f"What is {n} + 1?", "answer": str(n + 1)} for n in range(8)]
    (folder / "dying.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions))
    rl = {"max_steps": 8, "per_device_train_batch_size": 2, "num_generations": 2, "max_completion_length": 4}
    tree = {
        "model": {"path": "tiny:llama"},
        "plugins": [str(folder / "parts.py")],
        "questions": {"train": [{"source": str(folder / "dying.jsonl"), "domain": "dying"}]},
        "verify": {"workers": 1},
        "rl": {**rl, "save_steps": 100},
        "arms": {"rl": {"reward": [{"name": "verdict"}, {"name": "length", "weight": 0.1}]}},
    }
    found = midway.run(loads_recipe(yaml.safe_load(yaml.safe_dump(tree))), out=folder / "dying")
    assert of(found, "rl")["unjudged"].value == 1.0 and len(of(found, "rl")["unjudged"].read) == 10
    frame = found.rollouts("rl")
    assert (frame["judgement"] == "unjudged").all() and frame["reward"].null_count() == frame.height
    assert frame["advantage"].abs().max() == 0.0, "what could not be judged teaches nothing, length or not"
    assert all("crash" in reason for reason in frame["reason"])
