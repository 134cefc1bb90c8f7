"""Generate: the base model answers every training question, once for each sample of each heuristic.

Reads questions; calls an engine; writes `completions/`. Requests that are stored already are not asked again. Requests that failed for good
are kept in `failures/` (see `asking`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, ClassVar

import polars as pl

from midway.engines import engine_identity
from midway.questions import to_frame
from midway.recipe import PoolConfig, PromptConfig, VerifyConfig
from midway.records import (
    UNGUIDED,
    Heuristic,
    Judgement,
    Prompt,
    Question,
    Request,
    Sampling,
    completion_id,
    content_id,
)
from midway.rundir import COMPLETIONS, VERDICTS, RunError, read_table, write_table
from midway.stages.asking import ask
from midway.stages.base import Output, Stage, domains_identity, model_identity, verify_identity
from midway.stages.judging import judge_completions
from midway.wording import plural
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
    samples: int | Callable[[Question], int],
    sampling: Sampling,
    prompt_of: PromptOf,
    model_key: str,
    there: Callable[[Question, str], int] | None = None,
) -> Requests:
    """Return the requests of a pool in the order in which prefix caches help: heuristic, question, sample.

    `samples` is their number for each question and heuristic, or tells it of a question. The prompt's own hash is its version: another
    wording gives other ids. `there` tells how many completions a file of recorded ones
    has for a question and heuristic; no more are asked for.
    """

    def wanted(question: Question, slug: str) -> int:
        most = samples if isinstance(samples, int) else samples(question)
        return min(most, there(question, slug)) if there else most

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
    verify: VerifyConfig
    """Enters its identity only where the pool draws on until there are right solutions."""
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
            **({"verify": verify_identity(self.verify)} if self.config.until else {}),
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
        samples = {question.id: self.config.samples for question in questions}
        make = partial(
            pool_requests,
            questions,
            self.heuristics,
            samples=lambda question: samples[question.id],
            sampling=sampling,
            prompt_of=prompt_of,
            model_key=key,
            there=there,
        )
        requests = make()
        if not len(requests):
            raise RunError(
                f"pools.{self.pool}: its engine has no completions for any of the {plural(len(questions), 'question')}"
            )
        ask(out, requests, bench.engines.answer(self.lease), "")
        while self.config.until and (lacking := self._lacking(bench, out, requests.ids, samples)):
            more = {id_: min(samples[id_] + self.config.samples, self.config.until.samples) for id_ in lacking}
            out.note(
                f"{plural(len(more), 'question lacks', 'questions lack')} "
                f"{plural(self.config.until.solutions, 'different right solution')}: "
                f"up to {plural(max(more.values()), 'sample')} of each"
            )
            samples.update(more)
            requests = make()
            ask(out, requests, bench.engines.answer(self.lease), "")
        asked = pl.DataFrame({"id": requests.ids}, schema={"id": pl.String})
        write_table(out.files.asked(self.pool), asked)
        if self.config.prompts:
            write_table(out.files.prompts(self.pool), to_frame(questions))

    def _lacking(self, bench: Workbench, out: Output, ids: Sequence[str], samples: Mapping[str, int]) -> list[str]:
        """Judge what is there, and return the questions that have too few right texts and not yet all the samples that they may have."""
        until = self.config.until
        assert until is not None
        folder = out.path / f"judged-{content_id(verify_identity(self.verify), domains_identity(self.domains))[:8]}"
        judge_completions(
            out,
            folder,
            completions=out.path,
            questions=bench.questions.by_id(TRAIN),
            verifier=bench.verifier,
            ids=set(ids),
        )
        asked = pl.DataFrame({"id": list(ids)}, schema={"id": pl.String})
        rows = read_table(out.path, COMPLETIONS, ["id", "question_id", "text"]).join(asked, on="id", how="semi")
        right = read_table(folder, VERDICTS, ["id", "judgement"]).filter(pl.col("judgement") == Judgement.CORRECT)
        texts = (
            rows.join(right, on="id", how="semi")
            .group_by("question_id")
            .agg(pl.col("text").str.strip_chars().n_unique())
        )
        found = dict(texts.iter_rows())
        lacking = [id_ for id_, n in samples.items() if found.get(id_, 0) < until.solutions]
        out.result["until"] = {"questions": len(samples), "lacking": len(lacking)}
        return [id_ for id_ in lacking if samples[id_] < until.samples]

    def _asked(self, bench: Workbench) -> tuple[list[Question], PromptOf]:
        """Return what is asked, and how it is put: the training questions, or the pool's own prompts as they stand."""
        if not self.config.prompts:
            return bench.questions.get(TRAIN), bench.prompts.build
        chats = bench.chats.prompts(self.pool)
        return bench.chats.questions(self.pool), lambda question, _: bench.prompts.given(
            chats[question.id].asked(bench.prompts.chat)
        )
