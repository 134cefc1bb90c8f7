"""Which tasks of reasoning-gym may be used: read from tasks.json, which tools/gym_allow_list.py writes.

When things go wrong: QuestionError for a task that is refused (with the reason), or that there is not (with what is near).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from midway.questions.base import QuestionError
from midway.registry import near


@dataclass(frozen=True)
class GymTask:
    """One task, as it was tried."""

    name: str
    module: str
    equality: bool
    """Only the stored answer, to the letter, gets full marks: no scorer need run."""
    evaluates: bool
    """Its scorer evaluates the answer as Python."""
    refused: str
    """Why it may not be used; empty if it may."""


@cache
def known() -> tuple[str, Mapping[str, GymTask]]:
    """Return the version of reasoning-gym that was tried, and its tasks by name."""
    read = json.loads(Path(__file__).with_name("tasks.json").read_text(encoding="utf-8"))
    tasks = {
        name: GymTask(name, row["module"], row["scorer"] == "equality", row["evaluates"], row["refused"])
        for name, row in read["tasks"].items()
    }
    return str(read["reasoning_gym"]), tasks


def allowed(name: str) -> GymTask:
    """Return a task that may be used. Raises QuestionError."""
    version, tasks = known()
    usable = [task for task, row in tasks.items() if not row.refused]
    if not name:
        raise QuestionError(f"gym: name a task, such as gym:chain_sum; there are {', '.join(usable)}")
    if name not in tasks:
        raise QuestionError(f"gym: there is no task {name!r}{near(name, usable)}\n  docs/gym.md has a table of them")
    if why := tasks[name].refused:
        raise QuestionError(
            f"gym:{name} is refused: {why} (tried with reasoning-gym {version})\n  docs/gym.md has a table of tasks that may be used"
        )
    return tasks[name]


def table() -> str:
    """Return the tasks as Markdown tables: those that may be used, and those that are refused with the reason."""
    version, tasks = known()
    usable = [task for task in tasks.values() if not task.refused]
    lines = [f"Tried with reasoning-gym {version}: {len(usable)} of {len(tasks)} tasks may be used.", ""]
    lines += ["| task | kind | how an answer is judged |", "|---|---|---|"]
    lines += [f"| `{task.name}` | {task.module.split('.')[1]} | {_how(task)} |" for task in usable]
    lines += ["", "| refused | why |", "|---|---|"]
    lines += [f"| `{t.name}` | {_cell(t.refused)} |" for t in tasks.values() if t.refused]
    return "\n".join(lines) + "\n"


def _how(task: GymTask) -> str:
    if task.equality:
        return "equal to the stored answer"
    return "by its scorer, which evaluates the answer as Python" if task.evaluates else "by its scorer"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
