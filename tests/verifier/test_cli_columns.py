"""`midway verify` on outputs of one's own: columns by other names, standard input, golds in another file, verdicts joined to the rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


def verify(*args: str | Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "midway", "verify", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, input=stdin)


ROWS = [{"output": "The answer is 5.", "gold": "5", "who": "a"}, {"output": "It is 6.", "gold": "5", "who": "b"}]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


def test_other_names_standard_input_and_joined_rows() -> None:
    done = verify("-", "--domain", "math", "--columns", "completion=output,answer=gold", "--join", stdin=LINES)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["who"], row["verdict"], row["gold"]) for row in found] == [("a", "correct", "5"), ("b", "wrong", "5")]


def test_golds_from_another_file(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"id": "q1", "question": "2+3?", "answer": "5"}\n')
    rows = [
        {"question_id": "q1", "completion": "5"},
        {"question": "2+3?", "completion": "7"},
        {"question_id": "q9", "completion": "5"},
    ]
    (tmp_path / "out.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = verify(tmp_path / "out.jsonl", "--domain", "math", "--questions", tmp_path / "q.jsonl")
    assert [json.loads(line)["verdict"] for line in done.stdout.splitlines()] == ["correct", "wrong", "unjudged"]
    assert done.returncode == 2 and "'q9' is not in the file of questions" in done.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--columns", "completion"], "write NAME=COLUMN"),
        (["--domain", "poetry"], "there is no such domain; there are math"),
        (["--domain", "math", "--columns", "completion=text"], "no column 'text' (for completion)"),
        (["--questions", "nothing.jsonl", "--domain", "math"], "nothing.jsonl"),
    ],
)
def test_what_cannot_be_used(args: list[str], said: str) -> None:
    done = verify("-", *args, stdin=LINES)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
