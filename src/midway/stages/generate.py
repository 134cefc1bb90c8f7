"""Generate: the base model answers every training question, once for each sample of each heuristic.

Reads questions; calls an engine; writes `completions/`. Requests that are stored already are not asked again. Requests that failed for good
are kept in `failures/` (see `asking`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import polars as pl

from midway.engines import engine_identity
from midway.questions import to_frame
from midway.recipe import PoolConfig, PromptConfig
from midway.records import UNGUIDED, Heuristic, Prompt, Question, Request, Sampling, completion_id, content_id
from midway.rundir import RunError, write_table
from midway.stages.asking import ask
from midway.stages.base import Output, Stage, domains_identity, model_identity
from midway.workbench import TRAIN, Lease, Workbench

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
    *,
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


@dataclass(frozen=True, eq=False, kw_only=True)
class Generate(Stage):
    """Fill a pool with exactly the completions that are not there yet, and note which were asked for."""

    kind: ClassVar[str] = "generate"
    essential: ClassVar[bool] = True
    keeps_rows: ClassVar[bool] = True

    pool: str
    config: PoolConfig
    prompt: PromptConfig
    heuristics: Sequence[Heuristic | None]
    questions: str
    """Digest of the training questions, or of the pool's own prompts."""
    domains: Mapping[str, Mapping[str, str]]
    lease: Lease
    adapter: str | None
    """What names the weights where a LoRA adapter writes."""

    def identity(self) -> Mapping[str, Any]:
        return {
            "pool": self.config.identity(exclude=["engine", "prompts"]),
            "engine": engine_identity(self.config.engine) if self.config.engine else None,
            "lora": self.adapter,
            "prompt": self.prompt.identity(),
            "heuristics": {h.slug: content_id(asdict(h)) for h in self.heuristics if h},
            "model": model_identity(self.lease),
            "questions": self.questions,
            **domains_identity(self.domains),
        }

    @property
    def engine(self) -> Lease | None:
        return self.lease

    def run(self, bench: Workbench, out: Output) -> None:
        questions, prompt_of = self._asked(bench)
        key, there = bench.leases.writer_key(self.lease), None
        if self.lease.part.recorded:
            recorded: Any = bench.engines.open(self.lease)
            key = recorded.model_key

            def there(question: Question, slug: str) -> int:
                return len(recorded.recorded(question, slug))

        sampling = bench.prompts.sampling(self.config.sampling)
        requests = pool_requests(
            questions,
            self.heuristics,
            samples=self.config.samples,
            sampling=sampling,
            prompt_of=prompt_of,
            model_key=key,
            there=there,
        )
        if not len(requests):
            raise RunError(
                f"pools.{self.pool}: its engine has no completions for any of the {len(questions):,} questions"
            )
        ask(out, requests, bench.engines.answer(self.lease), "")
        asked = pl.DataFrame({"id": requests.ids}, schema={"id": pl.String})
        write_table(out.files.asked(self.pool), asked)
        if self.config.prompts:
            write_table(out.files.prompts(self.pool), to_frame(questions))

    def _asked(self, bench: Workbench) -> tuple[list[Question], PromptOf]:
        """Return what is asked, and how it is put: the training questions, or the pool's own prompts as they stand."""
        if not self.config.prompts:
            return bench.questions.get(TRAIN), bench.prompts.build
        chats = bench.chats.prompts(self.pool)
        return bench.chats.questions(self.pool), lambda question, _: bench.prompts.given(
            chats[question.id].asked(bench.prompts.chat)
        )
