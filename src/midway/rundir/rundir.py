"""A run directory: the one place where a run lives. Imports no torch.

Several processes may be at work on a run at once, each on stages of its own (see `StageDir.locked`); what changes the whole of it (taking
stages back) needs it alone. The locks are the kernel's, so they go with the process, however that ends.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from midway.rundir import locking
from midway.rundir.files import RunError, make_folder, now, read_json
from midway.rundir.layout import Layout
from midway.rundir.manifest import StageDir


class RunDir:
    """A run directory."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.files = Layout(self.path)
        self._lock: IO[str] | None = None

    def log(self, event: str, **fields: Any) -> None:
        """Append a line to log.jsonl."""
        make_folder(self.path)
        with open(self.files.log, "a", encoding="utf-8") as file:
            file.write(json.dumps({"time": now(), "event": event, **fields}, ensure_ascii=False, default=str) + "\n")

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Be at work on the run while the block runs, beside others. Raises RunError when a process has it alone.

        The lock is on log.jsonl, whose last `own` line names who came last.
        """
        make_folder(self.path)
        with open(self.files.log, "a+", encoding="utf-8") as file:
            if not locking.share(file):
                raise self._busy(file)
            self._lock = file
            self.log("own", pid=os.getpid(), host=socket.gethostname())
            try:
                yield
            finally:
                self._lock = None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Have the run alone while the block runs, inside `joined`. Raises RunError when another process is at work on it."""
        file = self._lock
        if file is None:
            raise RuntimeError("only who has joined a run can have it alone")
        if not locking.take_alone(file):
            locking.share(file)
            raise self._busy(file)
        try:
            yield
        finally:
            locking.share(file)

    def _busy(self, file: IO[str]) -> RunError:
        return RunError(
            f"{self.path} is in use by {locking.owner(file)}\n"
            "  wait for it, stop it (Ctrl-C there), or choose another directory with --out"
        )

    def stage(self, rel: str, kind: str, config: Mapping[str, Any], inputs: Mapping[str, str]) -> StageDir:
        return StageDir(self, rel, kind, config, inputs)

    def stages(self) -> dict[str, dict[str, Any]]:
        """Return the manifest of every stage directory by relative path."""
        return {rel: read_json(file) for rel, file in self.files.manifests()}


def find_run(name: str | Path) -> Path:
    """Return the directory of a run given by path, or by name under runs/. Raises RunError naming the runs that are there."""
    for path in (Path(name), Path("runs") / name):
        if Layout(path).resolved.exists():
            return path
    known = sorted(path.name for path in Path("runs").glob("*") if Layout(path).resolved.exists())
    there = f"runs here: {', '.join(known)}" if known else "start one with `midway run RECIPE`"
    raise RunError(
        f"{name} is not a run directory: there is no {Layout(Path(name)).resolved}, nor one under runs/; {there}"
    )
