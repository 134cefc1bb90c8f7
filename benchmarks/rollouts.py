"""What keeping rollouts costs: midway's RL beside TRL's own GRPOTrainer, the same rows, arguments, weights and seed, in turns.

    python benchmarks/rollouts.py [--steps 20] [--rounds 3]

Prints seconds of wall and of processor for `trainer.train()` of each, the ratio of the sums, and whether both logged the same rewards.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
from datasets import Dataset, disable_progress_bars
from transformers import PrinterCallback
from trl import GRPOConfig, GRPOTrainer

from midway.domains import Verifier
from midway.questions import to_frame
from midway.recipe import Recipe, loads_recipe
from midway.rundir import ROLLOUTS, read_table, write_table
from midway.rundir.layout import Layout
from midway.stages.rl import prompt_column
from midway.training.jobs import Job, job_of, read_rows
from midway.training.rewards import TRLReward
from midway.training.trainers.trl.common import load_model, load_tokenizer
from midway.training.trainers.trl.rl import rl_args, run_grpo
from midway.workbench import RL, Workbench


def main() -> int:
    """Run both in turns; return 1 if they did not train alike."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    disable_progress_bars()
    spent = {"TRL": [0.0, 0.0], "midway": [0.0, 0.0]}
    alike = True
    with tempfile.TemporaryDirectory() as folder:
        job, bench = made(Path(folder), given.steps)
        for number in range(given.rounds + 1):
            out = Path(folder) / str(number)
            with timed(spent["TRL"]):
                theirs = bare(replace(job, out=str(out / "trl")), bench)
            with timed(spent["midway"]):
                ours = kept(replace(job, out=str(out / "midway")))
            alike = alike and theirs == ours
            if number == 0:  # the first of both warms up
                spent = {"TRL": [0.0, 0.0], "midway": [0.0, 0.0]}
            else:
                for name, (wall, processor) in spent.items():
                    print(
                        f"round {number}: {name}: {wall:.1f} s, {processor:.1f} s of processor, in all so far",
                        flush=True,
                    )
    ratios = [a / b for a, b in zip(spent["midway"], spent["TRL"], strict=True)]
    print(f"midway with all rollouts kept / TRL: {ratios[0]:.3f} of wall, {ratios[1]:.3f} of processor")
    print("the same rewards in every step" if alike else "NOT THE SAME REWARDS")
    return 0 if alike else 1


def recipe(steps: int) -> Recipe:
    """Return RL in the lab."""
    source = {"source": "lab", "split": "train", "limit": 100, "options": {"families": ["single"]}}
    return loads_recipe(
        {
            "model": {"path": "lab"},
            "questions": {"train": [source]},
            "prompt": {"style": "cue"},
            "verify": {"workers": 1},
            "rl": {
                "max_steps": steps,
                "per_device_train_batch_size": 32,
                "num_generations": 8,
                "max_completion_length": 64,
                "learning_rate": 1.0e-5,
                "save_strategy": "no",
            },
        }
    )


def made(folder: Path, steps: int) -> tuple[Job, Workbench]:
    """Write the rows; return the job and the workbench."""
    asked = recipe(steps)
    bench = Workbench(asked, Layout(folder))
    questions = bench.questions.get(RL)
    shown = prompt_column([bench.prompts.build(q, None) for q in questions], bench.prompts.chat)
    write_table(folder / "rows.parquet", pl.DataFrame({"prompt": shown, "question_id": [q.id for q in questions]}))
    write_table(folder / "questions.parquet", to_frame(questions))
    job = job_of(
        asked,
        kind="grpo",
        out=folder,
        model=bench.models.base.path,
        revision=None,
        seed=0,
        args=asked.rl,
        name="benchmark",
        stop=bench.prompts.stop,
    )
    return replace(job, questions=str(folder / "questions.parquet")), bench


def bare(job: Job, bench: Workbench) -> list[float]:
    """Train with TRL alone; return the rewards that it logs."""
    rows = Dataset.from_parquet(job.rows, cache_dir=job.out).select_columns(["prompt", "question_id"])
    with Verifier(**job.verify) as verifier:
        trainer = GRPOTrainer(
            model=load_model(job),
            reward_funcs=TRLReward(bench.questions.get(RL), verifier, job.stop),
            args=GRPOConfig(**rl_args(job)),
            train_dataset=rows,
            processing_class=load_tokenizer(job.model),
        )
        trainer.remove_callback(PrinterCallback)  # midway prints nothing either
        trainer.train()
        return [row["reward"] for row in trainer.state.log_history if "reward" in row]


def kept(job: Job) -> list[float]:
    """Train as midway does, all rollouts kept; return the rewards that it logs."""
    folder = Path(job.out) / "rollouts"
    run_grpo(replace(job, rollouts={"folder": str(folder), "keep": "all"}))
    rewards = [row["reward"] for row in read_rows(Path(job.out) / "metrics.jsonl") if "reward" in row]
    assert read_table(folder, ROLLOUTS).height == len(rewards) * int(job.args["per_device_train_batch_size"])
    return rewards


@contextmanager
def timed(spent: list[float]) -> Iterator[None]:
    """Add the seconds of every `train` of a GRPOTrainer to `spent`: of wall, and of processor."""
    run = GRPOTrainer.train

    def train(trainer: Any, *given: Any, **named: Any) -> Any:
        wall, processor = time.perf_counter(), time.process_time()
        try:
            return run(trainer, *given, **named)
        finally:
            spent[0] += time.perf_counter() - wall
            spent[1] += time.process_time() - processor

    GRPOTrainer.train = train
    try:
        yield
    finally:
        GRPOTrainer.train = run


if __name__ == "__main__":
    sys.exit(main())
