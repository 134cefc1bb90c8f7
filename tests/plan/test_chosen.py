"""Which stages `--arm`, `--seed` and `--until` ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from midway.plan import Plan, PlanError, make_plan
from midway.recipe import load_recipe
from midway.rundir.layout import Layout
from midway.workbench import Workbench


def demo(folder: Path) -> Plan:
    recipe = load_recipe("demo")
    return make_plan(recipe, Workbench(recipe, Layout(folder)))


def test_an_arm_until_a_kind_has_the_pools_that_the_arm_is_trained_on(tmp_path: Path) -> None:
    plan = demo(tmp_path)
    assert "pools/guided/completions" in {s.rel for s in plan.chosen("polya", until="generate")}
    assert {s.kind for s in plan.chosen("polya", until="generate")} == {"generate"}
    assert "pools/guided/verdicts" in {s.rel for s in plan.chosen("polya", 0, "verify")}


def test_a_kind_that_an_arm_does_not_have_is_an_error_that_names_those_it_has(tmp_path: Path) -> None:
    with pytest.raises(
        PlanError, match="--until midtrain: what --arm and --seed choose has no such stage; it has evaluate, rl"
    ):
        demo(tmp_path).chosen("rl-only", until="midtrain")
