"""A model with its tokenizer, as the engine runs it.

Promises: the model is in eval mode on its device. Only its EOS tokens, and the token that ends a turn of its chat template, end a text.

When things go wrong: a model that cannot be loaded, does not fit into memory, or has layers without a key-value cache is an EngineError.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from midway.engines.base import EngineError
from midway.engines.text import first_line, turn_end
from midway.engines.transformers.attention import possible
from midway.engines.transformers.memory import out_of_memory
from midway.recipe import ModelConfig


@dataclass(slots=True)
class Loaded:
    """A model in memory and what the engine must know of it."""

    model: Any
    """None when the engine is closed."""
    tokenizer: Any
    chat: bool
    """Whether messages go through the chat template."""
    config: Any
    """Of the text model."""
    eos: frozenset[int]
    """Tokens that end a text."""
    shares_prefix: bool
    """Whether the rows of a batch attend to one copy of their prefix."""

    @classmethod
    def of(cls, model: Any, tokenizer: Any, chat: bool) -> Loaded:
        config = model.config.get_text_config()
        eos = _eos(model, tokenizer)
        if chat and (end := turn_end(tokenizer)):
            eos |= {int(tokenizer.convert_tokens_to_ids(end))}
        return cls(model, tokenizer, chat, config, eos, possible(config))

    @property
    def context(self) -> int:
        """The longest sequence, in tokens."""
        return int(getattr(self.config, "max_position_embeddings", 0) or 1 << 20)


def load_model(path: str, config: ModelConfig, device: str) -> Any:
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    folder = Path(path).expanduser()
    local = folder.is_dir()
    try:
        model = AutoModelForCausalLM.from_pretrained(
            str(folder) if local else path,
            revision=None if local else config.revision,
            dtype=config.dtype if config.dtype == "auto" else getattr(torch, config.dtype),
            trust_remote_code=config.trust_remote_code,
        ).to(device)
    except (OSError, ValueError, KeyError) as error:
        raise EngineError(
            f"the model {path} cannot be loaded: {first_line(error)}\n  check `model.path` and `model.revision`"
        ) from error
    except (RuntimeError, MemoryError) as error:
        if out_of_memory(error):
            raise EngineError(
                f"not enough memory on {device} for the weights of {path}: {first_line(error)}"
            ) from error
        raise EngineError(
            f"the model {path} cannot be used on {device}: {first_line(error)}\n  check `engine.device`"
        ) from error
    kinds = set(getattr(model.config.get_text_config(), "layer_types", None) or ())
    if kinds - {"full_attention", "sliding_attention", "chunked_attention"}:
        raise EngineError(
            f"{path} has layers without a key-value cache ({', '.join(sorted(kinds))}), which this engine does not run\n"
            "  use `engine: {kind: vllm}` or `engine: {kind: openai}`"
        )
    return model.eval()


def _eos(model: Any, tokenizer: Any) -> frozenset[int]:
    found: set[int] = set()
    for value in (getattr(model.generation_config, "eos_token_id", None), tokenizer.eos_token_id):
        found.update(value if isinstance(value, list) else [] if value is None else [value])
    return frozenset(int(v) for v in found)
