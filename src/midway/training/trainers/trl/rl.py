"""RL: ordinary GRPO with TRL's GRPOTrainer; the reward is midway's verdict.

Promises: reward 1 for correct, 0 for wrong, None (left out of the group's baseline) for unjudged; any field of GRPOConfig passes
through; a killed run goes on from its last checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
from datasets import Dataset, disable_progress_bars
from trl import GRPOConfig, GRPOTrainer

from midway import registry
from midway.domains import Verifier
from midway.engines.text import turn_end
from midway.questions import from_frame
from midway.training.jobs import Job
from midway.training.trainers.trl.common import RunCallback, base_args, hardware_args, load_model, load_tokenizer, train


def rl_args(job: Job) -> dict[str, Any]:
    """Return the GRPOConfig fields of a job. On a CPU the static cache makes generation about twice as fast."""
    defaults = dict(base_args(job))
    if hardware_args().get("use_cpu") and not job.args.get("use_vllm"):
        defaults["cache_implementation"] = "static"
    return {**defaults, **job.args}


def run_grpo(
    job: Job,
    progress: Callable[[int, int, dict[str, Any]], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Run GRPO as `job` says; rows have `prompt` (text or chat messages) and `question_id`."""
    disable_progress_bars()
    assert job.questions is not None
    rows = Dataset.from_parquet(job.rows, cache_dir=str(Path(job.out) / "cache"))
    rows = rows.select_columns(["prompt", "question_id"])
    questions = from_frame(pl.read_parquet(job.questions))
    tokenizer = load_tokenizer(job.model, job.revision, job.trust_remote_code)
    if isinstance(rows[0]["prompt"], list) and (end := turn_end(tokenizer)):
        tokenizer.eos_token = end
    peft_config = None
    if job.lora is not None:
        from peft import LoraConfig

        peft_config = LoraConfig(**{"task_type": "CAUSAL_LM", **job.lora})
    with Verifier(**job.verify) as verifier:
        reward = registry.find("rewards", job.reward).open({}, questions=questions, verifier=verifier, stop=job.stop)
        trainer = GRPOTrainer(
            model=load_model(job),
            reward_funcs=reward,
            args=GRPOConfig(**rl_args(job)),
            train_dataset=rows,
            processing_class=tokenizer,
            peft_config=peft_config,
        )
        callback = RunCallback(Path(job.out), progress, stop)
        trainer.add_callback(callback)  # before the curve: it puts metrics.jsonl in order
        if job.curve.get("every"):
            from midway.training.trainers.trl.curve import CurveCallback

            trainer.add_callback(CurveCallback(trainer, job.curve["every"], job.curve["sets"], verifier))
        result = train(trainer, job, callback)
    return {**result, "questions": len(rows)}
