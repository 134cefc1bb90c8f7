"""Question files as people really have them: what each must give (`shared/data/awkward/expected.jsonl`), and how an error helps."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from midway.questions import QuestionError, read
from midway.recipe import SourceConfig

NESTED = {"question": "prompt.0.content", "answer": "reward_model.ground_truth"}
OPTIONS = {"choices": "choices.text", "answer_index": "answerKey"}
COLUMNS = {"nested.jsonl": NESTED, "verl.parquet": NESTED, "choice_hf.jsonl": OPTIONS, "choice_struct.parquet": OPTIONS}
MUST_SAY = {
    "trailcomma.jsonl": "comma at the end",
    "array.jsonl": "name it array.json",
    "array1.jsonl": "name it array1.json",
    "pretty.jsonl": "one object a line",
    "inf.jsonl": "not finite",
    "semicolon.csv": "separated by `;`",
    "tab.csv": "separated by a tab",
    "dupcol.csv": "'answer' is there twice",
    "gznamed.jsonl": "name it gznamed.jsonl.gz",
    "utf16.jsonl": "save it as UTF-8",
    "latin1.jsonl": "save it as UTF-8",
    "dir.jsonl": "it is a folder",
    "somedir": "it is a folder; name a file in it: a.jsonl",
    "choice_num.jsonl": "ambiguous",
    "choice_numint.jsonl": "ambiguous",
    "na.csv": "'NA'",
    "choice_npstr.jsonl": "NumPy",
    "choice_null.jsonl": "option 2 is null",
    "choice_emptyopt.jsonl": "option 3 is empty",
    "code_broken.jsonl": "does not compile",
}
"""What the message must say, so that a reader knows what to do next."""
ANSWERS = {
    "decimal.parquet": ["4.5", "0.1"],
    "date.parquet": ["2024-03-01"],
    "f32.parquet": ["4.5"],
    "f32b.parquet": ["0.1"],
    "binary.parquet": ["4"],
    "ints.jsonl": ["4", "4", "1000", "12345678901234567890", "0.1", "0.0000001", "-0", "0.3"],
}


def domain(name: str) -> str:
    return "choice" if name.startswith("choice") else "code" if name.startswith("code") else "math"


def outcome(path: Path) -> tuple[str, Any]:
    try:
        loaded = read(SourceConfig(source=str(path), domain=domain(path.name), columns=COLUMNS.get(path.name, {})))
    except QuestionError as error:
        return "error", str(error)
    return "note" if loaded.notes else "load", loaded


def test_every_awkward_file_gives_what_it_must(shared_data: Path) -> None:
    folder = shared_data / "awkward"
    rows = [json.loads(line) for line in (folder / "expected.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) > 80
    for row in rows:
        name, right = row["file"], row["right"]
        found, what = outcome(folder / name)
        allowed = {kind for kind in ("error", "note") if kind in right} | (
            {"load"} if not right.startswith(("error", "note")) else set()
        )
        allowed |= {"load"} if "or load" in right or "or drop" in right else set()
        assert found in allowed, (name, right, what)
        if count := re.match(r"load (\d+)$", right):
            assert len(what.questions) == int(count[1]), name
        if name in MUST_SAY:
            assert found == "error" and MUST_SAY[name] in what, (name, what)
        if name in ANSWERS:
            assert [q.answer for q in what.questions] == ANSWERS[name]
    doubled = outcome(folder / "choice_dup.jsonl")[1]
    assert "same option twice" in doubled.notes[0]


def test_lists_of_tests_and_letters_in_front(tmp_path: Path) -> None:
    """As `awkward/mbpp.csv` and `awkward/aq.jsonl` have them: a CSV file's list is text, options carry their letters."""
    listed = tmp_path / "mbpp.csv"
    listed.write_text('question,test_list\nAdd,"[""assert add(1,2)==3"", ""assert add(0,0)==0""]"\n')
    (question,) = read(SourceConfig(source=str(listed), domain="code")).questions
    assert question.tests is not None and question.tests.test_list == ("assert add(1,2)==3", "assert add(0,0)==0")
    lettered = tmp_path / "aq.jsonl"
    lettered.write_text('{"question": "Speed?", "choices": ["A)50", "B)60", "C)70"], "answer": "B"}\n')
    (question,) = read(SourceConfig(source=str(lettered), domain="choice")).questions
    assert (question.choices, question.answer_index) == (("50", "60", "70"), 1)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"test_list": ["add(1,2)==3"]}, "assert nothing"),
        ({"test_list": ["# assert add(1,2)==3"]}, "assert nothing"),
        ({"test_list": ["assert (add(1,2)==3, 'message')"]}, "assert nothing"),
        ({"test_list": ["assert add(1,2)=3"]}, "does not compile"),
        ({"test": "def check(candidate):\n    pass\n", "entry_point": "add"}, "`check` asserts nothing"),
        ({"tests": [{"input": "1", "output": None}]}, "null"),
    ],
)
def test_tests_that_cannot_fail_are_refused(tmp_path: Path, row: dict[str, Any], says: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"question": "Add.", **row}) + "\n")
    with pytest.raises(QuestionError, match=re.escape(says)):
        read(SourceConfig(source=str(path), domain="code"))
