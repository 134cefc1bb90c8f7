"""Which arms a forecast is about, and the RL that each gets."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from midway.recipe import Recipe, merge
from midway.theory.forecast import REFERENCE_WIDTH, Budget

RL_ONLY = "rl-only"


def budgets_of(recipe: Recipe, treatment: str, *, questions: int, model: str) -> dict[str, Budget]:
    """Return RL of the arm with RL alone and of the treatment, by name. `questions`: how many RL questions there are; `model`: the
    directory of the base model.

    RL alone is the control, or the first arm without mid-training; where no arm is one it is called `rl-only` and has the treatment's RL.
    """
    arms = recipe.arms
    alone = [n for n, arm in arms.items() if arm.rl and not (arm.midtrain or arm.checkpoint or arm.compute_matched)]
    control = recipe.control_arm if recipe.control_arm in alone else (alone[0] if alone else RL_ONLY)
    own = arms[control].rl_args if control in arms else arms[treatment].rl_args
    return {
        control: replace(budget_of(merge(recipe.rl, own), questions), width=width_of(model)),
        treatment: replace(
            budget_of(merge(recipe.rl, arms[treatment].rl_args), questions), width=width_of(model), midtrained=True
        ),
    }


def width_of(model: str) -> int:
    """Return the hidden size of a model directory; the lab's where it is not known (a Hub id, a server's name)."""
    try:
        config = json.loads((Path(model) / "config.json").read_text(encoding="utf-8"))
        return int(config.get("hidden_size") or config.get("n_embd") or REFERENCE_WIDTH)
    except (OSError, ValueError, TypeError):
        return REFERENCE_WIDTH


def budget_of(args: Mapping[str, Any], questions: int) -> Budget:
    """Return the budget of TRL's arguments; what they leave out is TRL's default. One process is assumed."""
    group = int(args.get("num_generations", 8))
    per_step = int(args.get("steps_per_generation") or args.get("gradient_accumulation_steps", 1))
    completions = int(args.get("generation_batch_size") or int(args.get("per_device_train_batch_size", 8)) * per_step)
    steps = int(args.get("max_steps", -1))
    if steps <= 0:
        steps = max(1, math.ceil(float(args.get("num_train_epochs", 3.0)) * questions * group / completions))
    rate = float(args.get("learning_rate", 1e-6))
    return Budget(steps=steps, group=group, completions=completions, rate=rate)
