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


def judged(done: CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


NO_TESTS = "no tests: the columns need `test` and `entry_point`, `test_list`, `base_input`, or `tests`"
IO = [{"input": "1", "output": "2"}]
ODD: list[tuple[Any, str]] = [
    ({"answer": "5"}, "no column 'completion'"),
    ({"answer": "5", "completion": None}, "completion must be text, not null"),
    ({"answer": "5", "completion": {"a": 1}}, "completion must be text, not dict"),
    ({"answer": "5", "completion": True}, "completion must be text, not bool"),
    ({"answer": ["5"], "completion": "5"}, "answer must be text or a number, not list"),
    ({"answer": "5", "completion": "5", "tolerance": "much"}, "could not convert string to float: 'much'"),
    ({"domain": "poetry", "completion": "5"}, "domain must be math, code, choice, text, python or gym, not 'poetry'"),
    ({"domain": None, "completion": "5"}, "domain must be math, code, choice, text, python or gym, not None"),
    ({"domain": ["math"], "completion": "5"}, "domain must be math, code, choice, text, python or gym, not ['math']"),
    (
        {"domain": "choice", "completion": "A", "choices": "AB", "answer_index": 0},
        "choices must be a list that is not empty",
    ),
    (
        {"domain": "choice", "completion": "A", "choices": ["x"], "answer_index": 0.5},
        "answer_index must be a whole number, not 0.5",
    ),
    ({"domain": "choice", "completion": "A", "choices": ["x"]}, "no column 'answer_index'"),
    (
        {"domain": "code", "completion": "x = 1"},
        NO_TESTS,
    ),
    ({"domain": "code", "completion": "x = 1", "test": "def check(f):\n    pass"}, "no column 'entry_point'"),
    ({"domain": "code", "completion": "x = 1", "test_list": [3]}, "test_list must hold statements as text"),
    ({"domain": "code", "completion": "x = 1", "tests": {"input": "1"}}, "tests must be a list of {input, output}"),
    ({"domain": "code", "completion": "x = 1", "tests": [{"input": "1"}]}, "no column 'output'"),
    (
        {"domain": "code", "completion": "x = 1", "tests": IO, "time_limit": -1},
        "time_limit must be a positive number, not -1",
    ),
]


def test_odd_rows_are_named_and_the_others_judged(midway: Midway, tmp_path: Path) -> None:
    good = {"id": "good", "domain": "math", "answer": "5", "completion": "5"}
    rows = [{"id": k, "domain": "math", **row} for k, (row, _) in enumerate(ODD)]
    done = midway("verify", write(tmp_path / "rows.jsonl", [good, *rows, good]), check=False)
    assert done.returncode == 2
    out = judged(done)
    assert [r["id"] for r in out] == ["good", *range(len(ODD)), "good"]
    assert [r["reason"] for r in out[1:-1]] == [f"bad-row: line {k}: {why}" for k, (_, why) in enumerate(ODD, 2)]
    assert {r["verdict"] for r in out[1:-1]} == {"unjudged"}
    assert out[0]["verdict"] == out[-1]["verdict"] == "correct"
    assert "Traceback" not in done.stderr


def test_odd_rows_that_can_be_judged(midway: Midway, tmp_path: Path) -> None:
    talk = [{"role": "user", "content": "6?"}, {"role": "assistant", "content": "The answer is 5."}]
    rows = [
        {"domain": "math", "answer": 5, "completion": 5},
        {"id": None, "domain": "math", "answer": 0.5, "completion": "1/2"},
        {"id": [1], "domain": "math", "answer": "5", "completion": talk},
        {"id": "null gold", "domain": "math", "answer": None, "completion": "5"},
        {"id": "é \ud800", "domain": "math", "answer": "5", "completion": "\ud800 \x00 \u2028 답은 5 \\boxed{\ud800}"},
        {"id": "empty", "domain": "math", "answer": "5", "completion": ""},
        {"id": "huge", "domain": "math", "answer": "5", "completion": "the cat " * 200_000 + "The answer is 5."},
        {"id": "index", "domain": "choice", "choices": ["x", "y"], "answer_index": "1", "completion": "B"},
        {"id": "outside", "domain": "choice", "choices": ["x", "y"], "answer_index": 7, "completion": "B"},
        {"id": "numbers", "domain": "choice", "choices": [10, 20], "answer_index": 1, "completion": "Answer: 20"},
        {"id": "one", "domain": "code", "test_list": "assert f(1) == 1", "completion": "def f(x): return x"},
        {"id": "null", "domain": "code", "tests": [{"input": "", "output": "\x00é"}], "completion": "print('\\0é')"},
    ]
    file = write(tmp_path / "rows.jsonl", rows)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n\r\n  \n"))
    done = midway("verify", file)
    out = judged(done)
    assert [r["id"] for r in out] == [r.get("id") for r in rows]
    expected = "correct correct correct unjudged wrong wrong correct correct unjudged correct correct correct"
    assert [r["verdict"] for r in out] == expected.split()


def test_empty_file_and_bytes_that_are_no_text(midway: Midway, tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_bytes(b"")
    done = midway("verify", empty)
    assert (done.stdout, done.stderr.split(";")[0]) == ("", "0 rows: 0 correct, 0 wrong, 0 unjudged")
    broken = write(tmp_path / "rows.jsonl", ROWS[:1])
    broken.write_bytes(b'{"id": "\xff"}\n' + b"[" * 100_000 + b"\n" + broken.read_bytes())
    done = midway("verify", broken, check=False)
    assert done.returncode == 2
    assert [r["verdict"] for r in judged(done)] == ["unjudged", "unjudged", "correct"]
    assert "Traceback" not in done.stderr


def test_files_that_cannot_be_used(midway: Midway, tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", ROWS[:1])
    for arguments, said in (
        ((file, "--out", file), "is the file that is read"),
        ((file, "--out", tmp_path / "nowhere" / "x.jsonl"), "No such file"),
        ((tmp_path,), "there is no file"),
    ):
        done = midway("verify", *arguments, check=False)
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    assert json.loads(file.read_text()) == ROWS[0]
    packed = write(tmp_path / "rows.jsonl.gz", ROWS[:2])
    packed.write_bytes(packed.read_bytes()[:-20])
    done = midway("verify", packed, check=False)
    assert done.returncode == 2
    assert "cannot be read to its end" in done.stderr


def test_cases_one_by_one(midway: Midway, tmp_path: Path) -> None:
    tests = [{"input": f"{k}\n", "output": f"{k * k}\n"} for k in range(4)]
    program = "x = int(input())\nprint(x * x if x < 3 else 1 / 0)"
    row = {"id": "s", "domain": "code", "tests": tests, "completion": program}
    call = {"id": "f", "domain": "code", "fn_name": "f", "tests": [{"input": "1", "output": "1"}], "completion": "no"}
    file = write(tmp_path / "rows.jsonl", [row, ROWS[0], call])
    plain, full = judged(midway("verify", file)), judged(midway("verify", file, "--cases"))
    failed = "runtime-error: ZeroDivisionError: division by zero"
    assert plain[0] == {"id": "s", "verdict": "wrong", "extracted": program, "reason": f"{failed} (case 4 of 4)"}
    assert full[0] == {**plain[0], "score": 0.75, "cases": ["passed", "passed", "passed", failed]}
    assert full[1] == plain[1]
    assert full[2] == {**plain[2], "score": 0.0, "cases": ["runtime-error: NameError: name 'no' is not defined"]}


def test_no_such_file(midway: Midway, tmp_path: Path) -> None:
    done = midway("verify", tmp_path / "nothing.jsonl", check=False)
    assert done.returncode == 2
    assert "there is no file" in done.stderr


def test_explain_prints_how_a_text_was_read(midway: Midway, tmp_path: Path) -> None:
    rows = [
        {"id": "m", "domain": "math", "answer": "12", "completion": "The answer is 12, since $k$ must divide $24$."},
        {"id": "c", "domain": "choice", "choices": ["-3", "3"], "answer_index": 0, "completion": "The answer is 3."},
        {"id": "bad", "domain": "math"},
    ]
    path, out = tmp_path / "rows.jsonl", tmp_path / "verdicts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = midway("verify", path, "--explain", "--out", out, check=False)
    assert done.returncode == 2  # the last row
    for words in (
        "line 1 (m): correct, statement:exact",
        "taken: statement",
        "'12' is read as '12'; the gold as '12'",
        "rests on the rule stated-value",
        "option A: '-3' (the gold)",
        "taken: option B by its text",
        "line 3 (bad): unjudged, bad-row",
    ):
        assert words in done.stdout
    assert [json.loads(line)["verdict"] for line in out.read_text().splitlines()] == ["correct", "wrong", "unjudged"]
    assert "{" not in midway("verify", path, "--explain", check=False).stdout.split("\n")[0]
