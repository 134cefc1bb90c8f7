"""The gold check reports what does not verify, with its id, and nothing else."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from midway.domains import Verifier, check_gold
from midway.records import CodeTests, Question


def rows(path: Path) -> list[dict[str, Any]]:
    data = path.read_bytes()
    return [json.loads(line) for line in (gzip.decompress(data) if path.suffix == ".gz" else data).splitlines()]


def test_reports_exactly_what_is_wrong() -> None:
    add = CodeTests(entry_point="add", test="def check(f):\n    assert f(1, 2) == 3\n")
    good = [
        Question("math", "a", answer="18", solution="9 * 2 = 18\n#### 18"),
        Question("math", "b", answer="\\text{Even}"),
        Question("choice", "c", choices=("x", "y"), answer_index=1),
        Question("code", "d", tests=add, solution="def add(a, b):\n    return a + b\n"),
    ]
    bad = {
        "empty": Question("math", "e", answer="", name="empty"),
        "other": Question("math", "f", answer="18", solution="#### 19", name="other"),
        "index": Question("choice", "g", choices=("x", "y"), answer_index=2, name="index"),
        "broken": Question("code", "h", tests=add, solution="def add(a, b):\n    return a - b\n", name="broken"),
        "none": Question("code", "i", tests=add, name="none"),
    }
    with Verifier(1) as verifier:
        problems = list(check_gold([*good, *bad.values()], verifier))
    assert [(p.name, p.check) for p in problems] == [
        ("empty", "answer"),
        ("other", "solution"),
        ("index", "answer"),
        ("broken", "solution"),
        ("none", "solution"),
    ]
    assert [p.question_id for p in problems] == [q.id for q in bad.values()]
    assert problems[1].reason == "wrong: wrong-answer:hashes"
    assert problems[-1].reason.endswith("no reference program")


def test_published_golds(shared_data: Path) -> None:
    """All golds of GSM8K and MATH verify against themselves; of their solutions only those with more than one answer do not."""
    with Verifier(2) as verifier:
        for name, most in (
            ("gsm8k/test.jsonl", 0),
            ("gsm8k/train.jsonl.gz", 0),
            ("math/test.jsonl.gz", 7),
            ("math/train.jsonl.gz", 13),
        ):
            questions = [
                Question("math", r["question"], answer=r["answer"], solution=r["solution"], name=r["id"])
                for r in rows(shared_data / name)
            ]
            problems = list(check_gold(questions, verifier))
            assert [p.name for p in problems if p.check == "answer"] == []
            assert len(problems) <= most
