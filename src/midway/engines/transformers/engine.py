"""The transformers engine: any causal language model that transformers loads, on CPU or GPU.

Promises
- The prefix that prompts of one heuristic share is computed once; samples of one prompt share its prefill; rows that are done leave
  the batch. Greedy output is that of `model.generate`; a sample depends on its request's seed, not on its neighbours (see `sampling`).
- The batch size is found from the memory there is; when memory runs out nevertheless, it is halved, said so, and the batch repeated.
- Only Sampling decides how tokens are drawn: sampling defaults in the checkpoint's generation_config are not used, its EOS tokens are.

When things go wrong: a prompt that does not fit comes back as an ERROR completion with the numbers; a model that cannot be loaded, or
not even one row in memory, is an EngineError.
"""

from __future__ import annotations

import gc
import itertools
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch

from midway.engines.base import EngineError
from midway.engines.keys import model_key
from midway.engines.parts import TransformersEngine
from midway.engines.text import encode, first_line, load_tokenizer, uses_chat
from midway.engines.transformers.batch import Batch, Finished, Row, distinct
from midway.engines.transformers.kv import Prefix, common_prefix, prefill
from midway.engines.transformers.loading import Loaded, load_model
from midway.engines.transformers.memory import bytes_per_row, free_memory, out_of_memory
from midway.engines.transformers.prefixes import Prefixes
from midway.engines.transformers.sampling import token_logprobs
from midway.recipe import ModelConfig
from midway.records import Completion, Finish, Prompt, Request, Sampling

WINDOW = 2048
"""Requests read ahead, to be grouped by prefix and sorted by length."""


