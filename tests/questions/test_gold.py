"""How golds are cut out of what publishers wrote."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midway.questions.base import NoGold, RowError
from midway.questions.gold import (
    after_hashes,
    in_words,
    last_boxed,
    number_text,
    option_index,
    option_list,
    without_dollars,
    without_unit,
)


def rows_of(path: Path) -> list[dict[str, Any]]:
    data = path.read_bytes()
    return [json.loads(line) for line in (gzip.decompress(data) if path.suffix == ".gz" else data).splitlines()]


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("so 3*4=12\n#### 12", "12"),
        ("#### 1,234,567", "1234567"),
        ("a #### 1\nb\n####  -7.5 ", "-7.5"),
        ("#### $40", "40"),
        ("#### 3, 4", "3, 4"),
    ],
)
def test_after_hashes(text: str, gold: str) -> None:
    assert after_hashes(text) == gold


@pytest.mark.parametrize("text", ["", "no mark 12", "#### ", "12 ####"])
def test_after_hashes_refuses_a_text_without_an_answer(text: str) -> None:
    with pytest.raises(RowError, match="no answer"):
        after_hashes(text)


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        (r"first \boxed{1}, then \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"\boxed{x \in \{1, 2\}}", r"x \in \{1, 2\}"),
        (r"\boxed{\left\{ 1 \right\}} is it", r"\left\{ 1 \right\}"),
        (r"$\boxed 7$", "7"),
        (r"\fbox{ B }", "B"),
        (r"\boxed{a\\{b}}", r"a\\{b}"),
    ],
)
def test_last_boxed(text: str, gold: str) -> None:
    assert last_boxed(text) == gold


def test_last_boxed_refuses_what_is_no_box() -> None:
    for text in ("none", r"\boxed{1", r"\boxed"):
        with pytest.raises(RowError, match="no answer"):
            last_boxed(text)
    with pytest.raises(NoGold):
        last_boxed(r"so it is \boxed{}")


@given(st.text(st.characters(blacklist_characters="\\{}"), min_size=1).filter(str.strip), st.text())
@settings(max_examples=200, deadline=None)
def test_last_boxed_takes_out_what_was_put_in(inside: str, before: str) -> None:
    assert last_boxed(before + "\\boxed{" + inside + "}") == inside.strip()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (145.0, "145"),
        ("145.0", "145"),
        (7, "7"),
        ("1,234.50", "1234.5"),
        (1e16, "10000000000000000"),
        (-9867630.0, "-9867630"),
        ("0.0", "0"),
        ("1e3", "1000"),
        (2.5e-7, "0.00000025"),
        ("3/4", "3/4"),
        ("Mrs. Hilt", "Mrs. Hilt"),
        ("1,2", "1,2"),
        (".", "."),
        ("-", "-"),
        (" 5 ", "5"),
    ],
)
def test_number_text(value: object, text: str) -> None:
    assert number_text(value) == text


@given(st.integers(-(10**30), 10**30))
def test_number_text_keeps_whole_numbers(value: int) -> None:
    assert number_text(value) == str(value)
    assert number_text(f"{value}.00") == str(value)
    assert number_text(f"{value:,}") == str(value)


def test_in_words() -> None:
    assert (
        in_words("He has 300*4=<<300*4=1200>>1200.\n#### 1,200\n")
        == "He has 300*4=1200.\nThe answer is $\\boxed{1200}$."
    )
    assert in_words("#### 12") == "The answer is $\\boxed{12}$."
    for text in ("plain text\n", "the set <<a>> of #### things\nend", "no answer\n####\n"):
        assert in_words(text) == text


def test_without_dollars_and_unit() -> None:
    assert [without_dollars(t) for t in ("$x$", " $x$ ", "$1$,$2$", "x", "$")] == ["x", "x", "$1$,$2$", "x", "$"]
    assert [without_unit(t) for t in ("9 (apples)", "9", "5:45", "(9)")] == ["9", "9", "5:45", "(9)"]


def test_options() -> None:
    choices = option_list("['Ann', \"Ben's\", 'Cy']")
    assert choices == ("Ann", "Ben's", "Cy")
    assert [option_index(v, choices) for v in (0, "2", "B", "(c)", "Ann")] == [0, 2, 1, 2, 0]
    for bad in (3, -1, "D", "Dora", True, None, 1.5):
        with pytest.raises(RowError, match="answer"):
            option_index(bad, choices)
    for worse in ("not a list", "['one']", 5, ["a"]):
        with pytest.raises(RowError, match="choices"):
            option_list(worse)


def test_golds_of_published_files(shared_data: Path) -> None:
    """Our rules against the answers that others cut out of the same 17,997 published texts."""
    for split in ("train.jsonl.gz", "test.jsonl"):
        for row in rows_of(shared_data / "gsm8k" / split):
            assert after_hashes(row["solution"]) == row["answer"], row["id"]
    empty = []
    for split in ("train.jsonl.gz", "test.jsonl.gz"):
        for row in rows_of(shared_data / "math" / split):
            try:
                assert last_boxed(row["solution"]) == row["answer"], row["id"]
            except NoGold:
                empty.append(row["id"])
    assert empty == ["math-train-number_theory-7115", "math-train-number_theory-7117"]
    for row in rows_of(shared_data / "asdiv" / "all.jsonl"):
        assert without_unit(row["meta"]["answer_raw"]) == row["answer"], row["id"]
