"""Pools that draw on where right solutions are lacking: in rounds, only of those questions, the same ones when it is done again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from midway import open_run
from midway.recipe import RecipeError, load_recipe

RIGHT = {"easy": (0, 1, 2, 3, 4, 5, 6, 7), "late": (5, 6, 7), "once": (0,), "never": ()}
"""Which of eight recorded completions of a question are right."""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    questions = [
        {"id": name, "question": f"What is the {name} sum of 2 and {n}?", "answer": str(n + 2)}
        for n, name in enumerate(RIGHT)
    ]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(q) + "\n" for q in questions))
    rows = [
        {
            "question": q["question"],
            "completion": f"Way {index}: the answer is {q['answer'] if index in RIGHT[q['id']] else 99}.",
        }
        for q in questions
        for index in range(8)
    ]
    (tmp_path / "recorded.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = tmp_path / "recipe.yaml"
    tree = {
        "questions": {"train": [{"source": "q.jsonl", "domain": "math"}]},
        "model": {"chat": False},
        "pools": {
            "plain": {
                "samples": 2,
                "engine": {"kind": "recorded", "path": "recorded.jsonl"},
                "until": {"solutions": 2, "samples": 7},
            }
        },
        "verify": {"workers": 1},
    }
    path.write_text(yaml.safe_dump(tree))
    return path


def drawn(run: Path) -> dict[str, int]:
    run_ = open_run(run)
    names = dict(run_.questions("train").select("id", "name").iter_rows())
    counts = run_.completions("plain").group_by("question_id").len()
    return {names[id_]: n for id_, n in counts.iter_rows()}


def test_only_questions_that_lack_right_solutions_are_asked_again(
    recipe: Path, here: Callable[..., Any], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    done = here("run", recipe, "--out", run, "--until", "verify")
    assert drawn(run) == {"easy": 2, "late": 7, "once": 7, "never": 7}
    assert "3 questions lack 2 different right solutions: up to 4 samples of each" in done.stderr
    frame = open_run(run).completions("plain")
    assert frame["judgement"].null_count() == 0 and frame.filter(pl.col("judgement") == "correct").height == 2 + 2 + 1
    stage = next(s for s in open_run(run).stages if s.kind == "generate")
    assert stage.result["until"] == {"questions": 4, "lacking": 2} and stage.result["finish"] == {"stop": 23}

    again = here("run", recipe, "--out", run, "--until", "verify", "--clean", "pools/plain/completions")
    assert drawn(run) == {"easy": 2, "late": 7, "once": 7, "never": 7}
    assert open_run(run).completions("plain").equals(frame) and "new" not in again.stdout


def test_it_is_in_the_digest_only_where_it_is_set_and_must_leave_room(recipe: Path) -> None:
    from midway.plan import make_plan
    from midway.rundir.layout import Layout
    from midway.workbench import Workbench

    def digest(*given: str) -> str:
        loaded = load_recipe(recipe, given)
        return make_plan(loaded, Workbench(loaded, Layout(recipe.parent))).stages["pools/plain/completions"].digest

    assert digest("pools.plain.until=null") == digest("pools.plain.until=null", "verify.seconds=3")
    assert digest() != digest("pools.plain.until=null") and digest() != digest("verify.seconds=3")
    with pytest.raises(RecipeError, match=r"until.samples 1 is below samples 2"):
        load_recipe(recipe, ["pools.plain.until.samples=1"])
