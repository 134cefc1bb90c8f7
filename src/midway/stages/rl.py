"""RL: ordinary policy gradient from the mid-trained model (or what the arm starts from).

Reads questions, calls the trainer, writes `model/`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import polars as pl

from midway import registry
from midway.questions import to_frame
from midway.recipe import Recipe, SamplingConfig, merge
from midway.records import Question, content_id
from midway.registry import TrainerPart
from midway.rundir import RunError, read_json, write_table
from midway.stages.base import Output, Stage, domains_identity, prompt_identity, verify_identity
from midway.stages.training import train, trainer_parts
from midway.training.dataset import prompt_column
from midway.training.jobs import SAVE_STEPS, job_of, keep_identity, reward_identity, trainer_identity
from midway.workbench import RL, Weights, Workbench, labelled_by

HELD_OUT, HELD_OUT_SAMPLES = "held-out", 4
"""How the held-out questions are called in curves, and samples of each."""


@dataclass(frozen=True, kw_only=True)
class Treatment:
    """What a compute-matched arm is matched to: the treatment's stages before RL, and its RL."""

    arm: str
    before: Sequence[Stage]
    rl: Stage


@dataclass(frozen=True, eq=False, kw_only=True)
class ReinforcementLearning(Stage):
    """Run RL for one arm and seed. `matched_to`: take the seconds of another arm's generation, mid-training and RL together."""

    kind: ClassVar[str] = "rl"

    seed: int
    recipe: Recipe
    start: Weights
    questions: str
    """Digest of the RL questions."""
    domains: Mapping[str, Mapping[str, str]]
    matched_to: Treatment | None = None
    filtered: bool = False
    """Whether a filter of questions is among its needs."""

    @property
    def args(self) -> dict[str, Any]:
        """The trainer's arguments: the recipe's, and what differs for the arm."""
        return merge(self.recipe.rl, self.recipe.arms[self.arm].rl_args)

    @property
    def parts(self) -> Sequence[Any]:
        return trainer_parts(self.recipe)

    def identity(self) -> Mapping[str, Any]:
        model = self.recipe.model
        return {
            "args": self.args,
            "lora": self.recipe.lora,
            "model": {"key": self.start.key, "chat": model.chat, "dtype": model.dtype},
            "verify": verify_identity(self.recipe.verify),
            "questions": self.questions,
            "prompt": prompt_identity(self.recipe.prompt),
            "curve": self.recipe.curve.identity(),
            "compute_matched": self.matched_to.arm if self.matched_to else None,
            "seed": self.seed,
            **domains_identity(self.domains),
            **trainer_identity(self.recipe),
            **reward_identity(self.recipe, self.arm),
            **keep_identity(self.recipe),
        }

    def ready(self) -> None:
        self._trainer.ready(self.recipe)

    @property
    def _trainer(self) -> TrainerPart:
        found: TrainerPart = registry.find("trainers", self.recipe.training.trainer)
        return found

    def run(self, bench: Workbench, out: Output) -> None:
        questions: Sequence[Question] = bench.questions.get(RL)
        if self.filtered:
            kept = set(pl.read_parquet(out.files.filtered()).filter("kept")["question_id"])
            questions = [question for question in questions if question.id in kept]
        questions, measured = self._held_out(questions)
        rows = pl.DataFrame(
            {
                "prompt": prompt_column([bench.prompts.build(q, None) for q in questions], bench.prompts.chat),
                "question_id": pl.Series([q.id for q in questions], dtype=pl.String),
            }
        )
        args = self.args
        if self.matched_to is not None:
            steps = matched_steps(self.matched_to, out)
            args = self._trainer.set_steps(args, steps)
            out.result["compute_matched_steps"] = steps
        job = job_of(
            self.recipe,
            kind="grpo",
            out=out.path,
            model=self.start.path,
            revision=self.start.revision,
            seed=self.seed,
            args=args,
            name=f"{self.arm}-{self.seed}-rl",
            stop=bench.prompts.stop,
        )
        curve = self._curve(bench, out) if self.recipe.curve.every else {}
        job = replace(
            job,
            questions=str(out.files.questions(RL)),
            chat=bench.prompts.chat,
            curve=curve,
            best=self._best(bench, out, measured) if measured else {},
            rewards=[one.model_dump() for one in self.recipe.rewards(self.arm)],
            rollouts={"folder": str(out.files.rollouts(out.rel)), "keep": self.recipe.training.rollouts},
        )
        train(out, rows, job, self.recipe.launch)

    def _held_out(self, questions: Sequence[Question]) -> tuple[Sequence[Question], Sequence[Question]]:
        """Return the questions to train on, and those that tell which state is best: none where the last is kept."""
        training = self.recipe.training
        if training.keep == "last":
            return questions, ()
        count = min(training.held_out, len(questions) // 2)
        if not count:
            raise RunError("training.keep: best holds out RL questions, and there is only one: set training.keep=last")
        drawn = {q.id for q in sorted(questions, key=lambda q: content_id(HELD_OUT, q.id))[:count]}
        return [q for q in questions if q.id not in drawn], [q for q in questions if q.id in drawn]

    def _best(self, bench: Workbench, out: Output, questions: Sequence[Question]) -> dict[str, Any]:
        """Write the held-out questions, and return what the training job needs to know of them. They are asked as RL asks."""
        sampled = self._trainer.sampled(self.args)
        config = SamplingConfig(temperature=sampled.temperature, max_tokens=sampled.max_tokens)
        path = out.path / "curve" / f"{HELD_OUT}.parquet"
        shown = prompt_column([bench.prompts.build(q, None) for q in questions], bench.prompts.chat)
        write_table(path, to_frame(questions).with_columns(shown))
        sampling = asdict(bench.prompts.sampling(config))
        slice_ = {
            "name": HELD_OUT,
            "rows": str(path),
            "sampling": sampling,
            "samples": HELD_OUT_SAMPLES,
            **self._template(),
        }
        return {"every": int(self.args.get("save_steps", SAVE_STEPS)), "set": slice_}

    def _template(self) -> dict[str, Any]:
        given = self.recipe.prompt.chat_template_kwargs
        return {"template": given} if given else {}

    def _curve(self, bench: Workbench, out: Output) -> dict[str, Any]:
        """Write the slice of each benchmark that RL is watched on, and return what the training job needs to know of them."""
        config, sets = self.recipe.curve, []
        for benchmark in self.recipe.benchmarks:
            questions = bench.questions.benchmark(benchmark.name)[: config.questions]
            shown = prompt_column([bench.prompts.build(q, None) for q in questions], bench.prompts.chat)
            path = out.path / "curve" / f"{benchmark.name}.parquet"
            write_table(path, to_frame(questions).with_columns(shown))
            sets.append(
                {
                    "name": benchmark.name,
                    "rows": str(path),
                    "sampling": asdict(bench.prompts.sampling(benchmark.sampling)),
                    "samples": config.samples,
                    "labeller": labelled_by(benchmark.source),
                    **self._template(),
                }
            )
        return {"every": config.every, "sets": sets, "points": config.questions * config.samples}


def matched_steps(treatment: Treatment, out: Output) -> int:
    """Return the RL steps that take as many seconds as the treatment's generation, mid-training and RL together."""
    rl = read_json(out.files.manifest(treatment.rl.rel))
    steps, seconds = int(rl["result"]["steps"]), float(rl["cost"]["seconds"])
    extra = sum(float(read_json(out.files.manifest(stage.rel))["cost"]["seconds"]) for stage in treatment.before)
    more = math.ceil(extra / (seconds / steps))
    out.note(f"compute-matched: {extra:.0f} s of generation and mid-training buy {more} further RL steps")
    return steps + more
