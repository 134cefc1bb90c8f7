"""Generate: the base model answers every training question, once for each sample of each heuristic.

Reads questions; calls an engine; writes `completions/`. Requests that are stored already are not asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from midway.engines.base import Engine
from midway.engines.stream import complete
from midway.records import UNGUIDED, Heuristic, Prompt, Question, Request, Sampling, completion_id
from midway.run import Stage
from midway.stages.common import Control, Outcome, Stopped

PromptOf = Callable[[Question, Heuristic | None], Prompt]


def pool_requests(
    questions: Sequence[Question],
    heuristics: Sequence[Heuristic | None],
    samples: int,
    sampling: Sampling,
    prompt_of: PromptOf,
    model_key: str,
) -> Iterator[Request]:
    """Yield the requests of a pool in the order in which prefix caches help: heuristic, question, sample.

    The prompt's own hash is its version: another wording gives other ids.
    """
    for heuristic in heuristics:
        slug = heuristic.slug if heuristic else UNGUIDED
        for question in questions:
            prompt = prompt_of(question, heuristic)
            version = prompt.key()
            for index in range(samples):
                id_ = completion_id(question.id, slug, version, model_key, sampling, index)
                yield Request(id_, prompt, sampling, question.id, slug, index)


def generate(stage: Stage, control: Control, outcome: Outcome, requests: Iterable[Request], total: int, engine: Engine) -> None:
    """Fill `stage.path`/completions with exactly the requests that are not there yet. Raises Stopped when asked to stop."""
    report = complete(
        requests,
        engine,
        stage.path,
        total=total,
        progress=lambda p: control.progress(p.done, p.total, p.note),
        stop=control.stop,
    )
    outcome.cost.update(report.cost())
    outcome.result.update(report.summary())
    if report.stopped:
        raise Stopped
