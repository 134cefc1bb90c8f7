"""The storing loop: nothing twice, nothing lost, exactly what is missing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import polars as pl
import pytest

from midway import rundir
from midway.engines import EngineError, TransformersEngine, open_engine
from midway.engines.stream import Progress, StreamReport, complete, open_failures
from midway.recipe import ModelConfig
from midway.records import Completion, Finish, Prompt, Request, Sampling, completion_id


class Echo:
    """A real, if simple, engine: repeats the prompt; fails where the prompt says so."""

    model_key = "echo"

    def __init__(self, faults: Iterable[str] = ()) -> None:
        self.asked: list[str] = []
        self.faults = set(faults)

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        for r in requests:
            self.asked.append(r.id)
            if r.id in self.faults:
                yield Completion(r.id, r.question_id, r.heuristic, r.index, "", Finish.ERROR, error="told to fail")
            else:
                finish = Finish.LENGTH if r.index % 2 else Finish.STOP
                yield Completion(r.id, r.question_id, r.heuristic, r.index, r.prompt.text, finish, 10, 5, 8)

    def logprobs(self, items: Iterable[tuple[Prompt, str]]) -> Iterator[tuple[float, int]]:
        yield from ((0.0, len(text)) for _, text in items)

    def stats(self) -> dict[str, float]:
        return {}

    def close(self) -> None:
        pass


class Twice(Echo):
    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        for c in super().generate(requests):
            yield c
            yield c


class Forgets(Echo):
    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        yield from (c for c in super().generate(requests) if not c.id.endswith("0"))


class Breaks(Echo):
    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        for number, c in enumerate(super().generate(requests)):
            if number == 7:
                raise EngineError("the server is gone\n  start it")
            yield c


def asked(questions: int, samples: int, prompt: str = "v1") -> list[Request]:
    sampling = Sampling()
    return [
        Request(
            completion_id(f"q{q}", h, prompt, "echo", sampling, s),
            Prompt(text=f"{prompt} {h} {q}"),
            sampling,
            f"q{q}",
            h,
            s,
        )
        for q in range(questions)
        for h in ("analogy", "backward")
        for s in range(samples)
    ]


def test_from_4_to_8_samples_asks_exactly_the_missing_half(tmp_path: Path) -> None:
    engine = Echo()
    first = complete(asked(25, 4), engine, tmp_path)
    assert (first.asked, first.held, first.done) == (200, 0, 200)
    engine.asked.clear()
    second = complete(asked(25, 8), engine, tmp_path)
    assert (second.asked, second.held, second.done, second.unasked) == (400, 200, 200, 0)
    assert set(engine.asked) == {r.id for r in asked(25, 8)} - {r.id for r in asked(25, 4)} and len(engine.asked) == 200
    engine.asked.clear()
    assert complete(asked(25, 8), engine, tmp_path).done == 0 and not engine.asked


def test_a_changed_prompt_is_asked_anew_and_said_so(tmp_path: Path) -> None:
    complete(asked(5, 2), Echo(), tmp_path)
    report = complete(asked(5, 2, "v2"), Echo(), tmp_path)
    assert (report.held, report.done, report.unasked) == (0, 20, 20)
    assert report.as_dict()["unasked"] == 20


def test_order_is_by_heuristic_then_question_and_each_id_once(tmp_path: Path) -> None:
    engine = Echo()
    requests = asked(6, 2)
    report = complete([*requests, *requests[:5]], engine, tmp_path)
    assert report.asked == 24 == len(engine.asked) == len(set(engine.asked))
    order = {r.id: (r.heuristic, r.question_id, r.index) for r in requests}
    assert [order[i] for i in engine.asked] == sorted(order.values())


def test_the_account(tmp_path: Path) -> None:
    seen: list[Progress] = []
    requests = asked(10, 2)
    report = complete(requests, Echo([requests[0].id]), tmp_path, progress=seen.append)
    assert (report.prompt_tokens, report.completion_tokens, report.cached_tokens) == (390, 195, 312)
    assert report.prefix_hit_rate == pytest.approx(0.8) and report.tokens_per_second > 0
    assert report.truncation() == {"analogy": pytest.approx(10 / 19), "backward": 0.5}
    assert report.finish == {"stop": 19, "length": 20, "error": 1} and report.failures == {"told to fail": 1}
    assert set(report.cost()) == {"prompt_tokens", "completion_tokens", "cached_tokens", "seconds"}
    assert (seen[-1].total, seen[-1].done, seen[-1].failed) == (40, 39, 1)


class Slow(Echo):
    """Writes nothing until it is let go on."""

    def __init__(self, go_on: threading.Event) -> None:
        super().__init__()
        self.go_on = go_on

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        assert self.go_on.wait(60), "nobody was told that nothing arrives"
        yield from super().generate(requests)


def test_progress_is_told_while_nothing_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("midway.engines.stream.QUIET", 0.05)
    go_on = threading.Event()
    seen: list[Progress] = []

    def progress(one: Progress) -> None:
        seen.append(one)
        if len(seen) == 3:
            go_on.set()

    report = complete(asked(5, 2), Slow(go_on), tmp_path, progress=progress)
    assert report.done == 20
    assert [one.done for one in seen[:3]] == [0, 0, 0] and seen[2].quiet > seen[0].quiet > 0
    assert seen[-1].done == 20 and seen[-1].quiet == 0


def test_failures_are_kept_retried_and_struck_off(tmp_path: Path) -> None:
    requests = asked(10, 2)
    bad = [r.id for r in requests[:6]]
    for faults, left in ((bad, 6), (bad[:2], 2), (bad[:2], 2), ([], 0)):
        engine = Echo(faults)
        report = complete(requests, engine, tmp_path)
        assert report.failed == left == len(open_failures(tmp_path))
        assert set(open_failures(tmp_path)["id"]) == set(faults)
    assert rundir.stored_ids(tmp_path) == {r.id for r in requests}
    assert complete(requests, Echo(), tmp_path).held == 40


@pytest.mark.parametrize(("engine", "words"), [(Twice(), "answered before"), (Forgets(), "gave no answer to")])
def test_an_engine_that_breaks_the_protocol_is_found_out(engine: Echo, words: str, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=words) as caught:
        complete(asked(40, 2), engine, tmp_path)
    assert isinstance(caught.value.report, StreamReport) and caught.value.report.done > 0


def test_what_came_before_an_engine_error_is_stored(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="server is gone") as caught:
        complete(asked(10, 2), Breaks(), tmp_path)
    assert isinstance(caught.value.report, StreamReport) and caught.value.report.done == 7
    assert len(rundir.stored_ids(tmp_path)) == 7 and not list(tmp_path.glob("*.jsonl"))
    assert complete(asked(10, 2), Echo(), tmp_path).done == 33


def test_stop_ends_at_once_and_reads_lazily(tmp_path: Path) -> None:
    read = 0

    def many() -> Iterator[Request]:
        nonlocal read
        sampling = Sampling()
        for read in range(1_000_000):
            yield Request(f"{read:07}", Prompt(text="x"), sampling, "q", index=read)

    report = complete(many(), Echo(), tmp_path, stop=lambda: len(list(tmp_path.glob("*"))) > 0 and read > 0)
    assert report.stopped == "requested" and report.done == 1 and read < 20_001
    assert len(rundir.stored_ids(tmp_path)) == 1


def test_a_dead_writers_journal_becomes_a_shard(tmp_path: Path) -> None:
    complete(asked(3, 2), Echo(), tmp_path)
    (shard,) = tmp_path.glob("*.parquet")
    row = rundir.read_table(tmp_path, rundir.COMPLETIONS).row(0, named=True) | {"id": "from-a-journal"}
    (tmp_path / "dead-00000.jsonl").write_text(json.dumps(row) + '\n{"id": "torn')
    complete(asked(3, 2), Echo(), tmp_path)
    assert shard.exists() and not list(tmp_path.glob("*.jsonl"))
    assert "from-a-journal" in rundir.stored_ids(tmp_path) and len(rundir.stored_ids(tmp_path)) == 13


def test_no_space_on_the_disk_is_clear_and_resumable(tmp_path: Path) -> None:
    """On a real file system of 1 MiB, mounted in a namespace of its own."""
    script = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_stream import *
long = [Request(f"id{i}", Prompt(text=str(i) * 3000), Sampling(), f"q{i}") for i in range(300)]
place = Path(sys.argv[1])
try:
    complete(long, Echo(), place)
except rundir.RunError as error:
    print(error)
held = rundir.stored_ids(place)
print(len(held))
"""
    place = tmp_path / "small"
    place.mkdir()
    mount = f'mount -t tmpfs -o size=1m none "{place}" && exec "$@"'
    unshare = ["unshare", "-rm", "sh", "-c", mount, "sh"]
    if not shutil.which("unshare") or subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("no namespaces here to mount a small file system in")
    done = subprocess.run(
        [*unshare, sys.executable, "-c", script, str(place), str(Path(__file__).parent)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    message, held = done.stdout.rsplit("\n", 2)[0], int(done.stdout.split()[-1])
    assert message.startswith("no space left on the disk while writing") and "type the same command again" in message
    assert 50 < held < 300


def test_greedy_and_sampled_requests_of_the_real_engine_share_a_folder(
    checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    engine = open_engine(TransformersEngine(), ModelConfig(path=str(checkpoint("llama"))))
    shared = "Let x be the unknown. Look back: does the answer make sense? " * 4

    def requests(samples: int) -> Iterator[Request]:
        for q in range(6):
            for h in ("analogy", "backward"):
                for s in range(samples):
                    sampling = Sampling(temperature=0 if s == 0 else 1.0, max_tokens=8)
                    prompt = Prompt(text=f"{h} {shared}{q}", shared=len(h) + 1 + len(shared))
                    yield Request(
                        completion_id(f"q{q}", h, "v", engine.model_key, sampling, s), prompt, sampling, f"q{q}", h, s
                    )

    report = complete(requests(3), engine, tmp_path)
    assert (report.done, report.failed) == (36, 0) and report.prefix_hit_rate > 0.6
    assert set(report.truncation()) == {"analogy", "backward"}
    before = rundir.read_table(tmp_path, rundir.COMPLETIONS)
    assert complete(requests(5), engine, tmp_path).done == 24
    after = rundir.read_table(tmp_path, rundir.COMPLETIONS)
    assert after.filter(pl.col("id").is_in(before["id"].to_list())).sort("id").equals(before.sort("id"))
