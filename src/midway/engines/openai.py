"""The openai engine: any server that speaks OpenAI's API (vllm serve, SGLang, llama.cpp, TGI, hosted), several of them at once.

Promises
- Requests are in flight at bounded, adapting concurrency: halved when a server says it is overloaded (429, 503) or stalls, raised
  again with success. What can pass (429, 5xx, dropped or stalled connections, unreadable or incomplete answers) is tried again after a
  jittered, growing pause that is never shorter than the server's Retry-After; what cannot (400) comes back as an ERROR completion.
- Every request is answered once, whatever the servers do. A server that is gone loses its share to the others.
- The API key comes from the environment and is written nowhere; should a server echo it, it is blotted out.

When things go wrong: no server, the wrong model, a refused key, servers that have died or give nothing but errors are EngineErrors that
say which and what to type next.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import os
import queue
import random
import re
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from midway.engines.base import EngineError
from midway.engines.keys import model_key
from midway.engines.parts import OpenAIEngine as OpenAIConfig
from midway.engines.text import encode, load_tokenizer, turn_end, uses_chat
from midway.recipe import ModelConfig
from midway.records import Completion, Finish, Prompt, Request, Sampling

BACKOFF, LONGEST_PAUSE = 0.5, 60.0
"""Seconds: the first pause is up to this long, doubling up to the second."""
REFUSED_IN_A_ROW = 50
"""So many refusals (400) and not one success mean that the request itself is wrong, not a question."""
LENGTH_REASONS = ("length", "max_tokens", "limit", "model_length")
EXTRAS: dict[str, Callable[[Sampling], dict[str, Any]]] = {
    "vllm": lambda s: {"top_k": s.top_k, "min_p": s.min_p, "repetition_penalty": 1.0},
    "sglang": lambda s: {"top_k": s.top_k or -1, "min_p": s.min_p, "repetition_penalty": 1.0},
    "llamacpp": lambda s: {"top_k": s.top_k, "min_p": s.min_p, "repeat_penalty": 1.0},
}
"""By `owned_by` of /models: fields that undo the sampling defaults such a server takes from the checkpoint."""


@dataclass(slots=True)
class _Server:
    url: str
    make: Callable[[], httpx.AsyncClient]
    most: int
    """Highest concurrency."""
    limit: float
    flying: int = 0
    shrunk: float = 0.0
    """When the limit was last lowered."""
    failing_since: float | None = None
    """Since when no connection comes about."""
    rest_until: float = 0.0
    told_until: float = 0.0
    """Until when the user knows that it has asked to wait."""
    dead: bool = False
    clients: list[httpx.AsyncClient] = field(default_factory=list)
    idle: list[httpx.AsyncClient] = field(default_factory=list)

    def borrow(self) -> httpx.AsyncClient:
        """Return a client with a connection of its own: in a pool of hundreds, httpx looks through all of them for every request."""
        if not self.idle:
            self.idle.append(self.make())
            self.clients.append(self.idle[-1])
        return self.idle.pop()

    def shrink(self) -> None:
        now = time.monotonic()
        if now - self.shrunk > 1:
            self.shrunk, self.limit = now, max(1.0, self.limit / 2)

    def grow(self) -> None:
        self.failing_since, self.dead = None, False
        self.limit = min(float(self.most), self.limit + 0.1)


@dataclass(order=True, slots=True)
class _Job:
    """A request on its way; ordered by when it is due."""

    due: float
    number: int
    request: Request = field(compare=False)
    attempts: int = field(default=0, compare=False)
    empty: bool = field(default=False, compare=False)
    """An empty text came once; the second time it is believed."""


class _Retry(Exception):
    """This attempt failed in a way that may pass."""

    def __init__(self, reason: str, after: float = 0.0, overloaded: bool = False, unreachable: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.after, self.overloaded, self.unreachable = reason, after, overloaded, unreachable


class _Refused(Exception):
    """The server will never answer this request."""


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
        self._path = model_path or model.path
        self._model_config = model
        self.model = config.model or self._path
        self.model_key = model_key(self._path, model.revision)
        self._key = os.environ.get(config.api_key_env, "")
        self.patience = min(30.0, config.timeout)
        """Seconds without a connection after which a server counts as gone."""
        self._tokenizer: Any = None
        self._end: tuple[int | None] | None = None
        """Holds the token that ends a turn; None until it is looked for."""
        self._max_tokens = "max_tokens"
        self._stats = dict.fromkeys(("prompt_tokens", "completion_tokens", "cached_tokens", "seconds", "retries"), 0.0)
        self._successes = self._refusals = 0
        self._last_good = time.monotonic()
        self._bad_since_good = 0
        self._numbers = itertools.count()
        self.kind = self._greet()

    # -- the protocol -------------------------------------------------------------------------------------------------

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Yield completions as they arrive. The requests are read in another thread, a bounded number ahead."""
        out: queue.SimpleQueue[Completion | BaseException | None] = queue.SimpleQueue()
        stream = iter(requests)
        yield from self._threaded(lambda: self._drive(stream, out), out)

    def logprobs(self, items: Iterable[tuple[Prompt, str]]) -> Iterator[tuple[float, int]]:
        """Yield (sum of log-probabilities in nats, number of tokens), in order, by having /completions echo the prompt.

        Needs the model's tokenizer (`model.path`). Raises EngineError when the server gives no log-probabilities.
        """
        tokenizer, chat = self._local_tokenizer()
        stream = iter(items)
        while window := list(itertools.islice(stream, 1024)):
            pairs = [
                (
                    encode(prompt, tokenizer, chat),
                    list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]),
                )
                for prompt, text in window
            ]
            out: queue.SimpleQueue[tuple[int, float] | BaseException | None] = queue.SimpleQueue()
            todo = [i for i, (_, tail) in enumerate(pairs) if tail]
            sums = dict(self._threaded(lambda pairs=pairs, todo=todo, out=out: self._score_all(pairs, todo, out), out))  # type: ignore[misc]
            yield from ((sums.get(i, 0.0), len(pairs[i][1])) for i in range(len(pairs)))

    def count_tokens(self, prompt: Prompt) -> int:
        tokenizer, chat = self._local_tokenizer()
        return len(encode(prompt, tokenizer, chat))

    def stats(self) -> dict[str, float]:
        return dict(self._stats)

    def close(self) -> None:
        """Nothing is held between calls."""

    # -- beginnings ---------------------------------------------------------------------------------------------------

    def _greet(self) -> str:
        """Ask every server which models it has; return what kind of server it is. Raises EngineError when none is there, or one has
        another model or wants another key."""
        kind, problems = "", list[str]()
        for url in self.config.base_urls:
            try:
                answer = httpx.get(
                    f"{url.rstrip('/')}/models", headers=self._headers(), timeout=min(15.0, self.config.timeout)
                )
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                problems.append(f"no server answers at {url} ({type(error).__name__}: {error})")
                continue
            if answer.status_code in (401, 403):
                raise self._key_error(url, answer.status_code)
            with suppress(ValueError, KeyError, TypeError, AttributeError):  # some servers have no such list
                models = answer.json()["data"]
                names = [m["id"] for m in models]
                if 0 < len(names) <= 10 and self.model not in names:  # a long list (hosted) may leave aliases out
                    raise EngineError(
                        f"{url} does not serve {self.model!r}; it has {', '.join(map(repr, names))}\n"
                        f"  set `engine.model: {names[0]}`, or start the right server"
                    )
                kind = str(models[0].get("owned_by", "")) or kind
        if len(problems) == len(self.config.base_urls):
            text = "\n".join(problems)
            raise EngineError(f"{text}\n  start it (`midway serve RECIPE`), or correct `engine.base_urls`")
        for problem in problems:
            self.log(f"{problem}; going on with the other servers")
        return kind

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}"} if self._key else {}

    def _key_error(self, url: str, status: int) -> EngineError:
        name = self.config.api_key_env
        if self._key:
            return EngineError(
                f"{url} refuses the key in {name} ({status})\n  check it, then type the same command again"
            )
        return EngineError(
            f"{url} wants a key and {name} is not set ({status})\n  export {name}=..., then type the same command again"
        )

    def _clean(self, text: str) -> str:
        return (text.replace(self._key, "***") if self._key else text)[:500]

    def _local_tokenizer(self) -> tuple[Any, bool]:
        if self._tokenizer is None:
            try:
                self._tokenizer = load_tokenizer(self._path, self._model_config)
            except ImportError as error:
                raise EngineError(
                    f"this needs the model's tokenizer ({error})\n  pip install 'midway[train]'"
                ) from error
        return self._tokenizer, uses_chat(self._tokenizer, self._model_config)

    def _end_of_turn(self) -> int | None:
        """Return the token that ends a turn, where the tokenizer is at hand: not every checkpoint has it as its EOS."""
        if self._end is None:
            self._end = (None,)
            with suppress(EngineError):
                tokenizer, chat = self._local_tokenizer()
                if chat and (token := turn_end(tokenizer)):
                    self._end = (int(tokenizer.convert_tokens_to_ids(token)),)
        return self._end[0]

    # -- the loop -----------------------------------------------------------------------------------------------------

    def _threaded(self, drive: Callable[[], Any], out: queue.SimpleQueue[Any]) -> Iterator[Any]:
        """Run `drive()` on an event loop in a thread of its own; yield what it puts into `out` until None or an error."""
        start = time.monotonic()
        loop = asyncio.new_event_loop()
        task: list[asyncio.Task[None]] = []

        async def work() -> None:
            task.append(asyncio.current_task())  # type: ignore[arg-type]
            try:
                await drive()
            except asyncio.CancelledError:
                pass
            except BaseException as error:
                out.put(error)
                return
            out.put(None)

        thread = threading.Thread(target=lambda: loop.run_until_complete(work()), name="openai-engine", daemon=True)
        thread.start()
        try:
            while (item := out.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            if thread.is_alive():
                with suppress(RuntimeError):  # the loop ended just now
                    loop.call_soon_threadsafe(lambda: [t.cancel() for t in task])
                thread.join()
            loop.close()
            self._stats["seconds"] += time.monotonic() - start

    @asynccontextmanager
    async def _servers(self) -> AsyncIterator[list[_Server]]:
        each = max(1, self.config.max_concurrency // len(self.config.base_urls))
        secure = ssl.create_default_context()

        def make() -> httpx.AsyncClient:
            return httpx.AsyncClient(timeout=None, headers=self._headers(), verify=secure)

        servers = [_Server(url.rstrip("/"), make, each, float(each)) for url in self.config.base_urls]
        try:
            yield servers
        finally:
            await asyncio.gather(*(client.aclose() for server in servers for client in server.clients))

    async def _drive(self, stream: Iterator[Request], out: queue.SimpleQueue[Any]) -> None:
        """Keep the servers busy until every request is answered."""
        waiting: list[_Job] = []
        flying: set[asyncio.Task[None]] = set()
        wake = asyncio.Event()
        fatal: list[BaseException] = []
        exhausted = False
        async with self._servers() as servers:
            self._last_good, self._bad_since_good = time.monotonic(), 0

            async def fly(server: _Server, job: _Job) -> None:
                try:
                    out.put(await self._attempt(server, job))
                except _Refused as error:
                    self._refuse(str(error))
                    out.put(_failed(job.request, self._clean(str(error))))
                except _Retry as error:
                    if not self._again(server, job, error, servers):
                        out.put(_failed(job.request, f"gave up after {job.attempts} attempts: {error.reason}"))
                    else:
                        heapq.heappush(waiting, job)
                finally:
                    server.flying -= 1

            def landed(task: asyncio.Task[None]) -> None:
                flying.discard(task)
                if not task.cancelled() and (error := task.exception()) is not None:
                    fatal.append(error)
                wake.set()  # here, where the task is no longer among the flying: set any earlier, the loop would miss the last one's end

            try:
                while not fatal:
                    now = time.monotonic()
                    server = self._free(servers, now)
                    job: _Job | None = None
                    if server is not None:
                        if waiting and waiting[0].due <= now:
                            job = heapq.heappop(waiting)
                        elif not exhausted and len(waiting) < 4 * self.config.max_concurrency and out.qsize() < 5000:
                            request = next(stream, None)
                            if request is None:
                                exhausted = True
                            else:
                                job = _Job(now, next(self._numbers), request)
                    if server is not None and job is not None:
                        server.flying += 1
                        task = asyncio.create_task(fly(server, job))
                        flying.add(task)
                        task.add_done_callback(landed)
                        continue
                    if exhausted and not waiting and not flying:
                        return
                    wake.clear()
                    pause = min((0.25, *(max(0.001, w.due - now) for w in waiting[:1])))
                    with suppress(
                        TimeoutError
                    ):  # not wait_for, which in Python 3.11 may swallow the cancelling of this task
                        async with asyncio.timeout(pause):
                            await wake.wait()
                raise fatal[0]
            finally:
                for task in flying:
                    task.cancel()
                await asyncio.gather(*flying, return_exceptions=True)

    def _free(self, servers: list[_Server], now: float) -> _Server | None:
        """Return the least loaded server that may take one more; None if there is none."""
        able = [s for s in servers if s.flying < int(s.limit) and s.rest_until <= now]
        return min(able, key=lambda s: s.flying / s.limit, default=None)

    def _again(self, server: _Server, job: _Job, error: _Retry, servers: list[_Server]) -> bool:
        """Note a failed attempt and set when the job is due again; False when it has had its attempts."""
        now = time.monotonic()
        self._stats["retries"] += 1
        self._bad_since_good += 1
        if error.overloaded:
            server.shrink()
        if error.unreachable:
            server.failing_since = server.failing_since or now
            server.rest_until = now + min(1.0, self.patience / 10)
            if now - server.failing_since > self.patience and not server.dead:
                server.dead = True
                self.log(f"{server.url} is gone ({error.reason}); going on with the other servers")
            if server.dead:
                server.rest_until = now + 30
            if all(s.dead for s in servers):
                raise EngineError(
                    f"no server answers any more: {', '.join(s.url for s in servers)} ({error.reason})\n"
                    "  what arrived is stored: start the server again, then type the same command to go on"
                )
        else:
            job.attempts += 1
            if self._bad_since_good > REFUSED_IN_A_ROW and now - self._last_good > 5 * self.patience:
                raise EngineError(
                    f"nothing but errors for {now - self._last_good:.0f} s, the last from {server.url}: {error.reason}\n"
                    "  what arrived is stored: look at the server's log, then type the same command to go on"
                )
            if job.attempts > self.config.max_retries:
                return False
        pause = random.uniform(0.5, 1.0) * min(LONGEST_PAUSE, BACKOFF * 2 ** min(job.attempts, 10), self.config.timeout)
        job.due = now + max(pause, error.after + random.uniform(0, 0.1))
        if error.after > LONGEST_PAUSE and now > server.told_until:
            server.told_until = now + error.after
            self.log(f"{server.url} asks to wait {error.after:.0f} s ({error.reason})")
        return True

    def _refuse(self, reason: str) -> None:
        self._refusals += 1
        if self._refusals >= REFUSED_IN_A_ROW and not self._successes:
            raise EngineError(
                f"the server refuses every request: {self._clean(reason)}\n"
                "  correct the recipe (sampling, prompt, engine), then type the same command again"
            )

    # -- one attempt --------------------------------------------------------------------------------------------------

    async def _attempt(self, server: _Server, job: _Job) -> Completion:
        request = job.request
        path, body = self._body(request)
        data = await self._post(server, path, body)
        choices = data.get("choices")
        if not isinstance(choices, list) or len(choices) != 1:
            raise _Retry(f"asked for 1 choice, got {len(choices) if isinstance(choices, list) else 'none'}")
        choice = choices[0]
        try:
            message = choice["message"] if "message" in choice else {"content": choice["text"]}
            text = message.get("content") or ""
            reason = choice.get("finish_reason") or "stop"
            usage = data.get("usage") or {}
            details = usage.get("prompt_tokens_details") or {}
            tokens = [
                int(v or 0)
                for v in (usage.get("prompt_tokens"), usage.get("completion_tokens"), details.get("cached_tokens"))
            ]
        except (KeyError, TypeError, ValueError, AttributeError):
            raise _Retry("an answer of unknown shape") from None
        if thoughts := message.get("reasoning_content") or message.get("reasoning"):
            text = f"<think>\n{thoughts}\n</think>\n\n{text}"
        if reason == "abort":
            raise _Retry("the server aborted the request")
        if reason == "content_filter":
            raise _Refused("content_filter")
        if not text and not job.empty:
            job.empty = True
            raise _Retry("an empty text")
        finish = Finish.LENGTH if reason in LENGTH_REASONS else Finish.STOP
        for key, value in zip(("prompt_tokens", "completion_tokens", "cached_tokens"), tokens, strict=True):
            self._stats[key] += value
        return Completion(
            request.id, request.question_id, request.heuristic, request.index, text, finish,
            tokens[0], tokens[1], tokens[2],
        )  # fmt: skip

    def _body(self, request: Request) -> tuple[str, dict[str, Any]]:
        prompt, s = request.prompt, request.sampling
        body: dict[str, Any] = {
            "model": self.model,
            "n": 1,
            "temperature": s.temperature,
            "top_p": s.top_p,
            "seed": request.seed,
            self._max_tokens: s.max_tokens,
        }
        if s.stop:
            body["stop"] = list(s.stop)
        if self.kind in EXTRAS:
            body.update(EXTRAS[self.kind](s))
        else:
            body.update({key: value for key, value in (("top_k", s.top_k), ("min_p", s.min_p)) if value})
        if prompt.messages and self.kind in ("vllm", "sglang") and (end := self._end_of_turn()) is not None:
            body["stop_token_ids"] = [end]
        if prompt.messages and self.config.chat:
            body["messages"] = [dict(m) for m in prompt.messages]
            return "chat/completions", body
        body["prompt"] = encode(prompt, *self._local_tokenizer()) if prompt.messages else prompt.text
        return "completions", body

    async def _post(self, server: _Server, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send one request; return the JSON object of a good answer, else raise _Retry, _Refused or EngineError."""
        client = server.borrow()
        try:
            async with asyncio.timeout(self.config.timeout):
                answer = await client.post(f"{server.url}/{path}", json=body)
        except TimeoutError:
            raise _Retry(f"no answer within {self.config.timeout:g} s", overloaded=True) from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise _Retry(f"no connection to {server.url} ({type(error).__name__})", unreachable=True) from None
        except httpx.HTTPError as error:
            raise _Retry(f"the connection broke ({type(error).__name__})") from None
        finally:
            server.idle.append(client)
        status = answer.status_code
        if status != 200:
            raise self._failure(server, path, answer)
        try:
            data = answer.json()
        except ValueError:
            raise _Retry("an answer that is no JSON") from None
        if not isinstance(data, dict):
            raise _Retry("an answer of unknown shape")
        if data.get("error"):
            raise _Retry(self._clean(f"an error in the answer: {data['error']}"))
        server.grow()
        self._successes += 1
        self._last_good, self._bad_since_good = time.monotonic(), 0
        return data

    def _failure(self, server: _Server, path: str, answer: httpx.Response) -> Exception:
        status, text = answer.status_code, self._clean(_message(answer))
        if status in (401, 403):
            return self._key_error(server.url, status)
        if status == 404:
            return EngineError(
                f"{server.url}/{path} with model {self.model!r}: not found (404) {text}\n"
                "  check `engine.model` and `engine.base_urls` (most end in /v1); a server without /completions needs `model.chat: true`"
            )
        if status == 429 and "insufficient_quota" in answer.text:
            return EngineError(
                f"{server.url}: the quota is used up ({text})\n"
                "  what arrived is stored: type the same command to go on later"
            )
        if status == 429 or status == 408 or status >= 500:
            return _Retry(
                f"status {status} {text}".strip(), retry_after(answer.headers), overloaded=status in (429, 503, 529)
            )
        if status == 400 and "max_completion_tokens" in text and self._max_tokens == "max_tokens":
            self._max_tokens = "max_completion_tokens"  # OpenAI's own newer models know no other name
            return _Retry("max_tokens is called max_completion_tokens there")
        return _Refused(f"refused ({status}): {text}")

    # -- log-probabilities --------------------------------------------------------------------------------------------

    async def _score_all(
        self, pairs: list[tuple[list[int], list[int]]], todo: list[int], out: queue.SimpleQueue[Any]
    ) -> None:
        async with self._servers() as servers:
            gates = [asyncio.Semaphore(server.most) for server in servers]

            async def score(place: int, i: int) -> None:
                head, tail = pairs[i]
                body = {
                    "model": self.model,
                    "prompt": head + tail,
                    "max_tokens": 1,
                    "echo": True,
                    "logprobs": 1,
                    "temperature": 0,
                }
                attempts = 0
                async with gates[place % len(servers)]:
                    while True:
                        server = servers[(place + attempts) % len(servers)]  # the next one, when one fails
                        try:
                            data = await self._post(server, "completions", body)
                            break
                        except _Refused as error:
                            raise EngineError(f"no log-probabilities from {server.url}: {error}") from None
                        except _Retry as error:
                            attempts += 1
                            if attempts > self.config.max_retries:
                                raise EngineError(
                                    f"no log-probabilities from {server.url}: {error.reason}\n"
                                    "  what is scored is stored: look at the server, then type the same command to go on"
                                ) from None
                            await asyncio.sleep(
                                max(error.after, random.uniform(0.5, 1) * min(30, BACKOFF * 2**attempts))
                            )
                try:
                    values = data["choices"][0]["logprobs"]["token_logprobs"][len(head) : len(head) + len(tail)]
                    out.put((i, float(sum(values))))
                except (KeyError, TypeError, IndexError):
                    raise EngineError(
                        f"{server.url} gives no log-probabilities of the prompt (`echo` of /completions)\n"
                        "  vllm serve does; or use `engine: {kind: transformers}` for adherence"
                    ) from None

            await asyncio.gather(*(score(place, i) for place, i in enumerate(todo)))


def retry_after(headers: httpx.Headers) -> float:
    """Return the seconds that a Retry-After header asks for (a number, or a date); 0 if there is none."""
    value = headers.get("retry-after-ms")
    if value and re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value) / 1000
    value = (headers.get("retry-after") or "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    with suppress(ValueError, TypeError):
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    return 0.0


def _message(answer: httpx.Response) -> str:
    with suppress(ValueError, KeyError, TypeError):
        error = answer.json()
        error = error.get("error", error)
        return str(error.get("message", error) if isinstance(error, dict) else error)
    return answer.text.strip().split("\n")[0]


def _failed(request: Request, reason: str) -> Completion:
    return Completion(request.id, request.question_id, request.heuristic, request.index, "", Finish.ERROR, error=reason)
