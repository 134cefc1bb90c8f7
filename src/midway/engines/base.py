"""The one protocol of all engines: a stream of requests in, a stream of completions out, in any order.

Promises: an engine gives back exactly one Completion for each Request, with the request's id. A request that failed for good
comes back with `finish=ERROR` and the reason; an engine that cannot go on at all raises EngineError, whose text says
what to do next. Nothing is retried silently for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, runtime_checkable

from midway.records import Completion, Prompt, Request, UserError


class EngineError(UserError, RuntimeError):
    """The engine cannot go on; what was produced before is kept. The message names the cause and the next command."""

    report: object | None = None
    """What was done up to then (a `stream.StreamReport`), set by `stream.complete`."""


@runtime_checkable
class Engine(Protocol):
    """Who answers: transformers, vllm, openai or recorded."""

    model_key: str
    """Names the exact weights; part of every completion's id."""

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Yield one completion for each request, in any order, as they arrive.

        Consecutive requests with equal prompts are samples of one prompt; an engine may serve them together. The
        iterable may be endless-like: read it lazily and hold only a bounded window.
        """
        ...

    def logprobs(self, items: Iterable[tuple[Prompt, str]]) -> Iterator[tuple[float, int]]:
        """Yield, in order, for each (prompt, continuation) the sum of log-probabilities in nats and the token count."""
        ...

    def stats(self) -> dict[str, float]:
        """Return what this engine has done so far: prompt_tokens, completion_tokens, cached_tokens, seconds."""
        ...

    def close(self) -> None:
        """Free what is held (GPU memory, server, connections). May be called twice."""
        ...
