"""A stage directory and its `stage.json`: what was asked, its digest, state, cost, result.

Promises: a stage that is complete with the same digest can be skipped, an incomplete one goes on, one whose digest changed is reported with
the difference by name. Costs add up over attempts, also over one that was killed.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from midway.records import content_id
from midway.rundir import locking
from midway.rundir.files import now, read_json, write_json

if TYPE_CHECKING:
    from midway.rundir.rundir import RunDir

COMPLETE, RUNNING, FAILED, INTERRUPTED = "complete", "running", "failed", "interrupted"


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return a nested mapping as one level with dotted keys; lists are leaves."""
    if isinstance(value, Mapping):
        out: dict[str, Any] = {}
        for key, item in value.items():
            out.update(flatten(item, f"{prefix}.{key}" if prefix else str(key)))
        return out or ({prefix: {}} if prefix else {})
    return {prefix: value}


def difference(old: Any, new: Any) -> list[str]:
    """Return the differing keys of two nested mappings as lines `a.b: 4 -> 8`."""
    before, after = flatten(old), flatten(new)
    lines = []
    for key in sorted(before.keys() | after.keys()):
        if before.get(key, "(nothing)") != after.get(key, "(nothing)"):
            lines.append(f"{key}: {_short(before.get(key, '(nothing)'))} -> {_short(after.get(key, '(nothing)'))}")
    return lines


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def stage_digest(kind: str, config: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """Return the digest of a stage: of its configuration, and of the digests of what it reads by name."""
    return content_id("stage", kind, json.loads(json.dumps(config, default=str)), dict(inputs))


class StageDir:
    """A stage directory and its manifest `stage.json`. `config` and `inputs` make the digest: `inputs` maps names to the
    digests of what the stage reads, so a change anywhere upstream changes every digest downstream."""

    def __init__(self, run: RunDir, rel: str, kind: str, config: Mapping[str, Any], inputs: Mapping[str, str]) -> None:
        self.run, self.rel, self.kind = run, rel, kind
        self.config = json.loads(json.dumps(config, default=str))
        self.inputs = dict(inputs)
        self.digest = stage_digest(kind, self.config, self.inputs)
        self.path = run.path / rel

    @property
    def manifest(self) -> dict[str, Any]:
        return read_json(self.path / "stage.json") or {}

    @property
    def state(self) -> str:
        """`complete`, `running` (or killed while running), `failed`, `interrupted`, or `` if it never started."""
        return str(self.manifest.get("state", ""))

    @property
    def complete(self) -> bool:
        manifest = self.manifest
        return manifest.get("state") == COMPLETE and manifest.get("digest") == self.digest

    def changes(self) -> list[str]:
        """Return how the stored stage differs from this one; empty if it does not or was never run."""
        manifest = self.manifest
        if not manifest.get("digest") or manifest["digest"] == self.digest:
            return []
        return difference(manifest.get("config", {}), self.config) + difference(
            {"inputs": manifest.get("inputs", {})}, {"inputs": self.inputs}
        )

    @property
    def cost(self) -> dict[str, float]:
        """What earlier attempts cost."""
        return dict(self.manifest.get("cost", {}))

    @contextmanager
    def locked(self, *, wait: bool = False, stop: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Own the stage while the block runs. The lock is the kernel's, so it goes with the process, however that ends.

        Raises RunError naming the owner when another process has it; with `wait`, waits for that process (Stopped when asked to stop).
        """
        with locking.locked(self.run.files.lock(self.rel), f"{self.run.path}: {self.rel}", wait=wait, stop=stop):
            yield

    def clean(self, *, keep_rows: bool) -> bool:
        """Take the stage back; return whether it was there.

        With `keep_rows` its completions stay, and what they cost is still true. Verdicts on them go: they may be another verifier's, and
        are cheap.
        """
        manifest = self.manifest
        if not manifest:
            return False
        if keep_rows:  # before the manifest: a kill between the two must not leave old verdicts to be taken over
            shutil.rmtree(self.path / "verdicts", ignore_errors=True)
            kept = {"cost": manifest.get("cost", {}), "stage": manifest.get("stage"), "state": ""}
            write_json(self.path / "stage.json", kept)
        else:
            (self.path / "stage.json").unlink()  # first: what is half removed must not look complete
            shutil.rmtree(self.path)
        self.run.log("clean", stage=self.rel)
        return True

    def begin(self, versions: Mapping[str, str]) -> None:
        """Mark the stage as running; costs of earlier attempts are kept, also of one that was killed."""
        old = self.manifest
        cost = dict(old.get("cost", {}))
        if old.get("state") == RUNNING and "clock" in old:  # killed: it worked until the last file it wrote
            last = max((f.stat().st_mtime for f in self.path.rglob("*") if f.is_file()), default=0.0)
            cost["seconds"] = cost.get("seconds", 0.0) + max(0.0, last - old["clock"])
        self._write(
            state=RUNNING,
            versions=dict(versions),
            started=old.get("started") or now(),
            attempts=int(old.get("attempts", 0)) + 1,
            cost=cost,
            error="",
            clock=time.time(),
        )
        self.run.log("begin", stage=self.rel)

    def end(
        self, state: str, cost: Mapping[str, float], *, error: str = "", result: Mapping[str, Any] | None = None
    ) -> None:
        """Mark the stage as ended; `cost` (seconds, tokens) is added to that of earlier attempts, a peak is the larger."""
        old = self.manifest
        total: dict[str, float] = dict(old.get("cost", {}))
        for key, value in cost.items():
            total[key] = max(total.get(key, 0.0), value) if key.startswith("peak") else total.get(key, 0.0) + value
        kept = {k: old[k] for k in ("versions", "started", "attempts") if k in old}
        self._write(state=state, cost=total, finished=now(), error=error, result=dict(result or {}), **kept)
        self.run.log("end", stage=self.rel, state=state, error=error)

    def _write(self, **fields: Any) -> None:
        head = {"stage": self.kind, "digest": self.digest, "config": self.config, "inputs": self.inputs}
        write_json(self.path / "stage.json", {**head, **fields})
