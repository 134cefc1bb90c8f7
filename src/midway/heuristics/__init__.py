"""The Pólya catalogue: heuristics as data files, their loader, and the one prompt builder.

Promises: no torch, no network; a malformed file is refused with its name, the key and what to write instead.
"""

from midway.heuristics.catalogue import (
    CatalogueError,
    UnknownHeuristicError,
    get,
    load_catalogue,
    pick,
    read_heuristic,
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
from midway.heuristics.writing import format_page, missing, new_file, problems

__all__ = [
    "STOP_STRINGS",
    "CatalogueError",
    "PromptError",
    "Style",
    "UnknownHeuristicError",
    "answer_form",
    "build_prompt",
    "fold_system",
    "format_page",
    "get",
    "load_catalogue",
    "missing",
    "new_file",
    "pick",
    "problems",
    "prompt_version",
    "read_heuristic",
    "render_question",
    "to_markdown",
    "unguided",
]
