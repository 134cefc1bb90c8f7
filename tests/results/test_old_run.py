"""A run that e7b8f3f stored (tests/fixtures): this version reads, reports and compares it, with the same numbers to the digit."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from midway.report import build_comparison, build_report, build_run_report, compared
from midway.report.phrases import interval
from midway.results import Run, dumps, loads, open_run, read_results
from midway.results.frames import JUDGED_COMPLETIONS, SAMPLES, SEEDED_SOLUTIONS
from midway.rundir import VERDICTS, RunDir, RunError, layout, read_json, write_json
from midway.rundir.layout import Layout

FIXTURE = Path(__file__).parents[1] / "fixtures" / "run-e7b8f3f.tar.xz"


def unpacked(folder: Path, name: str = "small") -> Path:
    """Unpack the stored run as `folder`/`name`; another name is a run of that name."""
    folder.mkdir(exist_ok=True)
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(folder, filter="data")
    path = (folder / "run").rename(folder / name)
    resolved = read_json(Layout(path).resolved)
    if resolved["name"] != name:
        write_json(Layout(path).resolved, {**resolved, "name": name})
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(unpacked(tmp_path_factory.mktemp("old")))


NEW = {"title", "recipe"}, {"distinct", "pools", "title"}
"""What results.json has now that it had not: at its top, and of an arm (whose title is written otherwise where the recipe has none)."""


def test_its_numbers_are_the_stored_ones_to_the_digit(run: Run, tmp_path: Path) -> None:
    paths = build_report(run.path, out=tmp_path)
    stored, made = (read_json(file) for file in (run.files.report / "results.json", paths.results))
    assert made.keys() - stored.keys() == NEW[0] and "arms:" in made["recipe"]
    for old, new in zip(stored["arms"], made["arms"], strict=True):
        assert {k: v for k, v in old.items() if k != "title"} == {k: v for k, v in new.items() if k not in NEW[1]}
    for key in stored.keys() - {"arms", "commands"}:
        assert made[key] == stored[key], key
    for arm in (a for a in made["arms"] if a["midtrained"]):
        texts = [run.solutions(arm["name"], seed=s).select("question_id", "text").n_unique() for s in (0, 1)]
        assert arm["distinct"] == sum(texts) / 2 and arm["pools"]
    page = paths.html.read_text(encoding="utf-8")
    for row in run.results.differences:
        assert interval(row.difference, sign=True) in page


def test_the_dump_and_its_types_are_the_same(run: Run) -> None:
    text = dumps(run.results)
    assert loads(text) == run.results
    with pytest.raises(TypeError, match="arms"):
        loads(json.dumps({key: value for key, value in json.loads(text).items() if key != "arms"}))


def test_two_copies_compare(tmp_path: Path) -> None:
    copies = [unpacked(tmp_path / "runs", name) for name in ("first", "second")]
    paths = build_comparison(copies, tmp_path / "out")
    found = loads(paths.results.read_text(encoding="utf-8"))
    assert found.treatment == "first: polya" and found.control == "second: polya"
    twins = [d.difference for d in found.differences if d.against == "second: polya"]
    assert twins and [(d.value, d.questions) for d in twins] == [(0, 20), (0, 10)]
    assert {c.owner for c in found.cost} >= {"pool first: guided", "second: polya"}


def test_what_it_holds(run: Run) -> None:
    assert next(iter(run.arms)) == layout.BASE_ARM and set(run.pools) == {"guided", "unguided"}
    assert run.benchmarks == ("single", "composite")
    assert run.recipe.treatment_arm == "polya" and {"base", *run.recipe.arms} == set(run.arms)
    assert {stage.kind for stage in run.stages} >= {"generate", "verify", "select", "midtrain", "rl", "evaluate"}
    assert all(stage.state == "complete" for stage in run.stages) and not run.results.problems
    assert {s.place.pool for s in run.stages if s.kind == "generate"} == {"guided", "unguided"}


def test_completions_come_with_their_verdicts(run: Run) -> None:
    frame, verdicts = run.completions("guided"), run.verdicts("guided")
    assert frame.columns == list(JUDGED_COMPLETIONS) and verdicts.columns == list(VERDICTS)
    assert frame.height == verdicts.height == 360 and frame["id"].n_unique() == frame.height
    right = frame.filter(pl.col("judgement") == "correct")
    assert 0 < right.height < frame.height and frame["judgement"].null_count() == 0
    assert frame["adherence"].null_count() == frame.height  # the recipe asked for no scorer


def test_solutions_are_kept_completions(run: Run) -> None:
    both, one = run.solutions("polya"), run.solutions("polya", seed=0)
    assert both.columns == list(SEEDED_SOLUTIONS) and both["seed"].unique().sort().to_list() == [0, 1]
    assert both.filter(pl.col("seed") == 0).equals(one)
    completions = run.completions("guided")
    kept = one.join(completions, left_on="completion_id", right_on="id", how="left")
    assert (kept["judgement"] == "correct").all()
    assert run.solutions("rl-only").height == 0


def test_samples_give_the_scores(run: Run) -> None:
    scores = {(s.benchmark, s.arm, s.phase): s for s in run.results.scores}
    for phase in (layout.BEFORE_RL, layout.AFTER_RL):
        frame = run.samples("single", "polya", phase=phase)
        assert frame.columns == list(SAMPLES) and set(frame["phase"]) == {phase}
        assert set(frame["seed"]) == {0, 1}
        rates = frame.group_by("seed", "question_id").agg((pl.col("judgement") == "correct").mean().alias("rate"))
        assert rates["rate"].mean() == pytest.approx(scores["single", "polya", phase].pass_at_1.value)
    assert run.samples("single", "polya").equals(run.samples("single", "polya", phase=layout.AFTER_RL))
    base, shared = run.samples("single", "base"), run.samples("single", "rl-only", phase=layout.BEFORE_RL)
    assert set(shared["arm"]) == {"rl-only"} and set(shared["phase"]) == {"before-rl"}
    assert shared.drop("arm", "phase").equals(base.drop("arm", "phase"))
    assert run.samples("single", "polya", greedy=True).height == 0


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda run: run.completions("guide"), "there is no pool 'guide'; did you mean guided"),
        (lambda run: run.verdicts("x"), "known: guided, unguided"),
        (lambda run: run.solutions("poly"), "there is no arm 'poly'; did you mean polya?"),
        (lambda run: run.solutions("polya", seed=7), "arm polya has no seed 7; it has 0, 1"),
        (lambda run: run.samples("singel", "polya"), "there is no benchmark 'singel'; did you mean single?"),
        (lambda run: run.samples("single", "polya", phase="after"), "there is no phase 'after'"),
    ],
)
def test_a_name_that_is_not_there(run: Run, ask: object, told: str) -> None:
    with pytest.raises(RunError, match=told):
        ask(run)  # type: ignore[operator]


def test_runs_are_found_by_name(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked(tmp_path / "runs", "mine")
    monkeypatch.chdir(tmp_path)
    assert open_run("mine").results.name == open_run(Path("runs/mine")).results.name == "mine"
    with pytest.raises(RunError, match=r"minne is not a run directory.*; runs here: mine"):
        open_run("minne")
    monkeypatch.chdir(run.path)
    with pytest.raises(RunError, match="start one with `midway run RECIPE`"):
        open_run("mine")


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    run = Run(unpacked(tmp_path))
    file = run.files.evaluated(layout.evaluation("polya", 0, "single", layout.AFTER_RL))
    file.write_bytes(b"PAR1 not really")
    with pytest.raises(RunError, match=r"results\.parquet cannot be read"):
        run.samples("single", "polya")
    assert any("results.parquet" in p.where for p in run.results.problems)


def test_opening_a_run_loads_neither_torch_nor_scipy(run: Run) -> None:
    code = (
        "import sys; from midway.results import open_run; "
        f"run = open_run({str(run.path)!r}); run.completions('guided'); run.stages; run.samples('single', 'polya'); "
        "assert not {'torch', 'transformers', 'scipy'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_report_is_written_again_only_when_something_changed(tmp_path: Path) -> None:
    path = unpacked(tmp_path)
    run = RunDir(path)
    build_run_report(run)
    assert not build_run_report(run)
    stage = run.stage(layout.rl("polya", 0), "rl", {}, {})
    stage.begin({})
    assert build_run_report(run) and not build_run_report(run)


def test_compared_without_a_report(tmp_path: Path) -> None:
    copies = [unpacked(tmp_path / "runs", name) for name in ("first", "second")]
    stored = read_results(build_comparison(copies, tmp_path / "out").results)
    assert replace(stored, commands=()) == compared(copies)
    with pytest.raises(RunError, match="is not a run directory"):
        compared([copies[0], tmp_path / "nothing"])
    with pytest.raises(ValueError, match="different names"):
        compared([copies[0], copies[0]])
