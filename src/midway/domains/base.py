"""The base class of domains: everything about one kind of question in one object.

A domain of your own is a subclass with at least `gold` and `judge`, and one instance of it at module level. What may hang belongs into a
function of the module, which `Domain.task` names for a worker process that can be killed.
"""

from __future__ import annotations

import inspect
import sys
from abc import ABC
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from midway.questions.base import Reader
from midway.records import Question
from midway.registry import DomainPart, Task


@dataclass(frozen=True, kw_only=True)
class Domain(DomainPart, ABC):
    """See `registry.parts.DomainPart`, which documents every method; here are the defaults that need more than records."""

    def of_columns(self, columns: Mapping[str, Any]) -> Question:
        """Return the question of a row that names its columns as midway does. Raises KeyError, TypeError or ValueError."""
        return Question(self.name, str(columns.get("question") or ""), **self.gold(Reader(columns)))


def task(function: Callable[[dict[str, Any]], Any], fields: Mapping[str, Any], **limits: float | None) -> Task:
    """Return the task of calling `function(fields)` in a worker process; `function` is defined at module level.

    `fields` must be JSON. `limits`: `cpu_seconds`, `idle_limit`. Raises ValueError for a function that a worker could not find.
    """
    if "." in function.__qualname__ or function.__name__ == "<lambda>":
        raise ValueError(f"{function.__qualname__}: a worker finds functions at module level only")
    module = sys.modules[function.__module__]
    installed = not function.__module__.startswith("midway_plugin_") and function.__module__ != "__main__"
    where = function.__module__ if installed else inspect.getsourcefile(module)
    return Task(f"{where}:{function.__name__}", fields, **limits)
