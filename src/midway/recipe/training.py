"""What a recipe says of RL besides the trainer's own arguments: who trains, the reward, what is kept, which questions. Imports no torch."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from midway.recipe.section import Section, find_part, part_settings


class RewardConfig(Section):
    """One of several rewards."""

    name: str
    """verdict, random, format, length, or a reward of a plug-in."""
    weight: float = 1.0
    """The reward is the sum of all, each times its weight. 0: it is only logged."""
    options: dict[str, Any] = {}
    """Settings of the reward."""

    @model_validator(mode="after")
    def _known(self) -> RewardConfig:
        part_settings(find_part("rewards", self.name).config, self.options)
        return self


def reward_list(reward: str | list[RewardConfig]) -> list[RewardConfig]:
    """Return rewards as a list, also of a bare name. Raises ValueError for an empty list, or one with a name twice."""
    found = [RewardConfig(name=reward)] if isinstance(reward, str) else reward
    names = [one.name for one in found]
    if len(set(names)) < len(names) or not names:
        raise ValueError("reward: give at least one, each name once")
    return found


class TrainingConfig(Section):
    trainer: str = "trl"
    """Who trains: trl, verl (RL alone; mid-training stays TRL's), or a trainer of a plug-in. `midtrain` and `rl` hold its own arguments."""
    python: str | None = None
    """verl: the Python of the environment that verl is installed in, such as `.venv-verl/bin/python`."""
    reward: str | list[RewardConfig] = "verdict"
    """What RL is rewarded with: `verdict` (1 right, 0 wrong, unjudged left out), `random`, `format`, `length`, a reward of a plug-in, or a
    list of several with weights. An arm may have another."""
    overlong: Literal["score", "mask", "soft"] = "score"
    """RL completions that are cut off at max_completion_length: `score` rewards them as they stand; `mask` leaves them out of the loss;
    `soft` takes up to 1 off the reward over the last fifth of the length (DAPO's penalty)."""
    rollouts: Literal["all", "none"] | int | None = None
    """Which completions that RL samples are kept: `all`, `none`, or so many of each step, whole groups. If left out: all where at most a
    million are expected, else 1,000 of each step."""

    keep: Literal["last", "best"] = "last"
    """Which state of RL becomes the arm's model: the last, or, of those at every `rl.save_steps`, the one that solves most of the held-out
    questions."""
    held_out: int = Field(64, ge=1)
    """`keep: best`: so many RL questions are not trained on but measured with (half of them at most), the same for all arms."""

    @model_validator(mode="after")
    def _known(self) -> TrainingConfig:
        find_part("trainers", self.trainer)
        reward_list(self.reward)
        if isinstance(self.rollouts, int) and self.rollouts < 1:
            raise ValueError("rollouts: write all, none, or how many of each step, at least 1")
        return self


class FilterConfig(Section):
    """Which RL questions are used, by how often the base model solves them. The same questions for all arms."""

    min: float = Field(0.05, ge=0, le=1)
    """Leave out questions of which a smaller share of samples is right."""
    max: float = Field(0.95, ge=0, le=1)
    """Leave out questions of which a larger share of samples is right."""
    samples: int = Field(8, ge=1)
    """Samples of each question: those of an unguided pool with as many, else drawn for it."""

    @model_validator(mode="after")
    def _order(self) -> FilterConfig:
        if self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self
