"""docs/own-data.md and docs/own-parts.md do what they say: their files are written, their commands are run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
import yaml

from midway.rundir import VERDICTS, layout, read_table
from midway.rundir.layout import Layout

DOCS = Path(__file__).resolve().parents[2] / "docs"
FILE = re.compile(r"^`([\w.-]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MIDWAY = f"{sys.executable} -m midway "


def write_files(page: str, folder: Path) -> list[str]:
    """Write the files of a page; return its commands, one each."""
    text = (DOCS / page).read_text(encoding="utf-8")
    for name, body in FILE.findall(text):
        (folder / name).write_text(body, encoding="utf-8")
    return [line for block in COMMANDS.findall(text) for line in block.splitlines() if line]


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        command.replace("midway ", MIDWAY, 1), shell=True, cwd=folder, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.slow
def test_own_outputs_become_verdicts_and_a_data_set(tmp_path: Path) -> None:
    commands = write_files("own-data.md", tmp_path)
    assert len(commands) == 7
    for command in commands:
        done = shell(command, tmp_path)
        if command.startswith("midway verify") and "--explain" not in command:
            judged = lines(tmp_path / "judged.jsonl")
            assert [row["verdict"] for row in judged] == ["correct", "correct", "wrong", "correct"]
            assert judged[2]["output"].startswith("9 * 8 = 71") and judged[2]["extracted"] == "71", "the row is whole"
            (tmp_path / "judged.jsonl").unlink()
        assert "Traceback" not in done.stderr
    rows = lines(tmp_path / "set/data/train.jsonl")
    assert len(rows) == 3 and not any("71" in str(row["messages"]) for row in rows)
    card = (tmp_path / "set/README.md").read_text()
    assert "somebody else (recorded in outputs.jsonl)" in card and "| accepted | 3 |" in card
    assert pl.read_parquet(tmp_path / "set-trl/data/train.parquet").height == 3
    assert list((tmp_path / "set-verl/data").glob("*.parquet"))


@pytest.mark.slow
def test_own_parts_make_a_run_and_a_verifier_that_hangs_or_dies_judges_nothing(tmp_path: Path) -> None:
    """One verifier in selection, RL and evaluation. Then it hangs on one question and dies on another: unjudged in all three."""
    commands = write_files("own-parts.md", tmp_path)
    for command in commands:
        done = shell(command, tmp_path)
        if "list" in command:
            assert "short" in done.stdout
    run = Layout(tmp_path / "runs/own")
    verdicts = read_table(run.root / layout.verdicts("guided"), VERDICTS)
    assert set(verdicts["reason"]) == {"judge"} and {"correct", "wrong"} == set(verdicts["judgement"])
    kept = pl.read_parquet(run.solutions("several", 0))
    right = verdicts.filter(pl.col("judgement") == "correct")["id"]
    assert kept.height and set(kept["completion_id"]) <= set(right)
    assert set(rollouts(run)["reason"]) == {"judge"}
    results = json.loads((run.report / "results.json").read_text())
    assert any(score["arm"] == "several" for score in results["scores"]), results["scores"]

    (tmp_path / "my_judge.py").write_text(
        "import os\n\n\ndef judge(question, completion):\n"
        "    while question.gold['row']['letter'] == 'e':\n        pass\n"
        "    if question.gold['row']['letter'] == 'a':\n        os._exit(3)\n"
        "    return question.gold['row']['letter'] in completion\n"
    )
    recipe = yaml.safe_load((tmp_path / "recipe.yaml").read_text())
    recipe["questions"]["train"][0]["limit"] = 4
    (tmp_path / "hard.yaml").write_text(yaml.safe_dump({**recipe, "name": "hard"}))
    shell("midway run hard.yaml", tmp_path)
    run = Layout(tmp_path / "runs/hard")
    questions = {q["id"]: q["text"][-2] for q in pl.read_parquet(run.questions("train")).to_dicts()}
    judged = Counter()
    completions = {
        row["id"]: questions[row["question_id"]]
        for row in pl.concat(
            [pl.read_parquet(f) for f in (run.root / layout.completions("guided")).glob("*.parquet")]
        ).to_dicts()
    }
    for row in read_table(run.root / layout.verdicts("guided"), VERDICTS).to_dicts():
        judged[completions[row["id"]], row["judgement"]] += 1
    assert judged["e", "unjudged"] == judged["a", "unjudged"] == 6, judged
    assert not any(judged[letter, word] for letter in "ea" for word in ("correct", "wrong"))
    assert sum(judged[letter, word] for letter in "io" for word in ("correct", "wrong")) == 12
    sampled = rollouts(run)
    hard = sampled.filter(pl.col("question_id").replace_strict(questions).is_in(["e", "a"]))
    assert set(hard["judgement"]) <= {"unjudged"} and hard["reward"].null_count() == hard.height
    found = json.loads((run.report / "results.json").read_text())
    assert [s["unjudged"] for s in found["scores"] if s["arm"] == "several"], found["scores"]


def rollouts(run: Layout) -> pl.DataFrame:
    folder = run.root / layout.rl("several", 0) / "rollouts"
    return pl.concat([pl.read_parquet(file) for file in folder.glob("*.parquet")])
