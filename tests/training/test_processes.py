"""Training in two processes on CPUs: what one process learns, two learn; kills; and weights in shards."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch
from rl_runs import lab_recipe, logged
from transformers import AutoModelForCausalLM

import midway
from midway.results import Run
from midway.rundir import ROLLOUTS, RunError, layout, read_table
from midway.training.jobs import Job, read_rows
from midway.training.launch import launch, run_job

pytestmark = pytest.mark.slow
TWO = ["torchrun", "--standalone", "--nproc_per_node", "2"]
PLUGIN = Path(__file__).with_name("together.py")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose jobs the tests take: one step of mid-training and RL."""
    recipe = lab_recipe(
        {"a": [{"strategy": "reference"}]},
        rl={"max_steps": 1},
        midtrain={"max_steps": 1},
        plugins=[str(PLUGIN)],
        training={"reward": "digits"},
    )
    return midway.run(recipe, out=tmp_path_factory.mktemp("made") / "run")


def job_of(run: Run, kind: str, out: Path, **args: object) -> Job:
    """A stage's job, with other arguments, in a folder of its own."""
    stage = run.files.stage(layout.midtrain("a", 0) if kind == "sft" else layout.rl("a", 0))
    found = Job.load(stage / "job.json")
    out.mkdir(parents=True)
    rollouts = {"folder": str(out / "rollouts"), "keep": "all"} if kind == "grpo" else {}
    return replace(
        found,
        model=base(run),
        rows=str(stage / "rows.parquet"),
        out=str(out),
        rollouts=rollouts,
        args={**found.args, **args},
    )


def base(run: Run) -> str:
    return Job.load(run.files.stage(layout.midtrain("a", 0)) / "job.json").model


def go(job: Job, command: list[str] | None = None) -> dict[str, object]:
    path = Path(job.out) / "job.json"
    job.save(path)
    return launch(path, command, None, None) if command else run_job(path)


def losses(job: Job) -> list[float]:
    """The losses of all steps, then the norms of their gradients (on policy a loss may be 0 whatever is learnt)."""
    rows = [row for row in read_rows(Path(job.out) / "metrics.jsonl") if "loss" in row]
    return [row[key] for key in ("loss", "grad_norm") for row in rows]


def weights(job: Job) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(Path(job.out) / "model", dtype=torch.float32)
    return torch.cat([p.detach().flatten() for p in model.parameters()])


PLAIN = {"optim": "sgd", "learning_rate": 0.05, "lr_scheduler_type": "constant", "warmup_steps": 0}
"""Adam's step does not know how small a gradient is, so that rounding would show; this one's does."""
SFT = {**PLAIN, "max_steps": 4, "save_strategy": "no"}
GRPO = {**PLAIN, "max_steps": 6, "num_generations": 4, "save_steps": 2, "max_completion_length": 16, "temperature": 2.0}


def test_sft_in_two_processes(made: Run, tmp_path: Path) -> None:
    one = job_of(made, "sft", tmp_path / "one", **SFT, per_device_train_batch_size=8)
    two = job_of(made, "sft", tmp_path / "two", **SFT, per_device_train_batch_size=4)
    go(one)
    assert go(two, TWO)["steps"] == 4
    assert losses(two) == pytest.approx(losses(one), rel=1e-3) and len(losses(one)) == 2 * 4
    assert torch.allclose(weights(one), weights(two), atol=1e-4)
    assert not torch.allclose(weights(one), start(made), atol=1e-3), "or nothing was learnt"


