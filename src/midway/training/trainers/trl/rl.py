"""RL: ordinary GRPO with TRL's GRPOTrainer; the reward is midway's verdict, or what the recipe names.

Promises: reward 1 for correct, 0 for wrong, None (left out of the group's baseline) for unjudged; any field of GRPOConfig passes
through; every completion is kept with its verdict; a killed run goes on from its last checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from datasets import Dataset, disable_progress_bars
from transformers import TrainerCallback
from trl import GRPOConfig, RLOOConfig
from trl.rewards import get_soft_overlong_punishment

from midway import registry
from midway.domains import Verifier
from midway.engines.text import turn_end
from midway.questions import from_frame
from midway.records import Question
from midway.training.jobs import Job
from midway.training.rewards import TRLReward
from midway.training.rollouts import NONE, Rollouts, kept_of_a_step
from midway.training.trainers.trl.alarms import AlarmCallback
from midway.training.trainers.trl.algorithms import at_k, config_of, expanded
from midway.training.trainers.trl.common import (
    RunCallback,
    adapter_config,
    base_args,
    hardware_args,
    load_model,
    load_tokenizer,
    train,
)
from midway.training.trainers.trl.grpo import Recording, RecordingRLOO, RecordingTrainer

TRAINERS: Mapping[str, tuple[type[Recording], Any]] = {
    "GRPOConfig": (RecordingTrainer, GRPOConfig),
    "RLOOConfig": (RecordingRLOO, RLOOConfig),
}
"""By the class of an algorithm's arguments."""

TABLES = {"wandb", "trackio"}
"""Trackers that TRL gives its table of completions: here with question, verdict and its reason, answer, tokens and cut-off."""


def rl_args(job: Job) -> dict[str, Any]:
    """Return the GRPOConfig fields of a job.

    On a CPU the static cache makes generation about twice as fast. It holds float32, as the weights do; under `bf16` or `fp16` the keys are
    not float32, and the cache that grows is taken.
    """
    defaults = dict(base_args(job))
    mixed = job.args.get("bf16") or job.args.get("fp16")
    if hardware_args().get("use_cpu") and not job.args.get("use_vllm") and not mixed:
        defaults["cache_implementation"] = "static"
    if job.overlong == "mask":
        defaults["mask_truncated_completions"] = True
    if job.template:
        defaults["chat_template_kwargs"] = job.template
    if TABLES & set(job.report_to):
        defaults |= {"log_completions": True, "num_completions_to_print": 0}  # the tracker's table, not the terminal's
    return {**defaults, **expanded(job.args)}


def run_grpo(
    job: Job,
    progress: Callable[[int, int, dict[str, Any]], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Run GRPO as `job` says; rows have `prompt` (text or chat messages) and `question_id`."""
    disable_progress_bars()
    assert job.questions is not None
    questions = from_frame(pl.read_parquet(job.questions))
    folder = Path(job.rollouts.get("folder") or Path(job.out) / "rollouts")
    with Verifier(**job.verify) as verifier, Rollouts(folder, job.run_name) as rollouts:
        trainer = rl_trainer(job, questions, verifier, rollouts)
        callback = RunCallback(Path(job.out), progress, stop)
        trainer.add_callback(callback)  # before the others: it puts metrics.jsonl in order
        trainer.add_callback(RolloutsCallback(trainer, job.rollouts.get("keep", NONE)))
        trainer.add_callback(AlarmCallback(trainer, job, questions, verifier))
        if job.curve.get("every"):
            from midway.training.trainers.trl.curve import CurveCallback

            trainer.add_callback(CurveCallback(trainer, job.curve["every"], job.curve["sets"], verifier))
        best = None
        if job.best:
            from midway.training.trainers.trl.best import BestCallback

            best = BestCallback(trainer, job.best["every"], job.best["set"], verifier, Path(job.out) / "best")
            trainer.add_callback(best)
        result = train(trainer, job, callback, best.take if best else dict)
    return {**result, "questions": len(trainer.train_dataset)}


def rl_trainer(job: Job, questions: Sequence[Question], verifier: Verifier, rollouts: Rollouts) -> Any:
    """Return TRL's trainer for the job's algorithm, with its model loaded, its rewards opened and its rows read."""
    rows = Dataset.from_parquet(job.rows, cache_dir=str(Path(job.out) / "cache"))
    rows = rows.select_columns(["prompt", "question_id"])
    tokenizer = load_tokenizer(job.model, job.revision, job.trust_remote_code)
    if isinstance(rows[0]["prompt"], list) and (end := turn_end(tokenizer)):
        tokenizer.eos_token = end
    rewards = opened_rewards(job, questions, verifier)
    recording, config = TRAINERS[config_of(job.args)]
    return recording(
        rollouts=rollouts,
        stop=job.stop,
        judging=next((k for k, (one, weight) in enumerate(rewards) if isinstance(one, TRLReward) and weight), None),
        at_k=at_k(job.args),
        model=load_model(job),
        reward_funcs=[one for one, _ in rewards],
        args=config(**rl_args(job), reward_weights=[weight for _, weight in rewards]),
        train_dataset=rows,
        processing_class=tokenizer,
        peft_config=adapter_config(job),
    )


def opened_rewards(job: Job, questions: Sequence[Question], verifier: Verifier) -> list[tuple[Any, float]]:
    """Return the reward functions of a job with their weights. The verdict is always among them: with weight 0 it is only logged, so that
    rollouts have their verdicts whatever the reward is. DAPO's penalty for long completions is one more."""
    found = []
    for one in job.rewards:
        part = registry.find("rewards", one["name"])
        reward = part.open(one["options"], questions=questions, verifier=verifier, stop=job.stop)
        found.append((reward, float(one["weight"])))
    if not any(isinstance(reward, TRLReward) for reward, _ in found):
        found.append((TRLReward(questions, verifier, job.stop), 0.0))
    if job.overlong == "soft":
        limit = int(job.args.get("max_completion_length", 256))
        found.append((get_soft_overlong_punishment(limit, max(1, limit // SOFT_SHARE)), 1.0))
    return found


SOFT_SHARE = 5
"""DAPO's penalty falls on the last fifth of the completion length, as in the paper (4,096 of 20,480 tokens)."""


class RolloutsCallback(TrainerCallback):  # type: ignore[misc]
    """Puts the rollouts in order when training begins: those of steps that will be done again are dropped. `keep` is the recipe's."""

    def __init__(self, trainer: Any, keep: str | int | None) -> None:
        self.trainer, self.keep = trainer, keep

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            keep = kept_of_a_step(self.keep, self.trainer.expected_rollouts())
            self.trainer.rollouts.begin(state.global_step, keep)
