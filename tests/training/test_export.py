"""`midway export` on a run that got as far as its selection: every format, the card, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import typer
import yaml
from typer.testing import CliRunner

from midway.cli import export
from midway.lab.tiny import tiny_checkpoint
from midway.recipe import load_recipe
from midway.rundir import RunError
from midway.runner import opened
from midway.training.dataset import FORMATS

ASKED = "Ann has {} apples and buys {} more. How many has she?"
QUESTIONS = [{"id": f"q{n}", "question": ASKED.format(n, n + 2), "answer": str(2 * n + 2)} for n in range(3, 11)]
WAYS = {
    "working-backward": "In the end there are {b} more than the {a} she began with: {a} + {b} = {c}. It is \\boxed{{{c}}}.",
    "analogy": "Like 2 + 3 = 5, here {a} + {b} = {c}; so it is \\boxed{{{c}}}.",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    solved = [
        {"question": q["question"], "heuristic": way, "completion": text.format(a=n, b=n + 2, c=2 * n + 2)}
        for n, q in enumerate(QUESTIONS, start=3)
        for way, text in WAYS.items()
    ]
    for name, rows in (("train", [{**q, "solution": f"It is {q['answer']}."} for q in QUESTIONS]), ("solved", solved)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    recorded = {"kind": "recorded", "path": str(folder / "solved.jsonl")}
    recipe = {
        "title": "An export",
        "model": {"path": str(tiny_checkpoint(folder / "model", "llama", context=256))},
        "questions": {"train": [{"source": str(folder / "train.jsonl"), "domain": "math"}]},
        "prompt": {"exemplars": 0},
        "verify": {"workers": 1},
        "pools": {"guided": {"heuristics": list(WAYS), "samples": 1, "engine": recorded}},
        "arms": {"rl-only": [], "polya": ["guided"], "reference": [{"strategy": "reference"}]},
        "treatment": "polya",
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    with opened(load_recipe(str(folder / "recipe.yaml"), []), folder / "run") as runner:
        runner.bench.questions.store(runner.run.files)
        runner.store(None)
        assert not runner.execute(runner.plan.chosen(until="select"))
    return folder / "run"


@pytest.fixture
def midway_export() -> Callable[..., str]:
    app = typer.Typer()
    export.register(app)

    def call(*args: str | Path) -> str:
        done = CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    return call


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_with_its_card(form: str, run: Path, tmp_path: Path, midway_export: Callable[..., str]) -> None:
    said = midway_export(run, "--to", form, "--out", tmp_path)
    assert "16 examples" in said
    card = (tmp_path / "README.md").read_text()
    for told in (
        "# An export",
        "Vendi score",
        "`working-backward`",
        "| asked | 16 | 100.0 % |",
        "Ann has",
        "Put the final answer in",
    ):
        assert told in card, told
    assert (tmp_path / "funnel.svg").read_text().startswith("<svg")
    files = sorted(p.name for p in (tmp_path / "data").iterdir())
    assert files == {
        "trl": ["train.parquet"],
        "verl": ["rl.parquet", "sft.parquet"],
        "openrlhf": ["rl.jsonl", "sft.jsonl"],
    }.get(form, ["train.jsonl"])
    frame = pl.read_parquet(tmp_path / "data/train.parquet") if form == "trl" else None
    if frame is not None:
        assert set(frame["heuristic"]) == set(WAYS) and frame["completion_id"].n_unique() == 16


def test_another_arm_and_the_default_folder(run: Path, midway_export: Callable[..., str]) -> None:
    said = midway_export(run, "--arm", "reference", "--to", "messages")
    folder = run / "exports" / "reference-seed-0-messages"
    assert f"{folder}: 16 examples" in said  # as many as the treatment: each of the 8 reference solutions twice
    rows = [json.loads(line) for line in (folder / "data/train.jsonl").read_text().splitlines()]
    assert (
        len(rows) == 16 and {r["completion_id"] for r in rows} == {""} and {r["source"] for r in rows} == {"reference"}
    )
    assert "are repeats" in (folder / "README.md").read_text()


def test_what_is_not_there_is_said(run: Path) -> None:
    for arguments, message in (
        (("polya", 0, "parquet"), "there is no such format; there are trl, messages"),
        (("poyla", 0, "trl"), "did you mean polya"),
        (("rl-only", 0, "trl"), "no arm with mid-training data"),
        (("polya", 7, "trl"), "has no solutions yet: midway run .* --until select"),
    ):
        with pytest.raises(RunError, match=message):
            export.export_arm(str(run), *arguments, None)  # type: ignore[arg-type]
