"""The gold check reports what does not verify, with its id, and nothing else."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from midway.domains import Verifier, check_gold, check_weak
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


CATCHES = "def check(c):\n    try:\n        assert c(1) == 2\n    except Exception:\n        pass\n"


def test_tests_that_let_a_program_pass_that_does_nothing() -> None:
    questions = [
        Question("code", "a", tests=CodeTests(test_list=("assert f(1) is None",)), name="nothing"),
        Question("code", "b", tests=CodeTests(test_list=("assert f(2) == 4",)), name="sound"),
        Question("code", "c", tests=CodeTests(io=(("1", ""),)), name="prints nothing"),
        Question(
            "code",
            "d",
            tests=CodeTests(entry_point="g", test=CATCHES),
            name="catches",
        ),
        Question("math", "e", answer="4"),
    ]
    with Verifier(1) as verifier:
        found = [(p.name, p.reason) for p in check_weak(questions, verifier)]
    assert found == [
        ("nothing", "a program that returns nothing passes"),
        ("prints nothing", "a program that prints nothing passes"),
        ("catches", "a program that returns nothing passes"),
        ("catches", "a program that raises passes"),
    ]


def test_a_program_without_a_reference_is_not_checked() -> None:
    question = Question("code", "b", tests=CodeTests(test_list=("assert f(2) == 4",)))
    (problem,) = check_gold([question])
    assert (problem.checked, problem.reason) == (False, "unjudged: no reference program")
    (problem,) = check_gold([Question("math", "x", answer="")])
    assert problem.checked
