"""The run directory: the one place where a run lives. Imports no torch.

Promises
- A file that readers look at is complete: it is written beside its place, flushed to disk and renamed. Rows that arrive one by one
  are appended to a journal first, so that killing the process loses none that was stored.
- Rows are known by id. A row that was stored twice (a crash between two steps) is read once.
- A stage directory holds `stage.json`. A stage that is complete with the same digest is skipped, an incomplete one goes on, one whose
  digest changed is refused with the difference and the ways out.
- One process owns a run directory at a time; the lock is the kernel's (flock), so it goes with the process, however that ends.

When things go wrong: RunError, with what, where and what to type next. A full disk is a RunError too; nothing stored is lost.
"""

from __future__ import annotations

import errno
import fcntl
import io
import json
import os
import shutil
import socket
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import polars as pl

from midway.records import UserError, content_id


class RunError(UserError, RuntimeError):
    """The run cannot go on; the message says what, where and what to type next."""


Schema = Mapping[str, Any]

COMPLETIONS: Schema = {
    "id": pl.String,
    "question_id": pl.String,
    "heuristic": pl.String,
    "index": pl.Int32,
    "text": pl.String,
    "finish": pl.String,
    "prompt_tokens": pl.Int32,
    "completion_tokens": pl.Int32,
    "cached_tokens": pl.Int32,
    "logprob": pl.Float64,
    "error": pl.String,
}
VERDICTS: Schema = {"id": pl.String, "judgement": pl.String, "extracted": pl.String, "reason": pl.String}
"""`id` is the completion's."""
ADHERENCE: Schema = {"id": pl.String, "score": pl.Float64, "scorer": pl.String}
"""`id` is the completion's."""
SOLUTIONS: Schema = {
    "question_id": pl.String,
    "heuristic": pl.String,
    "text": pl.String,
    "source": pl.String,
    "completion_id": pl.String,
    "adherence": pl.Float64,
}
EVALUATIONS: Schema = {
    **COMPLETIONS,
    "judgement": pl.String,
    "extracted": pl.String,
    "reason": pl.String,
    "ways": pl.List(pl.String),
    "composed": pl.Boolean,
    "steps_right": pl.Boolean,
}
"""`ways`, `composed` (does it join two or more of them?) and `steps_right` (is every step right?) where a program can tell."""
LABELS: Schema = {"id": pl.String, "ways": pl.List(pl.String)}
"""The ways that an evaluation sample uses, by a labeller that is no program; [] is none of those known. No row: no label."""
QUESTIONS: Schema = {
    "id": pl.String,
    "domain": pl.String,
    "text": pl.String,
    "answer": pl.String,
    "name": pl.String,
    "source": pl.String,
    "record": pl.String,
}
"""`record` is the whole question as JSON."""


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunError(
                f"no space left on the disk while writing {path}\n"
                "  everything stored before is kept: free some space and type the same command again"
            ) from error
        raise


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all. Raises RunError when the disk is full."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp"
    with _disk(path):
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read JSON; None if there is no such file. Raises RunError for a damaged one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise RunError(f"{path} is damaged ({error}): remove it and type the same command again") from None


