"""A training job: everything that a training process needs, as JSON on disk. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from midway import registry
from midway.recipe import Recipe, RewardConfig
from midway.rundir import write_bytes

Progress = Callable[[int, int, dict[str, Any]], None]
"""Called with (step, steps, latest logs)."""
Stop = Callable[[], bool]
SAVE_STEPS = 50
"""Steps between checkpoints where the recipe does not say."""


@dataclass(frozen=True)
class Job:
    """Everything a training process needs, as JSON on disk, so that it can run in this process or under a launcher."""

    kind: str
    """`sft` or `grpo`."""
    model: str
    revision: str | None
    dtype: str
    trust_remote_code: bool
    rows: str
    """Parquet file with the training rows."""
    out: str
    """The stage directory: `model/`, `checkpoints/` and `metrics.jsonl` go here."""
    seed: int
    args: dict[str, Any] = field(default_factory=dict)
    """Fields of SFTConfig or GRPOConfig, as in the recipe."""
    lora: dict[str, Any] | None = None
    report_to: list[str] = field(default_factory=list)
    run_name: str = ""
    examples: int | None = None
    """sft: take as many optimizer steps as this many rows would (the treatment's), unless `args` has max_steps."""
    template: dict[str, Any] = field(default_factory=dict)
    """What the chat template is given besides the messages."""
    held_out: str | None = None
    """sft: Parquet file with rows that are not trained on: the loss on them is measured before and after."""
    stop: list[str] = field(default_factory=list)
    """grpo: strings at which an answer ends for the reward, as it does in evaluation."""
    questions: str | None = None
    """grpo: Parquet file with the question records, for the reward."""
    verify: dict[str, Any] = field(default_factory=dict)
    best: dict[str, Any] = field(default_factory=dict)
    """grpo: where the best state is kept: `every`, and `set`, the slice of training questions that tells which (as in `curve`)."""
    trainer: str = "trl"
    python: str | None = None
    """The Python that the trainer runs in, where that is not this one."""
    chat: bool = True
    """Whether prompts are messages that go through the model's chat template."""
    rewards: list[dict[str, Any]] = field(default_factory=lambda: [{"name": "verdict", "weight": 1.0, "options": {}}])
    """grpo: the rewards that are added up: `name`, `weight`, `options` of each (see `recipe.RewardConfig`)."""
    overlong: str = "score"
    """grpo: what becomes of completions that are cut off: score, mask or soft (see `recipe.TrainingConfig`)."""
    rollouts: dict[str, Any] = field(default_factory=dict)
    """grpo: the `folder` for rollouts, and `keep` (all, none, or how many of a step); nothing is kept where it is empty."""
    plugins: list[str] = field(default_factory=list)
    """Plug-in files that the trainer and the reward may come from."""
    until: dict[str, Any] = field(default_factory=dict)
    """sft: stop when pass@1 on the slice `set`, measured `every` so many steps, reaches `target`, that of the arm `match`."""
    curve: dict[str, Any] = field(default_factory=dict)
    """grpo: `every` and `sets`, the slices of benchmarks to evaluate while RL runs (see `curve`)."""

    def save(self, path: Path) -> None:
        write_bytes(path, json.dumps(self.__dict__, indent=2).encode())

    @classmethod
    def load(cls, path: Path) -> Job:
        return cls(**json.loads(path.read_text()))


@dataclass(frozen=True, kw_only=True)
class PaceAsked:
    """What a trainer's speed is asked for: the model, and the shape of a step."""

    model: str
    revision: str | None
    dtype: str
    trust_remote_code: bool
    lora: dict[str, Any] | None
    rows: int
    """Rows of a training batch; of a step of RL: completions that are sampled at once."""
    prompt_tokens: int
    new_tokens: int
    generates: bool = False
    """Whether the trainer samples, as in RL."""


@dataclass(frozen=True)
class Pace:
    """How fast a trainer is on this machine, in seconds."""

    load: float
    """To load the model."""
    token: float
    """Forward and backward, for a token of a batch."""
    step: float
    """The optimizer's step."""
    prompts: float = 0.0
    """To read the prompts of all rows before the first token is written."""
    written: float = 0.0
    """To write one token in all rows."""


def job_of(
    recipe: Recipe,
    *,
    kind: str,
    out: Path,
    model: str,
    revision: str | None,
    seed: int,
    args: Mapping[str, Any],
    name: str,
    stop: Sequence[str] = (),
) -> Job:
    """Return the job of a stage: what the recipe says of all training, and what is the stage's own. `name` is how trackers call it."""
    verify = recipe.verify
    return Job(
        kind=kind,
        model=model,
        revision=revision,
        dtype=recipe.model.dtype,
        trust_remote_code=recipe.model.trust_remote_code,
        rows=str(out / "rows.parquet"),
        out=str(out),
        seed=seed,
        args=dict(args),
        lora=recipe.lora,
        report_to=recipe.report_to,
        run_name=f"{recipe.name}-{name}",
        stop=list(stop),
        verify={
            "workers": verify.workers,
            "cpu_seconds": verify.seconds,
            "require_sandbox": verify.require_sandbox,
        },
        trainer=recipe.training.trainer,
        python=recipe.training.python,
        overlong=recipe.training.overlong,
        template=recipe.prompt.chat_template_kwargs,
        plugins=recipe.plugins,
    )


def read_rows(metrics: Path) -> list[dict[str, Any]]:
    """Return the rows of a metrics.jsonl; a torn last line is left out, and what is not a number."""
    rows = []
    for line in metrics.read_text(encoding="utf-8").splitlines() if metrics.exists() else ():
        with suppress(ValueError):
            rows.append({key: value for key, value in json.loads(line).items() if isinstance(value, int | float)})
    return rows


def trainer_identity(recipe: Recipe) -> dict[str, Any]:
    """Return what a digest holds of the trainer: nothing for TRL, which the first edition had alone."""
    name = recipe.training.trainer
    return {} if name == "trl" else {"trainer": {"name": name, **registry.find("trainers", name).identity()}}


def reward_identity(recipe: Recipe, arm: str) -> dict[str, Any]:
    """Return what a digest holds of an arm's rewards and of cut-off completions: nothing for the bare verdict, scored as it stands."""
    rewards = recipe.rewards(arm)
    overlong = {} if recipe.training.overlong == "score" else {"overlong": recipe.training.overlong}
    if len(rewards) == 1 and rewards[0] == RewardConfig(name=rewards[0].name):
        name = rewards[0].name
        return {**({} if name == "verdict" else {"reward": _reward(name)}), **overlong}
    return {"rewards": [{**one.identity(), **_reward(one.name)} for one in rewards], **overlong}


def keep_identity(recipe: Recipe) -> dict[str, Any]:
    """Return what a digest holds of which state is kept: nothing for the last."""
    training = recipe.training
    return {} if training.keep == "last" else {"keep": training.keep, "held_out": training.held_out}


def _reward(name: str) -> dict[str, Any]:
    return {"name": name, **registry.find("rewards", name).identity()}
