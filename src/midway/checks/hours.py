"""What the run would take on this machine, in hours and on disk: a probe of generation and of one training step, then arithmetic.

The probe draws a few completions of the recipe's own prompts (how long they are, how many are cut off), times the recipe's engine on as
many rows as it would run at once, and has the trainer time one small step. Opt-in (`--time`): it loads the model.

What is assumed: every model of the run writes as long as the base model does; arms without `max_steps` train on as many solutions as would
be right if the share among those drawn were that of the pool (the selection keeps fewer). Stages that are not priced (labels, a judge) are
named. When things go wrong: what the engine or the trainer raises.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import platform
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from midway import registry
from midway.checks.base import Check, Finding, Level, Subject
from midway.checks.pools import requests
from midway.engines import Engine
from midway.plan import make_plan
from midway.recipe import ArmConfig, SamplingConfig, merge
from midway.records import Completion, Finish, Heuristic, Judgement, Prompt, Question, Request
from midway.stages.base import Stage
from midway.training.jobs import Pace, PaceAsked
from midway.workbench import RL, TRAIN

BUDGET = 5.0
"""Seconds that one of the timed batches should take."""
FEW, ROWS = 8, 128
"""Rows that an engine is timed with: twice a few, and twice as many again while that takes less than half of the budget, up to what it
runs at once on a CPU."""
DRAWN = 32
"""Completions of which the length is measured, at most."""
SHORT, LONG = 3, 11
"""New tokens of the two timed batches: their difference is the time of a token, what is left that of the prompts."""


FREE = 0.7
"""Share of its processors that a process has on a machine that is free."""
KEPT = 2
"""Checkpoints that are kept while a model trains: weights and Adam's two moments in float32."""


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

    def length(self, most: int) -> float:
        """Return the expected tokens of a completion of at most `most`."""
        return sum(min(n, most) for n in self.lengths) / len(self.lengths)

    def seconds(self, completions: int, most: int) -> float:
        return completions * (self.read + self.length(most) * self.token)


@dataclass
class Price:
    """Seconds of one group of stages, in words and figures."""

    name: str
    seconds: float
    how: str
    stages: int = 1


def run(subject: Subject) -> Iterator[Finding]:
    prices = Prices(subject)
    wall, worked = time.perf_counter(), time.process_time()
    try:
        found = list(prices.all())
    finally:
        subject.bench.close()
    wall, worked = time.perf_counter() - wall, time.process_time() - worked
    total = sum(price.seconds for price in found)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    lines = [f"hours: about {_hours(total)} on this machine ({processor()}, {cores} cores), of which"]
    width = max((len(price.name) for price in found), default=0)
    lines += [f"{price.name:<{width}}  {_hours(price.seconds):>8}  {price.how}" for price in found]
    lines += [f"not priced: {', '.join(prices.unpriced)}"] if prices.unpriced else []
    yield Finding("\n  ".join(lines))
    share = worked / (wall * _threads())
    if share < FREE and not _gpu():
        text = (
            f"hours: others are at work here: this process had {share:.0%} of its processors; "
            f"alone the run takes about {_hours(total * share)}"
        )
        yield Finding(text, Level.WARNING)
    yield disk(subject, prices)


