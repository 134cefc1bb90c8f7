"""Every completion that RL samples is kept once, as TRL rewarded it, also after `kill -9`."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import yaml
from rl_runs import RL, lab_recipe, logged
from trl import GRPOTrainer

import midway
from midway.results import Run
from midway.results.frames import SEEDED_ROLLOUTS
from midway.rundir import ROLLOUTS, RunError, layout, read_json, read_table
from midway.training.jobs import Job, reward_identity
from midway.training.rollouts import Batch, Rollouts, kept_of_a_step
from midway.training.trainers.trl.grpo import Recording
from midway.training.trainers.trl.rl import rl_args

TARGET = 8


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    plugin = tmp_path_factory.mktemp("plugin") / "digits.py"
    plugin.write_text(DIGITS)
    both = [{"name": "verdict"}, {"name": "length", "weight": 0.1, "options": {"target": TARGET}}]
    arms = {
        "plain": [],
        "both": {"reward": both},
        "random": {"reward": "random"},
        "format": {"reward": "format"},
        "digits": {"reward": [{"name": "digits", "options": {"most": 3}}]},
    }
    recipe = lab_recipe(arms, rl={"max_steps": 3}, plugins=[str(plugin)])
    return midway.run(recipe, out=tmp_path_factory.mktemp("runs") / "rl")


DIGITS = """
from pydantic import Field
from midway.recipe import Section
from midway.registry import RewardPart
from midway.training.rewards import text_of


class Options(Section):
    most: int = Field(9, ge=1)


def open_digits(options, *, questions, verifier, stop):
    most = Options(**options).most

    def digits(completions, **columns):
        return [float(min(most, sum(c.isdigit() for c in text_of(one)))) for one in completions]

    return digits


