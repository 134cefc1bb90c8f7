"""Which arguments TRL takes, checked before anything is generated. Imports neither torch nor TRL."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from midway.registry import near
from midway.training.trainers.trl.algorithms import NAME, K, algorithm_of, check_k, expanded

Config = Literal["SFTConfig", "GRPOConfig", "RLOOConfig"]
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
    """Raise ValueError for what is no argument of TRL's, or must not be set in a recipe; `where` names the place.

    RL's arguments may name an `algorithm`. Where they do not, here or beside the arm's, the fields of all algorithms' classes are known.
    """
    try:
        config = algorithm_of(args) if section == "rl" else None
    except ValueError as error:
        raise ValueError(f"{where}.{error}") from None
    names = [config.config] if config else [CONFIGS[section]]
    known = set().union(*(trl_fields(name) for name in names))
    if section == "rl":
        known |= {NAME, K}
    for key in args:
        if key in RESERVED:
            raise ValueError(f"{where}.{key} cannot be set here: {RESERVED[key]}")
        if key not in known and not (section == "rl" and config is None and key in trl_fields("RLOOConfig")):
            raise ValueError(f"{where}.{key} is no field of TRL's {names[0]}{near(key, sorted(known))}")
    if config:
        try:
            expanded(args)
        except ValueError as error:
            raise ValueError(f"{where}.{error}") from None


def check_groups(where: str, args: Mapping[str, Any], processes: int = 1) -> None:
    """Raise ValueError where a step does not divide into groups: TRL's own rule, checked before anything is generated; also where k
    does not fit the group, and for RLOO's own fields where nothing names RLOO."""
    group = int(args.get("num_generations", 8))
    try:
        check_k(args, group)
    except ValueError as error:
        raise ValueError(f"{where}: rl.{error}") from None
    if NAME not in args and (others := sorted(set(args) - trl_fields("GRPOConfig") - {K})):
        raise ValueError(f"{where}: rl.{others[0]} is no field of TRL's GRPOConfig; RLOO's need rl.{NAME}=rloo")
    per_step = int(args.get("steps_per_generation") or args.get("gradient_accumulation_steps", 1))
    per_process = int(args.get("per_device_train_batch_size", 8)) * per_step
    batch = int(args.get("generation_batch_size") or per_process * processes)
    if group < 2 or batch % group:
        times = f" x {processes} processes" if processes > 1 else ""
        raise ValueError(
            f"{where}: a GRPO step of {batch} completions (rl.per_device_train_batch_size x gradient_accumulation_steps{times}) does "
            f"not divide into groups of rl.num_generations={group}"
        )
