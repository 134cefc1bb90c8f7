"""Which arguments TRL takes, checked before anything is generated. Imports neither torch nor TRL."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from midway.registry import near

Config = Literal["SFTConfig", "GRPOConfig"]
CONFIGS: Mapping[str, Config] = {"midtrain": "SFTConfig", "rl": "GRPOConfig"}
"""Section of a recipe -> TRL's class of its arguments."""


@cache
def trl_fields(config: Config) -> frozenset[str]:
    """Return the names of the fields of TRL's config; read from a list that a test holds equal to the installed TRL's."""
    names: list[str] = json.loads(Path(__file__).with_name("fields.json").read_text())[config]
    return frozenset(names)


RESERVED = {
    "output_dir": "the run directory decides it",
    "seed": "it comes from `seeds`",
    "data_seed": "it comes from `seeds`",
    "reward_weights": "weights stand in `training.reward`",
}


def check(section: str, where: str, args: Mapping[str, Any]) -> None:
    """Raise ValueError for what is no argument of TRL's, or must not be set in a recipe; `where` names the place."""
    config = CONFIGS[section]
    known = trl_fields(config)
    for key in args:
        if key in RESERVED:
            raise ValueError(f"{where}.{key} cannot be set here: {RESERVED[key]}")
        if key not in known:
            raise ValueError(f"{where}.{key} is no field of TRL's {config}{near(key, sorted(known))}")


def check_groups(where: str, args: Mapping[str, Any]) -> None:
    """Raise ValueError where a step does not divide into groups: TRL's own rule, told before anything is generated."""
    group = int(args.get("num_generations", 8))
    per_step = int(args.get("steps_per_generation") or args.get("gradient_accumulation_steps", 1))
    batch = int(args.get("generation_batch_size") or int(args.get("per_device_train_batch_size", 8)) * per_step)
    if group < 2 or batch % group:
        raise ValueError(
            f"{where}: a GRPO step of {batch} completions (rl.per_device_train_batch_size x gradient_accumulation_steps) does not "
            f"divide into groups of rl.num_generations={group}"
        )
