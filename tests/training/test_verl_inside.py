"""verl as a trainer, with verl itself: everything up to its first worker, and everything after its last.

What a worker does needs a GPU and is not run here: the steps between. Made by `make verl-test`, which names verl's Python.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rl_runs import lab_recipe

from midway.domains import verify
from midway.engines.text import encode
from midway.questions import from_frame
from midway.records import Prompt
from midway.rundir import RunError, read_table
from midway.rundir.tables import ROLLOUTS
from midway.training.jobs import Job
from midway.training.trainers.verl.environment import composed, find_python
from midway.training.trainers.verl.training import run_verl
from midway.training.trainers.verl.writing import write

PYTHON = os.environ.get("MIDWAY_VERL_PYTHON", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not PYTHON, reason="MIDWAY_VERL_PYTHON names no Python with verl: `make verl-test` makes one and runs this"
    ),
]
INSIDE = Path(__file__).with_name("verl_inside.py")
RL: dict[str, Any] = {
    "data": {"train_batch_size": 4, "max_prompt_length": 128, "max_response_length": 40, "dataloader_num_workers": 0},
    "actor_rollout_ref": {
        "actor": {"ppo_mini_batch_size": 4, "ppo_micro_batch_size_per_gpu": 4, "optim": {"lr": 1.0e-5}},
        "rollout": {"name": "vllm", "n": 8, "log_prob_micro_batch_size_per_gpu": 4},
        "model": {"override_config": {"attn_implementation": "sdpa"}},
    },
    "trainer": {"n_gpus_per_node": 1, "total_training_steps": 3, "save_freq": 1},
    "transfer_queue.backend.SimpleStorage.num_data_storage_units": 1,
    "ray_kwargs": {"ray_init": {"num_cpus": 16}},  # what verl's own helpers ask for, also where there are fewer
}


def verl(stage: Path, *commands: str) -> dict[str, Any]:
    """Let verl do something in a stage's directory; return what came of each command."""
    reply = stage / "reply.json"
    done = subprocess.run(
        [PYTHON, str(INSIDE), ",".join(commands), str(stage), str(reply)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(reply.read_text()))


def stage_of(folder: Path, rl: Mapping[str, Any] = RL, **sections: Any) -> tuple[Job, Any]:
    """Write a stage's directory as the RL stage does, for the lab's base model; return its job and tokenizer."""
    from transformers import AutoTokenizer

    from midway.questions import to_frame
    from midway.rundir import RunDir, write_table
    from midway.stages.rl import prompt_column
    from midway.training.jobs import job_of
    from midway.workbench import RL as QUESTIONS
    from midway.workbench import Workbench, find_model

    recipe = lab_recipe({"plain": []}, **{**sections, "training": {"trainer": "verl", "python": PYTHON}}, rl={})
    recipe = type(recipe).model_validate({**recipe.model_dump(), "rl": rl})
    bench = Workbench(recipe, RunDir(folder / "run").files)
    questions = bench.questions.get(QUESTIONS)[:12]
    shown = prompt_column([bench.prompts.build(q, None) for q in questions], bench.prompts.chat)
    out = folder / "stage"
    write_table(out / "rows.parquet", pl.DataFrame({"prompt": shown, "question_id": [q.id for q in questions]}))
    write_table(folder / "questions.parquet", to_frame(questions))
    path = find_model("lab", make=False)
    job = job_of(
        recipe, kind="grpo", out=out, model=path, revision=None, seed=5, args=recipe.rl, name="plain-5-rl",
        stop=bench.prompts.stop,
    )  # fmt: skip
    job = Job(
        **{
            **job.__dict__,
            "questions": str(folder / "questions.parquet"),
            "chat": bench.prompts.chat,
            "rollouts": {"folder": str(out / "rollouts"), "keep": "all"},
        }
    )
    job.save(out / "job.json")
    return job, AutoTokenizer.from_pretrained(path)


@pytest.mark.parametrize("chat", ["auto", False])
def test_verl_reads_the_data_and_shows_each_prompt_as_evaluation_does(tmp_path: Path, chat: Any) -> None:
    job, tokenizer = stage_of(tmp_path, model={"path": "lab", "chat": chat})
    assert job.chat is (chat == "auto")
    write(job, tokenizer)
    rows = pl.read_parquet(job.rows)
    found = verl(tmp_path / "stage", "data")["data"]
    assert [row["truth"] for row in found] == rows["question_id"].to_list()
    prompts = [Prompt(messages=tuple(p)) if job.chat else Prompt(text=p) for p in rows["prompt"].to_list()]
    assert [row["ids"] for row in found] == [encode(prompt, tokenizer, job.chat) for prompt in prompts]


def test_verls_reward_manager_gives_midways_verdicts(tmp_path: Path) -> None:
    job, tokenizer = stage_of(tmp_path)
    write(job, tokenizer)
    questions = from_frame(pl.read_parquet(job.questions or ""))
    texts = [(q.solution or f"the answer is {q.answer}", q.id) for q in questions] + [("no idea", questions[0].id)]
    (tmp_path / "stage" / "texts.json").write_text(json.dumps(texts))
    found = verl(tmp_path / "stage", "rewards")["rewards"]
    known = {q.id: q for q in questions}
    decoded = [tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) for text, _ in texts]
    expected = [verify(known[i], text).score() for text, (_, i) in zip(decoded, texts, strict=True)]
    assert [row["score"] for row in found] == [score or 0.0 for score in expected]
    assert set(expected) == {1.0, 0.0}
    assert [row["unjudged"] for row in found] == [float(score is None) for score in expected]


