"""The Pólya catalogue: heuristics as data files, their loader, and the one prompt builder.

Promises: no torch, no network; a malformed file is refused with its name, the key and what to write instead.
"""

from midway.heuristics.catalogue import (
    CatalogueError,
    UnknownHeuristicError,
    get,
    load_catalogue,
    pick,
    to_markdown,
    unguided,
)
from midway.heuristics.prompts import (
    STOP_STRINGS,
    PromptError,
    Style,
    answer_form,
    build_prompt,
    fold_system,
    prompt_version,
    render_question,
)

__all__ = [
    "STOP_STRINGS",
    "CatalogueError",
    "PromptError",
    "Style",
    "UnknownHeuristicError",
    "answer_form",
    "build_prompt",
    "fold_system",
    "get",
    "load_catalogue",
    "pick",
    "prompt_version",
    "render_question",
    "to_markdown",
    "unguided",
]
