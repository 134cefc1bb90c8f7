"""The openai engine against a real server that fails on purpose."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import polars as pl
import pytest

from midway import rundir
from midway.engines import Engine, EngineError, OpenAIEngine, open_engine
from midway.engines.openai import retry_after
from midway.engines.stream import complete, open_failures
from midway.recipe import ModelConfig
from midway.records import Prompt, Request, Sampling

HERE = Path(__file__).parent


@contextmanager
def serving(*args: object, port: int = 0) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start the fault-injecting server; give its base URL and process."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "fault_server.py"), "--port", str(port), *map(str, args)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield f"http://127.0.0.1:{line.split()[1]}/v1", process
    finally:
        process.kill()
        process.wait()


def client(*urls: str, **options: object) -> object:
    config = OpenAIEngine(
        kind="openai", base_urls=list(urls), model="faulty", **{"timeout": 20, "max_concurrency": 128, **options}
    )  # type: ignore[arg-type]
    return open_engine(config, ModelConfig(path="org/faulty"))


def asked(count: int, chat: bool = True) -> list[Request]:
    prompt = Prompt(messages=({"role": "user", "content": "2+2?"},)) if chat else Prompt(text="2+2?")
    return [Request(f"id-{i}", prompt, Sampling(max_tokens=16), f"q{i // 4}", index=i % 4) for i in range(count)]


def count(url: str) -> dict[str, dict[str, int]]:
    return httpx.get(url.replace("/v1", "/count")).json()


@pytest.mark.slow
def test_five_thousand_requests_at_20_percent_faults(tmp_path: Path) -> None:
    with serving("--faults", 0.2, "--stall", 4) as (url, _):
        engine = client(url, timeout=2.0)
        report = complete(asked(5000), engine, tmp_path / "c")
        struck = count(url)["struck"]
        stored = rundir.read_table(tmp_path / "c", rundir.COMPLETIONS)
    assert set(struck) == {
        "429",
        "429-after",
        "429-date",
        "500",
        "503",
        "drop",
        "half-json",
        "no-choice",
        "two-choices",
        "empty",
        "stall",
        "html",
    }
    assert sum(struck.values()) > 500
    assert (report.asked, report.done, report.failed) == (5000, 5000, 0)
    rows = sum(len(pl.read_parquet(f)) for f in (tmp_path / "c").glob("*.parquet"))
    assert rows == len(stored) == 5000  # none twice, not even before the reader removes duplicates
    assert set(stored["id"]) == {f"id-{i}" for i in range(5000)}
    seed = {r.id: r.seed for r in asked(5000)}
    wrong = [
        (i, t)
        for i, t in stored.select("id", "text").iter_rows()
        if t and not t.startswith(f"the answer to {seed[i]} is")
    ]
    assert not wrong  # every answer went to its own request
    assert stored["text"].str.len_chars().eq(0).sum() < 10  # an empty text is believed only when it comes twice
    assert 0.05 < report.truncation()["unguided"] < 0.15
    assert report.prefix_hit_rate == pytest.approx(0.8)
    assert engine.stats()["retries"] >= sum(struck.values()) - 10  # type: ignore[attr-defined]


def test_requests_that_cannot_be_answered_are_failures_and_are_retried(tmp_path: Path) -> None:
    with serving("--refuse", 0.3) as (url, _):
        first = complete(asked(200), client(url), tmp_path / "c")
    assert 30 < first.failed < 90 and first.done == 200 - first.failed
    failures = open_failures(tmp_path / "c")
    assert len(failures) == first.failed and failures["error"].str.contains("maximum context length").all()
    with serving("--refuse", 0.0) as (url, _):
        second = complete(asked(200), client(url), tmp_path / "c")
    assert (second.held, second.done, second.failed) == (first.done, first.failed, 0)
    assert len(open_failures(tmp_path / "c")) == 0
    assert not list((tmp_path / "c" / "failures").glob("*.parquet"))


def test_giving_up_is_counted_with_its_reason(tmp_path: Path) -> None:
    with serving("--faults", 0.9, "--stall", 0.1) as (url, _):
        report = complete(asked(40, chat=False), client(url, max_retries=1, timeout=0.5), tmp_path / "c")
    assert report.done + report.failed == 40 and report.failed > 5
    assert all(reason.startswith("gave up after 2 attempts: ") for reason in report.failures)


def test_a_server_that_refuses_everything_stops_the_stage(tmp_path: Path) -> None:
    with (
        serving("--refuse", 1.0) as (url, _),
        pytest.raises(EngineError, match=r"(?s)refuses every request.*maximum context"),
    ):
        complete(asked(500), client(url), tmp_path / "c")
    assert 49 <= len(open_failures(tmp_path / "c")) < 400  # the 50th stops it


def test_a_dying_server_stops_the_stage_and_the_next_command_goes_on(tmp_path: Path) -> None:
    with serving("--die", 60, "--seconds", 0.02) as (url, _):
        engine = client(url, timeout=1.0, max_concurrency=8)
        with pytest.raises(EngineError, match=r"no server answers any more.*\n.*start the server again") as caught:
            complete(asked(300), engine, tmp_path / "c")
    held = rundir.stored_ids(tmp_path / "c")
    assert 50 <= len(held) < 60 and caught.value.report.done == len(held)  # type: ignore[attr-defined]
    with serving() as (url, _):
        report = complete(asked(300), client(url), tmp_path / "c")
        again = count(url)["answered"]
    assert report.done == 300 - len(held) == sum(again.values())
    assert rundir.stored_ids(tmp_path / "c") == {f"id-{i}" for i in range(300)}


def test_two_servers_share_and_one_may_die(tmp_path: Path) -> None:
    lines: list[str] = []
    with serving("--seconds", 0.01) as (one, _), serving("--die", 50, "--seconds", 0.01) as (two, _):
        config = OpenAIEngine(kind="openai", base_urls=[one, two], model="faulty", timeout=0.5, max_concurrency=16)
        engine = open_engine(config, ModelConfig(path="org/faulty"), log=lines.append)
        report = complete(asked(400), engine, tmp_path / "c")
        share = sum(count(one)["answered"].values())
    assert report.done == 400 and 330 <= share <= 400
    assert not lines or "is gone" in lines[0]


def test_concurrency_is_bounded_and_shrinks_when_the_server_is_overloaded(tmp_path: Path) -> None:
    with serving("--seconds", 0.01) as (url, _):
        complete(asked(300), client(url, max_concurrency=7), tmp_path / "a")
        assert count(url)["flying"] == 7
    with serving("--seconds", 0.05, "--capacity", 8) as (url, _):
        report = complete(asked(300), client(url, max_concurrency=128), tmp_path / "b")
        overload = count(url)["struck"]["overload"]
    assert (report.done, report.failed) == (300, 0)
    assert 100 < overload < 600  # without shrinking nearly every request would be turned away many times


def test_a_server_that_is_not_there_at_the_start_leaves_its_share_to_the_others(tmp_path: Path) -> None:
    lines: list[str] = []
    with serving() as (url, _):
        urls = ["http://127.0.0.1:9/v1", url]
        config = OpenAIEngine(kind="openai", base_urls=urls, model="faulty", timeout=0.5, max_concurrency=16)
        engine = open_engine(config, ModelConfig(path="org/faulty"), log=lines.append)
        report = complete(asked(200), engine, tmp_path / "c")
    assert (report.done, report.failed) == (200, 0)
    assert "no server answers at http://127.0.0.1:9/v1" in lines[0] and "going on with the other servers" in lines[0]


def test_the_request_says_everything_that_decides_the_draw(checkpoint: Callable[..., Path]) -> None:
    model = ModelConfig(path=str(checkpoint("qwen2")))
    sampling = Sampling(temperature=0.7, top_p=0.9, top_k=5, min_p=0.1, max_tokens=9, stop=("\n\n",))
    request = Request("x", Prompt(messages=({"role": "user", "content": "2+2?"},)), sampling, "q")
    said = {"temperature": 0.7, "top_p": 0.9, "max_tokens": 9, "stop": ["\n\n"], "seed": request.seed, "n": 1}
    for owner, own in (
        ("vllm", {"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.0}),
        ("sglang", {"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.0}),
        ("llamacpp", {"top_k": 5, "min_p": 0.1, "repeat_penalty": 1.0}),
        ("openai", {}),
    ):
        with serving("--owner", owner) as (url, _):
            engine = open_engine(OpenAIEngine(kind="openai", base_urls=[url], model="faulty"), model)
            assert len(list(engine.generate([request]))) == 1
            last = count(url)["last"]
        assert said | own == {key: last[key] for key in said | own}
        # a turn ends with <|im_end|>, whatever the server's checkpoint calls its EOS
        assert len(last.get("stop_token_ids", [])) == (1 if owner in ("vllm", "sglang") else 0)


@pytest.mark.parametrize("signal_", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_kill_and_go_on(tmp_path: Path, signal_: int) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[3]); from pathlib import Path; from test_openai import *\n"
        "report = complete(asked(400), client(sys.argv[1], max_concurrency=8), Path(sys.argv[2]))\n"
        "print(report.stopped)"
    )
    with serving("--seconds", 0.03) as (url, _):
        args = [sys.executable, "-c", script, url, str(tmp_path / "c"), str(HERE)]
        process = subprocess.Popen(args, stdout=subprocess.PIPE, text=True)
        while len(rundir.stored_ids(tmp_path / "c")) < 40:
            time.sleep(0.02)
            assert process.poll() is None
        process.send_signal(signal_)
        said, _ = process.communicate(timeout=30)
        before = rundir.stored_ids(tmp_path / "c")
        assert 40 <= len(before) < 400
        if signal_ != signal.SIGKILL:
            assert process.returncode == 0 and said.strip() == signal.Signals(signal_).name
        report = complete(asked(400), client(url), tmp_path / "c")
        answers = count(url)["answered"]
    assert report.held == len(before)
    assert rundir.stored_ids(tmp_path / "c") == {f"id-{i}" for i in range(400)}
    assert (
        sum(answers.values()) - 400 <= 24
    )  # asked again: the 8 in flight, and answers that were just being read and stored


def test_errors_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineError, match=r"no server answers at http://127\.0\.0\.1:9/v1.*\n.*midway serve RECIPE"):
        client("http://127.0.0.1:9/v1")
    with serving() as (url, _), pytest.raises(EngineError, match=r"does not serve 'other'; it has 'faulty'"):
        open_engine(OpenAIEngine(kind="openai", base_urls=[url], model="other"), ModelConfig(path="org/faulty"))
    monkeypatch.delenv("MIDWAY_TEST_KEY", raising=False)
    with serving("--key", "s3cret-value") as (url, _):
        with pytest.raises(EngineError, match=r"wants a key and MIDWAY_TEST_KEY is not set"):
            client(url, api_key_env="MIDWAY_TEST_KEY")
        monkeypatch.setenv("MIDWAY_TEST_KEY", "wrong")
        with pytest.raises(EngineError, match="refuses the key in MIDWAY_TEST_KEY") as caught:
            client(url, api_key_env="MIDWAY_TEST_KEY")
        assert "wrong" not in str(caught.value)


def test_the_key_is_written_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDWAY_TEST_KEY", "s3cret-value")
    with serving("--key", "s3cret-value", "--refuse", 0.2, "--faults", 0.3, "--stall", 0.1) as (url, _):
        report = complete(
            asked(100), client(url, api_key_env="MIDWAY_TEST_KEY", max_retries=0, timeout=3), tmp_path / "c"
        )
    assert any("***" in reason for reason in report.failures)
    assert "s3cret" not in str(report.as_dict())
    for folder in (tmp_path / "c", tmp_path / "c" / "failures"):
        assert "s3cret" not in rundir.read_table(folder, rundir.COMPLETIONS).write_json()
        assert all(b"s3cret" not in f.read_bytes() for f in folder.glob("*.*"))


def test_log_probabilities_take_the_same_retries(checkpoint: Callable[..., Path]) -> None:
    model = ModelConfig(path=str(checkpoint("qwen2")))
    items = [(Prompt(text=f"How many clips? {n}"), f" It is {n}." if n % 10 else "") for n in range(300)]

    def engine(*urls: str, **options: object) -> Engine:
        config = OpenAIEngine(kind="openai", base_urls=list(urls), model="faulty", **{"timeout": 5, **options})  # type: ignore[arg-type]
        return open_engine(config, model)

    with serving("--faults", 0.2, "--stall", 0.1) as (one, _), serving("--seconds", 0.01) as (two, _):
        client = engine(one, two, timeout=2)
        got = list(client.logprobs(iter(items)))
        assert client.stats()["retries"] > 5 and sum(count(one)["struck"].values()) > 5
        tokenizer = client.tokenizer_and_chat()[0]  # type: ignore[attr-defined]
        tails = [tokenizer(text, add_special_tokens=False)["input_ids"] for _, text in items]
        want = [(sum(-(token % 8) / 8 for token in tail), len(tail)) for tail in tails]
        assert got == want  # in order, and each of its own continuation
    with (
        serving("--faults", 1.0, "--stall", 0.1) as (url, _),
        pytest.raises(EngineError, match=r"no log-probabilities from .*: gave up after 1 attempts.*\n.*is stored"),
    ):
        list(engine(url, max_retries=0).logprobs(items))
    with (
        serving("--refuse", 1.0) as (url, _),
        pytest.raises(EngineError, match=r"no log-probabilities from .*: refused \(400\): maximum context"),
    ):
        list(engine(url).logprobs(items))


def test_retry_after() -> None:
    def header(**values: str) -> float:
        return retry_after(httpx.Headers({k.replace("_", "-"): v for k, v in values.items()}))

    assert header() == 0 and header(retry_after="nonsense") == 0
    assert header(retry_after="7") == 7 and header(retry_after_ms="250") == 0.25
    assert header(retry_after="Wed, 21 Oct 2015 07:28:00 GMT") == 0
    in_a_minute = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 60))
    assert 55 < header(retry_after=in_a_minute) <= 60
