"""How fast this machine trains a model: one small step of what TRL does, timed. For `midway check --time`.

Promises: seconds of plain torch and transformers at the number format of training, after one warm-up each; nothing is written. What TRL
does besides (logging, tokenising, saving) is not in it. When things go wrong: torch's own errors pass through, such as too little memory.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

import torch

from midway.training.jobs import Pace, PaceAsked
from midway.training.trainers.trl.common import adapter_config, load_model

SHORT, LONG = 3, 9
"""New tokens of the two timed generations: their difference is the time of a token, what is left that of the prompt."""


def pace(asked: PaceAsked) -> Pace:
    """Return the seconds of loading, of training on a token, of an optimizer step, of reading prompts and of writing a token."""
    start = time.perf_counter()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model: Any = load_model(asked).to(device)
    loaded = time.perf_counter() - start
    if asked.lora is not None:
        from peft import get_peft_model

        model = get_peft_model(model, adapter_config(asked))
    vocabulary = model.get_input_embeddings().num_embeddings

    def tokens(rows: int, length: int) -> torch.Tensor:
        return torch.randint(vocabulary, (rows, length), generator=torch.Generator().manual_seed(0)).to(device)

    rows = min(asked.rows, 4)
    batch = tokens(rows, asked.prompt_tokens + asked.new_tokens)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=0.0)
    model.train()
    mixed = torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda")

    def learn() -> None:
        with mixed:
            model(input_ids=batch, labels=batch).loss.backward()

    learn()
    learning = _timed(learn)
    optimizer.step()
    stepping = _timed(optimizer.step)
    optimizer.zero_grad(set_to_none=True)
    del optimizer
    gc.collect()
    if not asked.generates:
        return Pace(loaded, learning / batch.numel(), stepping)

    model.eval()
    prompts = tokens(asked.rows, asked.prompt_tokens)
    how = {"cache_implementation": "static"} if device == "cpu" else {}

    def write(new: int) -> Callable[[], object]:
        return lambda: model.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
            max_new_tokens=new,
            min_new_tokens=new,
            do_sample=True,
            pad_token_id=0,
            **how,
        )

    with torch.no_grad(), mixed:
        write(2)()
        short, long = _timed(write(SHORT)), _timed(write(LONG))
    token = max(0.0, (long - short) / (LONG - SHORT))
    return Pace(loaded, learning / batch.numel(), stepping, max(0.0, short - SHORT * token), token)


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start
