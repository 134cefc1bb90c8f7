"""OpenAI's API on the wire: the bodies of requests, and what an answer means. Sends nothing and keeps nothing.

Promises
- A body says everything that decides how tokens are drawn, in the words of the kind of server that gets it.
- An answer is read into what was asked for, or into one of three failures: Retry (it may pass; with the pause that the server asks for),
  Refused (never for this request), EngineError (never for any request; says what to type next).
- The key stands in no message: should a server echo it, it is blotted out.

When things go wrong: an answer of unknown shape is a Retry; missing log-probabilities are an EngineError, never a sum over fewer tokens.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from midway.engines.base import EngineError
from midway.engines.openai.outcomes import Health, Refused, Retry
from midway.records import Completion, Finish, Request, Sampling

CUT_OFF = ("length", "max_tokens", "limit", "model_length")
"""Finish reasons of a text that was cut off at max_tokens, by server."""
KNOWS_STOP_TOKENS = ("vllm", "sglang")
OWN_FIELDS: dict[str, Callable[[Sampling], dict[str, Any]]] = {
    "vllm": lambda s: {"top_k": s.top_k, "min_p": s.min_p, "repetition_penalty": 1.0},
    "sglang": lambda s: {"top_k": s.top_k or -1, "min_p": s.min_p, "repetition_penalty": 1.0},
    "llamacpp": lambda s: {"top_k": s.top_k, "min_p": s.min_p, "repeat_penalty": 1.0},
}
"""By kind of server: fields that undo the sampling defaults such a server takes from the checkpoint."""


@dataclass(frozen=True, slots=True)
class Key:
    """The API key and the environment variable that holds it. An empty value means that there is none."""

    variable: str
    value: str = field(default="", repr=False)

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.value}"} if self.value else {}

    def blot(self, text: str) -> str:
        """Return the text without the key, at most 500 characters of it."""
        return (text.replace(self.value, "***") if self.value else text)[:500]

    def error(self, url: str, status: int) -> EngineError:
        if self.value:
            return EngineError(
                f"{url} refuses the key in {self.variable} ({status})\n  check it, then type the same command again"
            )
        return EngineError(
            f"{url} wants a key and {self.variable} is not set ({status})\n"
            f"  export {self.variable}=..., then type the same command again"
        )


@dataclass(frozen=True, slots=True)
class Dialect:
    """How to talk to a server: its name for the model, its kind (`owned_by` of /models), its name for the limit of tokens."""

    model: str
    kind: str = ""
    limit_field: str = "max_tokens"


class Call(NamedTuple):
    """One POST: the server's base URL, the path under it, the JSON body."""

    url: str
    path: str
    body: dict[str, Any]


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    """With names in lower case, or one that does not look at case."""
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode(errors="replace")


class OtherLimitField(Retry):
    """The server calls `max_tokens` otherwise: ask again with `limit_field`."""

    limit_field = "max_completion_tokens"


# -- requests ---------------------------------------------------------------------------------------------------------


def completion_body(
    request: Request, dialect: Dialect, *, prompt: str | list[int] | None, turn_end: int | None = None
) -> tuple[str, dict[str, Any]]:
    """Return path and body that ask for one completion.

    `prompt` goes to /completions as it is; None sends the request's messages to /chat/completions. `turn_end` is the token that ends an
    assistant's turn: not every checkpoint has it as its EOS.
    """
    sampling = request.sampling
    body: dict[str, Any] = {
        "model": dialect.model,
        "n": 1,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": request.seed,
        dialect.limit_field: sampling.max_tokens,
    }
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if dialect.kind in OWN_FIELDS:
        body.update(OWN_FIELDS[dialect.kind](sampling))
    else:
        body.update({name: value for name in ("top_k", "min_p") if (value := getattr(sampling, name))})
    if turn_end is not None and dialect.kind in KNOWS_STOP_TOKENS:
        body["stop_token_ids"] = [turn_end]
    if prompt is None:
        body["messages"] = [dict(message) for message in request.prompt.messages]
        if request.prompt.template:
            body["chat_template_kwargs"] = dict(request.prompt.template)
        return "chat/completions", body
    body["prompt"] = prompt
    return "completions", body


def logprob_body(head: list[int], tail: list[int], dialect: Dialect) -> tuple[str, dict[str, Any]]:
    """Return path and body that ask for the log-probabilities of the tokens `tail` after `head`: by having the prompt echoed."""
    return "completions", {
        "model": dialect.model,
        "prompt": head + tail,
        dialect.limit_field: 1,
        "echo": True,
        "logprobs": 1,
        "temperature": 0,
    }


