"""A gradient that is not finite ends training at once, with the step and what to change, and before a checkpoint is written from it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from midway.lab.checkpoints import SHIPPED
from midway.rundir import RunError
from midway.training.jobs import Job
from midway.training.launch import cause
from midway.training.trainers.trl.sft import run_sft


def job(folder: Path, **args: object) -> Job:
    rows = folder / "rows.parquet"
    pl.DataFrame([{"prompt": f"{n} + 2 =", "completion": f" {n + 2}"} for n in range(40)]).write_parquet(rows)
    return Job(
        kind="sft", model=str(SHIPPED), revision=None, dtype="auto", trust_remote_code=False, rows=str(rows), out=str(folder), seed=1,
        args={"max_steps": 6, "per_device_train_batch_size": 4, "save_steps": 1, **args}, questions=None,
    )  # fmt: skip


def test_a_gradient_that_is_not_finite_ends_training(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"step [2-6]: the gradient is not finite .*\n.*change something first"):
        run_sft(job(tmp_path, learning_rate=1e30, max_grad_norm=0.0, lr_scheduler_type="constant"))
    assert not (tmp_path / "model").exists()
    steps = [int(path.name.rpartition("-")[2]) for path in (tmp_path / "checkpoints").glob("checkpoint-*")]
    assert max(steps, default=0) < 6, "no checkpoint of the step at which it ended, or later"


def test_the_cause_is_the_exception_not_what_is_printed_after_it() -> None:
    output = (
        'Traceback (most recent call last):\n  File "x.py", line 1\nValueError: an earlier one\n\nDuring handling\n'
        "torch.AcceleratorError: CUDA error: device-side assert triggered\nSearch for `cudaErrorAssert'\n"
        "Compile with `TORCH_USE_CUDA_DSA`.\n\n"
    )
    assert cause(output) == "torch.AcceleratorError: CUDA error: device-side assert triggered"
    assert cause("Segmentation fault\n") == "Segmentation fault"
    assert cause("") == "no output"
