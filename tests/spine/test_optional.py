"""A benchmark that a recipe calls optional is left out where its questions cannot be had, for the whole of a run, and is told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from midway.questions import NotHere, QuestionError
from midway.recipe import load_recipe
from midway.results import open_run
from midway.results.contents import joined
from midway.results.load import read_contents
from midway.rundir import RunDir, read_json
from midway.rundir.layout import Layout
from midway.workbench import measurable

Here = Callable[..., Any]


TRAINED = {"midtrain": [{"strategy": "reference"}], "rl": False}


def recipe_of(lay_out: Callable[..., Path], folder: Path, **arms: Any) -> Path:
    """Return a recipe with a benchmark that is there and one that is not; without arms nothing is trained."""
    sets = [
        {"source": str(folder / name), "domain": "math", "samples": 1, "sampling": {"max_tokens": 4}, "name": stem, **extra}
        for name, stem, extra in (("test.jsonl", "there", {}), ("away.jsonl", "away", {"optional": True}))
    ]  # fmt: skip
    return lay_out(benchmarks=sets, arms=arms or {"plain": {"rl": False}}, treatment=None, pools={})


def test_left_out_told_and_settled_when_the_run_begins(
    here: Here, lay_out: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe, run = recipe_of(lay_out, tmp_path), tmp_path / "run"
    here("check", recipe, "--no-gold")
    assert "benchmark away: not measured: " in caplog.text and "away.jsonl: no such file" in caplog.text
    first = here("run", recipe, "--out", run)
    assert not any("/away/" in rel for rel in RunDir(run).stages())
    assert "away: not measured: " in first.stdout and "there: pass@1" in first.stdout
    results = json.loads((run / "report/results.json").read_text())
    assert [b.get("absent") is not None for b in results["benchmarks"]] == [False, True]
    assert "away: not measured, its questions could not be had" in (run / "report/report.md").read_text()
    assert any(p.where == "benchmark away" and "not measured" in p.what for p in open_run(run).results.problems)

    shutil.copy(tmp_path / "test.jsonl", tmp_path / "away.jsonl")
    here("run", recipe, "--out", run)
    assert "as when this run began" in caplog.text and "name=NEW" in caplog.text
    assert not any("/away/" in rel for rel in RunDir(run).stages())
    here("run", recipe, "--out", tmp_path / "new")
    assert any("/away/" in rel for rel in RunDir(tmp_path / "new").stages())
    assert "absent" not in read_json(tmp_path / "new/resolved.json")
    digests = [read_json(folder / "resolved.json")["digest"] for folder in (run, tmp_path / "new")]
    assert digests[0] == digests[1], "it is the same recipe"
    without, measured = (read_contents(folder) for folder in (run, tmp_path / "new"))
    assert list(joined([without, without]).absent) == ["away"] and not joined([without, measured]).absent

    (tmp_path / "away.jsonl").unlink()
    gone = here("run", recipe, "--out", tmp_path / "new", "--clean", "arms/base", check=False)
    assert gone.returncode and "no such file" in gone.stderr, "what a run has measured it does not drop"


def test_what_is_there_but_wrong_is_an_error(here: Here, lay_out: Callable[..., Path], tmp_path: Path) -> None:
    recipe = recipe_of(lay_out, tmp_path)
    (tmp_path / "away.jsonl").write_text('{"question": "x"}\n')
    found = here("run", recipe, "--out", tmp_path / "run", check=False)
    assert found.returncode and "answer" in found.stderr
    with pytest.raises(QuestionError, match="split") as wrong:
        measurable(
            load_recipe("smollm2/main", ["benchmarks=[{source: math500, split: tset, optional: true}]"]),
            Layout(tmp_path),
        )
    assert not isinstance(wrong.value, NotHere)


def test_an_arm_that_is_matched_on_it_is_refused(here: Here, lay_out: Callable[..., Path], tmp_path: Path) -> None:
    until = {"match": "reference", "benchmark": "away"}
    recipe = recipe_of(lay_out, tmp_path, reference=TRAINED, other={**TRAINED, "midtrain_until": until})
    found = here("run", recipe, "--out", tmp_path / "run", check=False)
    assert found.returncode and "arms.other.midtrain_until: its benchmark away cannot be had" in found.stderr


@pytest.mark.parametrize("name", ["smollm2/main"])
def test_a_recipe_with_sets_of_the_hub_is_planned_without_it(name: str, tmp_path: Path) -> None:
    found = measurable(load_recipe(name), Layout(tmp_path))
    assert set(found.absent) == {"math500", "musr-team-allocation"}
    assert [b.name for b in found.recipe.benchmarks if b.optional] == []
