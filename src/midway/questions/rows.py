"""Where rows come from: JSON Lines, JSON, Parquet and CSV files (gzipped too), and the Hugging Face Hub.

Promises: every row comes with its place (`FILE:LINE`, `FILE row N`, `HUB-ID split row N`); `datasets` is imported only when the
Hub is asked. When things go wrong: QuestionError naming the place; a file without any row is an error too.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from midway.questions.base import QuestionError, Row

ENDINGS = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet", ".csv", ".csv.gz")

Placed = tuple[str, Row]
"""(place, row)"""


def is_file_name(name: str) -> bool:
    """Return whether a source names a file by its ending."""
    return name.lower().endswith(ENDINGS)


def read_file(path: Path) -> list[Placed]:
    """Return all rows of a file with their places. Raises QuestionError (missing, empty, malformed: with the line)."""
    if not path.is_file():
        there = sorted(p.name for p in path.parent.iterdir() if is_file_name(p.name)) if path.parent.is_dir() else []
        hint = f"there: {', '.join(there[:12])}" if there else f"the folder {path.parent} has no data files"
        raise QuestionError(f"{path}: no such file ({hint if path.parent.is_dir() else 'nor such a folder'})")
    name = path.name.lower()
    if not is_file_name(name):
        raise QuestionError(f"{path}: unknown kind of file; use {', '.join(ENDINGS)}")
    try:
        if name.endswith(".parquet"):
            rows = _parquet(path)
        else:
            data = path.read_bytes()
            text = (gzip.decompress(data) if name.endswith(".gz") else data).decode("utf-8-sig")
            plain = name.removesuffix(".gz")
            if plain.endswith(".jsonl"):
                rows = list(_lines(path, text))
            elif plain.endswith(".json"):
                rows = _json(path, text)
            else:
                rows = _csv(path, text)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise QuestionError(f"{path}:{line}: not UTF-8 (byte {error.object[error.start]:#04x})") from None
    except (OSError, EOFError) as error:
        raise QuestionError(f"{path}: cannot be read: {error}") from None
    if not rows:
        raise QuestionError(f"{path}: no rows in it")
    return rows


def _lines(path: Path, text: str) -> Iterator[Placed]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise QuestionError(f"{path}:{number}: not valid JSON: {error}\n  {_short(line)}") from None
        if not isinstance(row, dict):
            raise QuestionError(f"{path}:{number}: a row is an object ({{...}}), this is a {type(row).__name__}")
        yield f"{path}:{number}", row


def _json(path: Path, text: str) -> list[Placed]:
    try:
        value: Any = json.loads(text) if text.strip() else []
    except json.JSONDecodeError as error:
        raise QuestionError(f"{path}:{error.lineno}: not valid JSON: {error.msg}") from None
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        value = value["data"]
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise QuestionError(f"{path}: a list of objects is needed ([{{...}}, ...]); one object a line is .jsonl")
    return [(f"{path} row {i}", row) for i, row in enumerate(value, 1)]


def _csv(path: Path, text: str) -> list[Placed]:
    reader = csv.DictReader(text.splitlines(keepends=True), restkey="", strict=True)
    rows: list[Placed] = []
    try:
        for row in reader:
            if "" in row:
                raise QuestionError(
                    f"{path}:{reader.line_num}: more fields than the {len(reader.fieldnames or ())} columns"
                )
            rows.append((f"{path}:{reader.line_num}", row))
    except csv.Error as error:
        raise QuestionError(f"{path}:{reader.line_num}: not valid CSV: {error}") from None
    return rows


def _parquet(path: Path) -> list[Placed]:
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise QuestionError(f"{path}: not a Parquet file: {error}") from None
    return [(f"{path} row {i}", row) for i, row in enumerate(frame.iter_rows(named=True), 1)]


def read_hub(hub: str, config: str | None, split: str, revision: str | None) -> list[Placed]:
    """Return all rows of a split on the Hub. Raises QuestionError, with what the Hub said and what to do offline."""
    where = f"{hub}{f' ({config})' if config else ''} split {split}"
    try:
        import datasets
    except ImportError:
        raise QuestionError(
            f"{where}: the Hub is read with the package `datasets`, which is not installed\n"
            "  pip install 'midway[train]', or take the questions from a local folder (--data DIR) or file"
        ) from None
    try:
        rows = list(datasets.load_dataset(hub, config, split=split, revision=revision))
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        text = " ".join(str(error).split())
        raise QuestionError(
            f"{where}: cannot be loaded from the Hub: {type(error).__name__}: {_short(text, 400)}\n"
            "  check the name, the split and the network; or give a local folder with --data DIR"
        ) from error
    if not rows:
        raise QuestionError(f"{where}: no rows in it")
    return [(f"{where} row {i}", row) for i, row in enumerate(rows, 1)]


def _short(text: str, limit: int = 100) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
