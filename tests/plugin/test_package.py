"""A package outside midway brings an engine, a domain, a source, a scorer and a trainer; a recipe uses all five to the report."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from midway.lab.tiny import cached_tiny
from midway.rundir import ADHERENCE, COMPLETIONS, VERDICTS, layout, read_json, read_table
from midway.rundir.layout import Layout

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "plugin"
Midway = Callable[..., subprocess.CompletedProcess[str]]


PATIENT = "verify.seconds=3"
"""On a busy machine an answer that does not hang takes its time, too."""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The package, built and installed into a folder of its own, in front of this environment."""
    site = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", "--no-deps", "--target", str(site), str(EXAMPLE)], check=True, capture_output=True)
    path = os.pathsep.join([str(site), os.environ["PYTHONPATH"]])
    return {**os.environ, "PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0"}


@pytest.fixture
def midway(environment: dict[str, str], tmp_path: Path) -> Midway:
    def call(*args: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "midway", *map(str, args)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert not (check and done.returncode), f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return call


def ids(run: Path) -> list[str]:
    return sorted(read_table(run / layout.completions("guided"), COMPLETIONS)["id"])


def test_it_goes_the_whole_way_and_a_kill_asks_for_nothing_twice(
    midway: Midway, environment: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "requests.log"
    run, recipe = tmp_path / "run", EXAMPLE / "recipe.yaml"
    slow = [f"engine.log={log}", "engine.hangs=0.2", "engine.seconds=0.3", PATIENT]
    command = [sys.executable, "-m", "midway", "run", str(recipe), *slow, "--out", str(run)]
    first = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 180
    while len(stored := read_table(run / layout.completions("guided"), COMPLETIONS)) < 4:
        assert time.monotonic() < deadline and first.poll() is None
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    stored = read_table(run / layout.completions("guided"), COMPLETIONS)
    assert 4 <= stored.height < 24
    # neither how long it takes nor where it logs changes what is written: the same run goes on
    midway("run", recipe, f"engine.log={log}", "engine.hangs=0.2", PATIENT, "--out", run)
    asked = Counter(log.read_text().split())
    assert {asked[id_] for id_ in stored["id"]} == {1}
    assert sum(asked[id_] for id_ in ids(run)) <= 24 + 1, "at most the request in flight was asked again"
    assert len(ids(run)) == 24

    files = Layout(run)
    verdicts = read_table(run / layout.verdicts("guided"), VERDICTS)
    reasons = Counter(verdicts["reason"])
    assert reasons["deadline"] >= 1 and reasons["total"] >= 10, reasons
    assert set(verdicts.filter(pl.col("reason") == "deadline")["judgement"]) == {"unjudged"}
    scores = read_table(run / layout.adherence("guided"), ADHERENCE)
    assert set(scores["scorer"]) == {"opening"} and set(scores["score"]) == {1.0}
    base = Path(cached_tiny("llama")) / "model.safetensors"
    models = [base, *(files.model(rel) / "model.safetensors" for rel in (layout.midtrain("several", 0),))]
    assert len({path.read_bytes() for path in models}) == 2, "the trainer changes the weights"
    logged = [json.loads(line) for line in files.metrics(layout.midtrain("several", 0)).read_text().splitlines()]
    assert [row["step"] for row in logged] == [1, 2, 3]
    rl = read_json(files.manifest(layout.rl("several", 0)))
    assert rl["result"]["steps"] == 2 and rl["config"]["trainer"] == {"name": "plain"}
    results = json.loads((files.report / "results.json").read_text())
    assert {a["name"] for a in results["arms"]} == {"base", "rl-only", "several"}


@pytest.mark.slow
def test_the_same_on_a_ray_cluster(midway: Midway, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="ray is not installed: pip install 'midway[ray]'")
    one, other = tmp_path / "one", tmp_path / "other"
    for run, how in ((one, ()), (other, ("--executor", "ray"))):
        midway("run", EXAMPLE / "recipe.yaml", PATIENT, "--until", "score", "--out", run, *how)
    assert ids(one) == ids(other)
    for part, schema in ((layout.verdicts("guided"), VERDICTS), (layout.adherence("guided"), ADHERENCE)):
        a, b = (read_table(run / part, schema).sort("id") for run in (one, other))
        assert a.equals(b) and a.height


@pytest.mark.slow
def test_mistakes_in_settings_are_told_with_what_is_near(midway: Midway) -> None:
    for override, words in (
        ("engine.wrnog=0.5", "engine.wrnog: unknown field; did you mean wrong?"),
        ("engine.kind=calculater", "there is no engine 'calculater'; did you mean calculator?"),
        ("questions.train.0.options.larges=3", "larges: unknown field; did you mean largest?"),
        ("midtrain.step=3", "midtrain.step: unknown field; did you mean steps?"),
        ("training.trainer=plane", "there is no trainer 'plane'; did you mean plain?"),
        ("adherence.scorer=openin", "there is no scorer 'openin'; did you mean opening?"),
    ):
        done = midway("check", EXAMPLE / "recipe.yaml", override, "--no-model", check=False)
        assert done.returncode == 2 and words in done.stderr, done.stderr
