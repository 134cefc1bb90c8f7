"""The source `words`: the same questions everywhere, right answers, no test question in the training set."""

from __future__ import annotations

import re

import pytest

from midway.domains import check_gold
from midway.questions import QuestionError, load
from midway.questions.words import KINDS
from midway.recipe import SourceConfig

WORK = {
    "plus": lambda a, b: a + b, "minus": lambda a, b: a - b, "times": lambda a, b: a * b,
    "share": lambda a, b: a / b, "plus-minus": lambda a, b, c: a + b - c,
}  # fmt: skip


def drawn(split: str = "train", limit: int = 300, seed: int = 0, **options: object) -> list:
    return load(SourceConfig(source="words", split=split, limit=limit, seed=seed, options=options))


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_right(kind: str, bare: bool) -> None:
    for question in drawn(limit=30, kinds=[kind], largest=12, bare=bare):
        numbers = [int(n) for n in re.findall(r"\d+", question.text)]
        order = numbers if "bags with" not in question.text and "rows of" not in question.text else numbers[::-1]
        assert float(question.answer) == WORK[kind](*order) >= 0, question


def test_splits_share_no_problem_whatever_the_seed() -> None:
    train = {q.text for seed in range(3) for q in drawn(limit=700, seed=seed)}
    test = {q.text for seed in range(3) for q in drawn("test", limit=300, seed=seed)}
    assert not train & test and len(test) > 300


def test_the_same_seed_gives_the_same_questions_and_another_one_others() -> None:
    assert drawn() == drawn() != drawn(seed=1)
    assert drawn(limit=1)[0].id == "1836eaae19943c4931e0cc862ba6da89"
    assert not list(check_gold(drawn(limit=40)))


def test_what_cannot_be_asked_for() -> None:
    with pytest.raises(QuestionError, match="there is no split 'dev'"):
        drawn("dev")
    with pytest.raises(QuestionError, match=r"split test has \d+ with these options"):
        drawn("test", limit=5000)
    with pytest.raises(ValueError, match="kinds"):
        drawn(kinds=["plus", "root"])
