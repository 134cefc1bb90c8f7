"""The one protocol of the adherence scorers, and the choice of rivals that all of them share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from midway.records import Adherence, Completion, Heuristic, Question, seed_of

Item = tuple[Question, Completion]
Comparison = tuple[Question, Completion, Sequence[str]]
"""A completion and the slugs of the heuristics under each of which it is to be scored."""


class Scorer(Protocol):
    """Says how well completions follow the heuristic that they were asked for."""

    name: str

    def score(self, items: Iterable[Item]) -> Iterator[Adherence]:
        """Yield one Adherence for each item, in any order. The score is None where it could not be told.

        Read lazily. Raises ValueError for a completion whose heuristic is not in the catalogue (an unguided one, for instance).
        """
        ...

    def compare(self, items: Iterable[Comparison]) -> Iterator[list[float | None]]:
        """Yield, in order, each completion's score under each of its heuristics, comparable within the completion."""
        ...

    def state(self) -> dict[str, Any]:
        """Return calibration and counts, JSON-serialisable; a scorer opened with it goes on in the same way."""
        ...


def own(completion: Completion, catalogue: Mapping[str, Heuristic]) -> Heuristic:
    """Return the completion's heuristic. Raises ValueError when it is not in the catalogue."""
    try:
        return catalogue[completion.heuristic]
    except KeyError:
        raise ValueError(
            f"completion {completion.id} was asked for with heuristic {completion.heuristic!r}, which is not in the catalogue: "
            "score guided completions only, with the heuristics of their pool"
        ) from None


def rivals_of(question_id: str, slug: str, catalogue: Mapping[str, Heuristic], n: int) -> list[str]:
    """Return at most n other heuristics: the neighbours of `slug` on a circle of all, drawn for each question.

    The next on one side, the next on the other, and so on: over a question's heuristics each is a rival as often as it is the own one,
    so that being in the comparison tells nothing.
    """
    circle = sorted(catalogue, key=lambda other: (seed_of(f"{question_id}/{other}"), other))
    at, size = circle.index(slug), len(circle)
    steps = (step for distance in range(1, size) for step in (distance, -distance))
    return list(dict.fromkeys(circle[(at + step) % size] for step in steps))[: min(n, size - 1)]
