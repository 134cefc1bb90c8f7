"""What is shipped: the fixture, the page about the sets, the verb, and the recipes."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

from midway.cli import sources
from midway.engines import RecordedEngine
from midway.questions import KNOWN, load
from midway.questions.known import markdown
from midway.recipe import load_recipe, shipped_recipes

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "src" / "midway" / "questions" / "fixtures"
CONTROLS = sorted(p.stem for p in (ROOT / "recipes" / "controls").glob("*.yaml"))
MINE = ["gsm8k-recorded", "gsm8k-qwen2.5-1.5b", "paper-llama-3.2-3b", *(f"controls/{name}" for name in CONTROLS)]


def test_docs_are_generated() -> None:
    page = ROOT / "docs" / "benchmarks.md"
    assert page.read_text(encoding="utf-8") == markdown(), "type: make docs"


def test_the_verb() -> None:
    app = typer.Typer()
    app.callback()(lambda: None)
    sources.register(app)

    def call(*args: str) -> str:
        done = CliRunner().invoke(app, ["sources", *args])
        assert done.exit_code == 0, done.output
        return done.stdout

    text = call()
    assert all(known.name in text and f"[{known.domain}; {known.hub}; " in text for known in KNOWN.values())
    sets = {s["name"]: s for s in json.loads(call("--json"))}
    assert set(sets) == set(KNOWN)
    gsm8k = sets["gsm8k"]
    assert {k: gsm8k[k] for k in ("hub", "licence", "domain")} == {
        "hub": "openai/gsm8k",
        "licence": "MIT",
        "domain": "math",
    }
    assert {s["split"]: s["rows"] for s in gsm8k["splits"]} == {"train": 7473, "test": 1319}
    assert call("--markdown") == markdown()


def test_the_fixture_is_whole() -> None:
    rows = [json.loads(line) for line in (FIXTURES / "gsm8k_recorded.jsonl").read_text(encoding="utf-8").splitlines()]
    recipe = load_recipe("gsm8k-recorded")
    (train,) = recipe.questions.train
    questions = {q.name: q for q in load(train)}
    held_out = load(recipe.benchmarks[0])
    assert (len(rows), len(questions), len(held_out)) == (400, 100, 40)
    assert Counter(r["question_id"] for r in rows) == Counter(dict.fromkeys(questions, 4))
    assert Counter(r["model"] for r in rows if r["correct"]) == {
        "175b_verification": 58, "6b_verification": 34, "175b_finetuning": 34, "6b_finetuning": 21,
    }  # fmt: skip
    assert not {q.id for q in held_out} & {q.id for q in questions.values()}
    assert not [q.name for q in questions.values() if not q.answer or not q.solution]
    engine = recipe.pools["recorded"].engine
    assert isinstance(engine, RecordedEngine) and Path(engine.path) == FIXTURES / "gsm8k_recorded.jsonl"
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    assert "Copyright (c) 2021 OpenAI" in notice and "Permission is hereby granted" in notice
    assert all(path.name in notice for path in FIXTURES.iterdir())


@pytest.mark.parametrize("name", MINE)
def test_recipes_load_and_say_where_questions_come_from(name: str) -> None:
    recipe = load_recipe(name)
    assert shipped_recipes()[name] == ROOT / "recipes" / f"{name}.yaml"
    for source in [*recipe.questions.train, *(recipe.questions.rl or []), *recipe.benchmarks]:
        known = KNOWN.get(source.source)
        if known is None:
            assert Path(source.source).parent == FIXTURES
        else:
            subsets = known.subsets() if source.subset is None else (source.subset,)
            assert all(source.split in known.parts[subset] for subset in subsets), source
            assert not (isinstance(source.split, str) and source in recipe.questions.train and source.split == "test")
    assert recipe.treatment_arm and recipe.control_arm == "rl-only"
    assert recipe.arms["base"].rl is False and not recipe.arms["base"].midtrain
    assert recipe.arms["rl-only"].rl and not recipe.arms["rl-only"].midtrain


@pytest.mark.parametrize("name", [n for n in MINE if n != "gsm8k-recorded"])
def test_pools_ask_for_the_same_number_of_completions(name: str) -> None:
    """A control that was given more tries would win by them."""
    pools = load_recipe(name).pools
    asked = {n: p.samples * (len(p.heuristics) if isinstance(p.heuristics, list) else 1) for n, p in pools.items()}
    assert set(asked.values()) == {64}, asked
    assert {p.sampling.max_tokens for p in pools.values()} == {pools["guided"].sampling.max_tokens}


@pytest.mark.parametrize("name", [n for n in MINE if n != "gsm8k-recorded"])
def test_completions_fit(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.engine.kind == "vllm"
    context = recipe.engine.args["max_model_len"]
    lengths = [p.sampling.max_tokens for p in recipe.pools.values()] + [
        b.sampling.max_tokens for b in recipe.benchmarks
    ]
    assert max(lengths) + 1024 <= context, "room for a guided prompt"
    assert recipe.rl["max_completion_length"] + 512 <= recipe.rl["vllm_max_model_length"]
    assert (recipe.rl["use_vllm"], recipe.rl["vllm_mode"]) == (True, "colocate")
    batch = recipe.rl["per_device_train_batch_size"] * recipe.rl["gradient_accumulation_steps"]
    assert batch % recipe.rl["num_generations"] == 0


def test_every_arm_and_control_of_the_plan_is_there() -> None:
    arms = load_recipe("controls/all").arms
    wanted = {
        "base", "rl-only", "star", "unguided-8", "temperature-8", "one-heuristic-8", "reference",
        "polya-1", "polya-2", "polya-4", "polya-8", "polya-16",
        "few-questions-many-ways", "many-questions-one-way", "wrong-but-diverse", "rl-only-compute-matched",
        "one-heuristic-8-hot", "one-heuristic-8-hottest",
        "rl-only-random", "rl-only-format", "polya-8-random", "polya-8-format",
    }  # fmt: skip
    assert set(arms) == wanted
    assert arms["rl-only-compute-matched"].compute_matched
    assert {d.strategy for a in arms.values() for d in a.midtrain} == {
        "best",
        "one-heuristic",
        "wrong-but-diverse",
        "reference",
    }
    few, many = (arms[n].midtrain[0] for n in ("few-questions-many-ways", "many-questions-one-way"))
    assert few.questions and few.per_question and many.questions and many.per_question
    assert few.questions * few.per_question == many.questions * many.per_question


def test_all_controls_in_one_run_are_those_of_the_single_files() -> None:
    together = load_recipe("controls/all")
    single = {n: load_recipe(f"controls/{n}") for n in CONTROLS if n not in ("all", "base", "matched-success")}
    assert {n: a for recipe in single.values() for n, a in recipe.arms.items()} == together.arms
    for name, recipe in single.items():
        plain = load_recipe("controls/base")
        same = {"name", "title", "arms", "pools"}
        assert recipe.model_dump(exclude=same) == plain.model_dump(exclude=same), name
        assert recipe.model_dump(exclude=same) == together.model_dump(exclude=same), name
        assert all(together.pools[n] == pool for n, pool in recipe.pools.items()), name


def test_every_choice_of_the_paper_recipe_is_marked() -> None:
    """Every line with a value says whose choice it is, or stands under a line that does."""
    text = (ROOT / "recipes" / "paper-llama-3.2-3b.yaml").read_text(encoding="utf-8")
    marked = re.compile(r"#.*(\bours\b|Ours|paper \[[E1]\])")
    unmarked, above = [], False
    for line in text.splitlines():
        if not line.strip() or line.startswith(("title:", "treatment:", "control:")):
            continue
        code = line.partition("#")[0].strip()
        if marked.search(line):
            above = True
        elif code.startswith(("- analogy", "title:", "midtrain: [", "rl: false")) or (
            above and re.fullmatch(r"- [a-z-]+", code)
        ):
            continue  # belongs to the marked line above it
        elif code and not re.fullmatch(r"-? ?[\w-]+:", code):
            unmarked.append(line)
            above = False
    assert not unmarked, "\n".join(unmarked)
    assert yaml.safe_load(text)["model"]["path"] == "meta-llama/Llama-3.2-3B-Instruct"


def test_heuristics_named_in_recipes_exist() -> None:
    heuristics = pytest.importorskip("midway.heuristics")
    if not hasattr(heuristics, "load_catalogue"):
        pytest.skip("no catalogue in this tree")
    known = set(heuristics.load_catalogue())
    for name in MINE:
        recipe = load_recipe(name)
        for pool in recipe.pools.values():
            assert set(pool.heuristics if isinstance(pool.heuristics, list) else []) <= known, name
        assert {d.heuristic for a in recipe.arms.values() for d in a.midtrain if d.heuristic} <= known, name


def test_one_recipe_has_every_benchmark() -> None:
    benchmarks = load_recipe("benchmarks/all").benchmarks
    asked = {
        (b.source, subset) for b in benchmarks for subset in ([b.subset] if b.subset else KNOWN[b.source].subsets())
    }
    on_hub = [k for k in KNOWN.values() if k.name != "svamp_embedded"]  # the same problems as svamp
    tests = {(k.name, s) for k in on_hub for s in k.subsets() if "test" in k.parts[s]}
    assert asked == tests
    assert {b.split for b in benchmarks} == {"test"}
