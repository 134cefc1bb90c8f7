"""The rules by which a text is read, by name: what each says, with an example, and whether it is on.

Promises: every rule that decides a kind of fault has one entry in RULES, which `docs/verify.md` and `midway verify --explain` show.
In normal work all rules are on. `without` switches some off, in this process and for a test only: it shows that the tests notice.
"""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `example` is what is written, `then` what follows from it, both in words for the table."""

    name: str
    kind: int
    says: str
    example: str
    then: str


_FILE = tomllib.loads(Path(__file__).with_name("rules.toml").read_text(encoding="utf-8"))
KINDS: dict[int, str] = {int(kind): title for kind, title in _FILE["kinds"].items()}
"""The kinds of fault that the rules are against."""
RULES: dict[str, Rule] = {name: Rule(name, **fields) for name, fields in _FILE["rules"].items()}
"""All rules, in the order of the table."""

_off: frozenset[str] = frozenset()
_caches: list[Any] = []


def on(name: str) -> bool:
    """Whether the rule applies. It does, outside of `without`."""
    return name not in _off


def remembered(size: int) -> Callable[[F], F]:
    """`lru_cache` for what depends on rules: it forgets when one is switched."""

    def made(function: F) -> F:
        cached = lru_cache(maxsize=size)(function)
        _caches.append(cached)
        return cached  # type: ignore[return-value]

    return made


@contextlib.contextmanager
def without(*names: str) -> Iterator[None]:
    """Switch rules off, for a test. Raises KeyError for a name that is none; does not reach worker processes."""
    global _off
    before, _off = _off, _off | {RULES[name].name for name in names}
    try:
        for cache in _caches:
            cache.cache_clear()
        yield
    finally:
        _off = before
        for cache in _caches:
            cache.cache_clear()
