"""The run directory: the one place where a run lives. Imports no torch.

One process owns a run directory at a time; the lock is the kernel's (flock), so it goes with the process, however that ends.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from midway.rundir.files import RunError, now, read_json, write_json
from midway.rundir.manifest import StageDir


class RunDir:
    """A run directory."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def log(self, event: str, **fields: Any) -> None:
        """Append a line to log.jsonl."""
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self.path / "log.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps({"time": now(), "event": event, **fields}, ensure_ascii=False, default=str) + "\n")

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Own the directory while the block runs. Raises RunError naming the owner when another process does.

        The lock is on log.jsonl, whose last `own` line names the owner; the kernel gives it back when the process ends.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self.path / "log.jsonl", "a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise
                file.seek(0)
                owners = [line for line in file if '"event": "own"' in line]
                who = json.loads(owners[-1]) if owners else {}
                raise RunError(
                    f"{self.path} is in use by process {who.get('pid', '?')} on {who.get('host', '?')} since {who.get('time', '?')}\n"
                    "  wait for it, stop it (Ctrl-C there), or choose another directory with --out"
                ) from None
            self.log("own", pid=os.getpid(), host=socket.gethostname())
            yield

    def stage(self, rel: str, kind: str, config: Mapping[str, Any], inputs: Mapping[str, str]) -> StageDir:
        return StageDir(self, rel, kind, config, inputs)

    def stages(self) -> dict[str, dict[str, Any]]:
        """Return the manifest of every stage directory by relative path."""
        found = {}
        for file in sorted(self.path.rglob("stage.json")):
            found[file.parent.relative_to(self.path).as_posix()] = read_json(file)
        return found

    def clean(self, prefix: str) -> list[str]:
        """Take back every stage whose path is `prefix` or below it, or whose kind is `prefix`; return the paths.

        Completions of the base model stay, since their ids say what they are: the next run takes over those it still asks for.
        Those of a trained model go with it.
        """
        cleaned = []
        for rel, manifest in self.stages().items():
            if rel == prefix or rel.startswith(prefix.rstrip("/") + "/") or manifest.get("stage") == prefix:
                folder = self.path / rel
                if not (folder / "stage.json").exists():
                    continue  # it lay in the folder of another that was taken back
                if manifest.get("stage") == "generate" or (
                    rel.startswith("arms/base/") and manifest.get("stage") == "evaluate"
                ):
                    kept = {"cost": manifest.get("cost", {}), "stage": manifest.get("stage"), "state": ""}
                    write_json(folder / "stage.json", kept)  # what the stored completions cost is still true
                else:
                    (folder / "stage.json").unlink()  # first: what is half removed must not look complete
                    shutil.rmtree(folder)
                cleaned.append(rel)
                self.log("clean", stage=rel)
        return cleaned
