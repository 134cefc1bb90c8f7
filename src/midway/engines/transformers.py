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
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from midway.engines.attention import Shared, possible, sharing
from midway.engines.base import EngineError
from midway.engines.keys import model_key
from midway.engines.kv import BufferCache, Filled, Prefix, common_prefix, make_prefix, prefill
from midway.engines.parts import TransformersEngine
from midway.engines.sampling import choose, token_logprobs
from midway.engines.text import encode, first_line, load_tokenizer, turn_end, uses_chat
from midway.recipe import ModelConfig
from midway.records import Completion, Finish, Prompt, Request, Sampling

MIN_PREFIX = 8
"""Shorter common prefixes are not worth a run of their own."""
PREFIXES_KEPT = 4
WINDOW = 2048
"""Requests read ahead, to be grouped by prefix and sorted by length."""


@dataclass(slots=True)
class _Row:
    request: Request
    tokens: list[int]
    out: list[int] = field(default_factory=list)


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
        self._hold(_load(path, model, config.device), tokenizer, uses_chat(tokenizer, model), config.batch_size, log)

    @classmethod
    def around(cls, model: Any, tokenizer: Any, *, batch_size: int | None = None) -> HFEngine:
        """Return an engine on a model in memory, such as one in training. Make a new one when its weights have changed: this one keeps
        what it computed of shared prefixes. Put the model into eval mode first."""
        engine = cls.__new__(cls)
        engine.model_key = "in memory"
        engine._hold(model, tokenizer, bool(tokenizer.chat_template), batch_size, None)
        return engine

    def _hold(
        self, model: Any, tokenizer: Any, chat: bool, batch_size: int | None, log: Callable[[str], None] | None
    ) -> None:
        self.log = log or (lambda line: None)
        self.model, self.tokenizer, self.chat = model, tokenizer, chat
        self._config = self.model.config.get_text_config()
        self.context = int(getattr(self._config, "max_position_embeddings", 0) or 1 << 20)
        self.shares = possible(self._config)
        """Whether the rows of a batch attend to one copy of their prefix."""
        self.eos = _eos(self.model, self.tokenizer)
        if chat and (end := turn_end(tokenizer)):
            self.eos |= {int(tokenizer.convert_tokens_to_ids(end))}
        self._rows = batch_size or (128 if self.model.device.type == "cpu" else 512)
        self._prefixes: OrderedDict[tuple[int, ...], Prefix] = OrderedDict()
        self._tokens: OrderedDict[str, list[int]] = OrderedDict()
        self._stats = dict.fromkeys(("prompt_tokens", "completion_tokens", "cached_tokens", "seconds"), 0.0)

    # -- the protocol -------------------------------------------------------------------------------------------------

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Yield a completion for each request, batch by batch."""
        stream = iter(requests)
        while window := list(itertools.islice(stream, WINDOW)):
            groups: dict[tuple[Any, ...], list[_Row]] = {}
            for request in window:
                tokens = self._encode(request.prompt)
                problem = self._too_long(len(tokens), request.sampling.max_tokens)
                if problem:
                    yield _failed(request, problem, len(tokens))
                    continue
                groups.setdefault((request.sampling, request.heuristic, request.prompt.shared > 0), []).append(
                    _Row(request, tokens)
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

    def count_tokens(self, prompt: Prompt) -> int:
        return len(self._encode(prompt))

    def stats(self) -> dict[str, float]:
        return dict(self._stats)

    def close(self) -> None:
        """Free the model; the engine cannot be used afterwards."""
        self._prefixes.clear()
        self.model = None
        gc.collect()  # cycles, such as those of hooks, would keep the weights
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    # -- generation ---------------------------------------------------------------------------------------------------

    def _group(self, rows: list[_Row], sampling: Sampling) -> Iterator[Completion]:
        """Rows with one sampling and one heuristic, longest first so that memory runs out early if it does."""
        rows.sort(key=lambda row: (-len(row.tokens), row.tokens))
        shared = common_prefix([row.tokens for row in rows])
        while rows:
            count = min(len(rows), self._room(len(rows[0].tokens) + sampling.max_tokens))
            batch = rows[:count]
            run: _Batch | None = None
            problem = ""
            start = time.monotonic()
            try:
                run = _Batch(self, batch, sampling, shared)
                while not run.done:
                    finished = run.step()
                    self._stats["seconds"] += time.monotonic() - start
                    yield from finished
                    start = time.monotonic()
            except (RuntimeError, MemoryError) as error:
                if not _out_of_memory(error):
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
        config = self._config
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        per_token = 2 * config.num_hidden_layers * heads * width * self.model.dtype.itemsize
        per_row = per_token * length + 48 * config.vocab_size  # logits, sorted, with probabilities and their sums
        return max(1, min(self._rows, int(_free_memory(self.model.device) * 0.5 / per_row)))

    def prefix_for(self, prompts: Sequence[list[int]], shared: int) -> Prefix | None:
        """Return the computed prefix that all prompts begin with, at most `shared` long; None when it is not worth it."""
        shared = min(shared, min(len(p) for p in prompts) - 1)
        for tokens, prefix in reversed(self._prefixes.items()):
            n = len(tokens)
            if 0.9 * shared <= n <= min(len(p) for p in prompts) - 1 and all(tuple(p[:n]) == tokens for p in prompts):
                self._prefixes.move_to_end(tokens)
                return prefix
        if shared < MIN_PREFIX or len(prompts) < 2:
            return None
        prefix = make_prefix(self.model, prompts[0][:shared])
        self._stats["prefix_tokens"] = self._stats.get("prefix_tokens", 0.0) + shared
        self._prefixes[tuple(prefix.tokens)] = prefix
        while len(self._prefixes) > PREFIXES_KEPT:
            self._prefixes.popitem(last=False)
        return prefix

    def _encode(self, prompt: Prompt) -> list[int]:
        key = prompt.key()
        if key not in self._tokens:
            self._tokens[key] = encode(prompt, self.tokenizer, self.chat)
            if len(self._tokens) > 4 * WINDOW:
                self._tokens.popitem(last=False)
        return self._tokens[key]

    def _too_long(self, prompt: int, more: int) -> str:
        if prompt + more <= self.context:
            return ""
        return f"prompt of {prompt} tokens + max_tokens {more} exceeds the context of {self.context}"

    def finish(self, row: _Row, text: str, finish: Finish, cached: int, logprob: float) -> Completion:
        """Make the completion of a row and count its tokens."""
        request = row.request
        self._stats["prompt_tokens"] += len(row.tokens)
        self._stats["completion_tokens"] += len(row.out)
        self._stats["cached_tokens"] += cached
        return Completion(
            request.id, request.question_id, request.heuristic, request.index, text, finish,
            len(row.tokens), len(row.out), cached, logprob,
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
        logits = keep * self._config.vocab_size * 12
        count = min(len(todo), self._room(longest), max(1, int(_free_memory(self.model.device) * 0.2 / logits)))
        batch = sorted(todo[:count], key=lambda i: len(pairs[i][0]) + len(pairs[i][1]))
        problem = ""
        sums: list[float] = []
        try:
            prefix = self.prefix_for([pairs[i][0] for i in batch], common_prefix([pairs[i][0] for i in batch]))
            sums = score_rows(self.model, [pairs[i] for i in batch], prefix)
        except (RuntimeError, MemoryError) as error:
            if not _out_of_memory(error):
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


class _Batch:
    """One batch on its way: made (prefilled), then stepped until `done`."""

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def __init__(self, engine: HFEngine, rows: list[_Row], sampling: Sampling, shared: int) -> None:
        self.engine, self.rows, self.sampling = engine, rows, sampling
        self.answered: set[str] = set()
        model = engine.model
        device = model.device
        prompts = [list(t) for t in dict.fromkeys(tuple(row.tokens) for row in rows)]
        which = {tuple(p): i for i, p in enumerate(prompts)}
        self.prefix = engine.prefix_for(prompts, shared)
        self.width = max(len(p) for p in prompts)
        source = [which[tuple(row.tokens)] for row in rows]
        self.room = self.width + sampling.max_tokens
        past = len(self.prefix.tokens) if self.prefix else 0
        self.apart = past if engine.shares else 0  # slots that stay in the prefix and are not copied to every row
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
                self.cache.layer(i).take_rows(filled.cache.layer(i), taken, index, len(rows), self.apart)
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
        if padded and engine.shares:  # of the prefix a row sees what it did not run itself
            self.shared.hidden_prefix = _hidden(slots[: self.apart] >= self.apart - self.pads[:, None], model.dtype)
            self.shared.hidden_own = _hidden(slots[self.apart :] < self.pads[:, None], model.dtype)

    @property
    def done(self) -> bool:
        return not self.live

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def step(self) -> list[Completion]:
        """Choose a token for every row, run it; return the completions that this finished."""
        engine, sampling = self.engine, self.sampling
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
            if token in engine.eos:
                finished.append((i, self._text(row.out[:-1]), Finish.STOP))
            elif sampling.stop and (text := self._stopped(row.out)) is not None:
                finished.append((i, text, Finish.STOP))
            elif self.written == sampling.max_tokens:
                finished.append((i, self._text(row.out), Finish.LENGTH))
        completions = []
        if finished:
            sums = self.sums.tolist()
            for i, text, why in finished:
                completions.append(engine.finish(self.rows[i], text, why, self.cached[i], sums[i]))
                self.answered.add(self.rows[i].request.id)
            gone = {i for i, _, _ in finished}
            self.live = [i for i in self.live if i not in gone]
        if self.live:
            if len(self.live) <= 0.8 * len(self.rows):
                tokens = self._compact(tokens)
            self._run(tokens)
        return completions

    def _run(self, tokens: torch.Tensor) -> None:
        engine = self.engine
        slot = self.width + self.written - 1
        with sharing(engine.model.config, self.shared) if engine.shares else nullcontext():
            output = engine.model(
                input_ids=tokens[:, None],
                attention_mask=None if self.mask is None or engine.shares else self.mask[:, : slot + 1],
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
        return str(self.engine.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))

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


def _load(path: str, config: ModelConfig, device: str) -> Any:
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
        if _out_of_memory(error):
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


def _out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: torch's own error, or that of a library beneath it that could not have its workspace."""
    words = ("can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(word in str(error) for word in words)


def _free_memory(device: torch.device) -> int:
    """Return free bytes: of the GPU with what torch holds unused, or of the machine (or its container)."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    free = 1 << 32
    for line in Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").exists() else ():
        if line.startswith("MemAvailable"):
            free = int(line.split()[1]) * 1024
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and used.exists() and (text := limit.read_text().strip()).isdigit():
        free = min(free, int(text) - int(used.read_text()))
    return max(free, 0)
