"""The openai engine: any server that speaks OpenAI's API (vllm serve, SGLang, llama.cpp, TGI, hosted), several of them at once.

Promises
- Every request is answered once, whatever the servers do: `dispatch` says when which server is asked and when to stop, `wire` what is
  asked and what an answer means.
- The servers are asked in a thread of its own, which ends with the call. Nothing is held between calls.
- The API key comes from the environment and is written nowhere.

When things go wrong: no server, the wrong model, a refused key, servers that have died or give nothing but errors are EngineErrors that
say which and what to type next. A request that a server refuses, or that has had its attempts, comes back as an ERROR completion.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import queue
import ssl
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import httpx

from midway import registry
from midway.engines.base import EngineError
from midway.engines.keys import model_key
from midway.engines.openai import wire
from midway.engines.openai.dispatch import Dispatcher, Failure, Job, Policy, Server, Tally
from midway.engines.openai.outcomes import Health, Retry
from midway.engines.parts import OpenAIEngine as OpenAIConfig
from midway.engines.text import encode, load_tokenizer, turn_end, uses_chat
from midway.recipe import ModelConfig
from midway.records import Completion, Finish, Prompt, Request

LONGEST_PAUSE = 60.0
MODELS_TIMEOUT = 15.0
"""Seconds for the list of a server's models."""
COMPLETE_LIST = 10
"""A longer list of models (hosted ones) may leave aliases out, so a name that is not on it may be right."""
MOST_UNREAD = 5000
"""Completions that wait to be read, at which no more requests are read."""
WINDOW = 1024
"""Continuations whose log-probabilities are asked for at a time."""

Out = queue.SimpleQueue[Any]