DIGITS = RewardPart(name="digits", open=open_digits, config=Options)
"""


@pytest.mark.parametrize("arm", ["plain", "both", "random", "format", "digits"])
def test_the_mean_reward_of_each_step_is_trls(run: Run, arm: str) -> None:
    frame = run.rollouts(arm)
    assert frame.columns == list(SEEDED_ROLLOUTS) and frame.height == 3 * 16 == frame["id"].n_unique()
    means = frame.group_by("step").agg(pl.col("reward").mean()).sort("step")["reward"].to_list()
    steps = logged(run.files.metrics(layout.rl(arm, 0)))
    assert means == pytest.approx([row["reward"] for row in steps], abs=1e-6)
    right = frame.group_by("step").agg((pl.col("judgement") == "correct").mean()).sort("step")["judgement"].to_list()
    assert right == pytest.approx([row["rollouts/correct"] for row in steps])
    lengths = frame.group_by("step").agg(pl.col("tokens").mean()).sort("step")["tokens"].to_list()
    assert lengths == pytest.approx([row["completions/mean_length"] for row in steps])
    assert set(frame["group"]) == {0, 1} and set(frame["index"]) == set(range(8))
    assert frame.group_by("step", "group").agg(pl.col("question_id").n_unique())["question_id"].max() == 1
    # a group's advantages are its rewards, centred: TRL's own
    centred = frame.group_by("step", "group").agg(pl.col("advantage").sum())["advantage"].to_list()
    assert centred == pytest.approx([0.0] * len(centred), abs=1e-4)


def test_every_reward_does_what_it_says(run: Run) -> None:
    plain, both, chance = run.rollouts("plain"), run.rollouts("both"), run.rollouts("random")
    assert ((plain["judgement"] == "correct").cast(pl.Float64) == plain["reward"]).all()
    assert 0 < plain["reward"].sum() < plain.height
    lost = [0.1 * min(1.0, max(0, t - TARGET) / TARGET) for t in both["tokens"]]
    expected = [(j == "correct") - x for j, x in zip(both["judgement"], lost, strict=True)]
    assert any(lost) and both["reward"].to_list() == pytest.approx(expected, abs=1e-6)
    assert [part["name"] for part in both["rewards"][0]] == ["midway_correct", "length"]
    assert set(chance["reward"]) == {0.0, 1.0} and 12 <= chance["reward"].sum() <= 36
    readable = run.rollouts("format")
    assert ((readable["extracted"].is_not_null()).cast(pl.Float64) == readable["reward"]).all()
    digits = run.rollouts("digits")
    assert digits["reward"].to_list() == [min(3, sum(c.isdigit() for c in t)) for t in digits["text"]]
    # what is not rewarded is judged all the same, with weight 0
    assert {part["name"] for part in digits["rewards"][0]} == {"digits", "midway_correct"}
    assert digits["judgement"].null_count() == 0


def test_arms_with_another_reward_have_another_digest(tmp_path: Path, run: Run) -> None:
    digests = {rel: read_json(file)["digest"] for rel, file in run.files.manifests()}
    assert len(set(digests.values())) == len(digests) == 5
    again = midway.run(run.recipe, out=run.path)
    assert {rel: read_json(file)["digest"] for rel, file in again.files.manifests()} == digests


def test_trackers_that_have_tables_get_the_rollouts(run: Run) -> None:
    """TRL gives wandb and trackio its table of completions, in which question, verdict and answer stand; nothing is printed for it."""
    job = Job.load(run.files.stage(layout.rl("plain", 0)) / "job.json")
    for tracker in ("wandb", "trackio"):
        args = rl_args(replace(job, report_to=["tensorboard", tracker]))
        assert args["log_completions"] is True and args["num_completions_to_print"] == 0
        mine = replace(job, report_to=[tracker], args={**job.args, "log_completions": False})
        assert rl_args(mine)["log_completions"] is False
    assert "log_completions" not in rl_args(replace(job, report_to=["tensorboard"]))


def test_rl_in_mixed_precision_on_a_cpu_takes_a_cache_that_holds_its_keys(tmp_path: Path) -> None:
    found = midway.run(lab_recipe({"mixed": []}, rl={"max_steps": 1, "bf16": True}), out=tmp_path / "run")
    assert [line["step"] for line in logged(found.files.stage(layout.rl("mixed", 0)) / "metrics.jsonl")] == [1]


@pytest.mark.parametrize("bf16", [True, False])
def test_copies_of_the_weights_are_made_once_for_all_tokens(
    bf16: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mixed precision is around all tokens of a generation, where copies are kept; the texts are those without that."""
    made: list[bool] = []
    generate = GRPOTrainer._generate

    def watched(self: Any, prompts: Any) -> Any:
        made.append(torch.is_autocast_enabled("cpu"))
        return generate(self, prompts)

    monkeypatch.setattr(GRPOTrainer, "_generate", watched)
    recipe = lab_recipe({"arm": []}, rl={"max_steps": 2, "bf16": bf16})
    kept = midway.run(recipe, out=tmp_path / "kept").rollouts("arm")
    assert made == [bf16, bf16]
    monkeypatch.setattr(Recording, "_copies_kept", lambda self: nullcontext())
    anew = midway.run(recipe, out=tmp_path / "anew").rollouts("arm")
    assert made == [bf16, bf16, False, False]
    assert kept["text"].to_list() == anew["text"].to_list() and kept["reward"].to_list() == anew["reward"].to_list()


def test_completions_that_are_cut_off(tmp_path: Path, run: Run) -> None:
    """soft: 8 of 8 tokens cost 1, the last fifth of so short a limit. mask: TRL's own switch. Both change the digest of RL."""
    recipe = lab_recipe({"plain": []}, rl={"max_steps": 3, "max_completion_length": 8}, training={"overlong": "soft"})
    soft = midway.run(recipe, out=tmp_path / "soft")
    frame = soft.rollouts("plain")
    assert frame["cut_off"].any() and not frame["cut_off"].all()
    expected = [(j == "correct") - (t == 8) for j, t in frame.select("judgement", "tokens").iter_rows()]
    assert frame["reward"].to_list() == pytest.approx(expected)
    assert [arm.rl_note for arm in soft.results.arms if arm.rl] == ["cut-off completions: soft"]
    job = Job.load(run.files.stage(layout.rl("plain", 0)) / "job.json")
    assert rl_args(replace(job, overlong="mask"))[
        "mask_truncated_completions"
    ] and "mask_truncated_completions" not in rl_args(job)
    masked = lab_recipe({"plain": []}, training={"overlong": "mask"})
    identities = [reward_identity(r, "plain") for r in (run.recipe, recipe, masked)]
    assert identities == [{}, {"overlong": "soft"}, {"overlong": "mask"}]


