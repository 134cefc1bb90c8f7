"""The domain `python`: a function in a file of the user's own judges; one that hangs, crashes or raises is unjudged, never wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from midway.domains import Verifier, question_of, verify
from midway.questions import QuestionError, load
from midway.recipe import SourceConfig
from midway.records import Question

JUDGE = """
import os, time

def judge(question, completion):
    row = question.gold["row"]
    if completion == "hang":
        while True: pass
    if completion == "sleep":
        time.sleep(3600)
    if completion == "crash":
        os.kill(os.getpid(), 11)
    if completion == "raise":
        raise RuntimeError("no")
    if completion == "unsure":
        return None
    if completion == "number":
        return 0.5
    return completion == row["want"] and question.text == "Echo"
"""


@pytest.fixture
def question(tmp_path: Path) -> Question:
    (tmp_path / "my_judge.py").write_text(JUDGE)
    (tmp_path / "q.jsonl").write_text(json.dumps({"question": "Echo", "want": "hello", "extra": [1, 2]}) + "\n")
    options = {"judge": f"{tmp_path / 'my_judge.py'}:judge"}
    (found,) = load(SourceConfig(source=str(tmp_path / "q.jsonl"), domain="python", options=options))
    return found


def test_its_verdict_counts_and_what_goes_wrong_is_unjudged(question: Question) -> None:
    texts = ["hello", "other", "hang", "crash", "raise", "unsure", "number", "hello"]
    with Verifier(1, cpu_seconds=0.5) as verifier:
        found = list(verifier.verify_batch((question, text) for text in texts))
    assert [(v.judgement, v.reason.split(":")[0]) for v in found] == [
        ("correct", "judge"),
        ("wrong", "judge"),
        ("unjudged", "deadline"),
        ("unjudged", "verifier-crash"),
        ("unjudged", "verifier-error"),
        ("unjudged", "judge"),
        ("unjudged", "verifier-error"),
        ("correct", "judge"),
    ]
    assert "RuntimeError: no" in found[4].reason and "returned 0.5" in found[6].reason


def test_another_judge_is_another_question(question: Question, tmp_path: Path) -> None:
    path = tmp_path / "my_judge.py"
    path.write_text(JUDGE + "\n# changed\n")
    assert verify(question, "hello").reason.startswith("judge-changed")
    options = {"judge": f"{path}:judge"}
    (again,) = load(SourceConfig(source=str(tmp_path / "q.jsonl"), domain="python", options=options))
    assert again.id != question.id
    moved = replace(question, meta={"judge": "/somewhere/else.py:judge"}, id="")
    assert moved.id == question.id, "where the file lies is not part of the question"
    path.unlink()
    assert verify(question, "hello").judgement == "unjudged"


@pytest.mark.parametrize("judge", ["", "nothing.py:judge", "my_judge:judge"])
def test_a_judge_that_is_not_there(judge: str, tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"question": "Echo"}\n')
    with pytest.raises(QuestionError, match=r"options\.judge"):
        load(SourceConfig(source=str(tmp_path / "q.jsonl"), domain="python", options={"judge": judge} if judge else {}))


def test_rows_of_named_columns(tmp_path: Path) -> None:
    (tmp_path / "my_judge.py").write_text(JUDGE)
    row = {"domain": "python", "question": "Echo", "want": "x", "judge": f"{tmp_path / 'my_judge.py'}:judge"}
    assert verify(question_of(row), "x").correct
    with pytest.raises(ValueError, match="judge"):
        question_of({"domain": "python", "question": "Echo"})
