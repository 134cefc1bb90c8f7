"""Mid-train: ordinary fine-tuning on an arm's selected solutions and what is replayed. Reads the selection, calls the trainer, writes
`model/`.

With `midtrain_until` it ends at the first measurement that reaches another arm's pass@1 before RL on the same questions; where none does,
it goes on to its usual end, and says so. The target, the value reached and the step are in the stage's `result.until`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar

import polars as pl

from midway.questions import to_frame
from midway.recipe import Recipe, UntilConfig, merge
from midway.records import Judgement
from midway.rundir import RunError, write_table
from midway.stages.base import Output, Stage, prompt_identity
from midway.stages.replaying import replayed
from midway.stages.training import train, trainer_parts
from midway.training.dataset import prompt_column, training_rows
from midway.training.jobs import job_of, trainer_identity
from midway.workbench import TRAIN, Weights, Workbench


@dataclass(frozen=True, eq=False, kw_only=True)
class MidTrain(Stage):
    """Fine-tune what the arm starts from, for as many optimizer steps as the treatment (`reference`: its selection) takes, or fewer:
    until it is as good as `target`, the evaluation of another arm."""

    kind: ClassVar[str] = "midtrain"

    seed: int
    recipe: Recipe
    start: Weights
    reference: Stage | None = None
    target: Stage | None = None
    replay: Mapping[int, str] = field(default_factory=dict)
    """Digests of the rows of files that are replayed, by their place in the arm's `replay`."""

    @property
    def until(self) -> UntilConfig | None:
        """What this arm's mid-training is to reach."""
        return self.recipe.arms[self.arm].midtrain_until

    @property
    def args(self) -> dict[str, Any]:
        """The trainer's arguments: the recipe's, and what differs for the arm."""
        return merge(self.recipe.midtrain, self.recipe.arms[self.arm].midtrain_args)

    @property
    def parts(self) -> Sequence[Any]:
        return trainer_parts(self.recipe)

    def identity(self) -> Mapping[str, Any]:
        model = self.recipe.model
        return {
            "args": self.args,
            "lora": self.recipe.lora,
            "model": {"key": self.start.key, "chat": model.chat, "dtype": model.dtype},
            "prompt": prompt_identity(self.recipe.prompt),
            "seed": self.seed,
            **({"until": self.until.identity()} if self.until else {}),
            **trainer_identity(self.recipe),
            **self._replay_identity(),
        }

    def _replay_identity(self) -> dict[str, Any]:
        """What of replay changes the model: nothing where there is none. A pool's answers are known by the stage that wrote them."""
        configs = self.recipe.arms[self.arm].replay
        found = [{**c.identity(exclude=["source"]), "rows": self.replay.get(n)} for n, c in enumerate(configs)]
        return {"replay": found} if found else {}

    def run(self, bench: Workbench, out: Output) -> None:
        keep = self.recipe.selection.prompt_with_heuristic
        rows = training_rows(
            pl.read_parquet(out.files.solutions(self.arm, self.seed)),
            bench.questions.by_id(TRAIN),
            bench.prompts.build,
            bench.prompts.chat,
            heuristics=bench.prompts.catalogue if keep else None,
        )
        examples = rows.height
        if self.reference is not None:
            path = out.files.solutions(self.reference.arm, self.seed)
            examples = pl.scan_parquet(path).select(pl.len()).collect().item()
        held_out = None
        if configs := self.recipe.arms[self.arm].replay:
            more, held_out = replayed(configs, bench, out, examples)
            rows, examples = pl.concat([rows, more]), examples + more.height
        job = job_of(
            self.recipe,
            kind="sft",
            out=out.path,
            model=self.start.path,
            revision=self.start.revision,
            seed=self.seed,
            args=self.args,
            name=f"{self.arm}-{self.seed}-midtrain",
            stop=bench.prompts.stop,
        )
        until = self._until(bench, out, self.until, self.target) if self.until and self.target else {}
        job = replace(job, examples=examples, until=until, held_out=str(held_out) if held_out else None)
        train(out, rows, job, self.recipe.launch)
        if until and not out.result["until"]["reached"]:
            found = out.result["until"]
            out.note(f"{self.arm}, seed {self.seed}: never as good as {found['match']} (pass@1 {found['target']:.3f})")

    def _until(self, bench: Workbench, out: Output, until: UntilConfig, target: Stage) -> dict[str, Any]:
        """Write the questions that it is measured on, and return what the training job needs to know of them and of the target."""
        benchmark = next(b for b in self.recipe.benchmarks if b.name == until.benchmark)
        questions = bench.questions.benchmark(until.benchmark)[: until.questions]
        samples = min(until.samples, benchmark.samples)
        done = pl.read_parquet(out.files.evaluated(target.rel), columns=["question_id", "index", "judgement"]).filter(
            pl.col("question_id").is_in([q.id for q in questions])
            & (pl.col("index") < samples)
            & pl.col("judgement").is_in([Judgement.CORRECT, Judgement.WRONG])
        )
        if done.is_empty():
            raise RunError(f"{target.rel}: no judged answer to match; evaluate more questions of {until.benchmark}")
        path = out.path / "until" / f"{until.benchmark}.parquet"
        shown = prompt_column([bench.prompts.build(q, None, benchmark.few_shot) for q in questions], bench.prompts.chat)
        write_table(path, to_frame(questions).with_columns(shown))
        slice_ = {
            "name": until.benchmark,
            "rows": str(path),
            "sampling": asdict(bench.prompts.sampling(benchmark.sampling)),
            "samples": samples,
        }
        value = (done["judgement"] == Judgement.CORRECT).mean()
        return {"match": until.match, "target": value, "every": until.every, "set": slice_}
