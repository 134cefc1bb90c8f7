"""verl's arguments as a recipe has them: a tree of verl's own keys (`data: {train_batch_size: 64}`, or `data.train_batch_size: 64`).

Promises: keys that midway decides are refused when the recipe is loaded, with the reason; all others are checked against verl's own
configuration tree, in verl's environment, before anything is spent (`environment`). A key with `+` in front is added to the tree without a
check, as on verl's command line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from midway.registry import Sampled
from midway.training.jobs import SAVE_STEPS
from midway.training.trainers.trl import arguments as trl

if TYPE_CHECKING:
    from midway.recipe import Recipe

RUN = "the run directory decides it"
RESERVED = {
    "data.train_files": RUN,
    "data.val_files": RUN,
    "data.prompt_key": "midway writes the data",
    "data.custom_cls": "midway writes the data, and verl's own class reads it",
    "data.seed": "it comes from `seeds`",
    "actor_rollout_ref.model.path": "it is what the arm starts from",
    "actor_rollout_ref.model.custom_chat_template": "prompts are the same in RL and in evaluation: see `model.chat`",
    "reward.custom_reward_function": "the reward stands in `training.reward`",
    "custom_reward_function": "the reward stands in `training.reward`",
    "trainer.default_local_dir": RUN,
    "trainer.default_hdfs_dir": RUN,
    "trainer.rollout_data_dir": "`training.rollouts` says what is kept",
    "trainer.resume_mode": "a run goes on from its last checkpoint",
    "trainer.resume_from_path": "a run goes on from its last checkpoint",
    "trainer.use_v1": "midway reads what verl's current trainer writes",
}
"""Keys, and sections, that a recipe may not set -> why."""
DEFAULTS: Mapping[str, Any] = {
    "algorithm.adv_estimator": "grpo",
    "actor_rollout_ref.rollout.n": 8,
    "trainer.val_before_train": False,
    "trainer.test_freq": -1,
    "trainer.save_freq": SAVE_STEPS,
    "trainer.max_actor_ckpt_to_keep": 2,
    "trainer.max_critic_ckpt_to_keep": 2,
    "trainer.project_name": "midway",
}
"""What midway sets unless the recipe does."""
VERL = {"data.train_batch_size": 1024, "data.max_response_length": 512, "actor_rollout_ref.rollout.temperature": 1.0}
"""verl 0.9's own defaults of what midway reads."""
MANY_EPOCHS = 1_000_000


def flat(args: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of a tree in which dotted keys may stand too; an empty section is a value."""
    for key, value in args.items():
        place = f"{where}.{key}" if where else str(key)
        if isinstance(value, Mapping) and value:
            yield from flat(value, place)
        else:
            yield place, value


def bare(key: str) -> str:
    """Return a key without the plus signs that say `add this`."""
    return ".".join(part.lstrip("+") for part in key.split("."))


def check(section: str, where: str, args: Mapping[str, Any]) -> None:
    """Raise ValueError for arguments that may not be set in a recipe. Mid-training is TRL's."""
    if section == "midtrain":
        trl.check(section, where, args)
        return
    for key, value in flat(args):
        for name, why in RESERVED.items():
            if bare(key) == name or bare(key).startswith(f"{name}."):
                raise ValueError(f"{where}.{key} cannot be set here: {why}")
        if bare(key) == "trainer.save_freq" and int(value) < 1:
            raise ValueError(f"{where}.{key}: the arm's model is verl's last checkpoint, so write at least 1")


def check_recipe(recipe: Recipe) -> None:
    """Raise ValueError for what verl as a trainer cannot do, or needs."""
    training = recipe.training
    if not training.python:
        raise ValueError(
            "training.python: name the Python of the environment that verl is installed in (`training: {trainer: verl, python: "
            ".venv-verl/bin/python}`); docs/verl.md says how to make one"
        )
    if training.keep != "last":
        raise ValueError(
            "training.keep: best needs TRL: with verl the last state is kept (rl.trainer.test_freq watches it)"
        )
    if training.overlong != "score":
        raise ValueError(
            f"training.overlong: {training.overlong} needs TRL: verl has its own, rl.reward.reward_manager.name: dapo"
        )
    if recipe.curve.every:
        raise ValueError("curve.every needs TRL: with verl set rl.trainer.test_freq, which samples a few RL questions")
    if recipe.lora is not None and any(arm.rl for arm in recipe.arms.values()):
        raise ValueError(
            "lora: is TRL's; with verl write rl.actor_rollout_ref.model.lora_rank (midway merges its adapter too)"
        )


def sampled(args: Mapping[str, Any]) -> Sampled:
    """Return how RL samples by these arguments."""
    values = {**VERL, **DEFAULTS, **{bare(key): value for key, value in flat(args)}}
    group, steps = int(values["actor_rollout_ref.rollout.n"]), values.get("trainer.total_training_steps")
    return Sampled(
        group=group,
        batch=group * int(values["data.train_batch_size"]),
        temperature=float(values["actor_rollout_ref.rollout.temperature"]),
        max_tokens=int(values["data.max_response_length"]),
        steps=None if steps is None else int(steps),
    )


def in_words(args: Mapping[str, Any]) -> str:
    """Return what these arguments stand for: `GRPO`, `RLOO` ... by verl's name of the advantage."""
    values = {**DEFAULTS, **{bare(key): value for key, value in flat(args)}}
    return str(values["algorithm.adv_estimator"]).upper()


def set_steps(args: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """Return arguments with another number of steps, which verl's epochs shall not cut short."""
    values = dict(flat(args))
    return {**values, "trainer.total_training_steps": steps, "trainer.total_epochs": MANY_EPOCHS}
