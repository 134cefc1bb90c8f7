"""The model: its size, what full fine-tuning holds, and what it sees of one question. Reads its configuration and tokenizer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from midway import registry
from midway.checks.base import Check, Finding, Level, Subject
from midway.checks.pools import requests
from midway.engines.text import chat_text, first_line, load_tokenizer
from midway.records import Prompt
from midway.workbench import TRAIN, find_model


def run(subject: Subject) -> Iterator[Finding]:
    config = subject.recipe.model
    try:
        path = find_model(config.path, make=False)
    except FileNotFoundError:
        name, _, rest = config.path.partition(":")
        yield Finding(f"model {config.path}: {registry.find('models', name).cost(rest)}")
        return
    try:
        yield Finding(size(subject, path))
    except (OSError, ValueError) as error:
        yield Finding(
            f"model {config.path}: cannot be read: {first_line(error)}\n"
            "  `model.path` is a directory, a model of the Hub (org/name), or a name of `midway list models`",
            Level.PROBLEM,
        )
        return
    tokenizer = load_tokenizer(path, config.model_copy(update={"path": path}))
    question = subject.bench.questions.get(TRAIN)[0]
    guides = [h for name in subject.recipe.pools for h in subject.bench.prompts.heuristics(name) if h]
    asked = sum(requests(subject, name) for name in subject.recipe.used_pools)
    for label, heuristic in [("plain", None), *([("guided", guides[0])] if guides else [])]:
        text, count = seen(subject.bench.prompts.build(question, heuristic), tokenizer)
        yield Finding(f"--- {label} prompt of one question, as the model sees it ({count} tokens)\n{text}\n---")
        if heuristic and asked:
            yield Finding(
                f"prompts of all pools: about {asked * count:,} tokens in, most of them shared within a heuristic"
            )


def size(subject: Subject, path: str) -> str:
    """Return the model's parameters and what full fine-tuning of them holds, in words."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = subject.recipe.model
    shape = AutoConfig.from_pretrained(path, revision=config.revision, trust_remote_code=config.trust_remote_code)
    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(shape)
    parameters = sum(p.numel() for p in empty.parameters())
    width = {"float16": 2, "bfloat16": 2}.get(config.dtype, 4)
    adam = parameters * (width + width + 2 * width)
    return (
        f"model {config.path}: {type(empty).__name__}, {parameters:,} parameters; full fine-tuning holds weights, gradients and Adam's "
        f"two moments in {'float32' if width == 4 else config.dtype}: {adam / 2**30:.1f} GiB and activations besides"
    )


def seen(prompt: Prompt, tokenizer: Any) -> tuple[str, int]:
    """Return a prompt as the model sees it, and its tokens."""
    if not prompt.messages:
        return prompt.text, len(tokenizer(prompt.text)["input_ids"])
    text = chat_text(prompt.messages, tokenizer, prompt.template)
    return text, len(tokenizer(text, add_special_tokens=False)["input_ids"])


CHECK = Check("model", run, needs="model")
