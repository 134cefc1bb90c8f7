"""Bad input: every message says what, where and what to do, and ends with exit code 2."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LayOut = Callable[..., Path]
Here = Callable[..., Any]

ROW = {"id": "a", "question": "What is 1 + 1?", "answer": "2"}


def rows(*items: dict[str, Any]) -> str:
    return "".join(json.dumps(item) + "\n" for item in items)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, ["none.jsonl", "no"]),
        (rows(ROW) + '{"id": "b", "question": \n', ["none.jsonl:2"]),
        (rows(ROW, {"id": "b", "question": "What is 2 + 2?"}), ["none.jsonl", "2", "answer"]),
        (rows(ROW, {**ROW, "question": "What is 3 + 3?", "answer": "6"}), ["none.jsonl", "different question: a"]),
        ("", ["none.jsonl"]),
        (rows({"frage": "Was?", "antwort": "2"}), ["none.jsonl", "frage", "columns"]),
    ],
    ids=["missing", "malformed", "no answer", "duplicate id", "empty", "other columns"],
)
def test_questions(text: str | None, said: list[str], lay_out: LayOut, here: Here, tmp_path: Path) -> None:
    path = tmp_path / "none.jsonl"
    if text is not None:
        path.write_text(text)
    recipe = lay_out(questions={"train": [{"source": str(path), "domain": "math"}]})
    done = here("run", recipe, "--out", tmp_path / "run", check=False)
    assert done.returncode == 2, done.stderr
    for words in said:
        assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("pools.guided.heuristics=[workin-backward]", ["workin-backward", "working-backward"]),
        ("arms.polya.midtrain=[{pool: gided}]", ["gided", "guided"]),
        ("pools.guided.sample=1", ["pools.guided.sample", "samples"]),
        ("questions.train=[{source: gsm9k}]", ["gsm9k", "gsm8k"]),
        ("model.path=/nowhere/at/all", ["/nowhere/at/all", "model.path"]),
    ],
)
def test_recipe(override: str, said: list[str], lay_out: LayOut, here: Here, tmp_path: Path) -> None:
    done = here("run", lay_out(), override, "--out", tmp_path / "run", check=False)
    assert done.returncode == 2, done.stderr
    for words in said:
        assert words in done.stderr


def test_no_such_run(here: Here, tmp_path: Path) -> None:
    done = here("status", tmp_path / "nothing", check=False)
    assert done.returncode == 2
    assert "midway run RECIPE" in done.stderr or "runs here" in done.stderr


def test_check_without_a_model_imports_no_torch(lay_out: LayOut) -> None:
    code = (
        "import sys; sys.argv = ['midway', 'check', sys.argv[1], '--no-model']\n"
        "from midway.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "bad = {'torch', 'transformers', 'trl', 'datasets', 'vllm'} & set(sys.modules)\n"
        "assert not bad, bad\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(lay_out())], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for words in (
        "pool guided: 2 heuristics x 2 samples x 8 questions = 32",
        "arm polya (treatment)",
        "power:",
        "8 of 8 gold answers verify",
    ):
        assert words in done.stdout


def test_check_shows_the_prompt_as_the_model_sees_it(lay_out: LayOut, here: Here) -> None:
    out = here("check", lay_out("qwen2")).stdout
    assert "<|im_start|>user" in out
    assert "Qwen2ForCausalLM" in out


def test_check_names_a_gold_that_does_not_verify(lay_out: LayOut, here: Here, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(
        rows(ROW, {"id": "odd-one", "question": "What is 2 + 2?", "answer": "4", "solution": "It is \\boxed{5}."})
    )
    done = here(
        "check", lay_out(questions={"train": [{"source": str(path), "domain": "math"}]}), "--no-model", check=False
    )
    assert done.returncode == 1
    assert "odd-one" in done.stdout


def test_help_is_light() -> None:
    code = (
        "import sys; sys.argv = ['midway', '--help']\n"
        "from midway.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "bad = {'torch', 'transformers', 'trl', 'datasets', 'vllm', 'polars', 'numpy'} & set(sys.modules)\n"
        "assert not bad, bad\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize(
    "typed",
    [
        ["run", "demo", "seeds=[0, 1]", "title=it's a test", "--out", "my runs/a", "--data", "my data", "--executor", "ray"],
        ["run", "demo"],
    ],
)  # fmt: skip
def test_the_command_to_go_on_is_the_command_typed(typed: list[str], here: Here, monkeypatch: Any) -> None:
    """It may be pasted into a shell as it is printed: nothing is missing, and what has blanks is quoted."""
    told: list[str] = []
    monkeypatch.setattr("midway.cli.run.execute", lambda asked: told.append(asked.again))
    here(*typed)
    assert shlex.split(told[0]) == ["midway", *typed]


def test_check_does_not_make_a_base_model_of_the_lab(here: Here, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("MIDWAY_LAB_CACHE", str(tmp_path / "cache"))
    said = here("check", "lab/two-ways", "--no-gold").stdout
    assert "model lab:world=two-ways: the lab makes it when the run begins" in said
    assert not (tmp_path / "cache").exists()
    done = here("check", "lab/two-ways", "--no-gold", "model.path=lab:world=flat", check=False)
    assert done.returncode == 2 and "unknown world 'flat'" in done.stderr


def test_check_tries_tests_against_programs_that_do_nothing(lay_out: LayOut, here: Here, tmp_path: Path) -> None:
    """One question, without a reference, whose tests let anything pass: named, not checked, and no traceback."""
    path = tmp_path / "weak.jsonl"
    path.write_text(rows({"id": "weak-one", "question": "Print.", "test_list": ["assert f(1) is None"]}))
    source = {"source": str(path), "domain": "code"}
    recipe = lay_out(
        questions={"train": [source]}, benchmarks=[{"name": "own", "source": str(path), "domain": "code", "samples": 2}]
    )
    done = here("check", recipe, "--no-model", check=False)
    assert done.returncode == 1
    for words in (
        "0 of 1 gold answers verify, 1 not checked (no reference)",
        "1 of 1 question let a program pass that does nothing",
        "weak-one",
        "a program that returns nothing passes",
        "power: on own, one question shows no difference",
    ):
        assert words in done.stdout, done.stdout + done.stderr
