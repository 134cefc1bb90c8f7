"""Random checkpoints of real architectures, a few hundred thousand weights each, with a real byte-level BPE tokenizer.

Promises: made in a moment, the same weights for the same seed and torch. They know nothing: they are for trying out that a recipe runs
(`model.path: tiny:llama`), never for a result.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Literal

from midway.records import UserError

Family = Literal["llama", "qwen2", "qwen3", "gemma", "gpt2"]
FAMILIES: tuple[Family, ...] = ("llama", "qwen2", "qwen3", "gemma", "gpt2")

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CORPUS = [
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May.",
    "How many clips did Natalia sell altogether in April and May? She sold 48 / 2 = 24 clips in May.",
    "Let x be the unknown. Look back: does the answer 72 make sense? Try a simpler problem first, then plan.",
    "def check(candidate): assert candidate(2, 3) == 5  # the sum of two numbers is 5, and 7 + 8 = 15",
]


def tiny_tokenizer(chat: bool = True, vocab: int = 512) -> Any:
    """Train a byte-level BPE tokenizer: any text goes in and comes out again."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(CORPUS, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="<|im_end|>" if chat else "<|endoftext|>", pad_token="<|endoftext|>"
    )
    if chat:
        tokenizer.chat_template = CHATML
    return tokenizer


def tiny_checkpoint(
    folder: Path,
    family: Family = "llama",
    *,
    seed: int = 0,
    chat: bool | None = None,
    context: int = 1024,
    **config: Any,
) -> Path:
    """Save a random model and tokenizer in `folder`; `config` overrides fields of the model's configuration."""
    import torch
    import transformers as tf

    chat = family != "gpt2" if chat is None else chat
    tokenizer = tiny_tokenizer(chat)
    size = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 128,
        "max_position_embeddings": context,
        "initializer_range": 0.2,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "tie_word_embeddings": False,
    }
    if family == "gpt2":
        for old, new in (
            ("hidden_size", "n_embd"),
            ("num_hidden_layers", "n_layer"),
            ("num_attention_heads", "n_head"),
        ):
            size[new] = size.pop(old)
        size["n_positions"] = size.pop("max_position_embeddings")
        del size["num_key_value_heads"], size["intermediate_size"]
    elif family in ("gemma", "qwen3"):
        size["head_dim"] = 16
    size.update(config)
    kind = {"llama": "Llama", "qwen2": "Qwen2", "qwen3": "Qwen3", "gemma": "Gemma", "gpt2": "GPT2"}[family]
    torch.manual_seed(seed)
    model_config = getattr(tf, f"{kind}Config")(**size)
    model = getattr(tf, "GPT2LMHeadModel" if family == "gpt2" else f"{kind}ForCausalLM")(model_config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def cached_tiny(family: str) -> Path:
    """Return the directory of a random checkpoint of `family`, made on first use. Raises UserError for an unknown family."""
    if family not in FAMILIES:
        raise UserError(f"model.path: tiny:{family}: there is no such family; known: {', '.join(FAMILIES)}")
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "midway"
    folder = root / f"tiny-{family}"
    if not (folder / "config.json").exists():
        root.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=root))
        tiny_checkpoint(fresh, family, context=2048)
        try:
            os.replace(fresh, folder)
        except OSError:  # another process was quicker
            shutil.rmtree(fresh)
    return folder
