"""verl as a trainer, as far as it goes without verl: what a recipe may say, the reward, the log. The rest: test_verl_inside.py."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rl_runs import lab_recipe

from midway.checks import Level, Subject
from midway.checks import trainer as trainer_check
from midway.questions import to_frame
from midway.recipe import RecipeError
from midway.records import Question
from midway.registry import find
from midway.rundir import RunError, Stopped
from midway.rundir.layout import Layout
from midway.training.jobs import Job
from midway.training.trainers.verl.environment import find_python
from midway.training.trainers.verl.log import Log
from midway.training.trainers.verl.reward import VerlReward
from midway.training.trainers.verl.training import run
from midway.workbench import Workbench

VERL = {"trainer": "verl", "python": sys.executable}
PLAIN = Question(domain="math", text="What is 2 + 3?", answer="5")


def recipe(rl: dict[str, Any], **sections: Any) -> Any:
    return lab_recipe({"plain": []}, rl=rl, **{"training": VERL, **sections})


def test_what_midway_decides_is_refused_with_the_reason() -> None:
    recipe({"data": {"train_batch_size": 8}, "trainer.total_epochs": 2})
    for rl, said in (
        ({"data": {"train_files": "x"}}, "rl.data.train_files cannot be set here: the run directory decides it"),
        ({"trainer.resume_mode": "disable"}, "goes on from its last checkpoint"),
        ({"reward": {"custom_reward_function": {"path": "x"}}}, "the reward stands in `training.reward`"),
        ({"+reward.custom_reward_function.reward_kwargs": {"a": 1}}, "the reward stands in `training.reward`"),
        ({"trainer": {"save_freq": -1}}, "write at least 1"),
    ):
        with pytest.raises(RecipeError) as error:
            recipe(rl)
        assert said in str(error.value)


def test_what_needs_trl_is_refused() -> None:
    for sections, said in (
        ({"training": {"trainer": "verl"}}, "training.python: name the Python"),
        ({"training": {**VERL, "keep": "best"}}, "training.keep: best needs TRL"),
        ({"training": {**VERL, "overlong": "soft"}}, "training.overlong: soft needs TRL"),
        ({"curve": {"every": 5}}, "curve.every needs TRL"),
        ({"lora": {"r": 8}}, "rl.actor_rollout_ref.model.lora_rank"),
    ):
        with pytest.raises(RecipeError) as error:
            recipe({}, **sections)
        assert said in str(error.value)
    with pytest.raises(RecipeError, match=r"midtrain\.learning_rat.*learning_rate"):  # mid-training is TRL's
        recipe({}, midtrain={"learning_rat": 1})


def test_how_rl_samples_is_read_from_verls_keys() -> None:
    part = find("trainers", "verl")
    rl = part.sampled({"data": {"train_batch_size": 16, "max_response_length": 99}, "actor_rollout_ref.rollout.n": 4})
    assert (rl.group, rl.batch, rl.max_tokens, rl.steps) == (4, 64, 99, None)
    assert part.sampled(part.set_steps({"trainer": {"total_epochs": 1}}, 7)).steps == 7


def test_a_python_without_verl_is_told_before_anything_is_spent(
    tmp_path: Path, midway: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    with pytest.raises(
        RunError, match=r"no Python at .*nowhere/bin/python\n  python3 -m venv .*nowhere\n.*pip install"
    ):
        find_python(str(tmp_path / "nowhere" / "bin" / "python"))
    asked = recipe({"actor_rollout_ref.rollout.name": "vllm"}, model={"path": "tiny:llama"})
    bench = Workbench(asked, Layout(tmp_path))
    found = list(trainer_check.CHECK.run(Subject(asked, bench)))
    assert [finding.level for finding in found] == [Level.PROBLEM]
    assert "has no verl, " in found[0].text
    assert f'{sys.executable} -m pip install "verl[vllm]==0.9.1"' in found[0].text
    (tmp_path / "r.yaml").write_text(json.dumps(asked.model_dump(mode="json")))
    done = midway("run", tmp_path / "r.yaml", "--out", tmp_path / "run", check=False, cwd=tmp_path)
    assert done.returncode == 2 and "has no verl, " in done.stderr
    assert not (tmp_path / "run" / "arms").exists()  # nothing was begun


def reward_of(tmp_path: Path, rewards: list[dict[str, Any]], questions: list[Question]) -> VerlReward:
    to_frame(questions).write_parquet(tmp_path / "questions.parquet")
    job = Job(
        kind="grpo", model="m", revision=None, dtype="auto", trust_remote_code=False, rows="", out=str(tmp_path), seed=0,
        questions=str(tmp_path / "questions.parquet"), verify={"workers": 1}, rewards=rewards, stop=["\nQ:"],
    )  # fmt: skip
    job.save(tmp_path / "job.json")
    return VerlReward(Job.load(tmp_path / "job.json"))


def test_the_reward_is_the_verdict_on_the_answer_alone(tmp_path: Path) -> None:
    reward = reward_of(tmp_path, [{"name": "verdict", "weight": 2.0, "options": {}}], [PLAIN])

    async def all_at_once() -> list[dict[str, float]]:
        texts = ["The answer is \\boxed{5}.\nQ: another \\boxed{9}", "The answer is \\boxed{6}."]
        return list(await asyncio.gather(*(reward(text, PLAIN.id) for text in texts)))

    right, wrong = asyncio.run(all_at_once())
    reward.verifier.close()
    assert right == {"score": 2.0, "acc": 1.0, "unjudged": 0.0}
    assert wrong == {"score": 0.0, "acc": 0.0, "unjudged": 0.0}


def test_the_log_has_each_step_once_also_after_a_kill(tmp_path: Path) -> None:
    source, target = tmp_path / "verl.jsonl", tmp_path / "metrics.jsonl"

    def logged(*steps: int, value: float) -> None:
        with open(source, "a") as file:
            for step in steps:
                file.write(json.dumps({"step": step, "data": {"critic/score/mean": value, "note": "text"}}) + "\n")

    log = Log(source, target, max_steps=5)
    log.begin(0)
    logged(1, 2, value=0.1)
    assert [row["step"] for row in log.follow()] == [1, 2]
    logged(3, value=0.1)
    with open(source, "a") as file:
        file.write('{"step": 4, "da')  # killed in the middle of a line
    again = Log(source, target, max_steps=5)
    again.begin(3)  # verl's last checkpoint is that of step 3, which nobody had read
    logged(4, 5, value=0.2)
    again.follow()
    assert again.rows() == [
        {"step": n, "max_steps": 5, "reward": v, "critic/score/mean": v}
        for n, v in ((1, 0.1), (2, 0.1), (3, 0.1), (4, 0.2), (5, 0.2))
    ]


def test_what_is_started_ends_when_asked_and_when_its_parent_dies(tmp_path: Path) -> None:
    script = tmp_path / "start.sh"
    script.write_text("#!/bin/sh\necho $$ > pid; echo begun; exec sleep 600\n")
    command = ["sh", "-c", f"cd {tmp_path} && exec sh start.sh"]

    def stop() -> None:
        if (tmp_path / "pid").exists():
            raise Stopped("asked")

    with pytest.raises(Stopped):
        run(command, tmp_path / "log", stop)
    assert not alive(int((tmp_path / "pid").read_text()))
    (tmp_path / "pid").unlink()
    parent = subprocess.Popen(
        [
            sys.executable, "-c",
            "import sys; from pathlib import Path; from midway.training.trainers.verl.training import run; "
            f"run({command!r}, Path({str(tmp_path / 'log')!r}), lambda: None)",
        ]
    )  # fmt: skip
    wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip() != "")
    parent.kill()
    parent.wait()
    child = int((tmp_path / "pid").read_text())
    wait_for(lambda: not alive(child))
    script.write_text("echo out of memory; exit 3\n")
    with pytest.raises(RunError, match=r"exit code 3; whole output in .*log\n(.|\n)*out of memory"):
        run(command, tmp_path / "log", lambda: None)


def alive(process: int) -> bool:
    """Whether a process runs (one that ended and that nobody waited for does not)."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(ready: Callable[[], bool]) -> None:
    import time

    end = time.monotonic() + 120
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_what_runs_in_verls_environment_imports_nothing_heavy_here() -> None:
    code = (
        "import sys, midway.training.trainers.verl.part, midway.training.trainers.verl.reward; "
        "print(sorted({'torch', 'trl', 'transformers', 'verl', 'ray'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_export_for_those_who_start_verl_themselves_has_the_same_columns(tmp_path: Path) -> None:
    from midway.training.dataset import VERL_RL, verl_row

    frame = pl.DataFrame([verl_row(PLAIN, [{"role": "user", "content": "?"}], 0, gold=PLAIN.id)], schema=VERL_RL)
    assert frame["reward_model"].struct.field("ground_truth").to_list() == [PLAIN.id]
    assert json.loads(frame["extra_info"].struct.field("question")[0])["answer"] == "5"
