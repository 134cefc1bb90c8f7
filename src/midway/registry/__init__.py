"""What is chosen by name: engines, domains, sources, models, scorers, rewards, trainers.

Every part is found in the same way, built-in ones too: through an entry point (`midway.engines`, `midway.domains`, ...) of an installed
package, or in a plug-in file that the recipe names (`plugins: [my_parts.py]`). An entry point names a part (`parts.Part`) or a tuple of
parts.

Promises: looking a part up imports the module of the part, which is light, and nothing heavy; a plug-in that cannot be imported breaks
nothing but itself. Other processes find the same parts: entry points by being in the same environment, plug-in files by `load_plugins`.

When things go wrong: RegistryError, which says what is there, what is near, and how to install what is not.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib import metadata
from typing import Any

from midway.records import UserError
from midway.registry import files
from midway.registry.installing import install
from midway.registry.parts import (
    DomainPart,
    EnginePart,
    ModelPart,
    Part,
    RewardPart,
    Row,
    Sampled,
    ScorerPart,
    SourcePart,
    Task,
    TrainerPart,
)

GROUPS = {
    "engines": "engine",
    "domains": "domain",
    "sources": "source",
    "models": "model",
    "scorers": "scorer",
    "rewards": "reward",
    "trainers": "trainer",
}
"""Group of entry points (after `midway.`) -> what one of its parts is called."""


class RegistryError(UserError, LookupError):
    """A part cannot be found or loaded; the message says what is there and what to do."""


def near(name: str, known: Sequence[str]) -> str:
    """Return `; did you mean a, b?`, or the known names when none is near."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if close:
        return f"; did you mean {', '.join(close)}?"
    if not known:
        return "; there is none"
    return f"; known: {', '.join(sorted(known))}" if len(known) <= 40 else ""


_own: dict[tuple[str, str], Part] = {}
"""Parts of plug-in files by group and name."""


@cache
def _installed(group: str) -> tuple[dict[str, Part], dict[str, str]]:
    """The parts of all installed packages, and what could not be loaded, by name of the entry point."""
    parts: dict[str, Part] = {}
    broken: dict[str, str] = {}
    for entry in metadata.entry_points(group=f"midway.{group}"):
        where = f"entry point {entry.name} of {entry.dist.name if entry.dist else '?'} ({entry.value})"
        try:
            found = entry.load()
        except Exception as error:  # somebody else's module: whatever it raises is reported when its part is asked for
            broken[entry.name] = f"{where} cannot be loaded: {type(error).__name__}: {error}"
            continue
        for part in found if isinstance(found, tuple) else (found,):
            if not isinstance(part, Part) or part.group != group:
                broken[entry.name] = f"{where} is no part of midway.{group} (see midway.registry)"
            elif part.name in parts:
                broken[entry.name] = f"{where}: the name {part.name!r} is taken"
            else:
                parts[part.name] = part
    if not parts and not broken:
        raise RegistryError(
            f"no {GROUPS[group]} is registered: midway is not installed in this environment, or only its source is on the path\n"
            "  install it: pip install -e . (in a clone) or pip install midway"
        )
    return parts, broken


def names(group: str) -> list[str]:
    """Return the names of all parts of a group."""
    return [part.name for part in parts(group)]


def parts(group: str) -> Iterator[Any]:
    """Yield the parts of a group: of installed packages, then of plug-in files."""
    yield from _installed(group)[0].values()
    yield from (part for (kind, _), part in _own.items() if kind == group)


def has(group: str, name: str) -> bool:
    """Whether there is a part of this name, or should be: `find` tells why one cannot be loaded."""
    return (group, name) in _own or any(name in found for found in _installed(group))


def find(group: str, name: str) -> Any:
    """Return a part by name. Raises RegistryError with what is near and how to get what is not there."""
    if (group, name) in _own:
        return _own[group, name]
    installed, broken = _installed(group)
    if name in installed:
        return installed[name]
    if name in broken:
        raise RegistryError(f"{GROUPS[group]} {name!r}: {broken[name]}")
    raise RegistryError(
        f"there is no {GROUPS[group]} {name!r}{near(name, names(group))}\n"
        + "".join(f"  {why}\n" for why in broken.values())
        + f"  a package of yours registers one as an entry point of `midway.{group}`; a file beside the recipe is named under `plugins:`"
    )


def domain(name: str) -> DomainPart:
    """Return a domain by name. Raises RegistryError."""
    found: DomainPart = find("domains", name)
    return found


def load_plugins(paths: Sequence[str]) -> None:
    """Load plug-in files and register the parts in them; a file that is loaded already is not loaded again.

    Raises RegistryError for a file that is missing, cannot be imported or holds no part, and for a name that is taken.
    """
    seen: dict[tuple[str, str], str] = {}
    for path in paths:
        try:
            module, digest = files.load_module(path)
        except files.FileError as error:
            raise RegistryError(f"plugins: {error}") from error
        found = [value for value in vars(module).values() if isinstance(value, Part)]
        mine = [part for part in found if not any(part is other for other in _installed(part.group)[0].values())]
        if not mine:
            raise RegistryError(
                f"plugins: {path} holds no part: a part is an instance, at module level, of a class of midway.registry"
            )
        for part in mine:
            key = (part.group, part.name)
            if part.name in _installed(part.group)[0]:
                raise RegistryError(
                    f"plugins: {path}: the {GROUPS[part.group]} {part.name!r} exists; choose another name"
                )
            if key in seen:
                raise RegistryError(f"plugins: {path}: {seen[key]} has a {GROUPS[part.group]} {part.name!r} already")
            seen[key] = path
            _own[key] = replace(part, origin=digest)


def load_object(path: str) -> Any:
    """Return the object at `module:name`, or at `FILE.py:name`. Raises RegistryError."""
    where, _, name = path.rpartition(":")
    try:
        module = files.load_module(where)[0] if where.endswith(".py") else importlib.import_module(where)
        return getattr(module, name)
    except (files.FileError, ImportError, AttributeError, ValueError) as error:
        raise RegistryError(f"{path}: cannot be loaded: {error}") from error


def missing_packages(part: EnginePart | TrainerPart) -> list[str]:
    """Return the packages of a part that are not installed here. Nothing is imported."""

    def there(name: str) -> bool:
        try:
            return importlib.util.find_spec(name) is not None
        except ModuleNotFoundError:  # what it is inside of is not there
            return False

    return [name for name in part.packages if not there(name)]


def install_hint(part: EnginePart | TrainerPart) -> str:
    """Return the command that installs what a part needs."""
    if part.extra.startswith("midway["):
        return install(part.extra.removeprefix("midway[").removesuffix("]"))
    return f"pip install '{part.extra}'" if part.extra else f"pip install {' '.join(part.packages)}"


__all__ = [
    "GROUPS",
    "DomainPart",
    "EnginePart",
    "ModelPart",
    "Part",
    "RegistryError",
    "RewardPart",
    "Row",
    "Sampled",
    "ScorerPart",
    "SourcePart",
    "Task",
    "TrainerPart",
    "domain",
    "find",
    "has",
    "install",
    "install_hint",
    "load_object",
    "load_plugins",
    "missing_packages",
    "names",
    "near",
    "parts",
]
