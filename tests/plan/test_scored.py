"""Which pools are scored for adherence: a scorer that compares heuristics needs two of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from midway.plan import make_plan
from midway.recipe import Recipe
from midway.rundir.layout import Layout
from midway.workbench import Workbench


def score_stages(tmp_path: Path, scorer: str, heuristics: list[str], **more: Any) -> list[str]:
    recipe = Recipe.model_validate(
        {
            "model": {"path": "lab"},
            "pools": {"guided": {"heuristics": heuristics, "samples": 1}},
            "prompt": {"style": "cue"},
            "adherence": {"scorer": scorer, **more},
            "arms": {"several": ["guided"]},
        }
    )
    stages = make_plan(recipe, Workbench(recipe, Layout(tmp_path))).stages
    return [rel for rel, stage in stages.items() if stage.kind == "score"]


def test_one_heuristic_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    two = ["working-backward", "carry-out-step-by-step"]
    assert score_stages(tmp_path, "likelihood", two) == ["pools/guided/adherence"]
    assert score_stages(tmp_path, "likelihood", two[:1]) == []


def test_a_reward_model_scores_one_heuristic_too(tmp_path: Path) -> None:
    assert score_stages(tmp_path, "reward-model", ["working-backward"], model="lab") == ["pools/guided/adherence"]
