"""Whether a training fits the GPU: weights, gradients, optimizer, activations, vLLM's share, and which setting to change where it does not.

Reads the model's configuration and tokenizer; loads no weights. The formulas are in `midway.training.memory`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from midway.checks.base import Check, Finding, Level, Subject
from midway.checks.launch import Launched, read_launch
from midway.recipe import merge
from midway.records import Prompt
from midway.training.memory import (
    GIB,
    Estimate,
    Setting,
    Shape,
    changes,
    estimate,
    lora_numbers,
    reserve,
    setting_of,
    shape_of,
    vllm_needs,
)
from midway.workbench import RL, TRAIN, find_model

ASKED = 200
"""Questions whose prompts are counted, evenly spread; the longest counts."""
SECTIONS = {"sft": "midtrain", "grpo": "rl"}


def run(subject: Subject) -> Iterator[Finding]:
    recipe = subject.recipe
    arms = recipe.arms.values()
    kinds = [("sft", any(arm.midtrain for arm in arms)), ("grpo", any(arm.rl for arm in arms))]
    if recipe.training.trainer != "trl" or not any(wanted for _, wanted in kinds):
        return
    try:
        path = find_model(recipe.model.path, make=False)
    except FileNotFoundError:
        return  # `model` says what it costs to get it
    launched, card = read_launch(recipe.launch), subject.gpu_memory or detected()
    if not card:
        yield Finding(
            "memory: no GPU here; for a judgement whether a training fits, give its GiB: midway check --gpu-memory 24"
        )
    shape = model_shape(path, recipe.model.revision, recipe.model.trust_remote_code)
    for kind, wanted in kinds:
        if wanted:
            yield from one(subject, kind, shape, launched, card, path)


def one(subject: Subject, kind: str, shape: Shape, launched: Launched, card: float, path: str) -> Iterator[Finding]:
    """Yield what is to be said of mid-training or of RL: of the arm that holds most."""
    recipe, section = subject.recipe, SECTIONS[kind]
    found = []
    for name, arm in recipe.arms.items():
        if (kind == "sft" and not arm.midtrain) or (kind == "grpo" and not arm.rl):
            continue
        own = (recipe.midtrain, arm.midtrain_args) if kind == "sft" else (recipe.rl, arm.rl_args)
        args = trl_args(kind, merge(*own))
        tokens = length(subject, kind, args, path)
        setting = setting_of(
            kind,
            args,
            dtype=recipe.model.dtype,
            adapter=lora_numbers(shape, recipe.lora) if recipe.lora else 0,
            tokens=tokens,
            quantize=bool((recipe.lora or {}).get("quantize")),
            processes=launched.processes,
            sharded=launched.sharded,
            card=card,
        )
        found.append((estimate(shape, setting), setting, name))
    most, setting, name = max(found, key=lambda each: each[0].total)
    which = f" (arm {name})" if len({each.total for each, _, _ in found}) > 1 else ""
    yield Finding(f"memory of {section}{which}: {in_words(most, setting)}")
    if setting.vllm == "server":
        yield Finding(
            f"memory of {section}: the vLLM server holds {gib(shape.parameters * 2)} GiB of weights and its cache on GPUs of its own"
        )
    if card and setting.vllm == "colocate" and (needs := vllm_needs(shape, setting.tokens)) > setting.vllm_share * card:
        yield Finding(
            f"memory of rl: vLLM needs {gib(needs)} GiB for weights and one sequence, and has a share of {setting.vllm_share:g} of "
            f"{gib(card)} GiB. Set rl.vllm_gpu_memory_utilization={math.ceil(100 * needs / card) / 100:g} or more",
            Level.WARNING,
        )
    if card:
        yield judged(shape, setting, section, most, card)


def in_words(found: Estimate, setting: Setting) -> str:
    """Return an estimate as one line."""
    parts = " + ".join(f"{name} {gib(value)}" for name, value in found.parts.items() if value >= GIB / 100)
    how = f"{setting.batch} sequences of {setting.tokens:,} tokens at once"
    how += ", checkpointed" if setting.checkpointing else ", gradient_checkpointing off"
    if setting.processes > 1:
        how += f", {setting.processes} processes" + (", sharded" if setting.sharded else "")
    unknown = " and vLLM's share" if setting.vllm == "colocate" and not setting.card else ""
    return f"about {gib(found.total)} GiB{unknown} on each GPU = {parts} (in {found.phase}; {how})"


def judged(shape: Shape, setting: Setting, section: str, found: Estimate, card: float) -> Finding:
    """Say whether it fits, and if not, the first changes with which it would."""
    room = card - reserve(card)
    said = f"memory of {section}: of {gib(card)} GiB, {gib(room)} can be used"
    if found.total <= room:
        return Finding(f"{said}: it fits")
    for count, (_, changed) in enumerate(tried := changes(shape, setting, section), 1):
        less = estimate(shape, changed)
        if less.total <= room:
            advice = "; ".join(needed(shape, setting, tried[:count]))
            return Finding(f"{said}: it will not fit. Set {advice} (then about {gib(less.total)} GiB)", Level.WARNING)
    return Finding(
        f"{said}: it will not fit, and no setting of one GPU makes it: a smaller model, a larger GPU, or several with --use_fsdp "
        "(docs/rl.md has the launch line)",
        Level.WARNING,
    )


def needed(shape: Shape, setting: Setting, tried: list[tuple[str, Setting]]) -> Iterator[str]:
    """Yield what is to be changed: steps that save nothing are left out, of the same field the last counts."""
    last: dict[str, str] = {}
    before = estimate(shape, setting).total
    for text, changed in tried:
        after = estimate(shape, changed).total
        if after < before:
            last[text.partition("=")[0]] = text
        before = after
    yield from last.values()


def length(subject: Subject, kind: str, args: Mapping[str, Any], path: str) -> int:
    """Return the tokens of the longest sequence to be expected: the longest prompt and the longest completion."""
    from midway.checks.model import seen
    from midway.engines.text import load_tokenizer

    recipe, name = subject.recipe, TRAIN if kind == "sft" else RL
    tokenizer = load_tokenizer(path, recipe.model.model_copy(update={"path": path}))
    questions = subject.bench.questions.get(name)
    prompts: list[Prompt] = [
        subject.bench.prompts.build(question, None) for question in questions[:: max(1, len(questions) // ASKED)]
    ]
    asked = max(seen(prompt, tokenizer)[1] for prompt in prompts)
    if kind == "grpo":
        return asked + int(args.get("max_completion_length", 512))
    pools = [recipe.pools[one.pool] for arm in recipe.arms.values() for one in arm.midtrain if one.pool]
    answer = max((pool.sampling.max_tokens for pool in pools), default=512)
    whole = asked + min(answer, recipe.selection.max_tokens or answer)
    return min(whole, int(args.get("max_length") or whole))


def trl_args(kind: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the trainer's arguments with what an algorithm's name brings."""
    from midway.training.trainers.trl.algorithms import expanded

    return expanded(args) if kind == "grpo" else args


def model_shape(path: str, revision: str | None = None, trust_remote_code: bool = False) -> Shape:
    """Return the shape of a model, its parameters counted on an empty copy."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(path, revision=revision, trust_remote_code=trust_remote_code)
    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
    return shape_of(config, sum(p.numel() for p in empty.parameters()))


def detected() -> float:
    """Return the bytes of the smallest GPU of this machine, 0 without one."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return float(min((torch.cuda.get_device_properties(k).total_memory for k in range(count)), default=0))


def gib(value: float) -> str:
    """Return bytes as GiB, with two figures below 10."""
    return f"{value / GIB:.1f}" if value >= GIB else f"{value / GIB:.2f}"


CHECK = Check("memory", run, needs="model")
