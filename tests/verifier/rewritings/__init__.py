"""Golds of every family with true rewritings, which must be judged correct, and near-misses, which must not.

Promises: `FAMILIES[name](random)` makes one `Case`; the same state of `random` makes the same case. Every case is tagged with what it is
written in the style of: a rule of `midway.verifier.rules`, without which some of these cases come out wrong, or a plain name. Used by
`test_properties.py` (200 a family) and `benchmarks/near_misses.py` (10,000 a family).
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from rewritings.choices import choice_letter, choice_number, choice_text
from rewritings.moments import date, time, unit
from rewritings.numbers import decimal, fraction, integer, percent
from rewritings.programs import program
from rewritings.saying import Case
from rewritings.several import expression, interval, matrix, set_, tuple_

FAMILIES: dict[str, Callable[[Random], Case]] = {
    "integer": integer,
    "decimal": decimal,
    "fraction": fraction,
    "percent": percent,
    "tuple": tuple_,
    "set": set_,
    "interval": interval,
    "matrix": matrix,
    "expression": expression,
    "time": time,
    "date": date,
    "unit": unit,
    "choice by letter": choice_letter,
    "choice by text": choice_text,
    "choice by number": choice_number,
    "program": program,
}

__all__ = ["FAMILIES", "Case"]
