"""A training job: everything that a training process needs, as JSON on disk. Imports no torch."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from midway.rundir import write_bytes


class Interrupted(Exception):
    """Training stopped on request after saving a checkpoint; the same command goes on from there."""


@dataclass(frozen=True)
class Job:
    """Everything a training process needs, as JSON on disk, so that it can run in this process or under a launcher."""

    kind: str
    """`sft` or `grpo`."""
    model: str
    revision: str | None
    dtype: str
    trust_remote_code: bool
    rows: str
    """Parquet file with the training rows."""
    out: str
    """The stage directory: `model/`, `checkpoints/` and `metrics.jsonl` go here."""
    seed: int
    args: dict[str, Any] = field(default_factory=dict)
    """Fields of SFTConfig or GRPOConfig, as in the recipe."""
    lora: dict[str, Any] | None = None
    report_to: list[str] = field(default_factory=list)
    run_name: str = ""
    examples: int | None = None
    """sft: take as many optimizer steps as this many rows would (the treatment's), unless `args` has max_steps."""
    stop: list[str] = field(default_factory=list)
    """grpo: strings at which an answer ends for the reward, as it does in evaluation."""
    questions: str | None = None
    """grpo: Parquet file with the question records, for the reward."""
    verify: dict[str, Any] = field(default_factory=dict)
    curve: dict[str, Any] = field(default_factory=dict)
    """grpo: `every` and `sets`, the slices of benchmarks to evaluate while RL runs (see `curve`)."""

    def save(self, path: Path) -> None:
        write_bytes(path, json.dumps(self.__dict__, indent=2).encode())

    @classmethod
    def load(cls, path: Path) -> Job:
        return cls(**json.loads(path.read_text()))
