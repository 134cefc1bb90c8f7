"""From a row of named columns to a question, whatever its domain: for `midway verify`, reward functions and the Python API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from midway.domains.code import TESTS
from midway.records import Question
from midway.registry import domain, has, names, parts


def question_of(columns: Mapping[str, Any]) -> Question:
    """Return the question that a row describes: of the domain that its column `domain` names, else of the one whose columns it has
    (`tests` ...: code; `choices`: choice; else math).

    Raises KeyError, TypeError or ValueError, in words, for a row that describes none.
    """
    if "domain" in columns:
        name = columns["domain"]
    else:
        name = next((part.name for part in parts("domains") if part.claims(columns)), "math")
        answer = columns.get("answer", columns.get("ground_truth", columns.get("label")))
        named = [k for k in ("answer", "ground_truth", "label") if k in columns]
        if name == "math" and not named and any(k in columns for k in TESTS):
            return domain("code").of_columns(columns)  # its tests are missing
        if name == "math" and not named:
            raise KeyError(f"no answer, choices or tests among the columns {sorted(columns)}; name the column `answer`")
        if name == "math":
            columns = {**columns, "answer": answer}
    if not isinstance(name, str) or not has("domains", name):
        known = names("domains")
        raise ValueError(f"domain must be {', '.join(known[:-1])} or {known[-1]}, not {name!r}")
    return domain(name).of_columns(columns)
