"""Word problems with small numbers, written by a program: questions that a model of a hundred million weights sometimes solves.

    source: words
    options: {kinds: [plus, minus, times], largest: 12}

Promises: the same split, seed and options give the same questions on every machine. A problem (its story and its numbers) belongs to one
split for ever, so no test question stands in the training set, whatever the seeds. Answers are whole numbers, none negative.

When things go wrong: QuestionError for an unknown kind or split, and where more problems are asked for than there are.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from midway.questions.base import QuestionError
from midway.recipe.schema import SourceConfig
from midway.recipe.section import Section
from midway.records import Question, content_id
from midway.registry import SourcePart
from midway.wording import plural

Kind = Literal["plus", "minus", "times", "share", "plus-minus"]


class WordsOptions(Section):
    kinds: list[Kind] = ["plus", "minus", "times"]
    """What is to be done: plus, minus, times, share (divide without rest), plus-minus (two steps)."""
    largest: int = Field(12, ge=2, le=1000)
    """The largest number in a question (for `share`: of boxes, and of things in one)."""
    bare: bool = False
    """Only the arithmetic (`What is 3 + 4?`), without a story."""


@dataclass(frozen=True)
class _Kind:
    stories: tuple[str, ...]
    bare: str
    numbers: Callable[[int], Iterator[tuple[int, ...]]]
    answer: Callable[..., int]


def _pairs(largest: int) -> Iterator[tuple[int, ...]]:
    return ((a, b) for a in range(2, largest + 1) for b in range(2, largest + 1))


def _falling(largest: int) -> Iterator[tuple[int, ...]]:
    return ((a, b) for a in range(3, largest + 1) for b in range(2, a))


def _shared(largest: int) -> Iterator[tuple[int, ...]]:
    return ((a * b, b) for a in range(2, largest + 1) for b in range(2, largest + 1))


def _three(largest: int) -> Iterator[tuple[int, ...]]:
    return ((a, b, c) for a, b in _pairs(largest) for c in range(2, min(a + b, largest + 1)))


KINDS: dict[str, _Kind] = {
    "plus": _Kind(
        (
            "{who} has {a} {things} and gets {b} more. How many {things} does {who} have now?",
            "There are {a} red {things} and {b} blue {things} on the table. How many {things} are on the table?",
            "{who} found {a} {things} in the morning and {b} in the evening. How many {things} did {who} find in all?",
            "A box holds {a} {things}. {who} puts in {b} more. How many {things} are in the box?",
        ),
        "What is {a} + {b}?",
        _pairs,
        lambda a, b: a + b,
    ),
    "minus": _Kind(
        (
            "{who} has {a} {things} and gives away {b}. How many {things} are left?",
            "There were {a} {things} on the shelf. {who} took {b} of them. How many {things} are still on the shelf?",
            "{who} had {a} {things} and lost {b} of them. How many {things} does {who} have now?",
            "{who} needs {a} {things} and has {b}. How many more {things} does {who} need?",
        ),
        "What is {a} - {b}?",
        _falling,
        lambda a, b: a - b,
    ),
    "times": _Kind(
        (
            "Each box holds {a} {things}. How many {things} are in {b} boxes?",
            "{who} buys {b} bags with {a} {things} in each. How many {things} does {who} have?",
            "There are {b} rows of {a} {things}. How many {things} are there?",
            "{who} makes {a} {things} a day. How many {things} does {who} make in {b} days?",
        ),
        "What is {a} times {b}?",
        _pairs,
        lambda a, b: a * b,
    ),
    "share": _Kind(
        (
            "{who} puts {a} {things} into {b} boxes, the same number in each. How many {things} are in each box?",
            "{a} {things} are shared equally by {b} children. How many {things} does each child get?",
        ),
        "What is {a} divided by {b}?",
        _shared,
        lambda a, b: a // b,
    ),
    "plus-minus": _Kind(
        (
            "{who} has {a} {things}, gets {b} more and gives away {c}. How many {things} are left?",
            "There were {a} {things} in a box. {who} put in {b} and took out {c}. How many {things} are in the box now?",
        ),
        "What is {a} + {b} - {c}?",
        _three,
        lambda a, b, c: a + b - c,
    ),
}
NAMES = ("Ann", "Ben", "Carla", "David", "Emma", "Farid", "Grace", "Hugo", "Ines", "Jonas", "Kim", "Lena")
THINGS = ("apples", "pens", "books", "coins", "stamps", "shells", "cards", "balls", "cups", "stones", "eggs", "keys")
SPLITS = ("train", "test")
TEST_SHARE = 3
"""One problem in so many is a test problem."""


def load(source: SourceConfig, *, data: str | None) -> Iterator[Question]:
    """Yield `source.limit` questions (200 if left out), drawn with `source.seed`."""
    if source.split not in SPLITS:
        raise QuestionError(f"words: there is no split {source.split!r}; it has {', '.join(SPLITS)}")
    options = WordsOptions.model_validate(source.options)
    problems = list(_problems(options.kinds, options.largest, options.bare, source.split))
    count = source.limit or 200
    if count > len(problems):
        raise QuestionError(
            f"words: {plural(count, 'question is', 'questions are')} asked for, "
            f"split {source.split} has {len(problems)} with these options\n"
            "  raise options.largest, add kinds, or lower `limit`"
        )
    for kind, story, numbers in random.Random(content_id("words", source.seed)).sample(problems, count):
        yield _question(kind, story, numbers, source.split)


def _problems(kinds: Sequence[str], largest: int, bare: bool, split: str) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Every problem of a split: kind, story, numbers. Which split one is in depends on the problem alone."""
    for kind in dict.fromkeys(kinds):
        for story in (KINDS[kind].bare,) if bare else KINDS[kind].stories:
            for numbers in KINDS[kind].numbers(largest):
                drawn = int(content_id("words", story, list(numbers))[:8], 16) % TEST_SHARE == 0
                if drawn == (split == "test"):
                    yield kind, story, numbers


def _question(kind: str, story: str, numbers: tuple[int, ...], split: str) -> Question:
    told = random.Random(content_id("words", "story", story, list(numbers)))
    named = dict(zip("abc", numbers, strict=False))
    text = story.format(who=told.choice(NAMES), things=told.choice(THINGS), **named)
    answer = KINDS[kind].answer(*numbers)
    return Question("math", text, answer=str(answer), source=f"words/{split}", meta={"kind": kind})


SOURCE = SourcePart(
    name="words",
    summary="word problems with small numbers, written by a program",
    load=load,
    config=WordsOptions,
    licence="Apache-2.0",
)