def start(run: Run) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(base(run), dtype=torch.float32)
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_grpo_in_two_processes_killed_and_resumed(made: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second process is killed; training goes on from the last checkpoint, as if nothing had been, and as one process does it."""
    monkeypatch.setenv("MIDWAY_TEST_ALIKE", "1")
    one = job_of(made, "grpo", tmp_path / "one", **GRPO, per_device_train_batch_size=8)
    two = job_of(made, "grpo", tmp_path / "two", **GRPO, per_device_train_batch_size=4)
    go(one, [sys.executable])
    killer = threading.Thread(target=kill_second, args=(tmp_path / "two",))
    killer.start()
    with pytest.raises(RunError, match="exit code"):
        go(two, TWO)
    killer.join()
    done = len(losses(two)) // 2
    assert 3 <= done < 6
    result = go(two, TWO)
    assert result["resumed_from"] in (2, 4) and result["steps"] == 6
    assert losses(two) == pytest.approx(losses(one), abs=2e-3) and len(losses(one)) == 2 * 6
    frames = [read_table(Path(job.rollouts["folder"]), ROLLOUTS).sort("step", "group", "index") for job in (one, two)]
    assert frames[1].height == frames[1]["id"].n_unique() == 6 * 8
    assert frames[1]["step"].value_counts()["count"].to_list() == [8] * 6
    for column in ("text", "question_id", "reward", "judgement"):
        assert frames[0][column].to_list() == frames[1][column].to_list(), column
    assert frames[1]["advantage"].to_list() == pytest.approx(frames[0]["advantage"].to_list(), abs=1e-3)
    means = frames[1].group_by("step").agg(pl.col("reward").mean()).sort("step")["reward"].to_list()
    assert means == pytest.approx([row["reward"] for row in logged(Path(two.out) / "metrics.jsonl")], abs=1e-6)
    assert torch.allclose(weights(one), weights(two), atol=1e-4)
    assert not torch.allclose(weights(one), start(made), atol=1e-3)


def kill_second(out: Path) -> None:
    """Kill -9 the second process of a training once three steps are logged."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if len([row for row in read_rows(out / "metrics.jsonl") if "loss" in row]) >= 3:
            for folder in Path("/proc").glob("[0-9]*"):
                try:
                    line, env = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
                except OSError:
                    continue
                if str(out / "job.json").encode() in line and b"\0RANK=1\0" in b"\0" + env:
                    os.kill(int(folder.name), signal.SIGKILL)
                    return
        time.sleep(0.05)


def kinds(out: Path) -> list[list[str]]:
    return [json.loads((out / f"kinds-{rank}.json").read_text()) for rank in (0, 1)]


def test_an_adapter_above_sharded_weights_is_merged(made: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("peft")
    lora = {"r": 4, "target_modules": "all-linear", "lora_dropout": 0.0}
    one = replace(job_of(made, "sft", tmp_path / "one", **SFT, per_device_train_batch_size=8), lora=lora)
    two = replace(job_of(made, "sft", tmp_path / "two", **SFT, per_device_train_batch_size=4), lora=lora)
    go(one)
    monkeypatch.setenv("MIDWAY_TEST_SHARD", "1")
    go(two, TWO)
    assert kinds(tmp_path / "two") == [["DTensor"], ["DTensor"]]
    assert losses(two) == pytest.approx(losses(one), rel=1e-3)
    assert (tmp_path / "two/adapter/adapter_model.safetensors").exists()
    assert torch.allclose(weights(one), weights(two), atol=1e-4)
    assert not torch.allclose(weights(one), start(made), atol=1e-4)


def test_rl_of_sharded_weights_has_its_curve_and_its_best_state(
    made: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = made.files.stage(layout.rl("a", 0))
    rows = tmp_path / "slice.parquet"
    asked = pl.read_parquet(Job.load(stage / "job.json").questions)  # type: ignore[arg-type]
    shown = pl.read_parquet(stage / "rows.parquet").select("question_id", "prompt")
    asked.join(shown, left_on="id", right_on="question_id").head(24).write_parquet(rows)
    slice_ = {"name": "held-out", "rows": str(rows), "sampling": {"temperature": 0.0, "max_tokens": 64}, "samples": 1}
    more = {
        "curve": {"every": 2, "sets": [{**slice_, "name": "watched"}], "points": 24},
        "best": {"every": 2, "set": slice_},
    }
    args = {**GRPO, "max_steps": 4, "save_strategy": "no", "generation_kwargs": {"min_new_tokens": 16}}
    one = replace(job_of(made, "grpo", tmp_path / "one", **args, per_device_train_batch_size=8), **more)
    two = replace(job_of(made, "grpo", tmp_path / "two", **args, per_device_train_batch_size=4), **more)
    monkeypatch.setenv("MIDWAY_TEST_ALIKE", "1")
    go(one, [sys.executable])
    monkeypatch.setenv("MIDWAY_TEST_SHARD", "1")
    result = go(two, TWO)
    assert kinds(tmp_path / "two") == [["DTensor"], ["DTensor"]]
    assert losses(two) == pytest.approx(losses(one), abs=2e-3)
    curves = [
        {
            (row["step"], key): row[key]
            for row in read_rows(Path(job.out) / "metrics.jsonl")
            for key in row
            if "pass@1" in key
        }
        for job in (one, two)
    ]
    assert curves[0] == curves[1] and any(curves[1].values()) and {step for step, _ in curves[1]} == {0, 2, 4}
    assert result["kept_step"] in (2, 4)
    assert torch.allclose(weights(one), weights(two), atol=1e-4)
