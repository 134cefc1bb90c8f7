"""The part `training: {trainer: verl, python: PATH}`. Imports neither torch nor verl."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from midway.registry import TrainerPart
from midway.training.jobs import Job, Progress, Stop
from midway.training.trainers.verl.arguments import check, check_recipe, in_words, sampled, set_steps
from midway.training.trainers.verl.environment import ready


def _train(job: Job, progress: Progress | None = None, stop: Stop | None = None) -> Mapping[str, Any]:
    if job.kind == "sft":
        from midway.training.trainers.trl.sft import run_sft

        return run_sft(job, progress, stop)
    from midway.training.trainers.verl.training import run_verl

    return run_verl(job, progress, stop)


TRAINER = TrainerPart(
    name="verl",
    summary="verl: RL on Ray with FSDP or Megatron and vLLM or SGLang; mid-training stays TRL's",
    extra="midway[train]",
    train=_train,
    check=check,
    check_recipe=check_recipe,
    ready=ready,
    starts=("grpo",),
    sampled=sampled,
    algorithm=in_words,
    set_steps=set_steps,
    packages=("torch", "transformers", "trl", "datasets", "accelerate"),
)
