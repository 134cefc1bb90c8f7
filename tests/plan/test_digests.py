"""Digests of `demo` and `lab/main` are those of e7b8f3f: ids of completions carry them and seed the sampling, and stored runs go on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from midway.plan import make_plan
from midway.recipe import Recipe, load_recipe
from midway.rundir.layout import Layout
from midway.workbench import Workbench

STORED: dict[str, dict[str, str]] = json.loads(Path(__file__).with_name("digests-e7b8f3f.json").read_text())


def digests(recipe: Recipe, folder: Path) -> dict[str, str]:
    return {rel: stage.digest for rel, stage in make_plan(recipe, Workbench(recipe, Layout(folder))).stages.items()}


@pytest.mark.parametrize("name", sorted(STORED))
def test_every_digest_is_as_it_was(name: str, tmp_path: Path) -> None:
    found = digests(load_recipe(name), tmp_path)
    assert list(found) == list(STORED[name]), "the same stages in the same order"
    assert found == STORED[name]


def test_titles_trackers_and_the_recipes_engine_are_in_no_digest(tmp_path: Path) -> None:
    given = [
        "title=another", "arms.polya.title=another", "report_to=[tensorboard]", "name=another", "verify.workers=1",
        "engine={kind: transformers, batch_size: 3}",
    ]  # fmt: skip
    assert digests(load_recipe("demo", given), tmp_path) == STORED["demo"]


def test_what_changes_a_result_changes_its_digest_and_all_that_build_on_it(tmp_path: Path) -> None:
    found = digests(load_recipe("demo", ["pools.guided.samples=3"]), tmp_path)
    changed = {rel for rel in found if found[rel] != STORED["demo"][rel]}
    assert "pools/guided/completions" in changed and "arms/polya/seed-0/rl" in changed
    assert not any(rel.startswith(("pools/unguided", "arms/base", "arms/rl-only")) for rel in changed)


JUDGED = [
    "pools.guided.samples=1",
    "adherence={scorer: judge, engine: {kind: openai, model: m, base_urls: ['http://127.0.0.1:1/v1']}}",
    "labels={by: judge, engine: {kind: openai, model: m, base_urls: ['http://127.0.0.1:1/v1']}}",
]


@pytest.mark.parametrize(
    "change",
    ["base_urls=['http://127.0.0.1:2/v1']", "api_key_env=ANOTHER", "timeout=5", "max_retries=1", "max_concurrency=3"],
)
def test_a_judges_port_key_and_patience_change_no_digest(change: str, tmp_path: Path) -> None:
    before = digests(load_recipe("demo", JUDGED), tmp_path)
    changed = [*JUDGED, f"adherence.engine.{change}", f"labels.engine.{change}"]
    assert digests(load_recipe("demo", changed), tmp_path) == before
    other = digests(load_recipe("demo", [*JUDGED, "adherence.engine.model=n", "labels.engine.model=n"]), tmp_path)
    assert other["pools/guided/adherence"] != before["pools/guided/adherence"] and other["labels"] != before["labels"]


def test_a_pool_that_nobody_reads_is_not_generated(tmp_path: Path) -> None:
    """A recipe that extends another one has its pools; an unguided pool may be most of the cost."""
    found = digests(load_recipe("demo", ["arms.unguided=null"]), tmp_path)
    assert "pools/guided/completions" in found and not any(rel.startswith("pools/unguided") for rel in found)
    only_data = digests(load_recipe("demo", ["arms={}", "treatment=null", "control=null"]), tmp_path)
    assert {"pools/guided/completions", "pools/unguided/completions"} <= set(only_data)
    filtered = load_recipe(
        "demo", ["arms={rl-only: []}", "treatment=null", "questions.rl_filter={min: 0.1, max: 0.9, samples: 4}"]
    )
    assert filtered.used_pools == ["unguided"]