def test_an_unknown_key_is_refused_with_what_is_near(tmp_path: Path) -> None:
    python = find_python(PYTHON)
    with pytest.raises(RunError, match=r"data\.train_batch_sise: .*did you mean data\.train_batch_size"):
        composed(python, {"data": {"train_batch_sise": 4}}, {}, engine=False)
    with pytest.raises(RunError, match=r"learning_rate: .*no such key"):
        composed(python, {"actor_rollout_ref": {"actor": {"optim": {"learning_rate": 1}}}}, {}, engine=False)
    with pytest.raises(RunError, match=r"data: is a section"):
        composed(python, {"data": 3}, {}, engine=False)
    bad = {**RL, "actor_rollout_ref": {**RL["actor_rollout_ref"], "actor": {"ppo_mini_batch_size": 8}}}
    with pytest.raises(RunError, match=r"verl refuses the configuration"):
        composed(python, bad, {"actor_rollout_ref.model.path": "m"}, engine=False)
    with pytest.raises(RunError, match=r"has no vllm\n.*pip install \"verl\[vllm\]==0\.9\.1\""):
        composed(python, RL, {"actor_rollout_ref.model.path": "m"})


def test_open_sections_take_anything_and_a_plus_adds(tmp_path: Path) -> None:
    rl = {
        **RL,
        "actor_rollout_ref.rollout.engine_kwargs.vllm.max_model_len": 64,
        "+ray_kwargs.ray_init.address": "auto",
    }
    out = tmp_path / "config.yaml"
    composed(find_python(PYTHON), rl, {"actor_rollout_ref.model.path": "m"}, out=out, engine=False)
    text = out.read_text()
    assert "max_model_len: 64" in text and "address: auto" in text and "adv_estimator: grpo" in text


def test_it_starts_verl_and_says_what_verl_says(tmp_path: Path) -> None:
    """Up to the first worker: verl's trainer reads data and configuration on a local Ray cluster, then asks for a GPU that is not there."""
    job, _ = stage_of(tmp_path)
    with pytest.raises(RunError, match=r"ended with exit code 1; whole output in .*train\.log") as error:
        run_verl(job)
    said = (tmp_path / "stage" / "verl" / "train.log").read_text()
    assert "All configuration checks passed" in said
    assert "dataset len: 12" in said
    assert "Total available GPUs 0" in said
    assert "GPU" in str(error.value)


@pytest.mark.parametrize("rank", [0, 4])
def test_a_checkpoint_of_verls_becomes_a_model_directory(tmp_path: Path, rank: int) -> None:
    """A job that was killed after verl's end goes on with the merge: two shards, weights that are those of the shards, plain tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    rl = json.loads(json.dumps(RL))
    if rank:  # verl asks vLLM itself which ranks it takes, and the environment of the tests has none
        rl["actor_rollout_ref"]["model"]["lora_rank"] = rank
        rl["actor_rollout_ref"]["rollout"]["name"] = "sglang"
    job, tokenizer = stage_of(tmp_path, rl)
    write(job, tokenizer)
    stage = tmp_path / "stage"
    ids = pl.read_parquet(job.rows)["question_id"].to_list()[:2]
    samples = {
        str(step): {
            "input": ["?"] * 4,
            "output": ["a", "b", "c", "d"],
            "gts": [ids[0], ids[1], ids[0], ids[1]],
            "score": [1.0, 0.0, 0.0, 0.0],
            "uid": ["u_0_0", "w_0_0", "u_1_0", "w_1_0"],
        }
        for step in (1, 2, 3, 4)
    }
    (stage / "samples.json").write_text(json.dumps(samples))
    found = verl(stage, "checkpoint", "dump", "log")
    assert found["checkpoint"] == str(stage / "verl" / "checkpoints" / "global_step_3")
    (stage / "verl" / "ended").touch()
    before = AutoModelForCausalLM.from_pretrained(job.model, dtype=torch.float32).state_dict()
    result = run_verl(job)
    assert result["steps"] == 3 and result["trainer"]["verl"] == "0.9.1"
    merged = AutoModelForCausalLM.from_pretrained(stage / "model", dtype=torch.float32).state_dict()
    assert merged.keys() == before.keys()
    if not rank:  # AdamW's first step on gradients of 1 takes the learning rate off, and its decay; verl's merger rounds to bfloat16
        for name, weight in before.items():
            expected = weight * (1 - 0.01 * 0.01) - 0.01
            torch.testing.assert_close(merged[name], expected, rtol=2**-8, atol=1e-5)
    else:
        moved = [
            name for name, weight in before.items() if not torch.allclose(merged[name], weight, rtol=2**-7, atol=1e-4)
        ]
        assert moved and all("proj" in name for name in moved)
        assert (stage / "adapter").is_dir()
    assert AutoTokenizer.from_pretrained(stage / "model").chat_template == tokenizer.chat_template
    rollouts = read_table(stage / "rollouts", ROLLOUTS)
    assert rollouts.height == 12 and rollouts["step"].max() == 3  # what came after the checkpoint does not count
    assert rollouts.group_by("step", "group").len()["len"].to_list() == [2] * 6
    assert not (stage / "verl" / "checkpoints").exists()
    assert run_verl(job) == result
