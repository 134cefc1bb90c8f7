"""Recipes: what is accepted, and what a mistake is told."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from midway.recipe import Recipe, RecipeError, load_recipe, loads_recipe, shipped_recipes
from midway.training.trainers.trl.arguments import trl_fields

BASIC = """
pools:
  guided: {heuristics: [working-backward, analogy], samples: 2}
  unguided: {samples: 4}
arms:
  rl-only: []
  polya: [guided]
  control: [{pool: unguided}]
"""


def write(folder: Path, text: str, name: str = "r.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_arms_may_be_bare_lists(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, BASIC))
    assert recipe.arms["rl-only"].midtrain == []
    assert recipe.arms["polya"].midtrain[0].pool == "guided"
    assert recipe.treatment_arm == "polya"
    assert recipe.control_arm == "rl-only"
    assert recipe.name == "r"


def test_overrides_are_yaml_and_come_last(tmp_path: Path) -> None:
    recipe = load_recipe(
        write(tmp_path, BASIC), ["pools.guided.samples=8", "seeds=[1, 2]", "rl.learning_rate=1e-5", "name=other"]
    )
    assert recipe.pools["guided"].samples == 8
    assert recipe.seeds == [1, 2]
    assert float(recipe.rl["learning_rate"]) == 1e-5
    assert recipe.name == "other"


def test_extends_merges_by_key_and_null_removes(tmp_path: Path) -> None:
    write(tmp_path, BASIC + "seeds: [1, 2]\n", "base.yaml")
    child = write(tmp_path, "extends: base.yaml\narms: {control: null, more: [unguided]}\nseeds: [7]\n", "child.yaml")
    recipe = load_recipe(child)
    assert set(recipe.arms) == {"rl-only", "polya", "more"}
    assert recipe.seeds == [7]


def test_a_recipe_survives_json(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, BASIC))
    again = loads_recipe(json.loads(json.dumps(recipe.model_dump(mode="json"))))
    assert again == recipe
    assert again.digest() == recipe.digest()


@pytest.mark.parametrize(
    ("text", "overrides", "said"),
    [
        (BASIC, ["pools.guided.sample=3"], ["pools.guided.sample", "samples"]),
        (BASIC, ["rl.learnin_rate=1"], ["GRPOConfig", "learning_rate"]),
        (BASIC, ["midtrain.num_train_epoch=1"], ["SFTConfig", "num_train_epochs"]),
        (BASIC, ["midtrain.output_dir=x"], ["output_dir", "run directory"]),
        (BASIC, ["arms.polya.rl_args.bta=1"], ["arms.polya.rl_args.bta", "beta"]),
        (BASIC, ["treatment=poly"], ["poly", "polya"]),
        (BASIC, ["seeds=[1,1]"], ["seeds"]),
        (BASIC, ["pools.guided.samples=0"], ["pools.guided.samples", "greater than or equal to 1"]),
        (BASIC, ["nonsense"], ["section.key=value"]),
        (BASIC + "modle: {}\n", [], ["modle", "model"]),
        ("arms: {a: [guidd]}\npools: {guided: {}}\n", [], ["guidd", "guided"]),
        ("- a\n- b\n", [], ["mapping"]),
        ("a: [\n", [], ["not valid YAML"]),
        ("engine: {kind: vlm}\n", [], ["engine", "vllm"]),
        ("arms: {'a/b': []}\n", [], ["a/b", "folder"]),
        ("benchmarks: [gsm8k, gsm8k]\n", [], ["gsm8k", "name"]),
    ],
)
def test_mistakes_say_where_and_what_would_be_right(
    tmp_path: Path, text: str, overrides: list[str], said: list[str]
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, overrides)
    for words in said:
        assert words in str(caught.value)


def test_unknown_recipe_suggests_near_names() -> None:
    with pytest.raises(RecipeError, match="demo"):
        load_recipe("demmo")


def test_the_list_of_trl_fields_is_that_of_the_installed_trl() -> None:
    trl = pytest.importorskip("trl")
    for name in ("SFTConfig", "GRPOConfig"):
        assert trl_fields(name) == {f.name for f in dataclasses.fields(getattr(trl, name)) if f.init}  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_every_shipped_recipe_loads(name: str) -> None:
    recipe = load_recipe(name)
    assert isinstance(recipe, Recipe)
    assert recipe.title, "a shipped recipe says in one line what it is about"


def test_loading_every_recipe_imports_no_torch() -> None:
    code = (
        "import sys; from midway.recipe import load_recipe, shipped_recipes\n"
        "for name in shipped_recipes(): load_recipe(name)\n"
        "bad = {'torch', 'transformers', 'trl', 'datasets', 'vllm'} & set(sys.modules)\n"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_field_is_documented() -> None:
    seen: set[type] = set()

    def visit(model: type) -> None:
        if model in seen or not hasattr(model, "model_fields"):
            return
        seen.add(model)
        assert model.__name__
        for field in model.model_fields.values():
            for inner in _classes(field.annotation):
                visit(inner)

    visit(Recipe)
    undocumented = [
        f"{m.__name__}.{n}"
        for m in seen
        for n, f in m.model_fields.items()  # type: ignore[attr-defined]
        if not f.description and n not in OBVIOUS
    ]
    assert not undocumented, undocumented


OBVIOUS = {
    "model", "questions", "prompt", "engine", "verify", "adherence", "selection", "curve", "seeds", "benchmarks", "kind", "source",
    "split", "revision", "limit", "seed", "options", "subset", "trust_remote_code", "top_p", "min_p", "samples", "sampling", "device",
    "min_adherence", "min_tokens", "max_tokens", "shuffle_choices",
}  # fmt: skip


def _classes(annotation: object) -> list[type]:
    args = getattr(annotation, "__args__", None)
    if args is None:
        return [annotation] if isinstance(annotation, type) else []
    return [c for a in args for c in _classes(a)]


def test_a_step_that_does_not_divide_into_groups_is_told_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="num_generations=6"):
        load_recipe(write(tmp_path, BASIC), ["rl.num_generations=6"])
    assert load_recipe(write(tmp_path, BASIC), ["rl.num_generations=6", "rl.per_device_train_batch_size=12"])


def test_compute_matching_needs_something_to_match(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="compute_matched needs a `treatment`"):
        load_recipe(write(tmp_path, "arms: {rl-only: [], more: {compute_matched: true}}\n"))
