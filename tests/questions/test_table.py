"""Questions as a table and back."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midway.questions import QuestionError, from_frame, load, to_frame
from midway.recipe import SourceConfig
from midway.records import CodeTests, Question
from midway.rundir import QUESTIONS, read_table, write_table

texts = st.text(max_size=20)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)
tests = st.builds(
    CodeTests,
    prompt=texts,
    entry_point=texts,
    test=texts,
    test_list=st.lists(texts, max_size=3).map(tuple),
    setup=texts,
    io=st.lists(st.tuples(texts, texts), max_size=3).map(tuple),
    inputs=st.lists(st.lists(values, max_size=2), max_size=3).map(tuple),
    reference=texts,
    atol=st.floats(0, 1),
)
questions = st.builds(
    Question,
    domain=st.sampled_from(["math", "code", "choice"]),
    text=texts,
    answer=st.none() | texts,
    choices=st.lists(texts, max_size=4).map(tuple),
    answer_index=st.none() | st.integers(0, 3),
    tests=st.none() | tests,
    solution=st.none() | texts,
    source=texts,
    name=texts,
    meta=st.dictionaries(texts, values, max_size=3),
)


@given(st.lists(questions, max_size=4))
@settings(max_examples=150, deadline=None)
def test_round_trip(items: list[Question]) -> None:
    # an empty answer or solution says as much as none, and none is how it comes back
    wanted = [q for q in items if q.answer != "" and q.solution != ""]
    back = from_frame(to_frame(wanted))
    assert back == wanted
    assert [q.id for q in back] == [q.id for q in wanted]


def test_schema_and_disk(tmp_path: Path) -> None:
    odd = Question(domain="math", text="a lone surrogate \ud800 and \x00", answer="\ud83d", meta={"k": "\udfff"})
    plain = Question(domain="math", text="wie groß?", answer="3", source="x", name="x-1")
    frame = to_frame([odd, plain])
    assert dict(frame.schema) == dict(QUESTIONS)
    write_table(tmp_path / "questions" / "a.parquet", frame)
    assert from_frame(read_table(tmp_path / "questions", QUESTIONS)) == [odd, plain]
    assert from_frame(to_frame([])) == []
    record = json.loads(frame["record"][1])
    assert record == {
        "id": plain.id,
        "domain": "math",
        "text": "wie groß?",
        "answer": "3",
        "source": "x",
        "name": "x-1",
    }


def test_a_damaged_row_is_named() -> None:
    frame = to_frame([Question(domain="math", text="a", answer="1"), Question(domain="math", text="b", answer="2")])
    with pytest.raises(QuestionError, match="row 2 of the table of questions is damaged"):
        from_frame(frame.with_columns(record=pl.when(pl.col("text") == "b").then(pl.lit("{")).otherwise("record")))


def test_everything_in_the_folder_survives(shared_data: Path) -> None:
    for name in ("math500", "mbpp_plus", "olympiadbench"):
        items = load(SourceConfig(source=name, split="test"), data=str(shared_data))
        assert from_frame(to_frame(items)) == items, name
