"""What the files of this room share: the error, a row, and the description of a known set. Imports no torch, no datasets.

When things go wrong: QuestionError, whose text says what, where (file and line) and what to write instead. Inside the room
one bad row is a RowError; the loader collects them, so that a reader learns how many rows are bad and where the first ones are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from midway.records import Domain, UserError
from midway.registry import Row as RowView

Row = Mapping[str, Any]


class QuestionError(UserError, ValueError):
    """Questions cannot be loaded; the message says what, where and what to write instead."""


class NotHere(QuestionError):
    """The questions cannot be had here now: the Hub does not answer and they were never downloaded, or there is no such file."""


class RowError(ValueError):
    """One row cannot become a question. `columns` is set when columns are missing: any one of them would have done."""

    def __init__(self, message: str, columns: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.columns = columns


class NoGold(RowError):
    """The publisher gives this row no answer (GSM-Plus' "critical thinking", MATH's empty boxes): left out and counted."""


def at(row: Row, name: str) -> Any:
    """Return a column, also a nested one (`reward_model.ground_truth`, `prompt.0.content`); None if it is not there."""
    if name in row:
        return row[name]
    value: Any = row
    for part in name.split("."):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list | tuple) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def has(row: Row, name: str) -> bool:
    """Return whether a column is there, if only with nothing in it."""
    return name in row or at(row, name) is not None


def pick(row: Row, *names: str, what: str) -> Any:
    """Return the first of the columns `names` that holds something. Raises RowError when none does."""
    for name in names:
        value = at(row, name)
        blank = isinstance(value, str) and not value.strip()
        if value is not None and not blank and value == value:  # tables write what is missing as NaN, too
            return value
    if not any(has(row, name) for name in names):
        raise RowError(f"no {what}: there is no column {' or '.join(f'`{n}`' for n in names)}", names)
    raise RowError(f"no {what}: column {' and '.join(f'`{n}`' for n in names if has(row, n))} is empty")


def pick_text(row: Row, *names: str, what: str) -> str:
    """As `pick`, for text. Raises RowError for anything else."""
    value = pick(row, *names, what=what)
    if not isinstance(value, str):
        raise RowError(f"no {what}: {' or '.join(f'`{n}`' for n in names)} holds {type(value).__name__}, not text")
    return value


@dataclass(frozen=True)
class Reader(RowView):
    """A row of a file by midway's names; `columns` says what the file calls them, `options` are the source's."""

    row: Row
    columns: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def column(self, name: str) -> str:
        return self.columns.get(name, name)

    def mapped(self, name: str) -> bool:
        return name in self.columns

    def pick(self, name: str, *, what: str) -> Any:
        return pick(self.row, self.column(name), what=what)

    def optional(self, name: str) -> Any:
        value = at(self.row, self.column(name))
        return None if isinstance(value, str) and value == "" else value

    def has(self, name: str) -> bool:
        return has(self.row, self.column(name))

    def option(self, name: str, default: Any = None) -> Any:
        return self.options.get(name, default)


Convert = Callable[[Row], dict[str, Any]]
"""Makes the fields of a Question (all but domain, source and id) from a row. Raises RowError."""


@dataclass(frozen=True)
class Part:
    """Where one split of one subset is."""

    split: str | None
    """Name of the split on the Hub; None: not there."""
    files: tuple[str, ...]
    """Names, without ending, of the files in the set's folder; all of them make the split."""
    rows: int | None
    """Rows as published on the Hub, where known (of the files, where the Hub does not have it)."""
    config: str | None = None
    """Configuration on the Hub."""
    only: str | None = None
    """Of the files, take the rows whose column `split` says this."""


@dataclass(frozen=True)
class KnownSet:
    """A set that midway knows by name. `parts` is subset -> split -> where it is."""

    name: str
    title: str
    domain: Domain
    hub: str
    licence: str
    gold: str
    """How the gold answer is made, in words."""
    parts: Mapping[str, Mapping[str, Part]]
    convert: Convert
    default: tuple[str, ...] = ()
    """Subsets that are taken when none is named; the first one if empty."""
    few_shot: tuple[str, str] | None = None
    """(set, split) whose first rows are worked examples."""
    note: str = ""
    columns: tuple[str, ...] = field(default=())
    """Columns of the Hub's copy that are read."""

    def subsets(self) -> tuple[str, ...]:
        return self.default or (next(iter(self.parts)),)
