"""The trainers and rewards that come with midway. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from midway.registry import RewardPart, TrainerPart
from midway.training.jobs import Job, Progress, Stop
from midway.training.trainers.trl.arguments import check, check_groups


def _train_trl(job: Job, progress: Progress | None = None, stop: Stop | None = None) -> Mapping[str, Any]:
    if job.kind == "sft":
        from midway.training.trainers.trl.sft import run_sft

        return run_sft(job, progress, stop)
    from midway.training.trainers.trl.rl import run_grpo

    return run_grpo(job, progress, stop)


def _verdict(options: Mapping[str, Any], *, questions: Any, verifier: Any, stop: Any) -> Any:
    from midway.training.rewards import TRLReward

    return TRLReward(questions, verifier, stop)


TRAINERS = (
    TrainerPart(
        name="trl",
        summary="TRL: SFTTrainer and GRPOTrainer, in this process or under accelerate",
        extra="midway[train]",
        train=_train_trl,
        check=check,
        check_groups=check_groups,
        packages=("torch", "transformers", "trl", "datasets", "accelerate"),
    ),
)
REWARDS = (
    RewardPart(name="verdict", summary="1 for right, 0 for wrong; unjudged is left out of the group", open=_verdict),
)
