"""Mid-training: ordinary supervised fine-tuning with TRL's SFTTrainer on question -> solution.

Promises: the loss is on the solution only; any field of SFTConfig passes through; a killed run goes on from its last checkpoint;
`max_steps` may be given so that arms with fewer examples take as many optimizer steps as the treatment; with `until` it ends at the first
measurement that reaches the target.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from datasets import Dataset, disable_progress_bars
from trl import SFTConfig, SFTTrainer

from midway.engines.text import turn_end
from midway.training.jobs import Job
from midway.training.trainers.trl.chat import as_seen
from midway.training.trainers.trl.common import (
    RunCallback,
    adapter_config,
    base_args,
    load_model,
    load_tokenizer,
    train,
)
from midway.training.trainers.trl.held_out import HeldOut


def optimizer_steps(examples: int, args: dict[str, Any], world: int = 1) -> int:
    """Return the number of optimizer steps that SFT on `examples` rows takes with these SFTConfig fields."""
    if int(args.get("max_steps", -1)) > 0:
        return int(args["max_steps"])
    per_device = int(args.get("per_device_train_batch_size", 8))
    batch = per_device * int(args.get("gradient_accumulation_steps", 1)) * world
    return max(1, math.ceil(math.ceil(examples / batch) * float(args.get("num_train_epochs", 3.0))))


def run_sft(
    job: Job,
    progress: Callable[[int, int, dict[str, Any]], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Fine-tune as `job` says; rows have `prompt` and `completion` (both text, or both chat messages as TRL takes them)."""
    disable_progress_bars()
    rows = Dataset.from_parquet(job.rows, cache_dir=str(Path(job.out) / "cache"))
    held_out = Dataset.from_parquet(job.held_out, cache_dir=str(Path(job.out) / "cache")) if job.held_out else None
    tokenizer = load_tokenizer(job.model, job.revision, job.trust_remote_code)
    args = {"max_length": None, **base_args(job), **job.args}
    if isinstance(rows[0]["prompt"], list) and (end := turn_end(tokenizer)):
        args.setdefault("eos_token", end)  # TRL writes it into the tokenizer and both configurations
    rows = as_seen(rows, tokenizer, job.template)
    held_out = as_seen(held_out, tokenizer, job.template) if held_out else None
    args["max_steps"] = optimizer_steps(job.examples or len(rows), args, int(os.environ.get("WORLD_SIZE", "1")))
    trainer = SFTTrainer(
        model=load_model(job),
        args=SFTConfig(**args),
        train_dataset=rows,
        eval_dataset=held_out,
        processing_class=tokenizer,
        peft_config=adapter_config(job),
    )
    callback = RunCallback(Path(job.out), progress, stop)
    trainer.add_callback(callback)
    kept = HeldOut(trainer, trainer.eval_dataset, job) if held_out else None
    if kept:
        kept.before()
    with ExitStack() as stack:
        until = _until(trainer, job, stack) if job.until else None

        def finish() -> dict[str, Any]:
            return {**(until.outcome() if until else {}), **(kept.after() if kept else {})}

        result = train(trainer, job, callback, finish)
    return {**result, "examples": len(rows)}


def _until(trainer: SFTTrainer, job: Job, stack: ExitStack) -> Any:
    """Add what ends mid-training at the first measurement that reaches the target; its verifier is closed with `stack`."""
    from midway.domains import Verifier
    from midway.training.trainers.trl.until import UntilCallback

    until = UntilCallback(trainer, job.until, stack.enter_context(Verifier(**job.verify)))
    trainer.add_callback(until)
    return until
