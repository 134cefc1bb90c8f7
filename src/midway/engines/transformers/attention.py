"""Attention of one new token, where the rows of a batch begin with the same tokens.

Promises: the result is that of ordinary attention over prefix and own tokens (one softmax over both), but the keys and values of the
prefix are held and read once for the whole batch, not once for each row; and heads that share keys share them in memory, too.
The idea is that of cascade inference (Ye et al. 2024) and Hydragen (Juravsky et al. 2024), without their kernels.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

NAME = "midway_shared_prefix"
FAMILIES = ("gemma", "gpt2", "llama", "mistral", "qwen2", "qwen3")
"""`model_type`s whose attention is the plain one (no soft cap, no sinks); others take the general path."""


@dataclass(slots=True)
class Shared:
    """What the rows share: keys and values (1, H, P, D) by layer, and what is hidden, as 0 or -inf: of the prefix (B, 1, 1, P), of the
    rows' own slots (B, 1, 1, room); None when nothing is."""

    layers: list[tuple[torch.Tensor, torch.Tensor]]
    hidden_prefix: torch.Tensor | None = None
    hidden_own: torch.Tensor | None = None

    def keep_rows(self, index: torch.Tensor) -> None:
        """Drop all rows but `index`."""
        if self.hidden_prefix is not None and self.hidden_own is not None:
            self.hidden_prefix, self.hidden_own = self.hidden_prefix[index], self.hidden_own[index]


_active: list[Shared] = []
"""The batch whose forward pass is running: the attention function is called by the model and finds it here."""


def possible(config: Any) -> bool:
    """Return whether a model of this configuration can be run so."""
    kinds = set(getattr(config, "layer_types", None) or ())
    window = getattr(config, "sliding_window", None) if config.model_type == "mistral" else None
    return config.model_type in FAMILIES and kinds <= {"full_attention"} and not window


@contextmanager
def sharing(config: Any, shared: Shared) -> Iterator[None]:
    """Let the model of `config` attend through `attend` while the block runs."""
    before = config._attn_implementation
    config._attn_implementation = NAME
    _active.append(shared)
    try:
        yield
    finally:
        _active.pop()
        config._attn_implementation = before


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    scaling: float,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attend from one token (B, Hq, 1, D) to the prefix and to the own keys and values (B, H, T, D); return (B, 1, Hq, D)."""
    shared = _active[-1]
    batch, heads, length, width = key.shape
    q = (query * scaling).reshape(batch, heads, -1, width)  # the query heads of one key head side by side
    scores = q @ key.transpose(-1, -2)
    if shared.hidden_own is not None:
        scores = scores + shared.hidden_own[..., :length]
    if not shared.layers:
        out = scores.softmax(-1, dtype=torch.float32).to(value.dtype) @ value
        return out.reshape(batch, 1, -1, value.shape[-1]), None
    keys, values = shared.layers[module.layer_idx]
    past, group = keys.shape[2], q.shape[2]
    flat = q.transpose(0, 1).reshape(heads, batch * group, width)
    early = (flat @ keys[0].transpose(-1, -2)).view(heads, batch, group, past).transpose(0, 1)
    if shared.hidden_prefix is not None:
        early = early + shared.hidden_prefix
    weights = torch.cat([early, scores], -1).softmax(-1, dtype=torch.float32).to(value.dtype)
    flat = weights[..., :past].transpose(0, 1).reshape(heads, batch * group, past)
    out = (flat @ values[0]).view(heads, batch, group, -1).transpose(0, 1) + weights[..., past:] @ value
    return out.reshape(batch, 1, -1, value.shape[-1]), None


ALL_ATTENTION_FUNCTIONS.register(NAME, attend)
