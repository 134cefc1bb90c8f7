"""MBPP+ inputs as Python values: EvalPlus' files store tuples, sets and complex numbers as JSON lists and strings.

Promises: the types come from the published assertions of the same task, whose calls are Python source: where an assertion passes a
tuple, every input gets one in that place. Calls that JSON can say as they are stay JSON. When no assertion can be read, nothing is
changed.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SET_EQUAL = (
    "similar_elements",
    "find_char_long",
    "common_in_nested_lists",
    "extract_singly",
    "larg_nnum",
    "intersection_array",
    "find_dissimilar",
    "Diff",
)
"""Functions of MBPP+ whose results EvalPlus compares as sets."""


@dataclass(frozen=True)
class Shape:
    """The type at a place of an argument; `items` is the one of what is in it. `kind` is empty where nothing is known."""

    kind: str = ""
    items: Shape | None = None


def _shape(value: Any) -> Shape:
    if isinstance(value, list | tuple | set | frozenset):
        kind = "tuple" if isinstance(value, tuple) else "list" if isinstance(value, list) else "set"
        return Shape(kind, _merged([_shape(v) for v in value]))
    if isinstance(value, dict):
        return Shape("dict", _merged([_shape(v) for v in value.values()]))
    return Shape("complex") if isinstance(value, complex) else Shape()


def _merged(shapes: Sequence[Shape]) -> Shape:
    """Return what several values at one place have in common: the first kind seen, and the items of all of that kind."""
    kind = next((s.kind for s in shapes if s.kind), "")
    inner = [s.items for s in shapes if s.kind == kind and s.items is not None]
    return Shape(kind, _merged(inner) if inner else None)


def _typed(value: Any, shape: Shape | None) -> Any:
    if shape is None or not shape.kind:
        return value
    if shape.kind == "complex":
        return complex(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else value
    if isinstance(value, list):
        inner = shape.items
        if shape.kind == "tuple" and (inner is None or not inner.kind):
            inner = shape  # deeper than any assertion goes: nested alike
        items = [_typed(v, inner) for v in value]
        return {"tuple": tuple, "set": set}.get(shape.kind, list)(items)
    if isinstance(value, dict):
        return {k: _typed(v, shape.items) for k, v in value.items()}
    return value


def typed_calls(assertions: str, entry_point: str, calls: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Return the argument lists with the types that the calls of `entry_point` in `assertions` have."""
    shapes: list[list[Shape]] = []
    try:
        tree = ast.parse(assertions.strip())
    except SyntaxError:
        return [list(call) for call in calls]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == entry_point:
            try:
                shapes.append([_shape(ast.literal_eval(arg)) for arg in node.args])
            except (ValueError, TypeError, SyntaxError):
                continue
    width = max((len(s) for s in shapes), default=0)
    places = [_merged([s[i] for s in shapes if i < len(s)]) for i in range(width)]
    return [[_typed(v, places[i] if i < width else None) for i, v in enumerate(call)] for call in calls]


def differential_test(entry_point: str, reference: str, calls: Sequence[Sequence[Any]], atol: float) -> str:
    """Return a program whose `check(candidate)` compares with the reference on every call, as EvalPlus does: equal, or as sets for
    SET_EQUAL, or floats within `atol` (1e-6 if that is 0) and a relative 1e-7."""
    same = "set(got) == set(wanted)" if entry_point in SET_EQUAL else "_close(got, wanted)"
    return f"""\
import copy
import math

inf, nan = math.inf, math.nan
_CALLS = {[tuple(call) for call in calls]!r}
_SPACE = {{}}
exec({reference!r}, _SPACE)


def _close(got, wanted):
    if isinstance(wanted, float) and isinstance(got, (int, float)):
        return got == wanted or (got != got and wanted != wanted) or math.isclose(got, wanted, rel_tol=1e-7, abs_tol={atol or 1e-6!r})
    if isinstance(wanted, (list, tuple)) and type(got) is type(wanted) and any(isinstance(w, float) for w in wanted):
        return len(got) == len(wanted) and all(_close(g, w) for g, w in zip(got, wanted))
    return got == wanted


def check(candidate):
    for call in _CALLS:
        wanted = _SPACE[{entry_point!r}](*copy.deepcopy(call))
        got = candidate(*copy.deepcopy(call))
        assert {same}, (call, got, wanted)
"""
