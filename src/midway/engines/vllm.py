"""The vllm engine: vLLM in this process, fed request by request and emptied completion by completion.

Promises: vLLM's scheduler always has more requests waiting than it runs at once, so it runs as fast as `LLM.generate` on the whole list,
while completions come out as they finish. Prefix caching is on. Each sample has its own seed; with `seeded: false` the samples of a
prompt are asked for together (`n`) and drawn as vLLM likes. Sampling defaults in the checkpoint's generation_config are not used.

When things go wrong: a prompt that does not fit, or that vLLM refuses, is an ERROR completion; a model that cannot be loaded, too little
memory or a dead engine is an EngineError. vLLM on a CPU cannot rewind the random generator of a sample whose prompt it reads in parts
(«CPU Generator does not use offset»): it is then opened again and goes on without seeds, with one line for the user.
"""

from __future__ import annotations

import gc
import itertools
import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from vllm import LLM, SamplingParams
from vllm.distributed import cleanup_dist_env_and_memory
from vllm.lora.request import LoRARequest
from vllm.platforms import current_platform
from vllm.sampling_params import RequestOutputKind

from midway.engines.base import EngineError
from midway.engines.keys import model_key
from midway.engines.parts import VllmEngine
from midway.engines.text import encode, first_line, turn_end, uses_chat
from midway.recipe import ModelConfig
from midway.records import Completion, Finish, Prompt, Request, Sampling

LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes as `max_lora_rank`."""


OFFSET = "Generator does not use offset"
"""What torch says when a CPU's random generator is to be rewound."""


class _SeedsRefused(Exception):
    """vLLM cannot use a seed for each sample."""


