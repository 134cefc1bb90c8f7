"""Algorithms by name: which of TRL's trainers, with which settings. Imports neither torch nor TRL.

`rl: {algorithm: NAME}` sets what makes the algorithm what it is; a recipe that sets one of these fields otherwise is refused. It also
brings the figures of the paper that may be changed. Without a name, TRL's own defaults hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from midway.registry import near
from midway.training.advantages import AT_K

NAME, K = "algorithm", "pass_k"
"""The two keys of `rl` that are midway's own."""
DEFAULT_K = 4


@dataclass(frozen=True, kw_only=True)
class Algorithm:
    """What a name stands for."""

    title: str
    source: str
    config: str = "GRPOConfig"
    """TRL's class of its arguments; the trainer's is named alike."""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """What makes it what it is."""
    usual: Mapping[str, Any] = field(default_factory=dict)
    """The paper's figures; a recipe may set others."""
    differs: str = ""
    """What of the paper is not here, or stands elsewhere."""


ALGORITHMS: Mapping[str, Algorithm] = {
    "grpo": Algorithm(
        title="GRPO: the group's mean and deviation; each completion counts alike, however long",
        source="Shao et al. 2024, arXiv:2402.03300",
        fixed={"loss_type": "grpo", "scale_rewards": "group"},
        usual={"epsilon": 0.2},
        differs="`beta` is 0 as in TRL, so there is no reference model; the paper has 0.04",
    ),
    "dr-grpo": Algorithm(
        title="Dr. GRPO: the group's mean alone; tokens are divided by a constant",
        source="Liu et al. 2025, arXiv:2503.20783",
        fixed={"loss_type": "dr_grpo", "scale_rewards": "none"},
        usual={"beta": 0.0, "epsilon": 0.2},
    ),
    "dapo": Algorithm(
        title="DAPO: each token counts alike; the upper clip is higher",
        source="Yu et al. 2025, arXiv:2503.14476",
        fixed={"loss_type": "dapo", "scale_rewards": "group"},
        usual={"beta": 0.0, "epsilon": 0.2, "epsilon_high": 0.28},
        differs="its penalty for long completions is `training.overlong: soft`; dynamic sampling is not in TRL",
    ),
    "rloo": Algorithm(
        title="RLOO: the baseline is the mean of the others; a completion is one action",
        source="Ahmadian et al. 2024, arXiv:2402.14740",
        config="RLOOConfig",
        fixed={"normalize_advantages": False},
        usual={"beta": 0.05},
        differs="TRL clips the ratio as PPO does, which does nothing while each sample is used once; `beta` is TRL's",
    ),
    "pass-at-k": Algorithm(
        title="Pass@k training: advantages of subsets of `pass_k`, in GRPO's place",
        source="Chen et al. 2025, arXiv:2508.10751",
        fixed={"multi_objective_aggregation": "sum_then_normalize"},
        differs="`loss_type` is TRL's default unless set; the advantages are midway's",
    ),
    "pkpo": Algorithm(
        title="PKPO: unbiased gradient of pass@`pass_k`",
        source="Walder and Karkhanis 2025, arXiv:2505.15201",
        fixed={"multi_objective_aggregation": "sum_then_normalize"},
        usual={"loss_type": "dr_grpo"},
        differs="the loss divides by a constant, as an unbiased gradient needs; the advantages are midway's",
    ),
}


def algorithm_of(args: Mapping[str, Any]) -> Algorithm | None:
    """Return the algorithm that arguments of RL name, None without a name. Raises ValueError for an unknown name."""
    name = args.get(NAME)
    if name is None:
        return None
    if name not in ALGORITHMS:
        raise ValueError(f"{NAME}: there is none called {name!r}{near(str(name), list(ALGORITHMS))}")
    return ALGORITHMS[name]


def in_words(args: Mapping[str, Any]) -> str:
    """Return what arguments of RL stand for: `Dr. GRPO`, `GRPO with loss_type dapo`. Raises ValueError for an unknown name."""
    found = algorithm_of(args)
    if found is None:
        return f"GRPO with loss_type {args['loss_type']}" if "loss_type" in args else "GRPO, TRL's own loss"
    name = found.title.partition(":")[0]
    return f"{name}, k = {args.get(K, DEFAULT_K)}" if args[NAME] in AT_K else name


def config_of(args: Mapping[str, Any]) -> str:
    """Return the name of TRL's class for arguments of RL."""
    found = algorithm_of(args)
    return found.config if found else "GRPOConfig"


def expanded(args: Mapping[str, Any]) -> dict[str, Any]:
    """Return TRL's arguments for a recipe's: the name's settings below what is set, midway's own keys left out.

    Raises ValueError where a setting contradicts the name.
    """
    found = algorithm_of(args)
    given = {key: value for key, value in args.items() if key not in (NAME, K)}
    if found is None:
        return given
    for key, value in found.fixed.items():
        if key in given and given[key] != value:
            raise ValueError(
                f"{key}={given[key]} is not {args[NAME]}, which has {key}={value}: leave out one of {NAME} and {key}"
            )
    return {**found.fixed, **found.usual, **given}


def at_k(args: Mapping[str, Any]) -> tuple[str, int] | None:
    """Return name and k where midway makes the advantages, else None."""
    name = args.get(NAME)
    return (str(name), int(args.get(K, DEFAULT_K))) if name in AT_K else None


def check_k(args: Mapping[str, Any], group: int) -> None:
    """Raise ValueError for a k that does not fit the algorithm or the group."""
    found = at_k(args)
    if found is None:
        if K in args:
            raise ValueError(f"{K} is for {NAME}: {' or '.join(AT_K)}")
    elif not 1 <= found[1] <= group:
        raise ValueError(f"{K}={found[1]} must be between 1 and num_generations={group}")
