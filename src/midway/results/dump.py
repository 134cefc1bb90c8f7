"""results.json: the dump of `Results`, and back.

Promises: a field is a key, in the order of the fields; None, and only that, is null. `loads(dumps(results)) == results`, so that
what reads a report's numbers reads types. When things go wrong: RunError for a file that is not there, is damaged, or is of another
version, with the command that writes it anew.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from midway.results.types import Results
from midway.rundir import RunError


def dumps(results: Results) -> str:
    """Return results as the text of results.json. Raises ValueError for NaN or infinity."""
    return json.dumps(as_json(results), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_json(value: Any) -> Any:
    """Return a typed value as JSON has it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        out: dict[str, Any] = {}
        for field in dataclasses.fields(value):
            item = getattr(value, field.name)
            if field.metadata.get("spread"):
                out |= as_json(item)
            elif not (item in (None, ()) and field.metadata.get("omit")):
                out[key_of(field)] = as_json(item)
        return out
    if isinstance(value, Mapping):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [as_json(item) for item in value]
    return value


def key_of(field: dataclasses.Field[Any]) -> str:
    """Return a field's key in results.json."""
    return str(field.metadata.get("key", field.name))


def loads(text: str) -> Results:
    """Return the results that `dumps` wrote. Raises ValueError, TypeError or KeyError for what it did not write."""
    results = typed(Results, json.loads(text))
    assert isinstance(results, Results)
    return results


def read_results(path: Path) -> Results:
    """Return the results in a results.json. Raises RunError."""
    try:
        return loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"there is no {path}: write it with `midway report RUN`") from None
    except (ValueError, TypeError, KeyError) as error:
        raise RunError(
            f"{path} is damaged or of another version ({type(error).__name__}: {error}): write it anew with `midway report RUN`"
        ) from None


def typed(kind: Any, value: Any) -> Any:
    """Return a JSON value as one of the type `kind`: a dataclass, a mapping, a tuple of any length, an optional one, or a plain value."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        return typed(next(a for a in arguments if a is not type(None)), value)
    if dataclasses.is_dataclass(kind):
        return _record(kind, value)
    if origin is Mapping:
        return {key: typed(arguments[1], item) for key, item in value.items()}
    if origin is tuple:
        return tuple(typed(arguments[0], item) for item in value)
    return value


def _record(kind: Any, value: Any) -> Any:
    hints = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)
    if not isinstance(value, Mapping):
        raise TypeError(f"{kind.__name__} cannot be made of {type(value).__name__}")
    known = {}
    for field in fields:
        if field.metadata.get("spread"):
            rest = value.keys() - {key_of(other) for other in fields}
            known[field.name] = typed(hints[field.name], {key: value[key] for key in value if key in rest})
        elif key_of(field) in value:
            known[field.name] = typed(hints[field.name], value[key_of(field)])
    return kind(**known)
