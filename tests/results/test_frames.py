"""What the stored run of tests/fixtures does not have: adherence, labels, greedy samples, requests that are not asked for any more."""

from __future__ import annotations

import shutil
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import polars as pl
import pytest

from midway.recipe import RecipeError
from midway.results import Run, open_run
from midway.rundir import ASKED, COMPLETIONS, LABELS, RunError, ShardWriter, layout, read_json, write_json, write_table

_spec = spec_from_file_location("make_run", Path(__file__).parents[1] / "report" / "make_run.py")
assert _spec and _spec.loader
_module = module_from_spec(_spec)
_spec.loader.exec_module(_module)
make_run, write_stage = _module.make_run, _module.write_stage


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return open_run(make_run(tmp_path / "r", seeds=(0,), questions=10, samples=2, benchmarks=("lab-test",)))


def test_adherence_is_there_where_it_was_scored(run: Run) -> None:
    guided, unguided = run.completions("guided"), run.completions("unguided")
    right = guided["judgement"] == "correct"
    assert guided.filter(right)["adherence"].to_list() == [0.5] * right.sum()
    assert set(guided.filter(right)["scorer"]) == {"likelihood"}
    assert guided.filter(~right)["adherence"].null_count() == (~right).sum() > 0
    assert unguided["adherence"].null_count() == unguided.height == 5


def test_only_what_was_asked_for_last_counts_and_what_is_not_judged_yet_is_null(run: Run) -> None:
    before = run.completions("guided")
    with ShardWriter(run.files.stage(layout.completions("guided")), COMPLETIONS) as more:
        more.write(
            [{"id": "new", "question_id": "q0", "heuristic": "forward", "index": 1, "text": "", "finish": "stop"}]
        )
    assert run.completions("guided").equals(before)
    write_table(run.files.asked("guided"), pl.DataFrame({"id": ["new", *before["id"][:3]]}, schema=dict(ASKED)))
    frame = run.completions("guided")
    assert set(frame["id"]) == {"new", *before["id"][:3]}
    assert frame.filter(pl.col("id") == "new")["judgement"].to_list() == [None]
    assert set(run.verdicts("guided")["id"]) == set(before["id"][:3])


def test_labels_and_greedy_samples_stand_beside_the_drawn_ones(run: Run) -> None:
    rel = layout.base_evaluation("lab-test")
    drawn = run.samples("lab-test", "base")
    assert drawn["labels"].null_count() == drawn.height == 20 and drawn["ways"].null_count() == 0
    writer = ShardWriter(run.files.stage(layout.labels(rel)), LABELS)
    writer.write([{"id": drawn["id"][0], "ways": ["forward"]}])  # the writer goes on
    write_table(
        run.files.greedy(rel),
        pl.read_parquet(run.files.evaluated(rel)).head(10).with_columns(heuristic=pl.lit("greedy")),
    )
    labelled, greedy = run.samples("lab-test", "base"), run.samples("lab-test", "base", greedy=True)
    assert labelled.drop("labels").equals(drawn.drop("labels"))
    assert labelled["labels"].to_list() == [["forward"], *[None] * 19]
    assert greedy.height == 10 and set(greedy["heuristic"]) == {"greedy"}


def test_benchmark_folders_of_older_runs_are_found(run: Run) -> None:
    before = run.samples("lab-test", "base")
    for rel in reversed(list(run.files.evaluations())):
        place = layout.place(rel)
        moved = run.files.stage(layout.evaluation(place.arm, place.seed or 0, "lab/test", place.phase))
        moved.parent.mkdir(parents=True, exist_ok=True)
        run.files.stage(rel).rename(moved)
    assert Run(run.path).samples("lab-test", "base").equals(before)


def test_a_link_to_nothing_says_so(run: Run) -> None:
    rel = layout.base_evaluation("lab-test")
    run.files.stage(rel).rename(run.files.root / "elsewhere")
    with pytest.raises(RunError, match="points to 'arms/base/seed-0/evaluations/lab-test/base', which does not exist"):
        run.samples("lab-test", "rl-only", phase=layout.BEFORE_RL)
    assert any("points to" in problem.what for problem in run.results.problems)


def test_a_recipe_of_another_version_leaves_the_rest_readable(run: Run) -> None:
    assert run.recipe.treatment_arm == "polya-8-rl"
    resolved = read_json(run.files.resolved)
    resolved["recipe"]["epochs"] = 3
    write_json(run.files.resolved, resolved)
    other = Run(run.path)
    with pytest.raises(RecipeError, match=r"resolved\.json"):
        _ = other.recipe
    assert set(other.pools) == {"guided", "unguided"} and "polya-8-rl" in other.arms
    assert other.results == run.results


def test_a_checkpoint_of_ones_own_is_compared_as_the_fixed_model_it_is(run: Run) -> None:
    resolved = read_json(run.files.resolved)
    resolved["recipe"]["arms"]["mine"] = {"checkpoint": "models/mine", "midtrain": [], "rl": False}
    write_json(run.files.resolved, resolved)
    for seed in (0, 1):  # the plan evaluates it in each seed; it is one model
        rel = layout.evaluation("mine", seed, "lab-test", layout.BEFORE_RL)
        source = layout.evaluation("polya-8-rl", 0, "lab-test", layout.BEFORE_RL)
        shutil.copytree(run.files.stage(source), run.files.stage(rel))
    found = Run(run.path)
    (score,) = (s for s in found.results.scores if s.arm == "mine")
    assert score.final and score.phase == layout.BEFORE_RL and score.seeds == ()
    assert any(d.against == "mine" for d in found.results.differences)
    assert set(found.samples("lab-test", "mine")["phase"]) == {layout.BEFORE_RL}


def test_stages_say_what_they_are_about(run: Run) -> None:
    write_stage(run.path, layout.rl("rl-only", 0), "rl", state="failed", error="out of memory")
    failed = next(stage for stage in run.stages if stage.state != "complete")
    assert (failed.kind, failed.place.arm, failed.place.seed, failed.error) == ("rl", "rl-only", 0, "out of memory")
    assert failed.cost["seconds"] == 120  # of both attempts
    run.files.manifest(failed.rel).write_text("{", encoding="utf-8")
    with pytest.raises(RunError, match=r"stage\.json is damaged"):
        _ = run.stages
