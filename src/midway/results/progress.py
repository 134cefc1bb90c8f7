"""How far a run is: its stages in the order in which they are done, with progress, rate and what is left; dead ones are interrupted.

Promises: reads stage.json, progress.json, the log and the locks, no table; imports neither torch nor scipy. A stage whose stage.json says
`running` while no process holds its lock was killed: it is shown as interrupted. A rate is of this attempt; what is left is an estimate by
it, None where the total is not known.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from midway.results.contents import StageRecord
from midway.results.edge import as_dict, read_dict
from midway.results.run import Run
from midway.rundir import COMPLETE, FAILED, INTERRUPTED, RUNNING, locking
from midway.rundir.layout import Layout

WAITING = "waiting"
"""The state of a stage that has not begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageState:
    """A stage as it stands. Seconds and tokens are of all attempts; for one that runs now, its seconds so far are in."""

    rel: str
    kind: str = ""
    state: str
    seconds: float = 0.0
    tokens: float = 0.0
    """Written by a model."""
    done: int | None = None
    total: int | None = None
    rate: float | None = None
    """A second, in this attempt."""
    left: float | None = None
    """Seconds."""
    note: str = ""
    error: str = ""
    record: StageRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """A run as it stands: complete, running, failed, interrupted, or waiting (nothing is at work, and stages are left)."""

    state: str
    stages: tuple[StageState, ...]
    started: str
    """When its first stage began."""

    @property
    def complete(self) -> int:
        return sum(stage.state == COMPLETE for stage in self.stages)

    @property
    def total(self) -> int:
        return len(self.stages)

    @property
    def seconds(self) -> float:
        return sum(stage.seconds for stage in self.stages)

    @property
    def tokens(self) -> float:
        return sum(stage.tokens for stage in self.stages)

    @property
    def now(self) -> list[dict[str, Any]]:
        """The stages at work, for a line about each."""
        names = ("rel", "kind", "done", "total", "rate", "left", "note")
        return [{n: getattr(s, n) for n in names} for s in self.stages if s.state == RUNNING]


def state_of(run: Run) -> RunState:
    """Return how far a run is. Stages that are still to come are known where the run says which (runs of this version do)."""
    records = {stage.rel: stage for stage in run.stages if stage.state or stage.kind != stage.rel}
    resolved = read_dict(run.files.resolved) or {}
    planned = [rel for rel in resolved.get("stages") or () if isinstance(rel, str)]
    began = list(_begun(run.files))
    order = list(dict.fromkeys([*planned, *(rel for rel in began if rel in records), *records]))
    stages = tuple(_state(run.files, rel, records.get(rel)) for rel in order)
    states = {stage.state for stage in stages}
    if RUNNING in states:
        state = RUNNING
    elif states == {COMPLETE}:
        state = COMPLETE
    else:
        state = next((s for s in (FAILED, INTERRUPTED) if s in states), WAITING)
    started = min((r.started for r in records.values() if r.started), default=str(resolved.get("created") or ""))
    return RunState(state=state, stages=stages, started=started)


def _begun(files: Layout) -> Iterator[str]:
    """Yield the stages in the order in which they first began."""
    try:
        lines = files.log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            row = as_dict(json.loads(line))
        except ValueError:
            continue
        if row.get("event") == "begin":
            yield str(row.get("stage"))


def _state(files: Layout, rel: str, record: StageRecord | None) -> StageState:
    if record is None or record.state in ("", "unknown"):
        return StageState(rel=rel, kind=record.kind if record else _kind(rel), state=WAITING, record=record)
    state, seconds = record.state, record.cost.get("seconds", 0.0)
    tokens = record.cost.get("completion_tokens", 0.0)
    about = {"rel": rel, "kind": record.kind, "tokens": tokens, "error": record.error, "record": record}
    if state != RUNNING:
        return StageState(state=state, seconds=seconds, **about)  # type: ignore[arg-type]
    told = read_dict(files.progress(rel)) or {}
    numbers = {name: value for name, value in told.items() if isinstance(value, int | float)}
    clock = as_dict(read_dict(files.manifest(rel))).get("clock")
    done, total = int(numbers.get("done", 0)), int(numbers.get("total", 0))
    about |= {"done": done if told else None, "total": total or None, "note": str(told.get("note") or "")}
    if not locking.held(files.lock(rel)):
        worked = max(0.0, numbers.get("time", 0.0) - clock) if isinstance(clock, int | float) else 0.0
        return StageState(state=INTERRUPTED, seconds=seconds + worked, **about)  # type: ignore[arg-type]
    spent = time.time() - clock if isinstance(clock, int | float) else 0.0
    rate = left = None
    if (lasted := numbers.get("time", 0.0) - numbers.get("began", 0.0)) > 0 and done > numbers.get("first", 0):
        rate = (done - numbers["first"]) / lasted
        left = max(0.0, (total - done) / rate - (time.time() - numbers["time"])) if total else None
    return StageState(state=RUNNING, seconds=seconds + spent, rate=rate, left=left, **about)  # type: ignore[arg-type]


def _kind(rel: str) -> str:
    """Return the kind of a stage that has not begun, by its path."""
    from midway.rundir import layout

    part = layout.place(rel).part
    names = {"completions": "generate", "verdicts": "verify", "adherence": "score", "selection": "select"}
    names |= {"evaluation": "evaluate", "labels": "label" if "/" in rel else "labeller", layout.RL_FILTER: "filter"}
    return names.get(part, part)
