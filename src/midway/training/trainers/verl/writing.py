"""What midway writes for verl into a stage's directory: data, reward function, configuration, and the commands that start it and merge it.

verl/train.parquet, val.parquet   the questions, in the columns that verl's RLHFDataset reads
verl/reward.py                    `compute_score`, which judges with midway's verifier
verl/config.yaml                  verl's whole configuration tree, composed
verl/start.sh, merge.sh           commands that a user can read, and type
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from midway.questions import from_frame
from midway.rundir import RunError, write_bytes, write_table
from midway.training.dataset import VERL_RL, verl_row
from midway.training.jobs import Job
from midway.training.rollouts import NONE
from midway.training.trainers.verl.arguments import bare, flat
from midway.training.trainers.verl.environment import BACKENDS, composed, find_python

WATCHED = 64
"""RL questions in the set that verl samples where `rl.trainer.test_freq` is set."""
BOS = "{{ bos_token }}"
PLAIN = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
"""Chat template that shows a prompt as it is: verl puts every prompt through one."""
ADDRESS, CLUSTER = "ray_kwargs.ray_init.address", "${oc.env:RAY_ADDRESS,local}"
"""Which Ray cluster verl joins. Left to Ray it would be the last one that anybody started on this machine, were it long gone."""
TRACKERS = {"wandb", "swanlab", "mlflow", "tensorboard", "trackio", "clearml"}


@dataclass(frozen=True)
class Place:
    """Where things are."""

    stage: Path

    @property
    def folder(self) -> Path:
        return self.stage / "verl"

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def start(self) -> Path:
        return self.folder / "start.sh"

    @property
    def merge(self) -> Path:
        return self.folder / "merge.sh"

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.jsonl"

    @property
    def rollouts(self) -> Path:
        return self.folder / "rollouts"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"


def write(job: Job, tokenizer: Any) -> dict[str, Any]:
    """Write everything; return what verl's environment says of the configuration. (`ready` has looked for the engine of the rollouts.)

    Raises RunError, as `environment.composed` does.
    """
    place = Place(Path(job.out).resolve())
    place.folder.mkdir(parents=True, exist_ok=True)
    python = find_python(job.python or "")
    rows = frame(job)
    write_table(place.folder / "train.parquet", rows)
    write_table(place.folder / "val.parquet", rows.head(WATCHED))
    reply = composed(python, job.args, settings(job, place, tokenizer), out=place.config, engine=False)
    workers = {bare(k): v for k, v in flat(job.args)}.get("reward.num_workers", 8)
    write_bytes(
        place.folder / "reward.py", REWARD.format(job=str(place.stage / "job.json"), workers=int(workers)).encode()
    )
    program, folder, backend = shlex.quote(python), shlex.quote(str(place.folder)), BACKENDS[reply["strategy"]]
    write_bytes(place.start, START.format(name=job.run_name, program=program, folder=folder).encode())
    write_bytes(place.merge, MERGE.format(backend=backend, program=program, folder=folder).encode())
    for script in (place.start, place.merge):
        script.chmod(0o755)
    return reply


def frame(job: Job) -> pl.DataFrame:
    """Return the questions of a job as verl's rows. `ground_truth` is the question's id, by which rewards and rollouts find it."""
    assert job.questions is not None
    questions = {q.id: q for q in from_frame(pl.read_parquet(job.questions))}
    made = []
    for index, row in enumerate(pl.read_parquet(job.rows).iter_rows(named=True)):
        asked = row["prompt"] if job.chat else [{"role": "user", "content": row["prompt"]}]
        question = questions[row["question_id"]]
        made.append(verl_row(question, asked, index, gold=question.id))
    return pl.DataFrame(made, schema=VERL_RL)


def settings(job: Job, place: Place, tokenizer: Any) -> dict[str, Any]:
    """Return what midway decides of verl's configuration, by dotted key; a key with `+` is added to the tree."""
    trackers = [name for name in job.report_to if name in TRACKERS]
    if strange := sorted(set(job.report_to) - {*trackers, "none"}):
        raise RunError(f"report_to: verl knows no {', '.join(strange)}; it has {', '.join(sorted(TRACKERS))}")
    found: dict[str, Any] = {
        "data.train_files": str(place.folder / "train.parquet"),
        "data.val_files": str(place.folder / "val.parquet"),
        "data.seed": job.seed,
        "data.trust_remote_code": job.trust_remote_code,
        "actor_rollout_ref.model.path": job.model,
        "actor_rollout_ref.model.trust_remote_code": job.trust_remote_code,
        "actor_rollout_ref.actor.data_loader_seed": job.seed,
        "actor_rollout_ref.rollout.seed": job.seed,
        "reward.custom_reward_function.path": str(place.folder / "reward.py"),
        "reward.custom_reward_function.name": "compute_score",
        "trainer.default_local_dir": str(place.checkpoints),
        "trainer.resume_mode": "auto",
        "trainer.rollout_data_dir": None if keeps_none(job) else str(place.rollouts),
        "trainer.experiment_name": job.run_name,
        "trainer.logger": ["console", "file", *trackers],
        "+ray_kwargs.ray_init.runtime_env.env_vars.VERL_FILE_LOGGER_PATH": str(place.metrics),
    }
    if ADDRESS not in {bare(key) for key, _ in flat(job.args)}:
        found[f"+{ADDRESS}"] = CLUSTER
    if not job.chat:
        found["actor_rollout_ref.model.custom_chat_template"] = plain_template(tokenizer)
    return found


def keeps_none(job: Job) -> bool:
    """Whether no rollouts are kept."""
    return not job.rollouts or job.rollouts.get("keep") == NONE


def plain_template(tokenizer: Any) -> str:
    """Return the chat template that shows a text as evaluation does: with BOS where the tokenizer puts one before a text."""
    begins = tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id] and tokenizer.bos_token_id is not None
    return (BOS if begins else "") + PLAIN


def known_steps(config: Mapping[str, Any]) -> int:
    """Return the steps that the recipe asks for, 0 where they follow from epochs."""
    values = {bare(key): value for key, value in flat(config)}
    return int(values.get("trainer.total_training_steps") or 0)


REWARD = '''"""Written by midway: the reward function that verl calls (reward.custom_reward_function)."""

from functools import cache
from pathlib import Path

from midway.training.trainers.verl.reward import reward_of


@cache
def reward():
    return reward_of(Path({job!r}), workers={workers})


async def compute_score(data_source, solution_str, ground_truth, extra_info=None, **_):
    """`ground_truth` is the id of the question."""
    return await reward()(solution_str, ground_truth)
'''
START = """#!/bin/sh
# RL with verl: {name}. Written by midway.
# It goes on from the last checkpoint. Further arguments are verl's (trainer.nnodes=2 ...). On a Ray cluster that runs already:
#   RAY_ADDRESS=auto sh {folder}/start.sh
cd {folder} || exit 1
exec {program} -m verl.trainer.main_ppo --config-path={folder} --config-name=config \\
    hydra.run.dir={folder}/hydra hydra.output_subdir=null "$@"
"""
MERGE = """#!/bin/sh
# merge.sh CHECKPOINT TARGET: turn a checkpoint of verl (checkpoints/global_step_N) into a Hugging Face directory. Written by midway.
cd {folder} || exit 1
exec {program} -m verl.model_merger merge --backend {backend} --local_dir "$1/actor" --target_dir "$2"
"""
