"""One batch on its way: prefilled, then stepped until every row is done.

Promises: samples of one prompt share its prefill; rows that are done leave the batch; a row's tokens depend on its own seed.

When things go wrong: out of memory is raised as torch raises it, with the batch as it was; `answered` says which rows are done.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from midway.engines.transformers.attention import Shared, sharing
from midway.engines.transformers.kv import BufferCache, Filled, Prefix, prefill
from midway.engines.transformers.loading import Loaded
from midway.engines.transformers.sampling import choose, token_logprobs
from midway.records import Finish, Request, Sampling


@dataclass(slots=True)
class Row:
    """A request with the tokens of its prompt and those written so far."""

    request: Request
    tokens: list[int]
    out: list[int] = field(default_factory=list)


class Finished(NamedTuple):
    """A row that is done."""

    row: Row
    text: str
    finish: Finish
    cached: int
    """Tokens of the prompt that were not run for this row."""
    logprob: float


def distinct(rows: Iterable[Row]) -> list[list[int]]:
    """Return the different prompts of the rows, in order."""
    return [list(tokens) for tokens in dict.fromkeys(tuple(row.tokens) for row in rows)]


class Batch:
    """One batch on its way: made (prefilled), then stepped until `done`."""

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def __init__(self, loaded: Loaded, rows: list[Row], sampling: Sampling, prefix: Prefix | None) -> None:
        self.loaded, self.rows, self.sampling, self.prefix = loaded, rows, sampling, prefix
        self.answered: set[str] = set()
        """Ids of the requests that are done."""
        model = loaded.model
        device = model.device
        prompts = distinct(rows)
        which = {tuple(p): i for i, p in enumerate(prompts)}
        self.width = max(len(p) for p in prompts)
        source = [which[tuple(row.tokens)] for row in rows]
        self.room = self.width + sampling.max_tokens
        past = len(self.prefix.tokens) if self.prefix else 0
        self.apart = (
            past if loaded.shares_prefix else 0
        )  # slots that stay in the prefix and are not copied to every row
        chunk = max(1, (8192 if device.type == "cpu" else 32768) // (self.width - past))
        self.cache = BufferCache(self.room - self.apart)
        parts: list[Filled] = []
        cached: list[int] = []
        taken = 0
        for first in range(0, len(prompts), chunk):
            filled = prefill(model, prompts[first : first + chunk], self.prefix, self.width, width=self.width)
            here = sorted(s - first for s in source if first <= s < first + chunk)
            index = torch.tensor(here, device=device)
            for i in range(len(filled.cache.layers)):
                self.cache.layer(i).take_rows(filled.cache.layer(i), taken, index, rows=len(rows), skip=self.apart)
            taken += len(here)
            cached += filled.cached
            filled.cache = BufferCache(0)  # free the chunk's copy
            parts.append(filled)
        order = sorted(range(len(rows)), key=lambda r: source[r])
        self.rows = [rows[r] for r in order]
        pick = torch.tensor([source[r] for r in order], device=device)
        self.pads = torch.cat([p.pads for p in parts])[pick]
        self.logits = torch.cat([p.logits[:, -1] for p in parts])[pick]
        seen: set[int] = set()
        self.cached = []
        for r in order:
            repeated = source[r] in seen  # a further sample of a prompt takes all of it from the first
            seen.add(source[r])
            self.cached.append(len(rows[r].tokens) if repeated else cached[source[r]])
        self.seeds = torch.tensor([row.request.seed for row in self.rows], device=device, dtype=torch.int64)
        self.sums = torch.zeros(len(rows), device=device, dtype=torch.float64)
        self.live = list(range(len(rows)))  # rows of the tensors that are still being written
        self.written = 0
        slots = torch.arange(self.room, device=device)
        padded = bool((self.pads > 0).any())
        self.mask = slots >= self.pads[:, None] if padded else None
        self.shared = Shared(self.prefix.layers if self.prefix and self.apart else [])
        if padded and loaded.shares_prefix:  # of the prefix a row sees what it did not run itself
            self.shared.hidden_prefix = _hidden(slots[: self.apart] >= self.apart - self.pads[:, None], model.dtype)
            self.shared.hidden_own = _hidden(slots[self.apart :] < self.pads[:, None], model.dtype)

    @property
    def done(self) -> bool:
        return not self.live

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def step(self) -> list[Finished]:
        """Choose a token for every row, run it; return what this finished."""
        sampling = self.sampling
        tokens = choose(self.logits, sampling, self.seeds, self.written)
        self.sums += token_logprobs(self.logits, tokens).double()
        self.written += 1
        finished: list[tuple[int, str, Finish]] = []
        live = set(self.live)
        for i, token in enumerate(tokens.tolist()):
            if i not in live:
                continue
            row = self.rows[i]
            row.out.append(token)
            if token in self.loaded.eos:
                finished.append((i, self._text(row.out[:-1]), Finish.STOP))
            elif sampling.stop and (text := self._stopped(row.out)) is not None:
                finished.append((i, text, Finish.STOP))
            elif self.written == sampling.max_tokens:
                finished.append((i, self._text(row.out), Finish.LENGTH))
        results = []
        if finished:
            sums = self.sums.tolist()
            for i, text, why in finished:
                results.append(Finished(self.rows[i], text, why, self.cached[i], sums[i]))
                self.answered.add(self.rows[i].request.id)
            gone = {i for i, _, _ in finished}
            self.live = [i for i in self.live if i not in gone]
        if self.live:
            if len(self.live) <= 0.8 * len(self.rows):
                tokens = self._compact(tokens)
            self._run(tokens)
        return results

    def _run(self, tokens: torch.Tensor) -> None:
        loaded = self.loaded
        slot = self.width + self.written - 1
        with sharing(loaded.model.config, self.shared) if loaded.shares_prefix else nullcontext():
            output = loaded.model(
                input_ids=tokens[:, None],
                attention_mask=None if self.mask is None or loaded.shares_prefix else self.mask[:, : slot + 1],
                position_ids=(slot - self.pads)[:, None],
                past_key_values=self.cache,
                use_cache=True,
                logits_to_keep=1,
            )
        self.logits = output.logits[:, -1]

    def _compact(self, tokens: torch.Tensor) -> torch.Tensor:
        """Drop the rows that are done."""
        index = torch.tensor(self.live, device=tokens.device)
        self.cache.keep_rows(index)
        self.rows = [self.rows[i] for i in self.live]
        self.cached = [self.cached[i] for i in self.live]
        self.pads, self.seeds, self.sums = self.pads[index], self.seeds[index], self.sums[index]
        if self.mask is not None:
            self.mask = self.mask[index]
        self.shared.keep_rows(index)
        self.live = list(range(len(self.rows)))
        return tokens[index]

    def _text(self, tokens: list[int]) -> str:
        return str(self.loaded.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _stopped(self, out: list[int]) -> str | None:
        """Return the text before the first stop string, or None. Only the end is looked at: a token has a byte at least."""
        reach = max(len(s.encode()) for s in self.sampling.stop) + 4
        tail = self._text(out[-reach:])
        if not any(s in tail for s in self.sampling.stop):
            return None
        text = self._text(out)
        places = [place for s in self.sampling.stop if (place := text.find(s)) >= 0]
        return text[: min(places)] if places else None


def _hidden(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return (B, 1, 1, T): -inf where `mask` (B, T) is true, else 0."""
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(mask, -torch.inf)[:, None, None]
