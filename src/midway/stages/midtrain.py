"""Mid-train: ordinary fine-tuning on an arm's selected solutions. Reads the selection and what is replayed, calls the
trainer, writes `model/`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import polars as pl

from midway.recipe import Recipe, merge
from midway.stages.base import Output, Stage, prompt_identity
from midway.stages.replaying import replayed
from midway.stages.training import train, trainer_parts
from midway.training.dataset import training_rows
from midway.training.jobs import job_of, trainer_identity
from midway.workbench import TRAIN, Weights, Workbench


@dataclass(frozen=True, eq=False, kw_only=True)
class MidTrain(Stage):
    """Fine-tune what the arm starts from, for as many optimizer steps as the treatment (`reference`: its selection) takes."""

    kind: ClassVar[str] = "midtrain"

    seed: int
    recipe: Recipe
    start: Weights
    reference: Stage | None = None
    replay: Mapping[int, str] = field(default_factory=dict)
    """Digests of the rows of files that are replayed, by their place in the arm's `replay`."""

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
        train(
            out, rows, replace(job, examples=examples, held_out=str(held_out) if held_out else None), self.recipe.launch
        )
