"""What the house promises of runs: old ones go on, several processes share one, an arm may start from a model of one's own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from midway.lab.tiny import cached_tiny
from midway.rundir import COMPLETE, COMPLETIONS, RunDir, layout, read_json, read_table
from midway.rundir.layout import Layout

LayOut = Callable[..., Path]
Here = Callable[..., Any]
FIXTURE = Path(__file__).parents[1] / "fixtures" / "run-e7b8f3f.tar.xz"


def test_a_run_of_e7b8f3f_goes_on(here: Here, tmp_path: Path) -> None:
    """Its selection of one arm is lost: it is made again as it was, and nothing else is (the models are not even there)."""
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(tmp_path, filter="data")
    files = Layout(tmp_path / "run")
    rel = layout.selection("unguided", 1)
    before = files.solutions("unguided", 1).read_bytes()
    stages = {name: manifest["digest"] for name, manifest in RunDir(files.root).stages().items()}
    shutil.rmtree(files.stage(rel))
    done = here("run", files.root)
    assert "1 of 54 stages to do" in done.stderr and f"[1/1] select {rel}" in done.stderr
    assert files.solutions("unguided", 1).read_bytes() == before
    after = RunDir(files.root).stages()
    assert {name: manifest["digest"] for name, manifest in after.items()} == stages
    assert {manifest["state"] for manifest in after.values()} == {COMPLETE}
    assert "everything is complete" in here("run", files.root).stdout


def made(run: Path) -> dict[str, Any]:
    """What a run made: the digests of all stages, and the ids in every table of completions."""
    stages = RunDir(run).stages()
    tables = {rel: run / rel for rel, m in stages.items() if m["stage"] == "generate"} | {
        rel: run / rel / "completions" for rel, m in stages.items() if m["stage"] == "evaluate"
    }
    ids = {rel: sorted(read_table(folder, COMPLETIONS, ["id"])["id"]) for rel, folder in tables.items()}
    return {"digests": {rel: m["digest"] for rel, m in stages.items()}, "ids": ids}


@pytest.mark.slow
def test_two_processes_with_different_arms_make_the_same_run(lay_out: LayOut, here: Here, tmp_path: Path) -> None:
    arms = {
        "polya": [{"pool": "guided", "strategy": "wrong-but-diverse"}],
        "unguided": {"rl": False, "midtrain": [{"pool": "unguided", "strategy": "wrong-but-diverse"}]},
    }
    recipe, both, one = lay_out(arms=arms), tmp_path / "both", tmp_path / "one"
    command = [sys.executable, "-m", "midway", "run", str(recipe), "--out", str(both), "--wait", "--arm"]
    processes = [
        subprocess.Popen([*command, arm], stderr=subprocess.PIPE, text=True, env=dict(os.environ)) for arm in arms
    ]
    ended = [(process.communicate(timeout=300)[1], process.returncode) for process in processes]
    assert [code for _, code in ended] == [0, 0], ended
    left = here("run", recipe, "--out", both)
    assert "1 of 13 stages to do" in left.stderr and "evaluate arms/base" in left.stderr, left.stderr
    here("run", recipe, "--out", one)
    assert made(both) == made(one)
    for rel, manifest in RunDir(both).stages().items():
        assert manifest["state"] == COMPLETE and manifest["attempts"] == 1, (rel, manifest)
    results = [json.loads((run / "report" / "results.json").read_text()) for run in (both, one)]
    assert results[0]["scores"] == results[1]["scores"]


def test_part_of_a_run_by_arm_seed_and_stage(lay_out: LayOut, here: Here, tmp_path: Path) -> None:
    run, recipe = tmp_path / "run", lay_out()
    here("run", recipe, "--out", run, "--until", "verify")
    assert {m["stage"] for m in RunDir(run).stages().values()} == {"generate", "verify"}
    here("run", recipe, "--out", run, "--arm", "base")
    assert {layout.place(rel).arm for rel in RunDir(run).stages()} == {"", "base"}
    for option, value, said in (
        ("--arm", "poyla", "did you mean polya"),
        ("--seed", "7", "the recipe's seeds are 0"),
        ("--until", "rll", "it has generate"),
    ):
        done = here("run", recipe, "--out", run, option, value, check=False)
        assert done.returncode == 2 and said in done.stderr


def test_an_arm_that_starts_from_a_model_of_ones_own(lay_out: LayOut, here: Here, tmp_path: Path) -> None:
    own = Path(cached_tiny("llama"))
    recipe = lay_out("gpt2", arms={"mine": {"checkpoint": str(own), "rl": False, "title": "My own"}}, treatment=None)
    run = tmp_path / "run"
    here("run", recipe, "--out", run)
    rel = layout.evaluation("mine", 0, "test", layout.BEFORE_RL)
    base = read_json(run / layout.base_evaluation("test") / "stage.json")["config"]["model"]["key"]
    mine = read_json(run / rel / "stage.json")["config"]["model"]["key"]
    assert base != mine and read_table(run / rel / "completions", COMPLETIONS).height
    assert "My own" in (run / "report" / "report.md").read_text()