# -- answers ----------------------------------------------------------------------------------------------------------


def read_object(answer: Answer, call: Call, key: Key) -> dict[str, Any]:
    """Return the JSON object of a good answer. Raises Retry, Refused or EngineError for any other."""
    if answer.status != 200:
        raise bad_answer(answer, call, key)
    try:
        value = json.loads(answer.content)
    except ValueError:
        raise Retry("an answer that is no JSON") from None
    if not isinstance(value, dict):
        raise Retry("an answer of unknown shape")
    if value.get("error"):
        raise Retry(key.blot(f"an error in the answer: {value['error']}"))
    return value


def bad_answer(answer: Answer, call: Call, key: Key) -> Exception:
    """Return what an answer with another status than 200 means, as an exception."""
    status, message = answer.status, key.blot(_message(answer))
    if status in (401, 403):
        return key.error(call.url, status)
    if status == 404:
        return EngineError(
            f"{call.url}/{call.path} with model {call.body.get('model')!r}: not found (404) {message}\n"
            "  check `engine.model` and `engine.base_urls` (most end in /v1); a server without /completions needs `model.chat: true`"
        )
    if status == 429 and "insufficient_quota" in answer.text:
        return EngineError(
            f"{call.url}: the quota is used up ({message})\n"
            "  what arrived is stored: type the same command to go on later"
        )
    if status in (408, 429) or status >= 500:
        health = Health.OVERLOADED if status in (429, 503, 529) else Health.FAILING
        return Retry(f"status {status} {message}".strip(), health=health, after=retry_after(answer.headers))
    if status == 400 and OtherLimitField.limit_field in message and "max_tokens" in call.body:
        return OtherLimitField("max_tokens is called max_completion_tokens there")
    return Refused(f"refused ({status}): {message}")


def read_completion(request: Request, value: dict[str, Any]) -> Completion:
    """Return the completion in a good answer; its text may be empty. Raises Retry or Refused when there is none of use."""
    choice = _only_choice(value)
    try:
        message = choice["message"] if "message" in choice else {"content": choice["text"]}
        text = message.get("content") or ""
        reason = choice.get("finish_reason") or "stop"
        usage = value.get("usage") or {}
        details = usage.get("prompt_tokens_details") or {}
        counts = (usage.get("prompt_tokens"), usage.get("completion_tokens"), details.get("cached_tokens"))
        tokens = [int(count or 0) for count in counts]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Retry("an answer of unknown shape", health=Health.WORKING) from None
    if thoughts := message.get("reasoning_content") or message.get("reasoning"):
        text = f"<think>\n{thoughts}\n</think>\n\n{text}"
    if reason == "abort":
        raise Retry("the server aborted the request", health=Health.WORKING)
    if reason == "content_filter":
        raise Refused("content_filter", health=Health.WORKING)
    return Completion(
        request.id, request.question_id, request.heuristic, request.index, text,
        Finish.LENGTH if reason in CUT_OFF else Finish.STOP, tokens[0], tokens[1], tokens[2],
    )  # fmt: skip


def read_logprob(value: dict[str, Any], head: int, tail: int, url: str) -> float:
    """Return the sum of the log-probabilities (nats) of `tail` tokens after `head`. Raises EngineError when one is missing,
    Retry when the answer has no choice to look into."""
    choice = _only_choice(value)
    try:
        values = choice["logprobs"]["token_logprobs"][head : head + tail]
        if len(values) == tail:
            return float(sum(values))
    except (KeyError, TypeError, IndexError):
        pass
    raise EngineError(
        f"{url} gives no log-probabilities of the prompt (`echo` of /completions)\n"
        "  vllm serve does; or use `engine: {kind: transformers}` for adherence"
    )


def _only_choice(value: dict[str, Any]) -> Any:
    choices = value.get("choices")
    if isinstance(choices, list) and len(choices) == 1:
        return choices[0]
    count = len(choices) if isinstance(choices, list) else "none"
    raise Retry(f"asked for 1 choice, got {count}", health=Health.WORKING)


def read_models(content: bytes) -> tuple[list[str], str]:
    """Return the names and the owner that an answer of /models holds; empty where there is no such list."""
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        models = json.loads(content)["data"]
        names = [str(model["id"]) for model in models]
        return names, str(models[0].get("owned_by") or "") if models else ""
    return [], ""


def retry_after(headers: Mapping[str, str]) -> float:
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


def _message(answer: Answer) -> str:
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        error = json.loads(answer.content)
        error = error.get("error", error)
        return str(error.get("message", error) if isinstance(error, dict) else error)
    return answer.text.strip().split("\n")[0]
