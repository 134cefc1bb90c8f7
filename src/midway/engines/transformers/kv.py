"""Keys and values of a batch in buffers that are allocated once, with a shared prefix computed once.

Promises: after `prefill` every row looks to the model as if it had been left-padded and run whole: real positions, no gaps, so that
sliding windows and learned positions are right. A row's tokens that are part of the prefix and fit are copied, the rest is computed.

    slots     0 ....................... P ................... P+S
    row i     [pad_i empty][prefix, copied ][last S tokens, run]      S = longest suffix, pad_i = S - own suffix length
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer


class BufferLayer(DynamicLayer):  # type: ignore[misc]
    """A cache layer with room for `room` slots: a step writes in place, where DynamicLayer copies everything and StaticLayer
    attends to slots that are still empty."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.dtype, self.device = key_states.dtype, key_states.device
        self._reserve(key_states.shape[0], key_states, value_states)
        self.is_initialized = True

    def _reserve(self, rows: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Make empty buffers with the head shapes of `keys` and `values` (B, H, T, D)."""
        self._key_room = keys.new_empty((rows, keys.shape[1], self.room, keys.shape[3]))
        self._value_room = values.new_empty((rows, values.shape[1], self.room, values.shape[3]))
        self._show(0)

    def _show(self, length: int) -> None:
        self.keys, self.values = self._key_room[:, :, :length], self._value_room[:, :, :length]

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.keys.shape[-2]
        end = start + key_states.shape[-2]
        self._key_room[:, :, start:end] = key_states
        self._value_room[:, :, start:end] = value_states
        self._show(end)
        return self.keys, self.values

    def get_seq_length(self) -> int:
        return int(self.keys.shape[-2]) if self.is_initialized else 0

    def get_max_length(self) -> int:
        return self.room

    def fill(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Start with these keys and values (B, H, T, D)."""
        self.lazy_initialization(keys, values)
        self.update(keys, values)

    def take_rows(self, source: BufferLayer, first: int, index: torch.Tensor, *, rows: int, skip: int = 0) -> None:
        """Copy rows `index` of `source`, without their first `skip` slots, to rows `first`, `first`+1, ... of a cache with `rows` rows."""
        keys, values = source.keys[:, :, skip:], source.values[:, :, skip:]
        if not self.is_initialized:
            self.lazy_initialization(keys[:1].expand(rows, -1, -1, -1), values[:1].expand(rows, -1, -1, -1))
        length = keys.shape[-2]
        self._key_room[first : first + len(index), :, :length] = keys[index]
        self._value_room[first : first + len(index), :, :length] = values[index]
        self._show(length)

    def keep_rows(self, index: torch.Tensor) -> None:
        """Drop all rows but `index`."""
        length = self.keys.shape[-2]
        old_keys, old_values = self.keys, self.values
        self._reserve(len(index), old_keys, old_values)
        self._key_room[:, :, :length] = old_keys[index]
        self._value_room[:, :, :length] = old_values[index]
        self._show(length)


class BufferCache(Cache):  # type: ignore[misc]
    """A cache of BufferLayers, made as the model's layers come by."""

    def __init__(self, room: int) -> None:
        super().__init__(layer_class_to_replicate=lambda: BufferLayer(room))
        self.room = room

    def layer(self, index: int) -> BufferLayer:
        while len(self.layers) <= index:
            self.layers.append(BufferLayer(self.room))
        layer: BufferLayer = self.layers[index]
        return layer

    def keep_rows(self, index: torch.Tensor) -> None:
        for i in range(len(self.layers)):
            self.layer(i).keep_rows(index)


@dataclass(slots=True)
class Prefix:
    """Tokens that several prompts begin with, and their keys and values (1, H, P, D) by layer."""

    tokens: list[int]
    layers: list[tuple[torch.Tensor, torch.Tensor]]


@dataclass(slots=True)
class Filled:
    """What `prefill` gives: the cache, empty slots on the left of each row, the last `keep` logits (B, keep, V), copied tokens."""

    cache: BufferCache
    pads: torch.Tensor
    logits: torch.Tensor
    cached: list[int]


def make_prefix(model: Any, tokens: list[int]) -> Prefix:
    """Run the tokens and keep their keys and values."""
    filled = prefill(model, [tokens], None, len(tokens))
    layers = [(layer.keys, layer.values) for layer in filled.cache.layers]
    return Prefix(tokens, layers)


def prefill(
    model: Any, rows: Sequence[Sequence[int]], prefix: Prefix | None, room: int, *, keep: int = 1, width: int = 0
) -> Filled:
    """Run prompts (all begin with `prefix`, each has at least one token more). `width`, if larger than the longest row, aligns the
    rows to that many slots."""
    past = len(prefix.tokens) if prefix else 0
    width = max(width, *(len(row) for row in rows))
    run = max(width - past, keep)
    past = width - run
    device = model.device
    pads = torch.tensor([width - len(row) for row in rows], device=device)
    ids = torch.tensor([[0] * (run - len(row)) + list(row[-run:]) for row in rows], device=device)
    slots = torch.arange(width, device=device)
    cache = BufferCache(room)
    if prefix and past:
        source = (slots[:past] - pads[:, None]).clamp(min=0)  # (B, past)
        for i, (keys, values) in enumerate(prefix.layers):
            cache.layer(i).fill(keys[0][:, source].transpose(0, 1), values[0][:, source].transpose(0, 1))
    padded = bool((pads > 0).any())
    output = model(
        input_ids=ids,
        attention_mask=slots >= pads[:, None] if padded else None,
        position_ids=(slots[past:] - pads[:, None]).clamp(min=0),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=keep,
    )
    return Filled(cache, pads, output.logits[:, -keep:], [max(len(row) - run, 0) for row in rows])


def common_prefix(rows: Sequence[list[int]]) -> int:
    """Return how many tokens all rows begin with."""
    low, high = min(rows), max(rows)
    count = 0
    for a, b in zip(low, high, strict=False):
        if a != b:
            break
        count += 1
    return count
