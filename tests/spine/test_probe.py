"""`midway probe`: a run with pools and no arm, and the table of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from midway.cli.probe import table
from midway.probe import ALL, Asked, measure
from midway.recipe import Recipe
from midway.results import open_run

SOLVED = [
    {"question": "What is 2 + 3?", "heuristic": "unguided", "completion": "\\boxed{6}"},
    {"question": "What is 2 + 3?", "heuristic": "unguided", "completion": "\\boxed{7}"},
    {"question": "What is 2 + 3?", "heuristic": "analogy", "completion": "\\boxed{5}"},
    {"question": "What is 4 + 4?", "heuristic": "unguided", "completion": "\\boxed{8}"},
    {"question": "What is 4 + 4?", "heuristic": "unguided", "completion": "\\boxed{8}"},
    {"question": "What is 4 + 4?", "heuristic": "analogy", "completion": "\\boxed{9}"},
]
Here = Callable[..., Any]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    rows = {
        "one": [{"question": "What is 2 + 3?", "answer": "5"}],
        "two": [{"question": "What is 4 + 4?", "answer": "8"}],
        "solved": SOLVED,
    }
    for name, lines in rows.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return {name: tmp_path / f"{name}.jsonl" for name in rows}


def test_the_table_is_what_the_samples_say(files: dict[str, Path], tmp_path: Path) -> None:
    from midway import run

    asked = Asked(
        model={"path": "tiny:llama"},
        questions=[{"source": str(files[name]), "domain": "math"} for name in ("one", "two")],
        heuristics=["analogy"],
        samples=2,
        guided_samples=1,
        sampling={"max_tokens": 8},
        prompt={"exemplars": 0},
    )
    recipe = asked.recipe()
    engine = {"kind": "recorded", "path": str(files["solved"])}
    pools = {name: {**pool.model_dump(mode="json"), "engine": engine} for name, pool in recipe.pools.items()}
    made = run(
        Recipe.model_validate({**recipe.model_dump(mode="json"), "pools": pools}), out=tmp_path / "run", until="verify"
    )
    probed = measure(open_run(made.path))
    rows = {(row.questions, row.way): row for row in probed.rows}
    assert {name for name, _ in rows} == {"one.jsonl", "two.jsonl", ALL}
    assert rows["one.jsonl", "unguided"].right.value == 0 and rows["one.jsonl", "analogy"].right.value == 1
    both = rows[ALL, "unguided"]
    assert (both.right.value, both.solved, both.asked, both.samples) == (0.5, 1, 2, 4)
    assert both.right.low < 0.5 < both.right.high
    assert rows["one.jsonl", "unguided"].tokens_a_right_one == float("inf")
    reach = {r.questions: (r.both, r.only_guided, r.only_unguided, r.neither) for r in probed.reach}
    assert reach[ALL] == (0, 1, 1, 0) and reach["one.jsonl"] == (0, 1, 0, 0)
    shown = table(probed, 2)
    assert "none was right" in shown and "only guided 1" in shown


def test_the_verb_stores_a_run_and_goes_on(here: Here, files: dict[str, Path], tmp_path: Path) -> None:
    source = f"{{source: '{files['one']}', domain: math}}"
    command = [
        "probe",
        "tiny:llama",
        "--questions",
        source,
        "--heuristics",
        "analogy",
        "--samples",
        "2",
        "--guided",
        "1",
    ]
    command += ["--max-tokens", "4", "--set", "prompt.exemplars=0", "--out", tmp_path / "probe"]
    first = here(*command)
    assert "1 question, 3 samples, at most 12 tokens" in first.stderr and "one.jsonl" in first.stdout
    again = json.loads(here(*command, "--json").stdout)
    assert {row["way"] for row in again["rows"]} == {"unguided", "analogy"}
    samples = pl.concat([open_run(tmp_path / "probe").completions(pool) for pool in ("unguided", "guided")])
    assert samples.height == 3
    done = here("probe", "tiny:llama", "--questions", "gsm9k", check=False)
    assert done.returncode == 2 and "gsm8k" in done.stderr


def test_a_recipe_with_pools_and_no_arms_makes_up_none() -> None:
    assert Recipe.model_validate({"pools": {"plain": {}}}).arms == {}
    assert list(Recipe.model_validate({}).arms) == ["rl-only"]
