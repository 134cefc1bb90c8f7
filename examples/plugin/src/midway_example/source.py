"""A source: sums of two numbers, as many as are asked for. Its options have a class of their own, so that a mistake is told at once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from pydantic import Field

from midway.questions import QuestionError
from midway.recipe import Section
from midway.records import Question
from midway.registry import SourcePart


class Options(Section):
    largest: int = Field(99, ge=1)
    """The largest number in a sum."""


def load(source: Any, *, data: str | None) -> Iterator[Question]:
    """Yield the questions that a recipe's source asks for: `source` is its SourceConfig."""
    largest = Options.model_validate(source.options).largest
    count = source.limit or 100
    if count > (largest + 1) ** 2:
        raise QuestionError(f"sums: there are {(largest + 1) ** 2} sums of numbers up to {largest}, limit is {count}")
    pairs = [(a, b) for a in range(largest + 1) for b in range(largest + 1)]
    for a, b in random.Random(source.seed).sample(pairs, count):
        yield Question("total", f"What is {a} + {b}?", gold={"total": a + b}, source="sums", name=f"sum-{a}-{b}")


SOURCE = SourcePart(name="sums", summary="sums of two numbers", load=load, config=Options, licence="CC0-1.0")
