"""A scorer: does a solution open as its heuristic would have it? 1.0 if it does, 0.0 if it opens like another one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from midway.records import Adherence, Completion, Heuristic, Question
from midway.registry import ScorerPart
from midway_example.engine import OPENINGS


class Opening:
    name = "opening"

    def __init__(self, heuristics: Mapping[str, Heuristic]) -> None:
        self.heuristics = heuristics

    def _score(self, completion: Completion, slug: str) -> float:
        return float(completion.text.startswith(OPENINGS.get(slug, "So:")))

    def score(self, items: Iterable[tuple[Question, Completion]]) -> Iterator[Adherence]:
        for _, completion in items:
            if completion.heuristic not in self.heuristics:
                raise ValueError(f"{completion.heuristic!r} is none of the pool's heuristics")
            yield Adherence(completion.id, self._score(completion, completion.heuristic), self.name)

    def compare(self, items: Iterable[tuple[Question, Completion, Sequence[str]]]) -> Iterator[list[float | None]]:
        for _, completion, slugs in items:
            yield [self._score(completion, slug) for slug in slugs]

    def state(self) -> dict[str, Any]:
        return {"name": self.name}


def open_scorer(
    config: Any, *, engine: Any, prompts: Any, heuristics: Mapping[str, Heuristic], state: Any, chat: bool
) -> Opening:
    return Opening(heuristics)


SCORER = ScorerPart(name="opening", summary="how a solution opens", open=open_scorer)
