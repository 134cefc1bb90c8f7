"""Generate: the base model answers every training question, once for each sample of each heuristic.

Reads questions; calls an engine; writes `completions/`. Requests that are stored already are not asked again. Requests that failed for good
are kept in `failures/` (see `asking`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import polars as pl

from midway.records import UNGUIDED, Heuristic, Prompt, Question, Request, Sampling, completion_id
from midway.rundir import StageDir, write_table
from midway.stages.asking import Answer, ask
from midway.stages.common import Control, Outcome

PromptOf = Callable[[Question, Heuristic | None], Prompt]


class Requests:
    """Requests that are made while they are read, with their number known beforehand. `ids` holds those of the latest reading."""

    def __init__(self, count: int, make: Callable[[], Iterator[Request]]) -> None:
        self.count, self.make = count, make
        self.ids: list[str] = []

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Request]:
        self.ids = []
        for request in self.make():
            self.ids.append(request.id)
            yield request


def pool_requests(
    questions: Sequence[Question],
    heuristics: Sequence[Heuristic | None],
    samples: int,
    sampling: Sampling,
    prompt_of: PromptOf,
    model_key: str,
    there: Callable[[Question, str], int] | None = None,
) -> Requests:
    """Return the requests of a pool in the order in which prefix caches help: heuristic, question, sample.

    The prompt's own hash is its version: another wording gives other ids. `there` tells how many completions a file of recorded ones
    has for a question and heuristic; no more are asked for.
    """

    def wanted(question: Question, slug: str) -> int:
        return min(samples, there(question, slug)) if there else samples

    def make() -> Iterator[Request]:
        for heuristic in heuristics:
            slug = heuristic.slug if heuristic else UNGUIDED
            for question in questions:
                prompt = prompt_of(question, heuristic)
                version = prompt.key()
                meta = {"question": question.text, "question_name": question.name}
                for index in range(wanted(question, slug)):
                    id_ = completion_id(question.id, slug, version, model_key, sampling, index)
                    yield Request(id_, prompt, sampling, question.id, slug, index, meta)

    slugs = [h.slug if h else UNGUIDED for h in heuristics]
    return Requests(sum(wanted(q, s) for s in slugs for q in questions), make)


def generate(stage: StageDir, control: Control, outcome: Outcome, requests: Requests, answer: Answer) -> None:
    """Fill the stage's directory with exactly the requests that are not there yet, and note which ids were asked for."""
    ask(stage, control, outcome, requests, answer, "")
    write_table(stage.path / "asked" / "ids.parquet", pl.DataFrame({"id": requests.ids}, schema={"id": pl.String}))