class InProcessVllm:
    """See the module."""

    def __init__(
        self,
        config: VllmEngine,
        model: ModelConfig,
        *,
        model_path: str | None = None,
        log: Callable[[str], None] | None = None,
    ) -> None:
        path = model_path or model.path
        adapter = _lora_args(config.lora) if config.lora else {}
        self.seeded = config.seeded
        self.model_key = model_key(path, model.revision)
        self._lora: LoRARequest | None = None
        if config.lora:
            self.model_key += f"+{model_key(config.lora)}"
            self._lora = LoRARequest("adapter", 1, str(Path(config.lora).expanduser()))
        given: dict[str, Any] = {
            "revision": model.revision,
            "dtype": model.dtype,
            "trust_remote_code": model.trust_remote_code,
            "enable_prefix_caching": True,
            "seed": secrets.randbits(
                31
            ),  # vLLM's own, 0, would give later samples without seeds the draws of the first
            **adapter,
            **config.args,
        }
        self._log = log or (lambda text: None)
        self._args = (path, given)
        self.llm: Any
        self._engine: Any
        self._open()
        self.tokenizer = self.llm.get_tokenizer()
        self.chat = uses_chat(self.tokenizer, model)
        end = turn_end(self.tokenizer) if self.chat else None
        self._ends = [int(self.tokenizer.convert_tokens_to_ids(end))] if end else []
        settings = self._engine.vllm_config
        self.context = int(settings.model_config.max_model_len)
        self._ahead = 2 * int(settings.scheduler_config.max_num_seqs)
        """Samples given to vLLM ahead of their completion."""
        self._numbers = itertools.count()
        self._last: tuple[str, list[int]] = ("", [])
        self._stats = dict.fromkeys(("prompt_tokens", "completion_tokens", "cached_tokens", "seconds"), 0.0)

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Yield completions as vLLM finishes them."""
        stream = iter(requests)
        groups = self._groups(stream)
        flying: dict[str, list[Request]] = {}
        count = 0
        exhausted = False
        start = time.monotonic()
        try:
            while flying or not exhausted:
                done: list[Completion] = []
                while count < self._ahead and not exhausted:
                    group = next(groups, None)
                    if group is None:
                        exhausted = True
                    elif problem := self._add(group, flying):
                        done += [_failed(request, problem) for request in group]
                    else:
                        count += len(group)
                if flying:
                    try:
                        outputs = self._step()
                    except _SeedsRefused as refused:
                        again = [request for group in flying.values() for request in group]
                        flying.clear()
                        count = 0
                        exhausted = False
                        self._without_seeds(str(refused))
                        groups = itertools.chain(self._groups(again), self._groups(stream))
                        continue
                    for output in outputs:
                        if output.finished:
                            group = flying.pop(_number(output.request_id))
                            count -= len(group)
                            done += self._completions(group, output)
                self._stats["seconds"] += time.monotonic() - start
                yield from done
                start = time.monotonic()
        finally:
            if flying:
                self._abort()

    def logprobs(self, items: Iterable[tuple[Prompt, str]]) -> Iterator[tuple[float, int]]:
        """Yield (sum of log-probabilities in nats, number of tokens) of each continuation, in order.

        The continuation is tokenised on its own. Raises EngineError when a prompt does not fit.
        """
        params = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False)
        stream = iter(items)
        while window := list(itertools.islice(stream, max(self._ahead, 64))):
            pairs = [
                (self._encode(prompt), list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]))
                for prompt, text in window
            ]
            for head, tail in pairs:
                if len(head) + len(tail) + 1 > self.context:
                    raise EngineError(
                        f"prompt of {len(head)} tokens + continuation of {len(tail)} exceeds the context of {self.context}"
                    )
            start = time.monotonic()
            prompts = [{"prompt_token_ids": head + tail} for head, tail in pairs]
            outputs = self.llm.generate(prompts, params, use_tqdm=False, lora_request=self._lora)
            self._stats["seconds"] += time.monotonic() - start
            for (head, tail), output in zip(pairs, outputs, strict=True):
                told = output.prompt_logprobs
                yield sum(float(told[len(head) + i][token].logprob) for i, token in enumerate(tail)), len(tail)

    def stats(self) -> dict[str, float]:
        return dict(self._stats)

    def close(self) -> None:
        """Shut vLLM down and free its memory."""
        if self.llm is None:
            return
        with suppress(Exception):  # one that has died needs no shutting down
            self._engine.engine_core.shutdown()  # with a process of its own, its memory goes with it
        self.llm = self._engine = None
        gc.collect()
        cleanup_dist_env_and_memory()

    def _open(self) -> None:
        """Load the model into a vLLM. Raises EngineError."""
        path, given = self._args
        try:
            self.llm = LLM(path, **given)
        except (ValueError, TypeError, OSError, RuntimeError) as error:
            raise EngineError(f"vLLM cannot load {path}: {first_line(error)}{_about_memory(error)}") from error
        self._engine = self.llm.llm_engine

    def _without_seeds(self, why: str) -> None:
        """Open vLLM again after it failed on seeds, and ask without them from here on."""
        self._log(f"vLLM: {why}; opened again, and going on as with engine.seeded: false")
        self.close()
        self.seeded = False
        self._open()

    # -----------------------------------------------------------------------------------------------------------------

    def _groups(self, requests: Iterable[Request]) -> Iterator[list[Request]]:
        """Yield what goes to vLLM as one request: a single sample, or, without seeds, the samples of one prompt."""
        if self.seeded:
            yield from ([request] for request in requests)
            return
        for _, group in itertools.groupby(requests, key=lambda r: (r.prompt, r.sampling)):
            samples = list(group)
            if samples[0].sampling.temperature == 0:
                yield from ([request] for request in samples)
            else:
                yield samples

    def _add(self, group: list[Request], flying: dict[str, list[Request]]) -> str:
        """Give a group to vLLM; return why not, if not."""
        tokens = self._encode(group[0].prompt)
        sampling = group[0].sampling
        if len(tokens) + sampling.max_tokens > self.context:
            return f"prompt of {len(tokens)} tokens + max_tokens {sampling.max_tokens} exceeds the context of {self.context}"
        number = str(next(self._numbers))
        params = _params(sampling, group[0].seed if self.seeded else None, len(group), self._ends)
        try:
            self._engine.add_request(number, {"prompt_token_ids": tokens}, params, lora_request=self._lora)
        except ValueError as error:
            return f"refused by vLLM: {first_line(error)}"
        flying[number] = group
        return ""

    def _step(self) -> list[Any]:
        try:
            return list(self._engine.step())
        except Exception as error:  # whatever it is, vLLM's engine does not survive it
            said = _chain(error)
            if self.seeded and OFFSET in said:
                raise _SeedsRefused("its CPU build cannot use a seed for each sample here") from error
            if (
                self.seeded and current_platform.is_cpu() and "EngineDeadError" in said
            ):  # the cause stayed in its process
                text = "its engine died and did not say why; its CPU build cannot always use a seed for each sample"
                raise _SeedsRefused(text) from error
            raise EngineError(
                f"vLLM stopped: {type(error).__name__}: {first_line(error)}{_about_memory(error)}\n"
                "  what arrived is stored: type the same command to go on"
            ) from error

    def _abort(self) -> None:
        """Take back what is still in vLLM, so that the engine can be used again."""
        ids = list(self._engine.output_processor.request_states)
        with suppress(Exception):  # an engine that has died (Ctrl-C reaches its process, too) has nothing to take back
            self._engine.abort_request(ids, internal=True)

    def _completions(self, group: list[Request], output: Any) -> list[Completion]:
        prompt = len(output.prompt_token_ids)
        cached = int(output.num_cached_tokens or 0)
        found = []
        for request, sample in zip(group, output.outputs, strict=True):
            written = len(sample.token_ids)
            if sample.finish_reason not in ("stop", "length"):
                found.append(_failed(request, f"vLLM ended it: {sample.finish_reason}"))
                continue
            self._stats["prompt_tokens"] += prompt
            self._stats["completion_tokens"] += written
            self._stats["cached_tokens"] += cached
            finish = Finish.LENGTH if sample.finish_reason == "length" else Finish.STOP
            found.append(
                Completion(
                    request.id, request.question_id, request.heuristic, request.index, sample.text, finish, prompt, written, cached
                )
            )  # fmt: skip
        return found

    def _encode(self, prompt: Prompt) -> list[int]:
        key = prompt.key()
        if self._last[0] != key:  # samples of one prompt follow each other
            self._last = (key, encode(prompt, self.tokenizer, self.chat))
        return self._last[1]


def _chain(error: BaseException | None) -> str:
    """Return the texts of an error and of what caused it."""
    texts = []
    while error is not None:
        texts.append(f"{type(error).__name__}: {error}")
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


def _about_memory(error: BaseException) -> str:
    """Return what to do about memory, for an error that names it; else nothing."""
    said = _chain(error).lower()
    if not any(word in said for word in ("memory", "kv cache", "oom")):
        return ""
    return (
        "\n  lower engine.args.gpu_memory_utilization or max_model_len, or raise tensor_parallel_size;\n"
        "  several replicas: `vllm serve --data-parallel-size N` with `engine: {kind: openai}`, or `--executor ray`"
    )


def _lora_args(folder: str) -> dict[str, Any]:
    """Return what vLLM must know of an adapter beforehand. Raises EngineError when there is none in the folder."""
    file = Path(folder).expanduser() / "adapter_config.json"
    try:
        rank = int(json.loads(file.read_text())["r"])
    except (OSError, ValueError, KeyError) as error:
        raise EngineError(
            f"no LoRA adapter at {folder}: {type(error).__name__}: {error}\n  check `engine.lora`"
        ) from None
    return {"enable_lora": True, "max_lora_rank": next((r for r in LORA_RANKS if r >= rank), rank)}


def _params(sampling: Sampling, seed: int | None, n: int, ends: list[int]) -> SamplingParams:
    return SamplingParams(
        n=n,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        min_p=sampling.min_p,
        max_tokens=sampling.max_tokens,
        stop=list(sampling.stop) or None,
        stop_token_ids=ends,
        seed=seed if sampling.temperature > 0 else None,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _number(request_id: str) -> str:
    """Return the number that was given to vLLM, which may have put something after it."""
    return request_id.split("-")[0]


def _failed(request: Request, reason: str) -> Completion:
    return Completion(request.id, request.question_id, request.heuristic, request.index, "", Finish.ERROR, error=reason)