class HFEngine:
    """See the module. `log` takes lines worth telling the user."""

    def __init__(
        self,
        config: TransformersEngine,
        model: ModelConfig,
        *,
        model_path: str | None = None,
        log: Callable[[str], None] | None = None,
    ) -> None:
        path = model_path or model.path
        self.model_key = model_key(path, model.revision)
        tokenizer = load_tokenizer(path, model)
        loaded = Loaded.of(load_model(path, model, config.device), tokenizer, uses_chat(tokenizer, model))
        self._begin(loaded, config.batch_size, log)

    @classmethod
    def around(cls, model: Any, tokenizer: Any, *, batch_size: int | None = None) -> HFEngine:
        """Return an engine on a model in memory, such as one in training. Make a new one when its weights have changed: this one keeps
        what it computed of shared prefixes. Put the model into eval mode first."""
        engine = cls.__new__(cls)
        engine.model_key = "in memory"
        engine._begin(Loaded.of(model, tokenizer, bool(tokenizer.chat_template)), batch_size, None)
        return engine

    def _begin(self, loaded: Loaded, batch_size: int | None, log: Callable[[str], None] | None) -> None:
        self._loaded, self.log = loaded, log or (lambda line: None)
        self._rows = batch_size or (128 if self.model.device.type == "cpu" else 512)
        self._prefixes = Prefixes()
        self._tokens: OrderedDict[str, list[int]] = OrderedDict()
        self._stats = dict.fromkeys(("prompt_tokens", "completion_tokens", "cached_tokens", "seconds"), 0.0)

    @property
    def model(self) -> Any:
        return self._loaded.model

    @property
    def tokenizer(self) -> Any:
        return self._loaded.tokenizer

    @property
    def eos(self) -> frozenset[int]:
        return self._loaded.eos

    @property
    def chat(self) -> bool:
        """Whether messages go through the chat template."""
        return self._loaded.chat

    @property
    def context(self) -> int:
        """The longest sequence, in tokens."""
        return self._loaded.context

    # -- the protocol -------------------------------------------------------------------------------------------------

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Yield a completion for each request, batch by batch."""
        stream = iter(requests)
        while window := list(itertools.islice(stream, WINDOW)):
            groups: dict[tuple[Any, ...], list[Row]] = {}
            for request in window:
                tokens = self._encode(request.prompt)
                problem = self._too_long(len(tokens), request.sampling.max_tokens)
                if problem:
                    yield _failed(request, problem, len(tokens))
                    continue
                groups.setdefault((request.sampling, request.heuristic, request.prompt.shared > 0), []).append(
                    Row(request, tokens)
                )
            for (sampling, *_), rows in groups.items():
                yield from self._group(rows, sampling)

    def logprobs(self, items: Iterable[tuple[Prompt, str]]) -> Iterator[tuple[float, int]]:
        """Yield (sum of log-probabilities in nats, number of tokens) of each continuation, in order.

        The continuation is tokenised on its own, so it has the same tokens under every prompt. Raises EngineError when prompt and
        continuation together exceed the context.
        """
        stream = iter(items)
        while window := list(itertools.islice(stream, 512)):
            pairs = []
            for prompt, text in window:
                tail = list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
                head = self._encode(prompt)
                if problem := self._too_long(len(head), len(tail)):
                    raise EngineError(problem.replace("max_tokens", "continuation of") + "; use shorter prompts")
                pairs.append((head, tail))
            results: dict[int, tuple[float, int]] = {i: (0.0, 0) for i, (_, tail) in enumerate(pairs) if not tail}
            todo = sorted(
                (i for i in range(len(pairs)) if i not in results), key=lambda i: pairs[i]
            )  # like prefixes side by side
            while todo:
                todo = todo[self._score(pairs, todo, results) :]
            yield from (results[i] for i in range(len(pairs)))

    def stats(self) -> dict[str, float]:
        prefix_tokens = {"prefix_tokens": float(self._prefixes.computed)} if self._prefixes.computed else {}
        return self._stats | prefix_tokens

    def close(self) -> None:
        """Free the model; the engine cannot be used afterwards."""
        self._prefixes.clear()
        self._loaded.model = None
        gc.collect()  # cycles, such as those of hooks, would keep the weights
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    # -- generation ---------------------------------------------------------------------------------------------------

    def _group(self, rows: list[Row], sampling: Sampling) -> Iterator[Completion]:
        """Rows with one sampling and one heuristic, longest first so that memory runs out early if it does."""
        rows.sort(key=lambda row: (-len(row.tokens), row.tokens))
        shared = common_prefix([row.tokens for row in rows])
        while rows:
            count = min(len(rows), self._room(len(rows[0].tokens) + sampling.max_tokens))
            batch = rows[:count]
            run: Batch | None = None
            problem = ""
            start = time.monotonic()
            try:
                run = Batch(self._loaded, batch, sampling, self._prefixes.find(self.model, distinct(batch), shared))
                while not run.done:
                    finished = [self._completion(done) for done in run.step()]
                    self._stats["seconds"] += time.monotonic() - start
                    yield from finished
                    start = time.monotonic()
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                problem = first_line(error)
            self._stats["seconds"] += time.monotonic() - start
            rows = rows[count:]
            if problem:  # out here, where the error and with it its frames are gone, the memory can really be freed
                if run is not None:
                    batch = [row for row in batch if row.request.id not in run.answered]
                    run = None
                for row in batch:
                    row.out.clear()
                rows = batch + rows
                self._halve(count, problem)

    def _halve(self, rows: int, problem: str) -> None:
        self._prefixes.clear()
        gc.collect()
        if self.model.device.type == "cuda":
            torch.cuda.empty_cache()
        if rows == 1:
            raise EngineError(
                f"not enough memory for a single sequence ({problem})\n"
                "  lower sampling.max_tokens, shorten the prompts (prompt.exemplars), or use a smaller model or a larger machine"
            )
        self._rows = max(rows // 2, 1)
        self.log(f"out of memory with {rows} sequences at once: going on with {self._rows}")

    def _room(self, length: int) -> int:
        """Return how many sequences of `length` tokens go into memory at once."""
        each = bytes_per_row(self._loaded.config, self.model.dtype, length)
        return max(1, min(self._rows, int(free_memory(self.model.device) * 0.5 / each)))

    def _encode(self, prompt: Prompt) -> list[int]:
        key = prompt.key()
        if key not in self._tokens:
            self._tokens[key] = encode(prompt, self.tokenizer, self._loaded.chat)
            if len(self._tokens) > 4 * WINDOW:
                self._tokens.popitem(last=False)
        return self._tokens[key]

    def _too_long(self, prompt: int, more: int) -> str:
        context = self._loaded.context
        if prompt + more <= context:
            return ""
        return f"prompt of {prompt} tokens + max_tokens {more} exceeds the context of {context}"

    def _completion(self, done: Finished) -> Completion:
        """Make the completion of a row that is done and count its tokens."""
        request, prompt_tokens, written = done.row.request, len(done.row.tokens), len(done.row.out)
        self._stats["prompt_tokens"] += prompt_tokens
        self._stats["completion_tokens"] += written
        self._stats["cached_tokens"] += done.cached
        return Completion(
            request.id, request.question_id, request.heuristic, request.index, done.text, done.finish,
            prompt_tokens, written, done.cached, done.logprob,
        )  # fmt: skip

    # -- log-probabilities --------------------------------------------------------------------------------------------

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def _score(
        self, pairs: list[tuple[list[int], list[int]]], todo: list[int], results: dict[int, tuple[float, int]]
    ) -> int:
        """Score a batch from the front of `todo`; return how many were scored."""
        start = time.monotonic()
        longest = max(len(pairs[i][0]) + len(pairs[i][1]) for i in todo[: self._rows])
        keep = max(len(pairs[i][1]) for i in todo[: self._rows])
        logits = keep * self._loaded.config.vocab_size * 12
        count = min(len(todo), self._room(longest), max(1, int(free_memory(self.model.device) * 0.2 / logits)))
        batch = sorted(todo[:count], key=lambda i: len(pairs[i][0]) + len(pairs[i][1]))
        problem = ""
        sums: list[float] = []
        try:
            heads = [pairs[i][0] for i in batch]
            prefix = self._prefixes.find(self.model, heads, common_prefix(heads))
            sums = score_rows(self.model, [pairs[i] for i in batch], prefix)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            problem = first_line(error)
        if problem:
            prefix = None
            self._halve(count, problem)
            return 0
        for i, total in zip(batch, sums, strict=True):
            results[i] = (total, len(pairs[i][1]))
        self._stats["seconds"] += time.monotonic() - start
        return count


def score_rows(model: Any, pairs: Sequence[tuple[list[int], list[int]]], prefix: Prefix | None) -> list[float]:
    """Return the summed log-probability (nats) of each continuation after its prompt."""
    rows = [head + tail[:-1] for head, tail in pairs]  # the last token predicts nothing that is asked for
    keep = max(len(tail) for _, tail in pairs)
    width = max(len(row) for row in rows)
    filled = prefill(model, rows, prefix, width, keep=min(keep, width))
    sums = []
    for i, (_, tail) in enumerate(pairs):
        target = torch.tensor(tail, device=model.device)
        sums.append(float(token_logprobs(filled.logits[i, -len(tail) :], target).double().sum()))
    return sums


def _failed(request: Request, reason: str, tokens: int = 0) -> Completion:
    return Completion(
        request.id,
        request.question_id,
        request.heuristic,
        request.index,
        "",
        Finish.ERROR,
        prompt_tokens=tokens,
        error=reason,
    )
