"""`midway verify` as a user runs it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

Midway = Callable[..., "CompletedProcess[str]"]
ROWS: list[dict[str, Any]] = [
    {"id": "m1", "domain": "math", "answer": "18", "completion": "A: 18"},
    {"id": "m2", "domain": "math", "answer": 18, "completion": "A: 17"},
    {"id": "m3", "domain": "math", "answer": "6", "completion": "\\boxed{\\sum_{n=1}^{3} n}"},
    {"id": "m4", "domain": "math", "answer": "18", "completion": "first we", "finish_reason": "length"},
    {"id": "m5", "domain": "math", "answer": "", "completion": "18"},
    {"id": "c1", "domain": "choice", "choices": ["Mack", "Ana"], "answer_index": 1, "completion": "Answer: B"},
    {
        "id": "h1",
        "domain": "code",
        "prompt": "def f():\n",
        "entry_point": "f",
        "completion": "    return 1",
        "test": "def check(candidate):\n    assert candidate() == 1",
    },
    {
        "id": "b1",
        "domain": "code",
        "test_list": ["assert f(2) == 4"],
        "test_setup_code": "",
        "completion": "```python\ndef f(x):\n    return x + x\n```",
    },
    {
        "id": "b2",
        "domain": "code",
        "test_list": ["assert f(2) == 4"],
        "completion": "```python\ndef f(x):\n    return x\n```",
    },
    {
        "id": "s1",
        "domain": "code",
        "tests": [{"input": "3\n", "output": "9\n"}],
        "completion": "print(int(input()) ** 2)",
    },
]
EXPECTED = [
    ("m1", "correct", "18"),
    ("m2", "wrong", "17"),
    ("m3", "correct", "\\sum_{n=1}^{3} n"),
    ("m4", "wrong", None),
    ("m5", "unjudged", None),
    ("c1", "correct", "Ana"),
    ("h1", "correct", "def f():\n    return 1"),
    ("b1", "correct", "def f(x):\n    return x + x\n"),
    ("b2", "wrong", "def f(x):\n    return x\n"),
    ("s1", "correct", "print(int(input()) ** 2)"),
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def test_all_domains_in_input_order(midway: Midway, tmp_path: Path) -> None:
    done = midway("verify", write(tmp_path / "rows.jsonl.gz", ROWS))
    out = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(r["id"], r["verdict"], r["extracted"]) for r in out] == EXPECTED
    assert [list(r) for r in out] == [["id", "verdict", "extracted", "reason"]] * len(ROWS)
    assert out[3]["reason"] == "truncated"
    assert done.stderr.splitlines()[0].startswith("10 rows: 6 correct, 3 wrong, 1 unjudged;")


def test_out_file(midway: Midway, tmp_path: Path) -> None:
    done = midway("verify", write(tmp_path / "rows.jsonl", ROWS[:2]), "--out", tmp_path / "out.jsonl", "--workers", "1")
    assert done.stdout == ""
    assert [json.loads(line)["verdict"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == [
        "correct",
        "wrong",
    ]


def test_rows_that_cannot_be_read(midway: Midway, tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", [*ROWS[:1], {"id": "x", "domain": "math", "completion": "5"}, *ROWS[1:2]])
    file.write_text(file.read_text() + "{broken\n[1]\n")
    done = midway("verify", file, check=False)
    assert done.returncode == 2
    out = [json.loads(line) for line in done.stdout.splitlines()]
    assert [r["verdict"] for r in out] == ["correct", "unjudged", "wrong", "unjudged", "unjudged"]
    assert out[1]["reason"] == "bad-row: line 2: no column 'answer'"
    assert "3 rows of" in done.stderr
    assert "first line 2" in done.stderr


def test_no_such_file(midway: Midway, tmp_path: Path) -> None:
    done = midway("verify", tmp_path / "nothing.jsonl", check=False)
    assert done.returncode == 2
    assert "there is no file" in done.stderr
