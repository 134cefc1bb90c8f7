"""Tables that grow: rows are appended to a journal, which survives `kill -9`, and turned into Parquet shards.

Promises: a row that was stored is never lost, and is read once, whoever wrote it when: rows are known by id. Many writers may work on
one table.

When things go wrong: RunError for a full disk or a damaged shard, with what to type next.
"""

from __future__ import annotations

import io
import json
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl

from midway.rundir.files import RunError, disk, write_table
from midway.rundir.tables import Schema


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
            with disk(self._journal_path()):
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


def scan_table(folder: Path, schema: Schema) -> pl.LazyFrame:
    """Scan a table directory: its shards, and the journals that are no shard yet. Columns are those of `schema`, null where a shard of an
    older version lacks one. A row that two writers stored comes twice. Raises RunError for a shard that cannot be read."""
    journals = sorted(folder.glob("*.jsonl"))  # first: what a writer turns into a shard meanwhile is then seen as one
    shards = sorted(folder.glob("*.parquet"))
    done = {shard.stem for shard in shards}
    held: list[dict[str, Any]] = []
    for journal in journals:
        if journal.stem not in done:
            try:
                held.extend(_journal_rows(journal))
            except FileNotFoundError:
                shards.append(journal.with_suffix(".parquet"))
    rows = pl.DataFrame(held, schema=dict(schema), orient="row").lazy()
    return pl.concat([rows, *(scan_file(shard, schema) for shard in shards)])


def scan_file(file: Path, schema: Schema) -> pl.LazyFrame:
    """Scan a Parquet file with the columns of `schema`; one that it does not have is null. Raises RunError where it cannot be read."""
    try:
        known = pl.read_parquet_schema(file)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise RunError(f"{file} cannot be read ({error}): remove it and type the same command again") from None
    columns = [
        (pl.col(name) if known[name] == kind else pl.col(name).cast(kind))
        if name in known
        else pl.lit(None, kind).alias(name)
        for name, kind in schema.items()
    ]
    return pl.scan_parquet(file).select(columns)


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
