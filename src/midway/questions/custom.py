"""Files and Hub sets of one's own: midway's names, mapped to the columns that are there.

When things go wrong: an unknown name in `columns`, a column that does not exist or an unknown option raises QuestionError with
what is there; a row without question or gold raises RowError, which the loader counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from midway.questions.base import Convert, QuestionError, Reader, Row, RowError, pick_text
from midway.questions.gold import in_words
from midway.records import Domain
from midway.registry import RegistryError, domain, near, parts

COMMON = ("question", "solution", "id", "level", "subject", "tolerance", "meta")
"""Midway's names of the columns that questions of any domain may have."""


def own_convert(name: Domain, columns: Mapping[str, str], options: Mapping[str, Any], where: str) -> Convert:
    """Return the converter of a set of one's own. Raises QuestionError for unknown names in `columns` and `options`."""
    try:
        kind = domain(name)
    except RegistryError as error:
        raise QuestionError(f"{where}: {error}") from None
    fields = (*COMMON, *kind.columns)
    for column in columns:
        if column not in fields:
            raise QuestionError(
                f"{where}: columns.{column} is nothing that a {name} question has{near(column, fields)}"
            )
    known = {option: part.name for part in parts("domains") for option in part.options}
    for option in options:
        if option == "skip_bad" or option in kind.options:
            continue
        if option in known:
            raise QuestionError(f"{where}: options.{option} is for {known[option]} questions, these are {name}")
        mine = " and ".join([*kind.options, "skip_bad"])
        raise QuestionError(f"{where}: unknown option {option!r}; a set of your own has {mine}")
    if problem := kind.bad_option(options):
        raise QuestionError(f"{where}: {problem}")

    def convert(row: Row) -> dict[str, Any]:
        reader = Reader(row, columns, options)
        text = pick_text(row, reader.column("question"), what="question")
        given = reader.optional("meta")
        if given is not None and not isinstance(given, Mapping):
            raise RowError(f"`{reader.column('meta')}` holds {type(given).__name__}, not an object")
        meta = {str(k): v for k, v in (given or {}).items() if v is not None}
        meta |= {k: value for k in ("level", "subject", "tolerance") if (value := reader.optional(k)) is not None}
        if "tolerance" in meta:
            try:
                meta["tolerance"] = float(meta["tolerance"])
            except (TypeError, ValueError):
                raise RowError(f"tolerance {meta['tolerance']!r} is no number") from None
        solution = reader.optional("solution")
        gold = kind.gold(reader)
        return {
            "text": kind.text(reader, text),
            "solution": in_words(str(solution)) if solution is not None else None,
            "name": "" if reader.optional("id") is None else str(reader.optional("id")),
            **gold,
            "meta": {**meta, **gold.get("meta", {})},
        }

    return convert
