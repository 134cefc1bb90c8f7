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

from midway.questions.base import NotHere, QuestionError, Row
from midway.questions.hub import hub_answers, offline_if_away
from midway.registry import install

ENDINGS = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet", ".csv", ".csv.gz")

_PACKED = {".zst": "zstd -d", ".xz": "xz -d", ".bz2": "bzip2 -d", ".zip": "unzip"}

Placed = tuple[str, Row]
"""(place, row)"""


def is_file_name(name: str) -> bool:
    """Return whether a source names a file by its ending."""
    return name.lower().endswith(ENDINGS)


def read_file(path: Path) -> list[Placed]:
    """Return all rows of a file with their places.

    Raises NotHere where it is missing, QuestionError (a folder, empty, malformed: with the line).
    """
    if path.is_dir():
        inside = sorted(p.name for p in path.iterdir() if is_file_name(p.name))
        raise QuestionError(
            f"{path}: it is a folder; name a file in it{': ' + ', '.join(inside[:12]) if inside else ', there is none'}"
        )
    if not path.is_file():
        there = sorted(p.name for p in path.parent.iterdir() if is_file_name(p.name)) if path.parent.is_dir() else []
        hint = f"there: {', '.join(there[:12])}" if there else f"the folder {path.parent} has no data files"
        raise NotHere(f"{path}: no such file ({hint if path.parent.is_dir() else 'nor such a folder'})")
    name = path.name.lower()
    if not is_file_name(name):
        packed = next((tool for ending, tool in _PACKED.items() if name.endswith(ending)), "")
        raise QuestionError(
            f"{path}: unknown kind of file; use {', '.join(ENDINGS)}"
            + (f"\n  unpack it first: {packed} {path}" if packed else "")
        )
    try:
        rows = _parquet(path) if name.endswith(".parquet") else _text_rows(path, name.removesuffix(".gz"))
    except (OSError, EOFError) as error:
        raise QuestionError(f"{path}: cannot be read: {error}") from None
    if not rows:
        raise QuestionError(f"{path}: no rows in it")
    return rows


def _text_rows(path: Path, plain: str) -> list[Placed]:
    data = path.read_bytes()
    if path.name.lower().endswith(".gz"):
        data = gzip.decompress(data)
    elif data[:2] == b"\x1f\x8b":
        raise QuestionError(f"{path}: it is packed with gzip; name it {path.name}.gz")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise QuestionError(f"{path}:1: it is UTF-16; save it as UTF-8: iconv -f UTF-16 -t UTF-8 {path.name} > NEW")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        wrong = f"not UTF-8 (byte {error.object[error.start]:#04x})"
        raise QuestionError(
            f"{path}:{line}: {wrong}; save it as UTF-8, if it is Latin-1 with: iconv -f LATIN1 -t UTF-8 {path.name} > NEW"
        ) from None
    if plain.endswith(".jsonl"):
        return list(_lines(path, text))
    return _json(path, text) if plain.endswith(".json") else _csv(path, text)


def _lines(path: Path, text: str) -> Iterator[Placed]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            hint = _line_hint(path, line.strip())
            raise QuestionError(f"{path}:{number}: not valid JSON: {error}\n  {_short(line)}{hint}") from None
        if not isinstance(row, dict):
            hint = _line_hint(path, line.strip())
            raise QuestionError(f"{path}:{number}: a row is an object ({{...}}), this is a {type(row).__name__}{hint}")
        yield f"{path}:{number}", row


def _line_hint(path: Path, line: str) -> str:
    """What a line that is no row may be, and what to do."""
    as_json = path.name.replace(".jsonl", ".json")
    if line.startswith("["):
        return f"\n  the file is one list [...]: name it {as_json}"
    if line == "{" or (line.startswith("{") and "}" not in line):
        return f"\n  .jsonl has one object a line, each whole; a list of objects over several lines [...] is .json: name it {as_json}"
    if line.endswith("},"):
        return f"\n  there is a comma at the end of the line: leave the commas out, or put the rows into [...] and name it {as_json}"
    return ""


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
        names = [name.strip() for name in reader.fieldnames or ()]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise QuestionError(f"{path}:1: the column {twice[0]!r} is there twice; rename or remove one of them")
        if len(names) == 1 and (other := next((c for c in ";\t|" if c in names[0]), "")):
            shown = "a tab" if other == "\t" else f"`{other}`"
            raise QuestionError(
                f"{path}:1: its fields are separated by {shown}, not by commas: {names[0]!r}\n  save it with commas, or as .jsonl"
            )
        spaced = bool(reader.fieldnames) and names != reader.fieldnames
        reader.fieldnames = names
        for row in reader:
            if "" in row:
                raise QuestionError(f"{path}:{reader.line_num}: more fields than the {len(names)} columns")
            rows.append(
                (f"{path}:{reader.line_num}", {k: v.strip() if v else v for k, v in row.items()} if spaced else row)
            )
    except csv.Error as error:
        raise QuestionError(f"{path}:{reader.line_num}: not valid CSV: {error}") from None
    return rows


def _parquet(path: Path) -> list[Placed]:
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise QuestionError(f"{path}: not a Parquet file: {error}") from None
    for name, kind in frame.schema.items():
        if kind == pl.Float32:  # 0.1, and not the 0.10000000149011612 that a float of 64 bits makes of it
            frame = frame.with_columns(pl.col(name).cast(pl.String).cast(pl.Float64))
        elif kind == pl.Binary:
            try:
                frame = frame.with_columns(pl.col(name).cast(pl.String))
            except pl.exceptions.PolarsError:
                raise QuestionError(
                    f"{path}: the column {name!r} holds bytes that are no text; store it as text"
                ) from None
    return [(f"{path} row {i}", row) for i, row in enumerate(frame.iter_rows(named=True), 1)]


def read_hub(hub: str, config: str | None, split: str, revision: str | None) -> list[Placed]:
    """Return all rows of a split on the Hub. Raises QuestionError, with what the Hub said and what to do offline; NotHere where the Hub
    does not answer and the split was never downloaded."""
    where = f"{hub}{f' ({config})' if config else ''} split {split}"
    try:
        import datasets
    except ImportError:
        raise QuestionError(
            f"{where}: the Hub is read with the package `datasets`, which is not installed\n"
            f"  {install('train')}, or take the questions from a local folder (--data DIR) or file"
        ) from None
    offline_if_away()
    try:
        rows = list(datasets.load_dataset(hub, config, split=split, revision=revision))
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        text = " ".join(str(error).split())
        away = (
            isinstance(error, OSError) and not hub_answers()
        )  # a ValueError is about what is there: an unknown split, say
        raise (NotHere if away else QuestionError)(
            f"{where}: cannot be loaded from the Hub: {type(error).__name__}: {_short(text, 400)}\n"
            "  check the name, the split and the network; or give a local folder with --data DIR"
        ) from error
    if not rows:
        raise QuestionError(f"{where}: no rows in it")
    return [(f"{where} row {i}", row) for i, row in enumerate(rows, 1)]


def _short(text: str, limit: int = 100) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
