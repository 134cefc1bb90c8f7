"""How spread out a model is at each token of a text: the entropy of its next-token distribution, exactly, by one pass over the text.

Promises: entropies are at temperature 1, without top-k or top-p, of the whole vocabulary. The text is tokenised anew, on its own: where a
model wrote it in other tokens than its tokenizer would, the positions are those of the tokenizer.
When things go wrong: EngineError for a tokenizer that cannot say which characters a token stands for, and for a text beyond the context.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch

from midway.engines.base import EngineError
from midway.engines.text import encode
from midway.engines.transformers.engine import HFEngine
from midway.engines.transformers.kv import prefill
from midway.records import Prompt

BATCH = 64
LOGITS = 2**27
"""Texts in one pass, at most, and logits in one pass (512 MiB in float32)."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A text's tokens (T): their spans of characters, the entropy (nats) of the distribution each was drawn from, its log-probability."""

    span_T: list[tuple[int, int]]
    entropy_T: list[float]
    logprob_T: list[float]


@dataclass(frozen=True, slots=True)
class _Row:
    head: list[int]
    tail: list[int]
    spans: list[tuple[int, int]]


def spreads(engine: HFEngine, items: Iterable[tuple[Prompt, str]]) -> Iterator[Spread]:
    """Yield the spread of each text after its prompt, in order; an empty text has no tokens."""
    if not engine.tokenizer.is_fast:
        raise EngineError(
            "entropies at branch points need a fast tokenizer: the model's directory needs tokenizer.json"
        )
    stream = iter(items)
    vocabulary = int(engine.model.config.get_text_config().vocab_size)
    while window := list(islice(stream, BATCH)):
        rows = [_coded(engine, prompt, text) for prompt, text in window]
        while rows:
            longest = max(len(row.tail) for row in rows)
            count = max(1, LOGITS // max(1, longest * vocabulary))
            yield from _pass(engine, rows[:count])
            rows = rows[count:]


def _coded(engine: HFEngine, prompt: Prompt, text: str) -> _Row:
    coded = engine.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    head, tail = encode(prompt, engine.tokenizer, engine.chat), list(coded["input_ids"])
    if len(head) + len(tail) > engine.context:
        raise EngineError(f"prompt and text of {len(head) + len(tail)} tokens exceed the context of {engine.context}")
    return _Row(head, tail, [(int(a), int(b)) for a, b in coded["offset_mapping"]])


@torch.inference_mode()  # type: ignore[untyped-decorator]
def _pass(engine: HFEngine, rows: list[_Row]) -> list[Spread]:
    out = [Spread([], [], []) for _ in rows]
    some = [i for i, row in enumerate(rows) if row.tail]
    if not some:
        return out
    inputs = [rows[i].head + rows[i].tail[:-1] for i in some]  # the last token predicts nothing that is asked for
    keep, width = max(len(rows[i].tail) for i in some), max(map(len, inputs))
    logits = prefill(engine.model, inputs, None, width, keep=min(keep, width)).logits
    for at, i in enumerate(some):
        tail = rows[i].tail
        log_p = logits[at, -len(tail) :].float().log_softmax(-1)
        own = log_p.gather(-1, torch.tensor(tail, device=log_p.device)[:, None]).squeeze(-1)
        out[i] = Spread(rows[i].spans, torch.special.entr(log_p.exp()).sum(-1).tolist(), own.tolist())
    return out