class OpenAIClient:
    """See the module."""

    def __init__(
        self,
        config: OpenAIConfig,
        model: ModelConfig,
        *,
        model_path: str | None = None,
        log: Callable[[str], None] | None = None,
    ) -> None:
        self.config, self.log = config, log or (lambda line: None)
        self._path, self._model = model_path or model.path, model
        self.model_key = model_key(self._path, model.revision)
        self._key = wire.Key(config.api_key_env, os.environ.get(config.api_key_env, ""))
        self._policy = Policy(
            concurrency=config.max_concurrency,
            retries=config.max_retries,
            patience=min(30.0, config.timeout),
            longest_pause=min(LONGEST_PAUSE, config.timeout),
        )
        self._tokenizer: Any = None
        self._turn_end: int | None = None
        self._looked_for_turn_end = False
        self._tally = Tally()
        self._stats = dict.fromkeys(("prompt_tokens", "completion_tokens", "cached_tokens", "seconds"), 0.0)
        name = config.model or self._path
        self._dialect = wire.Dialect(name, self._check_servers(name))

    # -- the protocol -------------------------------------------------------------------------------------------------

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Yield completions as they arrive. The requests are read in another thread, a bounded number ahead."""
        stream = iter(requests)
        yield from self._in_thread(lambda out: self._generate(stream, out))

    def logprobs(self, items: Iterable[tuple[Prompt, str]]) -> Iterator[tuple[float, int]]:
        """Yield (sum of log-probabilities in nats, number of tokens), in order, by having /completions echo the prompt.

        Needs the model's tokenizer (`model.path`). Raises EngineError when the server gives no log-probabilities.
        """
        stream = iter(items)
        while window := list(itertools.islice(stream, WINDOW)):
            tokens = [self._tokens(prompt, text) for prompt, text in window]
            sums = dict(self._in_thread(lambda out, tokens=tokens: self._score(tokens, out)))  # type: ignore[misc]
            yield from ((sums.get(place, 0.0), len(tail)) for place, (_, tail) in enumerate(tokens))

    def stats(self) -> dict[str, float]:
        return {**self._stats, "retries": float(self._tally.retries)}

    def close(self) -> None:
        """Nothing is held between calls."""

    # -- beginnings ---------------------------------------------------------------------------------------------------

    def _check_servers(self, name: str) -> str:
        """Ask every server which models it has; return what kind of server it is. Raises EngineError when none is there, or one has
        another model or wants another key."""
        kind, problems = "", list[str]()
        timeout = min(MODELS_TIMEOUT, self.config.timeout)
        for url in self.config.base_urls:
            try:
                answer = httpx.get(f"{url.rstrip('/')}/models", headers=self._key.headers(), timeout=timeout)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                problems.append(f"no server answers at {url} ({type(error).__name__}: {error})")
                continue
            if answer.status_code in (401, 403):
                raise self._key.error(url, answer.status_code)
            names, owner = wire.read_models(answer.content)
            if 0 < len(names) <= COMPLETE_LIST and name not in names:
                raise EngineError(
                    f"{url} does not serve {name!r}; it has {', '.join(map(repr, names))}\n"
                    f"  set `engine.model: {names[0]}`, or start the right server"
                )
            kind = owner or kind
        if len(problems) == len(self.config.base_urls):
            text = "\n".join(problems)
            raise EngineError(f"{text}\n  start it (`midway serve RECIPE`), or correct `engine.base_urls`")
        for problem in problems:
            self.log(f"{problem}; going on with the other servers")
        return kind

    def tokenizer_and_chat(self) -> tuple[Any, bool]:
        """Return the model's tokenizer and whether messages go through its chat template. Raises EngineError when there is none."""
        if self._tokenizer is None:
            try:
                self._tokenizer = load_tokenizer(self._path, self._model)
            except ImportError as error:
                raise EngineError(
                    f"this needs the model's tokenizer ({error})\n  {registry.install('train')}"
                ) from error
        return self._tokenizer, uses_chat(self._tokenizer, self._model)

    def _token_of_turn_end(self) -> int | None:
        """Return the token that ends a turn, where the tokenizer is at hand."""
        if not self._looked_for_turn_end:
            self._looked_for_turn_end = True
            with suppress(EngineError):
                tokenizer, chat = self.tokenizer_and_chat()
                if chat and (token := turn_end(tokenizer)):
                    self._turn_end = int(tokenizer.convert_tokens_to_ids(token))
        return self._turn_end

    # -- asking -------------------------------------------------------------------------------------------------------

    async def _generate(self, requests: Iterator[Request], out: Out) -> None:
        came_empty: set[str] = set()
        """Ids whose text came empty once; the second time it is believed."""

        async def attempt(server: Server, job: Job[Request]) -> Completion:
            request = job.item
            call = wire.Call(server.url, *self._completion_body(request))
            completion = wire.read_completion(request, await self._post(connections, call))
            if not completion.text and request.id not in came_empty:
                came_empty.add(request.id)
                raise Retry("an empty text", health=Health.WORKING)
            came_empty.discard(request.id)
            return completion

        def deliver(request: Request, outcome: Completion | Failure) -> None:
            if isinstance(outcome, Failure):
                out.put(_failed(request, outcome.reason))
                return
            for name in ("prompt_tokens", "completion_tokens", "cached_tokens"):
                self._stats[name] += getattr(outcome, name)
            out.put(outcome)

        async with self._connections() as connections:
            dispatcher = Dispatcher(
                self._urls(), self._policy, attempt=attempt, deliver=deliver,
                room=lambda: out.qsize() < MOST_UNREAD, tally=self._tally, log=self.log,
            )  # fmt: skip
            await dispatcher.run(requests)

    def _completion_body(self, request: Request) -> tuple[str, dict[str, Any]]:
        prompt, dialect = request.prompt, self._dialect
        if not prompt.messages:
            return wire.completion_body(request, dialect, prompt=prompt.text)
        end = self._token_of_turn_end() if dialect.kind in wire.KNOWS_STOP_TOKENS else None
        text = None if self.config.chat else encode(prompt, *self.tokenizer_and_chat())
        return wire.completion_body(request, dialect, prompt=text, turn_end=end)

    async def _score(self, tokens: list[tuple[list[int], list[int]]], out: Out) -> None:
        """Put (place, sum of log-probabilities) of each continuation that has tokens."""

        async def attempt(server: Server, job: Job[int]) -> float:
            head, tail = tokens[job.item]
            call = wire.Call(server.url, *wire.logprob_body(head, tail, self._dialect))
            return wire.read_logprob(await self._post(connections, call), len(head), len(tail), server.url)

        def deliver(place: int, outcome: float | Failure) -> None:
            if isinstance(outcome, Failure):
                raise EngineError(
                    f"no log-probabilities from {outcome.url}: {outcome.reason}\n"
                    "  what is scored is stored: look at the server, then type the same command to go on"
                )
            out.put((place, outcome))

        async with self._connections() as connections:
            dispatcher = Dispatcher(
                self._urls(), self._policy, attempt=attempt, deliver=deliver, tally=self._tally, log=self.log
            )
            await dispatcher.run(place for place, (_, tail) in enumerate(tokens) if tail)

    def _tokens(self, prompt: Prompt, text: str) -> tuple[list[int], list[int]]:
        """Return the tokens of a prompt and of its continuation, which is tokenised on its own."""
        tokenizer, chat = self.tokenizer_and_chat()
        tail = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return encode(prompt, tokenizer, chat), list(tail)

    def _urls(self) -> list[str]:
        return [url.rstrip("/") for url in self.config.base_urls]

    # -- one attempt --------------------------------------------------------------------------------------------------

    async def _post(self, connections: Connections, call: wire.Call) -> dict[str, Any]:
        """Send one request; return the JSON object of a good answer, else raise Retry, Refused or EngineError."""
        connection = connections.borrow(call.url)
        try:
            async with asyncio.timeout(self.config.timeout):
                answer = await connection.post(f"{call.url}/{call.path}", json=call.body)
        except TimeoutError:
            raise Retry(f"no answer within {self.config.timeout:g} s", health=Health.OVERLOADED) from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            reason = f"no connection to {call.url} ({type(error).__name__})"
            raise Retry(reason, health=Health.UNREACHABLE) from None
        except httpx.HTTPError as error:
            raise Retry(f"the connection broke ({type(error).__name__})") from None
        finally:
            connections.give_back(call.url, connection)
        try:
            return wire.read_object(wire.Answer(answer.status_code, answer.headers, answer.content), call, self._key)
        except wire.OtherLimitField as error:
            self._dialect = replace(self._dialect, limit_field=error.limit_field)
            raise

    @asynccontextmanager
    async def _connections(self) -> AsyncIterator[Connections]:
        connections = Connections(self._key.headers())
        try:
            yield connections
        finally:
            await connections.close()

    def _in_thread(self, work: Callable[[Out], Coroutine[Any, Any, None]]) -> Iterator[Any]:
        """Like `in_thread`; adds the time to the statistics."""
        start = time.monotonic()
        try:
            yield from in_thread(work)
        finally:
            self._stats["seconds"] += time.monotonic() - start


