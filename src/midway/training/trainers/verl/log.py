"""verl's log as midway's `metrics.jsonl`: the names that TRL's log has for the same numbers, besides verl's own. Imports no torch.

Promises: one line per step, each step once, also after a kill: rows of steps that are done again are dropped first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from midway.rundir import write_bytes

NAMES: Mapping[str, str] = {
    "reward": "critic/score/mean",
    "loss": "actor/pg_loss",
    "entropy": "actor/entropy",
    "kl": "actor/kl_loss",
    "grad_norm": "actor/grad_norm",
    "learning_rate": "actor/lr",
    "completions/mean_length": "response_length/mean",
    "completions/clipped_ratio": "response_length/clip_ratio",
    "clip_ratio/region_mean": "actor/pg_clipfrac",
}
"""Name in reports and alarms -> verl's name."""
TOKENS, MEMORY = "perf/total_num_tokens", "perf/max_memory_allocated_gb"


def row_of(line: Mapping[str, Any], max_steps: int) -> dict[str, float]:
    """Return a row of metrics.jsonl from a line that verl's `file` logger wrote (`step`, `data`)."""
    data = {key: value for key, value in line["data"].items() if isinstance(value, int | float)}
    known = {ours: data[theirs] for ours, theirs in NAMES.items() if theirs in data}
    return {"step": int(line["step"]), **({"max_steps": max_steps} if max_steps else {}), **known, **data}


class Log:
    """Follows the file that verl writes (`source`) and keeps `target`, a metrics.jsonl. `max_steps` 0: not known."""

    def __init__(self, source: Path, target: Path, max_steps: int = 0) -> None:
        self.source, self.target, self.max_steps = source, target, max_steps
        self._offset = 0

    def begin(self, step: int) -> None:
        """Begin after `step`, the last checkpoint's: what an attempt that was killed logged is taken over up to there."""
        rows = {int(row["step"]): row for row in [*self.rows(), *self._new()] if row["step"] <= step}
        write_bytes(self.target, "".join(json.dumps(rows[n]) + "\n" for n in sorted(rows)).encode())
        self.source.unlink(missing_ok=True)
        self._offset = 0

    def follow(self) -> list[dict[str, float]]:
        """Append what verl has logged since the last call, and return it."""
        rows = self._new()
        if rows:
            with open(self.target, "a", encoding="utf-8") as file:
                file.write("".join(json.dumps(row) + "\n" for row in rows))
        return rows

    def rows(self) -> list[dict[str, float]]:
        """Return all rows; a torn last line is left out."""
        found = []
        for line in self.target.read_text(encoding="utf-8").splitlines() if self.target.exists() else ():
            with suppress(ValueError):
                found.append(json.loads(line))
        return found

    def _new(self) -> list[dict[str, float]]:
        if not self.source.exists():
            return []
        with open(self.source, "rb") as file:
            file.seek(self._offset)
            whole = file.read().rpartition(b"\n")[0]
        found = []
        if whole:
            self._offset += len(whole) + 1
            for line in whole.split(b"\n"):
                with suppress(ValueError, KeyError):
                    found.append(row_of(json.loads(line), self.max_steps))
        return found
