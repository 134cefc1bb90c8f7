"""Generation and verification on a real local Ray cluster with two workers; one actor is killed."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="ray is not installed: pip install 'midway[ray]'")

from midway import run
from midway.engines import EngineError, open_engine
from midway.engines.ray_pool import complete_on_ray, connect, map_on_ray
from midway.engines.stream import Progress, complete
from midway.recipe import ModelConfig, TransformersEngine
from midway.records import Prompt, Request, Sampling

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    connect("local", num_cpus=2, num_gpus=0, include_dashboard=False, object_store_memory=80_000_000)
    yield
    ray.shutdown()


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


def square(x: int) -> int:
    return x * x


def test_an_actor_is_killed_and_nothing_is_lost(cluster: None, checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    model = ModelConfig(path=str(checkpoint("llama")))
    config = TransformersEngine(batch_size=8)
    killed: list[int] = []
    lines: list[str] = []

    def log(line: str) -> None:
        lines.append(line)

    def kill_one(_: Progress) -> None:
        held = len(run.stored_ids(tmp_path / "ray"))
        pids = [int(m[1]) for line in lines if (m := re.search(r"process (\d+)", line))]
        if not killed and held >= 8 and pids:
            os.kill(pids[-1], signal.SIGKILL)
            killed.append(pids[-1])

    report = complete_on_ray(
        asked(50), config, model, tmp_path / "ray", workers=2, share=40, progress=kill_one, log=log
    )
    assert killed and any("an engine actor died" in line for line in lines)
    assert len({m[1] for line in lines if (m := re.search(r"process (\d+)", line))}) >= 2
    engine = open_engine(config, model)
    complete(asked(50), engine, tmp_path / "here")
    there, here = (run.read_table(tmp_path / name, run.COMPLETIONS).sort("id") for name in ("ray", "here"))
    assert there["id"].to_list() == here["id"].to_list()
    assert (
        there["text"] == here["text"]
    ).mean() > 0.98  # the same code with the same seeds; batches differ in rounding
    assert (report.asked, report.done, report.failed) == (200, 200, 0)
    assert not list((tmp_path / "ray").glob("*.jsonl"))
    again = complete_on_ray(asked(50, 5), config, model, tmp_path / "ray", workers=2)
    assert (again.held, again.done) == (200, 50)


def test_an_engine_that_cannot_be_opened_stops_it(cluster: None, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no model directory /nowhere"):
        complete_on_ray(asked(4), TransformersEngine(), ModelConfig(path="/nowhere"), tmp_path / "c", workers=1)


def test_verification_is_spread(cluster: None) -> None:
    assert dict(map_on_ray(square, range(20))) == {i: i * i for i in range(20)}