class Prices:
    """Prices the stages of a plan. `unpriced` names the kinds of stages that it cannot price."""

    def __init__(self, subject: Subject) -> None:
        self.subject, self.recipe, self.bench = subject, subject.recipe, subject.bench
        self.plan = make_plan(self.recipe, self.bench)
        self.unpriced: list[str] = []
        self.plain = self.guided = Writing((1,), 1, 0, 1, 0, 0)
        self.opening = self.judging = 0.0

    def all(self) -> Iterator[Price]:
        """Measure, and yield the price of each group of stages."""
        self._measure()
        kinds = Counter(stage.kind for stage in self.plan.stages.values())
        yield from self._pools()
        if kinds["evaluate"]:
            yield self._evaluations(kinds["evaluate"])
        trainer = registry.find("trainers", self.recipe.training.trainer)
        if trainer.pace is None:
            self.unpriced += [kind for kind in ("midtrain", "rl") if kinds[kind]]
        else:
            yield from self._training(trainer)
        self.unpriced += [kind for kind in ("score", "filter", "labeller", "label") if kinds[kind]]

    # Generation -------------------------------------------------------------------------------------------------------

    def _measure(self) -> None:
        bench = self.bench
        bench.engines.open(bench.leases.base())  # the first time imports what it needs
        bench.engines.close()
        start = time.perf_counter()
        engine = bench.engines.open(bench.leases.base())
        self.opening = time.perf_counter() - start
        self.plain = self._writing(engine, None, self._most())
        guides = [h for name in self.recipe.used_pools for h in bench.prompts.heuristics(name) if h]
        most = [
            p.sampling.max_tokens for n, p in self.recipe.pools.items() if p.heuristics and n in self.recipe.used_pools
        ]
        self.guided = self._writing(engine, guides[0], max(most)) if guides else self.plain
        bench.engines.close()

    def _most(self) -> int:
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

    def _pools(self) -> Iterator[Price]:
        for name in self.recipe.used_pools:
            pool, count = self.recipe.pools[name], requests(self.subject, name)
            if self.bench.leases.pool(name).part.recorded:
                continue
            writing, most = self.guided if pool.heuristics else self.plain, pool.sampling.max_tokens
            seconds = self.opening + writing.seconds(count, most) + count * self.judging
            yield Price(
                f"pool {name}", seconds, _written(writing, count, most) + (", before `until`" if pool.until else "")
            )

    def _evaluations(self, stages: int) -> Price:
        seconds, count = 0.0, 0
        for stage in self.plan.stages.values():
            if stage.kind == "evaluate":
                benchmark = next(b for b in self.recipe.benchmarks if f"/evaluations/{b.name}/" in stage.rel)
                asked = len(self.bench.questions.benchmark(benchmark.name)) * (benchmark.samples + benchmark.greedy)
                seconds += self.plain.seconds(asked, benchmark.sampling.max_tokens) + asked * self.judging
                count += asked
        models = len(
            {stage.rel.rpartition("/evaluations/")[0] + stage.rel.rpartition("/")[2] for stage in self._of("evaluate")}
        )
        seconds += models * self.opening
        return Price(f"{stages} evaluations", seconds, _written(self.plain, count, self._most()))

    def _of(self, kind: str) -> list[Stage]:
        return [stage for stage in self.plan.stages.values() if stage.kind == kind]

    # Training ---------------------------------------------------------------------------------------------------------

    def _training(self, trainer: Any) -> Iterator[Price]:
        tuned, rl = self._of("midtrain"), self._of("rl")
        if not tuned and not rl:
            return
        args = {**self.recipe.rl}
        rows = _batch(args) if rl else int(self.recipe.midtrain.get("per_device_train_batch_size", 8))
        longest = int(args.get("max_completion_length", 256))
        model, base = self.recipe.model, self.bench.models.base
        pace: Pace = trainer.pace(
            PaceAsked(
                model=base.path,
                revision=base.revision,
                dtype=model.dtype,
                trust_remote_code=model.trust_remote_code,
                lora=self.recipe.lora,
                rows=rows,
                prompt_tokens=max(1, round(self.plain.prompt_tokens)),
                new_tokens=max(1, round(self.plain.length(longest if rl else 10**9))),
                generates=bool(rl),
            )
        )
        for stages, price in ((tuned, self._midtrain), (rl, self._rl)):
            groups: dict[str, list[Stage]] = {}
            for stage in stages:
                groups.setdefault(stage.arm, []).append(stage)
            for arm, mine in groups.items():
                seconds, how = price(self.recipe.arms[arm], pace)
                how += f", {len(mine)} seeds" if len(mine) > 1 else ""
                yield Price(f"{mine[0].kind} {arm}", len(mine) * seconds, how, len(mine))

    def _midtrain(self, arm: ArmConfig, pace: Pace) -> tuple[float, str]:
        args = merge(self.recipe.midtrain, arm.midtrain_args)
        steps = int(args.get("max_steps", -1))
        if steps <= 0:
            kept = round(self._kept(arm) / (1 - sum(one.share for one in arm.replay)))
            steps = max(1, math.ceil(math.ceil(kept / _batch(args)) * float(args.get("num_train_epochs", 3.0))))
        tokens = self.plain.prompt_tokens + self.guided.length(10**9)
        each = _batch(args) * tokens * pace.token + pace.step
        return (
            pace.load + steps * each,
            f"{'about ' if 'max_steps' not in args else ''}{steps:,} steps of {each:.1f} s",
        )

    def _kept(self, arm: ArmConfig) -> float:
        """Return how many solutions an arm is trained on: those of its pools that should be right, as far as they may be kept."""
        most = len(self.bench.questions.get(TRAIN)) * self.recipe.selection.per_question
        if any(one.pool is None for one in arm.midtrain):
            return most  # reference solutions: all are right
        right = 0.0
        for one in arm.midtrain:
            writing = self.guided if self.recipe.pools[str(one.pool)].heuristics else self.plain
            share = 1 - writing.right if one.strategy == "wrong-but-diverse" else writing.right
            right += requests(self.subject, str(one.pool)) * share
        return min(most, right)

    def _rl(self, arm: ArmConfig, pace: Pace) -> tuple[float, str]:
        args = merge(self.recipe.rl, arm.rl_args)
        most, batch = int(args.get("max_completion_length", 256)), _batch(args)
        steps = int(args.get("max_steps", -1))
        if steps <= 0:
            asked = len(self.bench.questions.get(RL)) * int(args.get("num_generations", 8))
            steps = max(1, math.ceil(asked / batch * float(args.get("num_train_epochs", 3.0))))
        cut = sum(n >= most for n in self.plain.lengths) / len(self.plain.lengths)
        longest = most if cut * batch >= 1 else min(most, max(self.plain.lengths))
        writes = pace.prompts + longest * pace.written
        learns = batch * (self.plain.prompt_tokens + longest) * pace.token + pace.step
        each = writes + learns + batch * self.judging
        curve = self.recipe.curve
        more = (
            (steps // curve.every + 1) * curve.questions * curve.samples * len(self.recipe.benchmarks)
            if curve.every
            else 0
        )
        watched = self.plain.seconds(more, self._most())
        return (
            pace.load + steps * each + watched,
            f"{steps:,} steps of {each:.1f} s ({writes:.1f} s writing, {learns:.1f} s learning)",
        )


def disk(subject: Subject, prices: Prices) -> Finding:
    """Say what the run leaves on disk: trained models and completions; and what a training holds besides while it runs."""
    recipe, stages = subject.recipe, list(prices.plan.stages.values())
    folder = Path(subject.bench.models.base.path)
    size = sum(f.stat().st_size for f in folder.glob("*.safetensors")) if folder.is_dir() else 0
    if not size:
        return Finding("disk: not known: the model is not on this machine")
    trained = sum(stage.kind in ("midtrain", "rl") for stage in stages)
    rows = sum(requests(subject, name) for name in recipe.used_pools)
    rows += sum(len(subject.bench.questions.benchmark(b.name)) * b.samples for b in recipe.benchmarks) * (1 + trained)
    text = rows * prices.guided.length(10**9) * 4
    held = KEPT * 3 * 4 * _parameters(folder) if trained and recipe.lora is None else 0
    free = shutil.disk_usage(Path.cwd()).free
    words = (
        f"disk: about {(trained * size + text) / 1e9:.1f} GB stay ({trained} trained models of {size / 1e9:.2f} GB), and up to "
        f"{held / 1e9:.1f} GB of checkpoints while one trains; {free / 1e9:.0f} GB are free here"
    )
    return Finding(words, Level.WARNING if trained * size + text + held > free else Level.NOTE)


def _parameters(folder: Path) -> int:
    """Return the weights of a model, from the headers of its files."""
    total = 0
    for file in folder.glob("*.safetensors"):
        with open(file, "rb") as stream:
            header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
        total += sum(math.prod(one["shape"]) for name, one in header.items() if name != "__metadata__")
    return total


def processor() -> str:
    """Return the name of the processor, and whether it has AMX."""
    info = Path("/proc/cpuinfo")
    text = info.read_text(errors="replace") if info.is_file() else ""
    name = next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")), "")
    return (name or platform.processor() or platform.machine()) + (" with AMX" if "amx_tile" in text else "")


def _batch(args: Any) -> int:
    """Rows of an optimizer step on one process."""
    return int(args.get("per_device_train_batch_size", 8)) * int(args.get("gradient_accumulation_steps", 1))


def _written(writing: Writing, count: int, most: int) -> str:
    cut = f", {writing.cut:.0%} cut off" if writing.cut else ""
    rate = 1 / writing.token if writing.token else float("inf")
    return f"{count:,} completions of about {writing.length(most):.0f} tokens{cut}, {rate:,.0f} tokens/s"


def _hours(seconds: float) -> str:
    return (
        f"{seconds / 3600:.1f} h"
        if seconds >= 3600
        else f"{seconds / 60:.0f} min"
        if seconds >= 90
        else f"{seconds:.0f} s"
    )


def _threads() -> int:
    import torch

    return int(torch.get_num_threads())


def _gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())


def _between(least: int, value: float, most: int) -> int:
    return int(min(most, max(least, value)))


def _time(work: Any) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


CHECK = Check("hours", run, needs="time")
