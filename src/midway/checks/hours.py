"""What the run would take on this machine, in hours and on disk: measurements of the engine and of one training step, then arithmetic.

Opt-in (`--time`): it loads the model (`checks.measured`) and has the trainer time one small step.

What is assumed: every model of the run writes as long as the base model does; arms without `max_steps` train on as many solutions as would
be right if the share among those drawn were that of the pool (the selection keeps fewer). Stages that are not priced (labels, a judge) are
named. When things go wrong: what the engine or the trainer raises.
"""

from __future__ import annotations

import json
import math
import os
import platform
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from midway import registry
from midway.checks.base import Check, Finding, Level, Subject
from midway.checks.measured import Measured, Writing
from midway.checks.pools import requests
from midway.plan import make_plan
from midway.recipe import ArmConfig, merge
from midway.rundir import layout
from midway.stages.base import Stage
from midway.stages.filter import FilterQuestions
from midway.stages.forecast import Forecast
from midway.stages.rl import ReinforcementLearning
from midway.stages.score import SAMPLE
from midway.training.jobs import Pace, PaceAsked
from midway.workbench import RL, TRAIN

FREE = 0.7
"""Share of its processors that a process has on a machine that is free."""
KEPT = 2
"""Checkpoints that are kept while a model trains: weights and Adam's two moments in float32."""


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
        self.measured = Measured(self.recipe, self.bench)
        self.spent: dict[str, float] = {}
        """Seconds of the stages before RL, by path: what an arm with as much compute has to match."""

    def all(self) -> Iterator[Price]:
        """Measure, and yield the price of each group of stages."""
        self.measured.measure(self._of("score"))
        kinds = Counter(stage.kind for stage in self.plan.stages.values())
        yield from self._pools()
        yield from self._scores()
        yield from self._samples_of_rl()
        if kinds["evaluate"]:
            yield self._evaluations(kinds["evaluate"])
        trainer = registry.find("trainers", self.recipe.training.trainer)
        if trainer.pace is None:
            self.unpriced += [kind for kind in ("midtrain", "rl") if kinds[kind]]
        else:
            yield from self._training(trainer)
        self.unpriced += [kind for kind in ("labeller", "label") if kinds[kind]]

    # Generation -------------------------------------------------------------------------------------------------------

    def _pools(self) -> Iterator[Price]:
        for name in self.recipe.used_pools:
            pool, count = self.recipe.pools[name], requests(self.subject, name)
            if self.bench.leases.pool(name).part.recorded:
                continue
            writing, most = self.measured.guided if pool.heuristics else self.measured.plain, pool.sampling.max_tokens
            seconds = self.measured.opening + writing.seconds(count, most) + count * self.measured.judging
            self.spent[layout.completions(name)] = seconds
            yield Price(
                f"pool {name}", seconds, _written(writing, count, most) + (", before `until`" if pool.until else "")
            )

    def _scores(self) -> Iterator[Price]:
        for stage in self._of("score"):
            name = layout.place(stage.rel).pool
            if not self.measured.reads_itself(stage) or self.bench.leases.pool(name).part.recorded:
                self.unpriced.append(f"score of {name}")
                continue
            right = round(requests(self.subject, name) * self.measured.guided.right)
            tested = min(SAMPLE, right)
            seconds = self.measured.opening + (right + tested) * self.measured.scoring
            self.spent[stage.rel] = seconds
            how = f"about {right:,} right ones, {1000 * self.measured.scoring:.0f} ms each; {tested} once more, to test the scorer"
            yield Price(f"score {name}", seconds, how)

    def _samples_of_rl(self) -> Iterator[Price]:
        """Price what is sampled of the RL questions: the forecast, and the choice of questions by difficulty."""
        asked = len(self.bench.questions.get(RL))
        for stage in self.plan.stages.values():
            if isinstance(stage, Forecast):
                config, questions = stage.config, min(stage.config.questions, asked)
                plain, guided = questions * config.unguided, questions * config.guided * len(stage.heuristics)
                seconds = self.measured.plain.seconds(plain, stage.plain.max_tokens)
                seconds += self.measured.guided.seconds(guided, stage.guided.max_tokens)
                how = f"{plain:,} unguided and {guided:,} guided completions of {questions} questions"
                yield Price("forecast", self.measured.opening + seconds + (plain + guided) * self.measured.judging, how)
            elif isinstance(stage, FilterQuestions) and stage.pool is None:
                count, most = asked * stage.config.samples, stage.sampling.max_tokens
                seconds = (
                    self.measured.opening + self.measured.plain.seconds(count, most) + count * self.measured.judging
                )
                yield Price("filter of RL questions", seconds, _written(self.measured.plain, count, most))

    def _evaluations(self, stages: int) -> Price:
        seconds, count = 0.0, 0
        for stage in self.plan.stages.values():
            if stage.kind == "evaluate":
                benchmark = next(b for b in self.recipe.benchmarks if f"/evaluations/{b.name}/" in stage.rel)
                asked = len(self.bench.questions.benchmark(benchmark.name)) * (benchmark.samples + benchmark.greedy)
                seconds += (
                    self.measured.plain.seconds(asked, benchmark.sampling.max_tokens) + asked * self.measured.judging
                )
                count += asked
        models = len(
            {stage.rel.rpartition("/evaluations/")[0] + stage.rel.rpartition("/")[2] for stage in self._of("evaluate")}
        )
        seconds += models * self.measured.opening
        return Price(f"{stages} evaluations", seconds, _written(self.measured.plain, count, self.measured.most()))

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
                prompt_tokens=max(1, round(self.measured.plain.prompt_tokens)),
                new_tokens=max(1, round(self.measured.plain.length(longest if rl else 10**9))),
                generates=bool(rl),
            )
        )
        for stages, price in ((tuned, self._midtrain), (rl, self._rl)):
            groups: dict[str, list[Stage]] = {}
            for stage in stages:
                groups.setdefault(stage.arm, []).append(stage)
            for arm, mine in groups.items():
                seconds, how = price(mine[0], pace)
                self.spent |= {stage.rel: seconds for stage in mine}
                how += f", {len(mine)} seeds" if len(mine) > 1 else ""
                yield Price(f"{mine[0].kind} {arm}", len(mine) * seconds, how, len(mine))

    def _midtrain(self, stage: Stage, pace: Pace) -> tuple[float, str]:
        arm = self.recipe.arms[stage.arm]
        args = merge(self.recipe.midtrain, arm.midtrain_args)
        steps = int(args.get("max_steps", -1))
        if steps <= 0:
            kept = round(self._kept(arm) / (1 - sum(one.share for one in arm.replay)))
            steps = max(1, math.ceil(math.ceil(kept / _batch(args)) * float(args.get("num_train_epochs", 3.0))))
        tokens = self.measured.plain.prompt_tokens + self.measured.guided.length(10**9)
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
            writing = self.measured.guided if self.recipe.pools[str(one.pool)].heuristics else self.measured.plain
            share = 1 - writing.right if one.strategy == "wrong-but-diverse" else writing.right
            right += requests(self.subject, str(one.pool)) * share
        return min(most, right)

    def _rl(self, stage: Stage, pace: Pace) -> tuple[float, str]:
        arm = self.recipe.arms[stage.arm]
        args = merge(self.recipe.rl, arm.rl_args)
        most, batch = int(args.get("max_completion_length", 256)), _batch(args)
        steps = int(args.get("max_steps", -1))
        if steps <= 0:
            asked = len(self.bench.questions.get(RL)) * int(args.get("num_generations", 8))
            steps = max(1, math.ceil(asked / batch * float(args.get("num_train_epochs", 3.0))))
        cut = sum(n >= most for n in self.measured.plain.lengths) / len(self.measured.plain.lengths)
        longest = most if cut * batch >= 1 else min(most, max(self.measured.plain.lengths))
        writes = pace.prompts + longest * pace.written
        learns = batch * (self.measured.plain.prompt_tokens + longest) * pace.token + pace.step
        each = writes + learns + batch * self.measured.judging
        if arm.compute_matched and isinstance(stage, ReinforcementLearning) and stage.matched_to:
            steps += math.ceil(sum(self.spent.get(one.rel, 0.0) for one in stage.matched_to.before) / each)
        curve = self.recipe.curve
        more = (
            (steps // curve.every + 1) * curve.questions * curve.samples * len(self.recipe.benchmarks)
            if curve.every
            else 0
        )
        watched = self.measured.plain.seconds(more, self.measured.most())
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
    text = rows * prices.measured.guided.length(10**9) * 4
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


CHECK = Check("hours", run, needs="time")
