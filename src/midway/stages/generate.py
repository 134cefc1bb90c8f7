"""Generate: the base model answers every training question, once for each sample of each heuristic.

Reads questions; calls an engine; writes `completions/`. Requests that are stored already are not asked again. Requests that failed for good
are kept in `failures/` (see `asking`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from midway.engines.base import Engine
from midway.records import UNGUIDED, Heuristic, Prompt, Question, Request, Sampling, completion_id
from midway.run import Stage
from midway.stages.asking import ask
from midway.stages.common import Control, Outcome

PromptOf = Callable[[Question, Heuristic | None], Prompt]


class Requests:
    """Requests that are made while they are read, with their number known beforehand."""

    def __init__(self, count: int, make: Callable[[], Iterator[Request]]) -> None:
        self.count, self.make = count, make

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Request]:
        return self.make()


def pool_requests(
    questions: Sequence[Question],
    heuristics: Sequence[Heuristic | None],
    samples: int,
    sampling: Sampling,
    prompt_of: PromptOf,
    model_key: str,
) -> Requests:
    """Return the requests of a pool in the order in which prefix caches help: heuristic, question, sample.

    The prompt's own hash is its version: another wording gives other ids.
    """

    def make() -> Iterator[Request]:
        for heuristic in heuristics:
            slug = heuristic.slug if heuristic else UNGUIDED
            for question in questions:
                prompt = prompt_of(question, heuristic)
                version = prompt.key()
                meta = {"question": question.text, "question_name": question.name}
                for index in range(samples):
                    id_ = completion_id(question.id, slug, version, model_key, sampling, index)
                    yield Request(id_, prompt, sampling, question.id, slug, index, meta)

    return Requests(len(questions) * len(heuristics) * samples, make)


def generate(stage: Stage, control: Control, outcome: Outcome, requests: Iterable[Request], engine: Engine) -> None:
    """Fill the stage's directory with exactly the requests that are not there yet."""
    ask(stage, control, outcome, requests, engine, "")