class Connections:
    """HTTP clients with one connection each: in a pool of hundreds, httpx looks through all of them for every request."""

    def __init__(self, headers: dict[str, str]) -> None:
        self._headers, self._tls = headers, ssl.create_default_context()
        self._all: list[httpx.AsyncClient] = []
        self._idle: defaultdict[str, list[httpx.AsyncClient]] = defaultdict(list)

    def borrow(self, url: str) -> httpx.AsyncClient:
        """Return an idle client of the server at `url`, or a new one. The caller sets the time-out."""
        if self._idle[url]:
            return self._idle[url].pop()
        self._all.append(httpx.AsyncClient(timeout=None, headers=self._headers, verify=self._tls))
        return self._all[-1]

    def give_back(self, url: str, client: httpx.AsyncClient) -> None:
        self._idle[url].append(client)

    async def close(self) -> None:
        await asyncio.gather(*(client.aclose() for client in self._all))


def in_thread(work: Callable[[Out], Coroutine[Any, Any, None]]) -> Iterator[Any]:
    """Run `work(out)` on an event loop in a thread of its own; yield what it puts into `out`, as it comes.

    What it raises is raised here. When the iterator is closed, the work is cancelled and its end is waited for.
    """
    out: Out = queue.SimpleQueue()
    loop = asyncio.new_event_loop()

    async def whole() -> None:
        try:
            await work(out)
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            out.put(error)
            return
        out.put(None)

    task = loop.create_task(whole())

    def run() -> None:
        with suppress(asyncio.CancelledError):  # cancelled before it began
            loop.run_until_complete(task)

    thread = threading.Thread(target=run, name="openai-engine", daemon=True)
    thread.start()
    try:
        while (item := out.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()


def _failed(request: Request, reason: str) -> Completion:
    return Completion(request.id, request.question_id, request.heuristic, request.index, "", Finish.ERROR, error=reason)
