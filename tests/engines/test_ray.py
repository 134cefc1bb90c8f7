"""Engines and verifiers on a real Ray cluster of two nodes on this machine; actors are killed with SIGKILL."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray", reason="ray is not installed: pip install 'midway[ray]'")

from midway import rundir
from midway.domains import Verifier
from midway.engines import EngineError, TransformersEngine, open_engine
from midway.engines.cluster import RayEngine, complete_on_ray
from midway.engines.stream import complete
from midway.recipe import ModelConfig
from midway.records import Prompt, Question, Request, Sampling
from midway.workbench.cluster import ClusterVerifier

pytestmark = pytest.mark.slow


def asked(questions: int, samples: int = 4) -> list[Request]:
    return [
        Request(
            f"{q}-{s}",
            Prompt(text=f"Let x be the unknown. How many clips? {q}"),
            Sampling(max_tokens=32),
            f"q{q}",
            index=s,
        )
        for q in range(questions)
        for s in range(samples)
    ]


def test_an_actor_is_killed_and_nothing_is_lost(
    ray_cluster: Any, checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    model = ModelConfig(path=str(checkpoint("llama")))
    config = TransformersEngine(batch_size=8)
    killed: list[int] = []
    lines: list[str] = []

    thread = ray_cluster.kill_one("EngineWorker", lambda pid: ray_cluster.stored_by(pid, tmp_path / "ray") >= 4, killed)
    report = complete_on_ray(asked(50), config, model, tmp_path / "ray", workers=2, share=40, log=lines.append)
    thread.join(30)
    assert killed and any("an engine actor died" in line for line in lines)
    assert report.deaths == 1 and 0 < report.rescued < 40
    assert len({m[1] for line in lines if (m := re.search(r"process (\d+)", line))}) >= 2
    engine = open_engine(config, model)
    complete(asked(50), engine, tmp_path / "here")
    there, here = (rundir.read_table(tmp_path / name, rundir.COMPLETIONS).sort("id") for name in ("ray", "here"))
    assert there["id"].to_list() == here["id"].to_list()
    assert (
        there["text"] == here["text"]
    ).mean() > 0.98  # the same code with the same seeds; batches differ in rounding
    assert (report.asked, report.done, report.failed) == (200, 200, 0)
    for tokens in ("prompt_tokens", "completion_tokens", "cached_tokens"):  # those of the killed actor are counted too
        assert getattr(report, tokens) == there[tokens].sum()
    assert sum(report.finish.values()) == 200
    assert not list((tmp_path / "ray").glob("*.jsonl"))
    again = complete_on_ray(asked(50, 5), config, model, tmp_path / "ray", workers=2)
    assert (again.held, again.done) == (200, 50)


def test_an_engine_that_cannot_be_opened_stops_it(ray_cluster: Any, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no model directory /nowhere"):
        complete_on_ray(asked(4), TransformersEngine(), ModelConfig(path="/nowhere"), tmp_path / "c", workers=1)


def test_verification_is_spread_and_a_killed_verifier_loses_nothing(ray_cluster: Any) -> None:
    def items() -> list[tuple[Question, str, bool]]:
        made = []
        for n in range(3000):
            gold, right = f"\\sqrt{{{n + 2}}} + {n}", n % 3 == 0
            text = f"So the answer is $\\boxed{{{n} + {n + 2 if right else n + 3}^{{1/2}}}}$."
            made.append((Question("math", f"What is it? {n}", gold), text, n % 7 == 0))
        return made

    killed: list[int] = []
    lines: list[str] = []
    began = threading.Event()

    def watched() -> object:
        for item in items():
            began.set()
            yield item

    with Verifier(1) as verifier:
        here = list(verifier.verify_batch(items()[:300]))
        cluster = ClusterVerifier(verifier, log=lines.append)
        thread = ray_cluster.kill_one("VerifierWorker", lambda _: began.is_set(), killed)
        there = list(cluster.verify_batch(watched()))  # type: ignore[arg-type]
        thread.join(30)
    assert killed and cluster.deaths >= 1 and "given out again" in lines[0]
    assert len(there) == 3000 and there[:300] == here  # in order, and each the verdict that it has on one machine
    assert [v.judgement == "correct" for v in there] == [n % 3 == 0 for n in range(3000)]
    assert not ray_cluster.actors("VerifierWorker")  # none keeps its processor


def test_log_probabilities_come_back_in_order(ray_cluster: Any, checkpoint: Callable[..., Path]) -> None:
    model = ModelConfig(path=str(checkpoint("llama")))
    items = [(Prompt(text=f"Let x be the unknown. {n % 11}"), f"It is {n}.") for n in range(1200)]
    killed: list[int] = []
    engine = RayEngine(TransformersEngine(), model)
    plain = open_engine(TransformersEngine(), model)
    read = threading.Event()

    def watched() -> object:
        for item in items:
            read.set()
            yield item

    thread = ray_cluster.kill_one("EngineWorker", lambda _: read.is_set(), killed)
    got = list(engine.logprobs(watched()))  # type: ignore[arg-type]
    thread.join(30)
    for ours, want in zip(got, plain.logprobs(items), strict=True):
        assert ours == (pytest.approx(want[0], abs=1e-3), want[1])
    asked_for = asked(3, 2)
    assert {c.id for c in engine.generate(asked_for)} == {r.id for r in asked_for}
    assert engine.model_key == plain.model_key
    engine.close()
    assert not ray_cluster.actors("EngineWorker")
