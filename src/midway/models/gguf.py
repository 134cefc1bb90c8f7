"""A GGUF file becomes an ordinary Hugging Face directory: weights dequantised, tokenizer, chat template, a card.

Promises: the directory loads anywhere with `from_pretrained`; the token that ends a turn is the one that the chat template writes (some
GGUF files name another). What was lost when the file was quantised stays lost; the card says so.

When things go wrong: ModelError for a file that transformers cannot read, or where the package `gguf` is missing.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

from midway import registry
from midway.engines.text import first_line, turn_end
from midway.models.cache import kept
from midway.models.wheel import ModelError

DType = Literal["bfloat16", "float32"]


def from_file(path: str | Path, *, dtype: DType = "bfloat16") -> Path:
    """Return the directory of a GGUF file's model, converted once and kept by the file's content."""
    file = Path(path).expanduser()
    with open(file, "rb") as stream:
        content = hashlib.file_digest(stream, "blake2b").hexdigest()[:24]
    card = f"Converted from `{file.name}` by midway."
    return kept(f"gguf-{content}-{dtype}", lambda folder: convert(file, folder, dtype=dtype, card=card))


def convert(file: Path, folder: Path, *, dtype: DType, card: str) -> None:
    """Write the model of a GGUF file into `folder`. `card` is the text of its README. Raises ModelError."""
    try:
        import gguf  # noqa: F401 - transformers reads the file with it
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
        from transformers.utils import logging
    except ImportError as error:
        raise ModelError(
            f"a GGUF file is read with {error.name}, which is not installed: {registry.install('train')}"
        ) from None
    where: dict[str, Any] = {"gguf_file": file.name}
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(file.parent, **where)
        read = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **where)
    except (OSError, ValueError, KeyError, NotImplementedError) as error:
        how = "transformers reads GGUF files of some architectures only"
        raise ModelError(f"{file} cannot be read: {first_line(error)}\n  {how}") from error
    tokenizer.clean_up_tokenization_spaces = False  # for WordPiece; with byte-level BPE it takes spaces away
    end = turn_end(tokenizer) if tokenizer.chat_template else None
    if end:
        tokenizer.eos_token = end
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    config = read.config
    del config.quantization_config  # the weights are ordinary ones now; transformers refuses to save a quantised model
    config._name_or_path = ""
    config.eos_token_id, config.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    config.dtype = getattr(torch, dtype)
    model = AutoModelForCausalLM.from_config(config, dtype=config.dtype)
    model.load_state_dict(read.state_dict())
    model.generation_config = GenerationConfig(
        bos_token_id=config.bos_token_id, eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(card, encoding="utf-8")
    if bars:
        logging.enable_progress_bar()
