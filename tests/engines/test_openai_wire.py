"""What goes over the wire to each kind of server, and what each kind of answer means. No network."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest

from midway.engines import EngineError
from midway.engines.openai import retry_after, wire
from midway.engines.openai.outcomes import Health, Refused, Retry
from midway.records import Finish, Prompt, Request, Sampling

KEY = wire.Key("MIDWAY_TEST_KEY", "s3cret-value")
NO_KEY = wire.Key("MIDWAY_TEST_KEY")
SAMPLING = Sampling(temperature=0.7, top_p=0.9, top_k=5, min_p=0.1, max_tokens=9, stop=("\n\n",))
MESSAGES = ({"role": "user", "content": "2+2?"},)
CALL = wire.Call("http://here/v1", "chat/completions", {"model": "m", "max_tokens": 9})


def request(sampling: Sampling = SAMPLING) -> Request:
    return Request("x", Prompt(messages=MESSAGES), sampling, "q", heuristic="work-backwards", index=3)


def answer(status: int, value: Any = None, **headers: str) -> wire.Answer:
    content = value if isinstance(value, bytes) else json.dumps(value or {}).encode()
    return wire.Answer(status, {name.replace("_", "-"): text for name, text in headers.items()}, content)


def failure(status: int, value: Any = None, key: wire.Key = KEY, call: wire.Call = CALL, **headers: str) -> Exception:
    with pytest.raises((Retry, Refused, EngineError)) as caught:
        wire.read_object(answer(status, value, **headers), call, key)
    return caught.value


# -- requests ---------------------------------------------------------------------------------------------------------


GOLDEN = {
    "vllm": {"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.0, "stop_token_ids": [7]},
    "sglang": {"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.0, "stop_token_ids": [7]},
    "llamacpp": {"top_k": 5, "min_p": 0.1, "repeat_penalty": 1.0},
    "openai": {"top_k": 5, "min_p": 0.1},
    "": {"top_k": 5, "min_p": 0.1},
}
"""What each kind of server gets beside the fields that all get."""
NEUTRAL = {
    "vllm": {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "stop_token_ids": [7]},
    "sglang": {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "stop_token_ids": [7]},
    "llamacpp": {"top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0},
    "openai": {},
    "": {},
}
"""The same without top-k, min-p and stop: a server that takes defaults from the checkpoint is asked to use none."""


@pytest.mark.parametrize("kind", GOLDEN)
def test_the_body_of_a_chat_request(kind: str) -> None:
    dialect = wire.Dialect("m", kind)
    shared = {"model": "m", "n": 1, "temperature": 0.7, "top_p": 0.9, "seed": request().seed, "max_tokens": 9}
    shared |= {"stop": ["\n\n"], "messages": [{"role": "user", "content": "2+2?"}]}
    assert wire.completion_body(request(), dialect, prompt=None, turn_end=7) == (
        "chat/completions",
        shared | GOLDEN[kind],
    )
    plain = request(Sampling(temperature=0, top_p=1, top_k=0, min_p=0, max_tokens=9))
    shared |= {"temperature": 0, "top_p": 1}
    del shared["stop"]
    assert wire.completion_body(plain, dialect, prompt=None, turn_end=7)[1] == shared | NEUTRAL[kind]


@pytest.mark.parametrize("prompt", ["2+2?", [1, 2, 3]])
def test_the_body_of_a_request_for_plain_text_or_tokens(prompt: str | list[int]) -> None:
    path, body = wire.completion_body(request(), wire.Dialect("m", "vllm"), prompt=prompt)
    assert path == "completions" and body["prompt"] == prompt
    assert not body.keys() & {"messages", "stop_token_ids"}


def test_the_limit_of_tokens_has_the_servers_name() -> None:
    body = wire.completion_body(request(), wire.Dialect("m", "openai", "max_completion_tokens"), prompt=None)[1]
    assert body["max_completion_tokens"] == 9 and "max_tokens" not in body


def test_the_body_of_a_request_for_log_probabilities() -> None:
    assert wire.logprob_body([1, 2], [3], wire.Dialect("m", "vllm")) == (
        "completions",
        {"model": "m", "prompt": [1, 2, 3], "max_tokens": 1, "echo": True, "logprobs": 1, "temperature": 0},
    )


# -- bad answers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "health"),
    [
        (408, Health.FAILING),
        (429, Health.OVERLOADED),
        (500, Health.FAILING),
        (502, Health.FAILING),
        (503, Health.OVERLOADED),
        (529, Health.OVERLOADED),
    ],
)
def test_what_may_pass_is_a_retry(status: int, health: Health) -> None:
    error = failure(status, {"error": {"message": "slow down"}}, retry_after="7")
    assert isinstance(error, Retry)
    assert (error.reason, error.health, error.after) == (f"status {status} slow down", health, 7)
    page = failure(status, b"<html>bad gateway\nmore</html>")
    assert isinstance(page, Retry) and (page.reason, page.after) == (f"status {status} <html>bad gateway", 0)


@pytest.mark.parametrize(
    "value", [{"error": {"message": "too long"}}, {"error": "too long"}, {"message": "too long"}, b"too long\n"]
)
@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_never_passes_is_refused(status: int, value: Any) -> None:
    error = failure(status, value)
    assert isinstance(error, Refused) and error.reason == f"refused ({status}): too long"
    assert error.health is Health.FAILING


@pytest.mark.parametrize(
    ("status", "value", "words"),
    [
        (401, {}, "refuses the key in MIDWAY_TEST_KEY (401)"),
        (403, {}, "refuses the key in MIDWAY_TEST_KEY (403)"),
        (404, {"error": "no such model"}, "with model 'm': not found (404) no such model"),
        (429, {"error": {"message": "pay", "code": "insufficient_quota"}}, "the quota is used up (pay)"),
    ],
)
def test_what_never_passes_for_any_request_ends_it(status: int, value: Any, words: str) -> None:
    error = failure(status, value)
    assert isinstance(error, EngineError) and words in str(error)
    assert str(error).startswith("http://here/v1") and "\n  " in str(error)  # where, and what to type next
    if status in (401, 403):
        missing = str(failure(status, value, NO_KEY))
        assert "wants a key and MIDWAY_TEST_KEY is not set" in missing and "export MIDWAY_TEST_KEY=..." in missing


def test_another_name_for_max_tokens_is_learned_from_any_request_that_had_the_old_one() -> None:
    value = {"error": {"message": "Use 'max_completion_tokens' instead."}}
    for _ in range(2):  # two were in flight
        error = failure(400, value)
        assert isinstance(error, wire.OtherLimitField) and error.limit_field == "max_completion_tokens"
    assert isinstance(failure(400, value, call=CALL._replace(body={"max_completion_tokens": 9})), Refused)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"choices": [', "an answer that is no JSON"),
        (b"", "an answer that is no JSON"),
        (b"[1]", "an answer of unknown shape"),
        (b'{"error": "s3cret-value went wrong"}', "an error in the answer: *** went wrong"),
    ],
)
def test_a_bad_body_with_status_200_is_a_retry(content: bytes, reason: str) -> None:
    error = failure(200, content)
    assert isinstance(error, Retry) and (error.reason, error.health) == (reason, Health.FAILING)


@pytest.mark.parametrize("status", [400, 404, 429, 500])
def test_the_key_stands_in_no_message(status: int) -> None:
    error = failure(status, {"error": {"message": "bad Bearer s3cret-value", "code": "insufficient_quota"}})
    assert "***" in str(error) and "s3cret" not in str(error)
    assert "s3cret" not in repr(KEY)
    assert KEY.headers() == {"Authorization": "Bearer s3cret-value"} and NO_KEY.headers() == {}
    assert NO_KEY.blot("x" * 900) == "x" * 500


# -- good answers -----------------------------------------------------------------------------------------------------


def choice(content: Any = "4", finish: Any = "stop", **more: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"role": "assistant", "content": content, **more}, "finish_reason": finish}]}


def test_an_answer_becomes_a_completion() -> None:
    usage = {"prompt_tokens": 20, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 16}}
    c = wire.read_completion(request(), {**choice(), "usage": usage})
    assert (c.id, c.question_id, c.heuristic, c.index) == ("x", "q", "work-backwards", 3)
    assert (c.text, c.finish, c.prompt_tokens, c.completion_tokens, c.cached_tokens) == ("4", Finish.STOP, 20, 7, 16)
    bare = wire.read_completion(
        request(), {"choices": [{"text": " 4"}]}
    )  # of /completions, with no more than it must have
    assert (bare.text, bare.finish, bare.prompt_tokens) == (" 4", Finish.STOP, 0)
    assert wire.read_completion(request(), choice(None)).text == ""
    for field in ("reasoning_content", "reasoning"):
        assert wire.read_completion(request(), choice(**{field: "so"})).text == "<think>\nso\n</think>\n\n4"


@pytest.mark.parametrize("reason", wire.CUT_OFF)
def test_a_text_that_was_cut_off(reason: str) -> None:
    assert wire.read_completion(request(), choice(finish=reason)).finish is Finish.LENGTH


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({}, "asked for 1 choice, got none"),
        ({"choices": []}, "asked for 1 choice, got 0"),
        ({"choices": choice()["choices"] * 2}, "asked for 1 choice, got 2"),
        ({"choices": ["4"]}, "an answer of unknown shape"),
        ({"choices": [{"message": "4"}]}, "an answer of unknown shape"),
        ({**choice(), "usage": {"prompt_tokens": "many"}}, "an answer of unknown shape"),
        (choice(finish="abort"), "the server aborted the request"),
    ],
)
def test_an_answer_of_no_use_is_a_retry_that_says_nothing_against_the_server(value: Any, reason: str) -> None:
    with pytest.raises(Retry) as caught:
        wire.read_completion(request(), value)
    assert (caught.value.reason, caught.value.health) == (reason, Health.WORKING)


def test_filtered_content_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        wire.read_completion(request(), choice(finish="content_filter"))
    assert caught.value.health is Health.WORKING


def test_log_probabilities_are_summed_over_the_continuation() -> None:
    value = {"choices": [{"logprobs": {"token_logprobs": [None, -1.0, -0.5, -0.25, -9.0]}}]}
    assert wire.read_logprob(value, 2, 2, "http://here/v1") == -0.75


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        {},
        {"token_logprobs": [-9.0]},  # a server that does not echo: once, that was a sum of 0
        {"token_logprobs": [None, -1.0, -0.5]},  # one is missing
        {"token_logprobs": [None, None, None, None]},
    ],
)
def test_missing_log_probabilities_are_an_error(logprobs: Any) -> None:
    with pytest.raises(EngineError, match=r"http://here/v1 gives no log-probabilities.*\n.*kind: transformers"):
        wire.read_logprob({"choices": [{"logprobs": logprobs}]}, 2, 2, "http://here/v1")
    with pytest.raises(Retry, match="asked for 1 choice, got 0"):  # nothing is known of such a server yet
        wire.read_logprob({"choices": []}, 2, 2, "http://here/v1")


def test_the_list_of_models() -> None:
    value = {"data": [{"id": "a", "owned_by": "vllm"}, {"id": "b"}]}
    assert wire.read_models(json.dumps(value).encode()) == (["a", "b"], "vllm")
    for content in (b"no", b"[]", b'{"data": [{}]}', b'{"data": []}', b'{"data": ["a"]}', b'{"data": null}'):
        assert wire.read_models(content) == ([], "")


def test_retry_after_whatever_the_case() -> None:
    in_a_minute = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 60))
    assert retry_after(httpx.Headers({"Retry-After": "1.5"})) == 1.5
    assert retry_after({"retry-after-ms": "nonsense", "retry-after": "2"}) == 2
    assert 55 < retry_after({"retry-after": in_a_minute}) <= 60
