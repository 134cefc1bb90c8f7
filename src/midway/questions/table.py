"""Questions as a table (the run directory's QUESTIONS) and back.

Promises: `from_frame(to_frame(questions)) == questions`, order kept, for everything JSON can say; one pass, no deep copies, so that
100,000 questions take about a second. When things go wrong: QuestionError naming the row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import polars as pl

from midway.questions.base import QuestionError
from midway.records import CodeTests, Question
from midway.rundir import QUESTIONS

_TESTS = ("prompt", "entry_point", "test", "test_list", "setup", "io", "inputs", "reference", "atol")


def to_record(question: Question) -> dict[str, Any]:
    """Return the whole question as a JSON-serialisable mapping; what is empty is left out."""
    record: dict[str, Any] = {"id": question.id, "domain": question.domain, "text": question.text}
    for name in ("answer", "choices", "answer_index", "gold", "solution", "source", "name", "meta"):
        value = getattr(question, name)
        if value is not None and value != "" and value != () and value != {}:
            record[name] = value
    if question.tests is not None:
        record["tests"] = {n: v for n in _TESTS if (v := getattr(question.tests, n)) not in ("", (), 0.0)}
    return record


def of_record(record: dict[str, Any]) -> Question:
    """Return the question of `to_record`. Raises TypeError or KeyError for what is none."""
    tests = record.get("tests")
    if tests is not None:
        tests = dict(tests)
        for name in ("test_list", "inputs"):
            if name in tests:
                tests[name] = tuple(tests[name])
        if "io" in tests:
            tests["io"] = tuple((given, wanted) for given, wanted in tests["io"])
        tests = CodeTests(**tests)
    return Question(**{**record, "tests": tests, "choices": tuple(record.get("choices", ()))})


def _json(record: dict[str, Any]) -> str:
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which UTF-8 cannot hold, can be written as \udXXX
        return json.dumps(record, separators=(",", ":"))
    return text


def _utf8(text: str | None) -> str | None:
    return None if text is None else text.encode("utf-8", "replace").decode()


def to_frame(questions: Iterable[Question]) -> pl.DataFrame:
    """Return a table of the schema QUESTIONS, one row for each question, in order."""
    items = list(questions)
    return pl.DataFrame(
        {
            "id": [q.id for q in items],
            "domain": [q.domain for q in items],
            "text": [_utf8(q.text) for q in items],
            "answer": [_utf8(q.answer) for q in items],
            "name": [_utf8(q.name) for q in items],
            "source": [q.source for q in items],
            "record": [_json(to_record(q)) for q in items],
        },
        schema=dict(QUESTIONS),
    )


def from_frame(frame: pl.DataFrame) -> list[Question]:
    """Return the questions of a table made by `to_frame`. Raises QuestionError for a damaged row."""
    questions = []
    for number, record in enumerate(frame["record"]):
        try:
            questions.append(of_record(json.loads(record)))
        except (ValueError, TypeError, KeyError) as error:
            raise QuestionError(f"row {number + 1} of the table of questions is damaged: {error}") from error
    return questions
