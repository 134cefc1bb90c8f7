"""Every completion that RL sampled, stored as it comes: what was written, how it was judged, what it was worth. Imports no torch.

Promises: a rollout survives `kill -9` from the moment `write` returns. When training goes on from a checkpoint, the rollouts of the steps
that will be done again are dropped first, so that every rollout of a step that counts is there once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import polars as pl

from midway.records import content_id
from midway.rundir import ROLLOUTS, ShardWriter, recover, write_table

ALL, NONE = "all", "none"
MANY = 1_000_000
"""Expected rollouts up to which all are kept by default ..."""
OF_MANY = 1_000
"""... and how many of each step are kept above that."""


def kept_of_a_step(asked: str | int | None, expected: int) -> int | None:
    """Return how many rollouts of a step are kept, None for all; `expected` is how many the whole training will sample."""
    if asked is None:
        return None if expected <= MANY else OF_MANY
    if isinstance(asked, int):
        return asked
    return 0 if asked == NONE else None


@dataclass(frozen=True)
class Batch:
    """What the trainer sampled at once; lists of one length, groups one after the other."""

    step: int
    group_size: int
    texts: Sequence[str]
    rewards: Mapping[str, Sequence[float | None]]
    """By the reward's name; NaN or None: the reward had nothing to say."""
    reward: Sequence[float | None]
    advantage: Sequence[float]
    columns: Mapping[str, Sequence[Any]]
    """question_id, judgement, extracted, reason, tokens, cut_off."""


class Rollouts:
    """The rollouts of one RL stage. `owner` goes into their ids. Use as a context manager."""

    def __init__(self, folder: Path, owner: str) -> None:
        self.folder, self.owner = folder, owner
        self.keep: int | None = None
        """How many of a step are stored, whole groups and at least one; None: all."""
        self._writer: ShardWriter | None = None
        self._step = self._groups = 0

    def begin(self, step: int, keep: int | None) -> None:
        """Begin after `step`, 0 for a fresh start: rollouts of later steps are dropped. `keep` as above."""
        self.keep = keep
        if self.folder.exists():
            drop_after(self.folder, step)
        if keep != 0:
            self._writer = ShardWriter(self.folder, ROLLOUTS)

    def write(self, batch: Batch) -> None:
        """Store a batch. A step that samples several batches has its groups numbered on."""
        if self._writer is None:
            return
        if batch.step != self._step:
            self._step, self._groups = batch.step, 0
        size, first = batch.group_size, self._groups
        self._groups += len(batch.texts) // size
        most = self._groups if self.keep is None else max(1, self.keep // size)
        rows = [self._row(batch, k, first + k // size) for k in range(len(batch.texts)) if first + k // size < most]
        self._writer.write(rows)

    def _row(self, batch: Batch, k: int, group: int) -> dict[str, Any]:
        index = k % batch.group_size
        question = batch.columns["question_id"][k]
        return {
            "id": content_id("rollout", self.owner, batch.step, group, index, question),
            "step": batch.step,
            "group": group,
            "index": index,
            "text": batch.texts[k],
            "reward": number(batch.reward[k]),
            "rewards": [{"name": name, "value": number(values[k])} for name, values in batch.rewards.items()],
            "advantage": number(batch.advantage[k]),
            **{name: values[k] for name, values in batch.columns.items()},
        }

    def __enter__(self) -> Rollouts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.__exit__(kind, error, trace)


def number(value: float | None) -> float | None:
    """Return a number, None for NaN."""
    return None if value is None or math.isnan(value) else float(value)


def drop_after(folder: Path, step: int) -> None:
    """Remove the rollouts of later steps than `step`. Killed in the middle, it is done again by the next attempt."""
    recover(folder, ROLLOUTS)
    for shard in sorted(folder.glob("*.parquet")):
        rows = pl.read_parquet(shard)
        left = rows.filter(pl.col("step") <= step)
        if left.is_empty():
            shard.unlink()
        elif left.height < rows.height:
            write_table(shard, left)
