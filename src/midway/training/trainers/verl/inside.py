"""What runs in verl's own environment: `PYTHON inside.py COMMAND REQUEST.json REPLY.json`. It imports nothing of midway's.

    compose       put a recipe's keys into verl's configuration tree, and let verl's own checks look at it
    merge-lora    merge the adapter that verl's merger leaves beside the weights into them

The reply is JSON. `errors` are for the user; an empty list means that all is well.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib.util
import json
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

NEEDED = ("verl", "ray", "hydra", "omegaconf", "transformers", "torch", "transfer_queue", "cachetools", "midway")
"""Modules that must be there before the first worker starts (`pip install verl` alone leaves out two of them; verl[vllm] brings all). The
engines of the rollouts (vLLM, SGLang) are asked for by name."""
ENGINES = {"vllm": "vllm", "sglang": "sglang", "trtllm": "tensorrt_llm"}


def compose(request: dict[str, Any]) -> dict[str, Any]:
    """Return errors, versions, and what of the composed configuration midway reads; write it to `out` if that is given.

    `values`: dotted key -> value, checked against verl's tree; `added`: the same, put there without a check.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    reply: dict[str, Any] = {"errors": [], "missing": missing, "versions": versions()}
    if missing:
        return reply
    from hydra import compose as composed
    from hydra import initialize_config_dir
    from omegaconf import OmegaConf

    folder = Path(importlib.util.find_spec("verl").submodule_search_locations[0]) / "trainer" / "config"  # type: ignore[union-attr,index]
    values = dict(request["values"])
    groups = [key for key in values if "@" in key or (isinstance(values[key], str) and (folder / key).is_dir())]
    with initialize_config_dir(str(folder), version_base=None):
        try:
            config = composed("ppo_trainer", overrides=[f"{key}={values.pop(key)}" for key in groups])
        except Exception as error:
            reply["errors"].append(f"verl's configuration cannot be composed: {first_line(error)}")
            return reply
    tree = OmegaConf.to_container(config, resolve=False)
    for key, value in values.items():
        reply["errors"] += wrong(tree, key, value)
    if reply["errors"]:
        return reply
    OmegaConf.set_struct(config, False)
    for key, value in [*values.items(), *request["added"].items()]:
        OmegaConf.update(config, key, value, merge=True, force_add=True)
    rollout = str(OmegaConf.select(config, "actor_rollout_ref.rollout.name", throw_on_missing=False) or "")
    engine = ENGINES.get(rollout)
    if engine is None:
        reply["errors"].append(
            f"actor_rollout_ref.rollout.name: verl needs {', '.join(ENGINES)}"
            + (f", not {rollout!r}" if rollout else "")
        )
        return reply
    if request.get("engine", True) and importlib.util.find_spec(engine) is None:
        reply["missing"].append(engine)
    reply["strategy"] = str(config.actor_rollout_ref.actor.strategy)
    reply["errors"] += refused(config)
    if request.get("out") and not reply["errors"]:
        Path(request["out"]).write_text(OmegaConf.to_yaml(config, resolve=False), encoding="utf-8")
    return reply


def wrong(tree: Any, key: str, value: Any) -> list[str]:
    """Return what is wrong with a key, with what is near; nothing if it is in the tree, or below a part of it that is open."""
    parts, node = key.split("."), tree
    for depth, part in enumerate(parts):
        if node is None or node == {}:
            return []  # verl hands these on to others as they are (engine_kwargs, override_config)
        if not isinstance(node, dict):
            return [f"{key}: {'.'.join(parts[:depth])} is a value, no section"]
        if part not in node:
            return [f"{key}: verl's configuration has no such key{near(tree, parts, depth, node)}"]
        node = node[part]
    if isinstance(node, dict) and node and not isinstance(value, dict):
        return [f"{key}: is a section of verl's configuration ({', '.join(list(node)[:6])} ...), no value"]
    return []


def near(tree: Any, parts: list[str], depth: int, node: dict[str, Any]) -> str:
    """Say which keys are near: of the same section, and of the same name elsewhere in the tree."""
    prefix, part = parts[:depth], parts[depth]
    close = [".".join([*prefix, name]) for name in difflib.get_close_matches(part, map(str, node), n=3, cutoff=0.6)]
    last = parts[-1]
    names = list(leaves(tree))
    elsewhere = [name for name in names if name.rsplit(".", 1)[-1] == last and name not in close][:3]
    if not close and not elsewhere:
        elsewhere = difflib.get_close_matches(".".join(parts), names, n=3, cutoff=0.6)
    found = [*close, *elsewhere]
    return f"; did you mean {' or '.join(found)}?" if found else ""


def leaves(node: Any, where: str = "") -> Any:
    """Yield the dotted keys of a tree that hold a value or an empty section."""
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from leaves(value, f"{where}.{key}" if where else str(key))
    else:
        yield where


def refused(config: Any) -> list[str]:
    """Return what verl's own check of its configuration says, the one that its trainer makes before it starts a worker."""
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config

    try:
        with contextlib.redirect_stdout(sys.stderr):
            validate_config(
                config=config,
                use_reference_policy=need_reference_policy(config),
                use_critic=need_critic(config),
            )
    except Exception as error:  # verl raises what it likes here: assertions, Hydra's and OmegaConf's own
        return [f"verl refuses the configuration: {first_line(error)}"]
    return []


def first_line(error: BaseException) -> str:
    """Return the first line of an error that says something, with its type where it is bare."""
    cause = error.__cause__ or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return lines[0] if lines else type(cause).__name__


def versions() -> dict[str, str]:
    """Return the versions of what decides results here."""
    found = {}
    for name in ("verl", "ray", "vllm", "sglang", "torch", "transformers", "megatron-core"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def merge_lora(request: dict[str, Any]) -> dict[str, Any]:
    """Merge `model`/lora_adapter into the weights of `model`, in place."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    folder = Path(request["model"])
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    merged = PeftModel.from_pretrained(base, str(folder / "lora_adapter")).merge_and_unload()
    merged.save_pretrained(folder)
    return {"errors": []}


COMMANDS = {"compose": compose, "merge-lora": merge_lora}


def main() -> None:
    command, request, reply = sys.argv[1:4]
    done = COMMANDS[command](json.loads(Path(request).read_text(encoding="utf-8")))
    temporary = f"{reply}.tmp"
    Path(temporary).write_text(json.dumps(done), encoding="utf-8")
    os.replace(temporary, reply)


if __name__ == "__main__":
    main()
