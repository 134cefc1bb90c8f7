"""The trainers and rewards that come with midway. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from midway.recipe.rewards import LengthOptions, RandomOptions, VerdictOptions
from midway.registry import RewardPart, TrainerPart
from midway.training.jobs import Job, Pace, PaceAsked, Progress, Stop
from midway.training.trainers.trl.algorithms import in_words
from midway.training.trainers.trl.arguments import check, check_groups


def _train_trl(job: Job, progress: Progress | None = None, stop: Stop | None = None) -> Mapping[str, Any]:
    if job.kind == "sft":
        from midway.training.trainers.trl.sft import run_sft

        return run_sft(job, progress, stop)
    from midway.training.trainers.trl.rl import run_grpo

    return run_grpo(job, progress, stop)


def _pace_trl(asked: PaceAsked) -> Pace:
    from midway.training.trainers.trl.pace import pace

    return pace(asked)


def _verdict(options: Mapping[str, Any], *, questions: Any, verifier: Any, stop: Any) -> Any:
    from midway.training.controls import SoundReward
    from midway.training.rewards import TRLReward

    asked = VerdictOptions(**options)
    return (
        TRLReward(questions, verifier, stop)
        if asked == VerdictOptions()
        else SoundReward(asked, questions, verifier, stop)
    )


def _random(options: Mapping[str, Any], *, questions: Any, verifier: Any, stop: Any) -> Any:
    from midway.training.controls import RandomReward

    return RandomReward(RandomOptions(**options))


def _format(options: Mapping[str, Any], *, questions: Any, verifier: Any, stop: Any) -> Any:
    from midway.training.controls import FormatReward

    return FormatReward(questions, verifier, stop)


def _length(options: Mapping[str, Any], *, questions: Any, verifier: Any, stop: Any) -> Any:
    from midway.training.controls import LengthReward

    return LengthReward(LengthOptions(**options))


TRAINERS = (
    TrainerPart(
        name="trl",
        summary="TRL: SFTTrainer and GRPOTrainer, in this process or under accelerate",
        extra="midway[train]",
        train=_train_trl,
        check=check,
        check_groups=check_groups,
        check_processes=check_groups,
        packages=("torch", "transformers", "trl", "datasets", "accelerate"),
        pace=_pace_trl,
        algorithm=in_words,
    ),
)
REWARDS = (
    RewardPart(
        name="verdict",
        summary="1 for right, 0 for wrong; unjudged is left out of the group; on request only sound texts count as right",
        open=_verdict,
        config=VerdictOptions,
    ),
    RewardPart(
        name="random",
        summary="1 or 0 by chance, whatever was written: the control for gains that the reward does not explain",
        open=_random,
        config=RandomOptions,
    ),
    RewardPart(name="format", summary="1 where an answer can be read, right or wrong; else 0", open=_format),
    RewardPart(
        name="length",
        summary="0 up to a target length in tokens, falling to -1 at twice the target; to add to another reward",
        open=_length,
        config=LengthOptions,
    ),
)
