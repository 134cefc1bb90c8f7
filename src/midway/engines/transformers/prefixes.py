"""Prefixes that prompts have in common, computed once and kept.

Promises: a prefix that is kept is given out again for every batch whose prompts begin with it; the latest few are kept.

When things go wrong: out of memory is raised as torch raises it; `clear` frees what is kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch

from midway.engines.transformers.kv import Prefix, make_prefix

SHORTEST = 8
"""Tokens: a shorter common prefix is not worth a run of its own."""
KEPT = 4


class Prefixes:
    """See the module."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, ...], Prefix] = OrderedDict()
        self.computed = 0
        """Tokens of all prefixes that were run."""

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def find(self, model: Any, prompts: Sequence[list[int]], shared: int) -> Prefix | None:
        """Return the computed prefix that all prompts begin with, at most `shared` long; None when it is not worth it."""
        shortest = min(len(p) for p in prompts) - 1
        shared = min(shared, shortest)
        for tokens, prefix in reversed(self._kept.items()):
            n = len(tokens)
            if 0.9 * shared <= n <= shortest and all(tuple(p[:n]) == tokens for p in prompts):
                self._kept.move_to_end(tokens)
                return prefix
        if shared < SHORTEST or len(prompts) < 2:
            return None
        prefix = make_prefix(model, prompts[0][:shared])
        self.computed += shared
        self._kept[tuple(prefix.tokens)] = prefix
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return prefix

    def clear(self) -> None:
        self._kept.clear()
