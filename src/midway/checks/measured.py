"""What `check --time` measures of the recipe's engine: how long completions are, how many are cut off or right, and what a token costs.

A few completions of the recipe's own prompts are drawn, the engine is timed on as many rows as it would run at once, and the verifier and
the scorer that asks the base model are timed on what was drawn. When things go wrong: what the engine raises.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from midway.adherence import open_scorer
from midway.engines import Engine
from midway.recipe import Recipe, SamplingConfig
from midway.records import Completion, Finish, Heuristic, Judgement, Prompt, Question, Request
from midway.rundir import layout
from midway.stages.base import Stage
from midway.workbench import TRAIN, Workbench

BUDGET = 5.0
"""Seconds that one of the timed batches should take."""
FEW, ROWS = 8, 128
"""Rows that an engine is timed with: twice a few, and twice as many again while that takes less than half of the budget, up to what it
runs at once on a CPU."""
DRAWN = 32
"""Completions of which the length is measured, at most."""
SHORT, LONG = 3, 11
"""New tokens of the two timed batches: their difference is the time of a token, what is left that of the prompts."""


@dataclass(frozen=True)
class Writing:
    """How a model writes for one kind of prompt, and how fast the engine is at it."""

    lengths: tuple[int, ...]
    """Tokens of the completions that were drawn; one that was cut off has max_tokens."""
    prompt_tokens: float
    cut: float
    """Share that was cut off."""
    right: float
    """Share that was right; where none was, as if one had been."""
    read: float
    """Seconds to read one prompt (what is shared is read once)."""
    token: float
    """Seconds of one token of one row."""
    drawn: tuple[Completion, ...] = ()
    """The completions themselves."""

    def length(self, most: int) -> float:
        """Return the expected tokens of a completion of at most `most`."""
        return sum(min(n, most) for n in self.lengths) / len(self.lengths)

    def seconds(self, completions: int, most: int) -> float:
        return completions * (self.read + self.length(most) * self.token)


class Measured:
    """How the base model writes, unguided and guided, and the seconds of opening the engine, judging one completion and scoring one."""

    def __init__(self, recipe: Recipe, bench: Workbench) -> None:
        self.recipe, self.bench = recipe, bench
        self.plain = self.guided = Writing((1,), 1, 0, 1, 0, 0)
        self.opening = self.judging = self.scoring = 0.0

    def measure(self, stages: Sequence[Stage]) -> None:
        """Open the engine and time it; `stages`: those that score, of which some may ask the base model too."""
        bench = self.bench
        bench.engines.open(bench.leases.base())  # the first time imports what it needs
        bench.engines.close()
        start = time.perf_counter()
        engine = bench.engines.open(bench.leases.base())
        self.opening = time.perf_counter() - start
        self.plain = self._writing(engine, None, self.most())
        guides = [h for name in self.recipe.used_pools for h in bench.prompts.heuristics(name) if h]
        most = [
            p.sampling.max_tokens for n, p in self.recipe.pools.items() if p.heuristics and n in self.recipe.used_pools
        ]
        self.guided = self._writing(engine, guides[0], max(most)) if guides else self.plain
        scored = [stage for stage in stages if self.reads_itself(stage)]
        if scored:
            self.scoring = self._scored(engine, scored)
        bench.engines.close()

    def most(self) -> int:
        """The largest limit of tokens of plain prompts."""
        limits = [b.sampling.max_tokens for b in self.recipe.benchmarks]
        limits += [p.sampling.max_tokens for p in self.recipe.pools.values() if not p.heuristics]
        if any(arm.rl for arm in self.recipe.arms.values()):
            limits.append(int(self.recipe.rl.get("max_completion_length", 256)))
        return max(limits, default=256)

    def _writing(self, engine: Engine, heuristic: Heuristic | None, most: int) -> Writing:
        questions = self.bench.questions.get(TRAIN)
        pool = next((p for p in self.recipe.pools.values() if bool(p.heuristics) == (heuristic is not None)), None)
        config = pool.sampling if pool else SamplingConfig()
        draw = partial(self._draw, engine, questions, heuristic, config)
        draw(rows=2, most=1)  # warm, and what prompts share is read
        guess = _time(lambda: draw(rows=FEW, most=2)) / (2 * FEW)
        drawn = draw(rows=_between(FEW, BUDGET / guess / most, DRAWN), most=most)
        right = self._judge(questions, drawn)
        draw(rows=2 * FEW, most=SHORT)  # the first batch of a size is slower
        rows = FEW
        while True:  # as many rows as there is time for: with few, a token of a row is dear
            rows *= 2
            short, long = _time(partial(draw, rows=rows, most=SHORT)), _time(partial(draw, rows=rows, most=LONG))
            if rows >= ROWS or short + long > BUDGET / 2:
                break
        token = max(0.0, long - short) / (LONG - SHORT)
        return Writing(
            lengths=tuple(c.completion_tokens for c in drawn) or (most,),
            prompt_tokens=sum(c.prompt_tokens for c in drawn) / max(1, len(drawn)),
            cut=sum(c.finish is Finish.LENGTH for c in drawn) / max(1, len(drawn)),
            right=max(1, right) / max(1, len(drawn)),
            read=max(0.0, short - SHORT * token) / rows,
            token=token / rows,
            drawn=tuple(drawn),
        )

    def _draw(
        self,
        engine: Engine,
        questions: Sequence[Question],
        heuristic: Heuristic | None,
        config: SamplingConfig,
        *,
        rows: int,
        most: int,
    ) -> list[Completion]:
        sampling = self.bench.prompts.sampling(config.model_copy(update={"max_tokens": most}))
        asked: list[tuple[Question, Prompt]] = [
            (q, self.bench.prompts.build(q, heuristic)) for q in questions[: min(rows, len(questions))]
        ]
        slug = heuristic.slug if heuristic else ""
        made = [
            Request(f"probe-{slug}-{most}-{n}", prompt, sampling, question.id, slug, n)
            for n, (question, prompt) in zip(range(rows), itertools.cycle(asked), strict=False)
        ]
        return [c for c in engine.generate(made) if c.finish is not Finish.ERROR]

    def _judge(self, questions: Sequence[Question], drawn: Sequence[Completion]) -> int:
        """Time the verifier on what was drawn; return how many are right."""
        by_id = {q.id: q for q in questions}
        items = [(by_id[c.question_id], c.text, c.finish is Finish.LENGTH) for c in drawn]
        if items:
            list(self.bench.verifier.verify_batch(items[:1]))  # starts its processes
            start = time.perf_counter()
            verdicts = list(self.bench.verifier.verify_batch(items))
            self.judging = (time.perf_counter() - start) / len(items)
            return sum(verdict.judgement is Judgement.CORRECT for verdict in verdicts)
        return 0

    def reads_itself(self, stage: Stage) -> bool:
        """Whether a stage that scores asks the base model, by the engine that is timed here."""
        return stage.engine is not None and stage.engine == self.bench.leases.base()

    def _scored(self, engine: Engine, stages: Sequence[Stage]) -> float:
        """Return the seconds in which the scorer reads one of the completions that were drawn, under its own prompt and its rivals'."""
        questions = self.bench.questions.get(TRAIN)
        guides: dict[str, Heuristic] = {}
        for stage in stages:
            guides |= self.bench.prompts.guides(layout.place(stage.rel).pool)
        by_id = {q.id: q for q in questions}
        items = [(by_id[c.question_id], c) for c in self.guided.drawn[: 2 * FEW] if c.text]
        if not items:
            return 0.0
        build, chat = self.bench.prompts.build, self.bench.prompts.chat
        scorer = open_scorer(self.recipe.adherence, engine, build, guides, chat=chat)
        list(scorer.score(items[:2]))  # calibrates
        return _time(lambda: list(scorer.score(items))) / len(items)


def _between(least: int, value: float, most: int) -> int:
    return int(min(most, max(least, value)))


def _time(work: Any) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
