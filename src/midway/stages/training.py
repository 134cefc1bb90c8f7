"""Run a training job in a stage's directory: shared by mid-training and RL."""

from __future__ import annotations

from typing import Any

import polars as pl

from midway import registry
from midway.evidence.alarms import PREFIX, alarms
from midway.recipe import Recipe
from midway.rundir import write_table
from midway.stages.base import Output
from midway.training.jobs import Job, read_rows
from midway.training.launch import default_command, launch, run_job


def trainer_parts(recipe: Recipe) -> list[Any]:
    """Return the trainer whose packages must be installed here; none where a command starts the training, maybe elsewhere."""
    return [] if recipe.launch else [registry.find("trainers", recipe.training.trainer)]


def train(out: Output, rows: pl.DataFrame, job: Job, command: list[str]) -> None:
    """Write `rows.parquet` and `job.json`, run the job, keep what it tells. Raises Stopped when asked to stop (a checkpoint is saved)."""
    out.path.mkdir(parents=True, exist_ok=True)
    write_table(out.path / "rows.parquet", rows)
    path = out.path / "job.json"
    job.save(path)

    seen: set[str] = set()

    def progress(step: int, total: int, logs: dict[str, Any]) -> None:
        shown = [f"{key} {logs[key]:.3g}" for key in ("loss", "reward") if isinstance(logs.get(key), int | float)]
        out.progress(step, total, ", ".join(shown))
        new = {key for key in logs if key.startswith(PREFIX)} - seen
        if new:
            seen.update(new)
            for alarm in alarms(read_rows(out.files.metrics(out.rel))):
                if PREFIX + alarm.name in new:
                    out.note(f"alarm at step {step}: {alarm.what}. {alarm.advice}")

    if job.kind in registry.find("trainers", job.trainer).starts:
        command = []
    else:
        command = command or default_command()
    result = launch(path, command, progress, out.stop) if command else run_job(path, progress, out.stop)
    out.cost["peak_memory_mb"] = result.pop("peak_memory_mb", 0.0)
    out.cost["training_tokens"] = result.get("tokens", 0)
    out.result.update(result)
