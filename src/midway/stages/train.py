"""Train, for mid-training and for RL: write the rows and the job, run it, keep what it tells.

Reads solutions (or questions); calls training; writes `rows.parquet`, `job.json`, `model/`, `metrics.jsonl`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from midway.rundir import StageDir, write_table
from midway.stages.common import Control, Outcome, Stopped
from midway.training.jobs import Interrupted, Job
from midway.training.launch import default_command, launch, run_job


def train_stage(
    stage: StageDir,
    control: Control,
    outcome: Outcome,
    rows: pl.DataFrame,
    job: Job,
    command: Sequence[str] = (),
) -> None:
    """Run a training job on `rows` in `stage.path`; raises Stopped when asked to stop (a checkpoint is saved)."""
    stage.path.mkdir(parents=True, exist_ok=True)
    write_table(stage.path / "rows.parquet", rows)
    path = stage.path / "job.json"
    job.save(path)

    def progress(step: int, total: int, logs: dict[str, Any]) -> None:
        shown = [f"{key} {logs[key]:.3g}" for key in ("loss", "reward") if isinstance(logs.get(key), int | float)]
        control.progress(step, total, ", ".join(shown))

    command = command or default_command()
    try:
        result = launch(path, command, progress, control.stop) if command else run_job(path, progress, control.stop)
    except Interrupted as error:
        control.note(str(error))
        raise Stopped from None
    peak = result.pop("peak_memory_mb", 0.0)
    outcome.cost["peak_memory_mb"] = peak
    outcome.cost["training_tokens"] = result.get("tokens", 0)
    outcome.result.update(result)
