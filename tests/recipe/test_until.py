"""`arms.X.midtrain_until`: what is refused, what enters a digest, and that the plan does the other arm first."""

from __future__ import annotations

from pathlib import Path

import pytest

from midway.plan import make_plan
from midway.recipe import RecipeError, load_recipe
from midway.rundir import layout
from midway.rundir.layout import Layout
from midway.stages.midtrain import MidTrain
from midway.workbench import Workbench

NAME = "lab/matched-success"
UNTIL = "arms.polya-matched.midtrain_until"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([f"{UNTIL}.match=one-heuristics"], ["no other arm", "one-heuristic"]),
        ([f"{UNTIL}.match=polya-matched"], ["no other arm"]),
        ([f"{UNTIL}.benchmark=levels"], ["no benchmark", "level"]),
        ([f"{UNTIL}.evry=3"], ["evry", "every"]),
        (["treatment=polya-matched"], ["is the treatment"]),
        (["arms.one-heuristic=[]"], ["both arms need mid-training"]),
        (
            ["arms.more={midtrain: [guided], midtrain_until: {match: polya-matched, benchmark: level}}"],
            ["matched itself"],
        ),
    ],
)
def test_what_cannot_be_matched_is_refused(changes: list[str], words: list[str]) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(NAME, changes)
    for word in words:
        assert word in str(caught.value)


def test_the_arm_that_is_matched_comes_after_its_target_and_reads_it(tmp_path: Path) -> None:
    recipe = load_recipe(NAME, ["seeds=[0]"])
    stages = list(make_plan(recipe, Workbench(recipe, Layout(tmp_path))).stages.values())
    at = {stage.rel: i for i, stage in enumerate(stages)}
    target = layout.evaluation("one-heuristic", 0, "level", "before-rl")
    matched = layout.midtrain("polya-matched", 0)
    assert at[target] < at[matched]
    by_rel = {stage.rel: stage for stage in stages}
    assert by_rel[target] in by_rel[matched].needs
    assert isinstance(by_rel[matched], MidTrain)
    assert by_rel[matched].identity()["until"] == {  # type: ignore[attr-defined]
        "match": "one-heuristic", "benchmark": "level", "every": 2, "questions": 80, "samples": 4,
    }  # fmt: skip
    assert "until" not in by_rel[layout.midtrain("polya", 0)].identity()
