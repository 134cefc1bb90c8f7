"""midway: several self-generated ways to each solution, then RL; and an honest answer to whether it helped.

    import midway

    midway.verify({"answer": "12", "completion": "..."}, "The answer is 12.")      # is it right?
    run = midway.run("recipe.yaml")                                                # from questions to report
    run = midway.open_run("runs/demo")                                             # a run as frames and typed results

Importing this package is cheap: no torch, no transformers; each name is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from midway.api import compare, run, verify
    from midway.domains import Verifier
    from midway.evidence import pass_at_k
    from midway.recipe import load_recipe
    from midway.results import open_run

__version__ = "0.1.0"

_WHERE = {
    "Verifier": "midway.domains",
    "compare": "midway.api",
    "load_recipe": "midway.recipe",
    "open_run": "midway.results",
    "pass_at_k": "midway.evidence",
    "run": "midway.api",
    "verify": "midway.api",
}

__all__ = ["Verifier", "compare", "load_recipe", "open_run", "pass_at_k", "run", "verify"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'midway' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