def write_table(path: Path, frame: pl.DataFrame) -> None:
    """Write a Parquet file atomically."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd")
    write_bytes(path, buffer.getvalue())


class ShardWriter:
    """Appends rows to a table directory: one writer each, many may write at once.

    A row goes to this writer's journal at once (it survives the death of the process) and, `rows_per_shard` at a time, into a
    Parquet shard. Use as a context manager; leaving it writes the last shard, also after an error.
    """

    def __init__(self, folder: Path, schema: Schema, rows_per_shard: int = 20_000) -> None:
        self.folder, self.schema, self.rows_per_shard = folder, schema, rows_per_shard
        self._rows: list[dict[str, Any]] = []
        self._writer = f"{time.time_ns():x}-{uuid.uuid4().hex[:6]}"
        self._count = 0
        self._journal: io.BufferedWriter | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Store rows. When this returns they survive a kill of the process. Raises RunError when the disk is full."""
        new = [{key: row.get(key) for key in self.schema} for row in rows]
        if not new:
            return
        try:
            if self._journal is None:
                self._journal = open(self._journal_path(), "ab")  # noqa: SIM115 - held over many calls, closed in flush
            self._journal.write(b"".join(_line(row) for row in new))
            self._journal.flush()
        except OSError:
            with _disk(self._journal_path()):
                raise
        self._rows.extend(new)
        if len(self._rows) >= self.rows_per_shard:
            self.flush()

    def flush(self) -> None:
        """Turn the journal into a shard."""
        if not self._rows:
            return
        frame = pl.DataFrame(self._rows, schema=dict(self.schema), orient="row")
        write_table(self.folder / f"{self._writer}-{self._count:05d}.parquet", frame)
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        self._journal_path().unlink(missing_ok=True)
        self._rows = []
        self._count += 1

    def _journal_path(self) -> Path:
        return self.folder / f"{self._writer}-{self._count:05d}.jsonl"

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, RunError):
            with suppress(RunError, OSError):  # the journal has the rows; do not hide the first error
                self.flush()
        else:
            self.flush()


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""Made once: it runs for every row."""


def _line(row: Mapping[str, Any]) -> bytes:
    return _encode(row).encode("utf-8", "surrogatepass") + b"\n"


def recover(folder: Path, schema: Schema) -> int:
    """Turn journals of dead writers into shards; return the number of rows. Only the owner of the run calls this.

    A torn last line is dropped (its row was not stored). A journal whose shard exists is removed.
    """
    rescued = 0
    for journal in sorted(folder.glob("*.jsonl")):
        shard = journal.with_suffix(".parquet")
        if not shard.exists():
            rows = list(_journal_rows(journal))
            if rows:
                write_table(shard, pl.DataFrame(rows, schema=dict(schema), orient="row"))
            rescued += len(rows)
        journal.unlink()
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)
    return rescued


def _journal_rows(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_bytes().split(b"\n")[:-1]:
        with suppress(ValueError):
            yield json.loads(line.decode("utf-8", "surrogatepass"))


def read_table(folder: Path, schema: Schema, columns: Sequence[str] | None = None, key: str = "id") -> pl.DataFrame:
    """Return all rows of a table directory (shards and journals), each `key` once; empty if there is no such directory.

    Rows of one key are equal by construction (ids are content hashes), so which one is kept does not matter.
    """
    names = list(columns or schema)
    wanted = list(dict.fromkeys([*names, key]))
    parts = []
    journals = sorted(folder.glob("*.jsonl"))  # first: what a writer turns into a shard meanwhile is then seen as one
    shards = sorted(folder.glob("*.parquet"))
    done = {shard.stem for shard in shards}
    for journal in journals:
        if journal.stem in done:
            continue
        try:
            rows = list(_journal_rows(journal))
        except FileNotFoundError:
            shards.append(journal.with_suffix(".parquet"))
        else:
            parts.append(pl.DataFrame(rows, schema=dict(schema), orient="row").select(wanted))
    for shard in shards:
        try:
            parts.append(pl.read_parquet(shard, columns=wanted))
        except Exception as error:  # polars has its own exceptions; what matters is which file
            raise RunError(f"{shard} cannot be read ({error}): remove it and type the same command again") from error
    if not parts:
        return pl.DataFrame(schema={n: schema[n] for n in names})
    return pl.concat(parts, how="vertical_relaxed").unique(subset=key, keep="first", maintain_order=True).select(names)


def stored_ids(folder: Path, key: str = "id") -> set[str]:
    """Return the ids that a table directory holds."""
    return set(read_table(folder, {key: pl.String}, [key], key)[key].to_list())


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


class Stage:
    """A stage directory and its manifest `stage.json`. `config` and `inputs` make the digest: `inputs` maps names to the
    digests of what the stage reads, so a change anywhere upstream changes every digest downstream."""

    def __init__(self, run: Run, rel: str, kind: str, config: Mapping[str, Any], inputs: Mapping[str, str]) -> None:
        self.run, self.rel, self.kind = run, rel, kind
        self.config = json.loads(json.dumps(config, default=str))
        self.inputs = dict(inputs)
        self.digest = content_id("stage", kind, self.config, self.inputs)
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


def now() -> str:
    """Return the time as ISO 8601 in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Run:
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

    def stage(self, rel: str, kind: str, config: Mapping[str, Any], inputs: Mapping[str, str]) -> Stage:
        return Stage(self, rel, kind, config, inputs)

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