def test_a_name_that_is_not_there(run: Run) -> None:
    with pytest.raises(RunError, match="there is no arm 'plan'; did you mean plain"):
        run.rollouts("plan")
    with pytest.raises(RunError, match="arm plain has no seed 4"):
        run.rollouts("plain", 4)


def batch(step: int, texts: list[str], **columns: list[object]) -> Batch:
    size = len(texts)
    known: dict[str, list[object]] = {
        "question_id": ["q"] * size,
        "judgement": ["wrong"] * size,
        "extracted": [None] * size,
        "reason": [""] * size,
        "tokens": [1] * size,
        "cut_off": [False] * size,
    }
    zero = [0.0] * size
    return Batch(
        step, 2, texts, {"r": [float("nan"), *zero[1:]]}, [float("nan"), *zero[1:]], zero, {**known, **columns}
    )


def test_steps_that_are_done_again_count_once(tmp_path: Path) -> None:
    folder = tmp_path / "rollouts"
    with Rollouts(folder, "arm") as first:
        first.begin(0, None)
        for step in range(1, 6):
            first.write(batch(step, [f"first {step}", "x"]))
    killed = Rollouts(folder, "arm")
    killed.begin(3, None)
    killed.write(batch(4, ["second 4", "x"]))  # no end: its rows are in a journal alone
    with Rollouts(folder, "arm") as last:
        last.begin(3, None)
        last.write(batch(4, ["third 4", "y"]))
        last.write(batch(5, ["third 5", "y"]))
        last.write(batch(5, ["third 5, another batch", "z"]))
    frame = read_table(folder, ROLLOUTS).sort("step", "group", "index")
    assert frame.filter(pl.col("index") == 0)["text"].to_list() == [
        "first 1", "first 2", "first 3", "third 4", "third 5", "third 5, another batch",
    ]  # fmt: skip
    assert frame["id"].n_unique() == frame.height == 12
    assert frame["reward"].null_count() == 6, "what was left out has no reward"
    assert read_table(folder, ROLLOUTS).filter(pl.col("step") == 5)["group"].sort().to_list() == [0, 0, 1, 1]


def test_what_is_kept(tmp_path: Path) -> None:
    assert kept_of_a_step(None, 1_000_000) is None and kept_of_a_step(None, 1_000_001) == 1_000
    assert kept_of_a_step("all", 10**9) is None and kept_of_a_step("none", 1) == 0 and kept_of_a_step(3, 1) == 3
    for keep, rows in ((None, 6), (5, 4), (2, 2), (1, 2), (0, 0)):
        folder = tmp_path / str(keep)
        with Rollouts(folder, "arm") as rollouts:
            rollouts.begin(0, keep)
            rollouts.write(batch(1, list("abcdef")))
        assert read_table(folder, ROLLOUTS).height == rows


@pytest.mark.slow
def test_a_kill_loses_no_rollout_and_doubles_none(tmp_path: Path) -> None:
    tree = lab_recipe({"plain": []}, rl={**RL, "max_steps": 10, "save_steps": 3}).model_dump(mode="json")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(tree))
    command = [sys.executable, "-m", "midway", "run", str(recipe), "--out"]
    table = tmp_path / "rough" / "arms/plain/seed-0/rl/rollouts"
    process = subprocess.Popen(
        [*command, str(tmp_path / "rough")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while read_table(table, ROLLOUTS)["step"].n_unique() < 5:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    found = midway.run(str(recipe), out=tmp_path / "rough")
    frame = found.rollouts("plain")
    assert frame["id"].n_unique() == frame.height == 10 * 16
    assert frame["step"].value_counts()["count"].to_list() == [16] * 10
    means = frame.group_by("step").agg(pl.col("reward").mean()).sort("step")["reward"].to_list()
    steps_logged = logged(found.files.metrics(layout.rl("plain", 0)))
    assert means == pytest.approx([row["reward"] for row in steps_logged], abs=1e-6)
    assert read_json(found.files.manifest(layout.rl("plain", 0)))["result"]["resumed_from"] > 0
