"""What runs inside the sandbox for reasoning-gym: makes the questions of one task, scores one answer. `box` adds the import of the task.

A scorer may evaluate the answer as Python, so while it runs nothing that is more than a computation with plain values is let through: a
name that begins with an underscore, one of FORBIDDEN, or a text with two underscores stops the evaluation, and the answer says so. One
process scores one answer: what an answer might change ends with it.
"""

from __future__ import annotations

import os
import sys
import types
from typing import Any

FORBIDDEN = frozenset({
    "eval", "exec", "compile", "open", "input", "breakpoint", "help", "exit", "quit", "getattr", "setattr",
    "delattr", "hasattr", "globals", "locals", "vars", "dir", "type", "object", "super", "memoryview",
    "classmethod", "staticmethod", "property", "id", "callable", "mro", "gi_frame", "gi_code", "gi_yieldfrom",
    "cr_frame", "cr_code", "ag_frame", "ag_code", "f_back", "f_globals", "f_locals", "f_builtins", "f_code",
    "f_trace", "tb_frame", "tb_next", "co_code", "co_consts", "lambdify", "implemented_function", "preview",
    "source", "test", "doctest", "sympify", "S", "parse_expr", "plot",
})  # fmt: skip
"""Names that an evaluated answer may not use."""
ENOUGH = 1.0
"""Full marks."""


def packages(names: list[str]) -> None:
    """Make packages that are found but not run: reasoning-gym imports all of its tasks otherwise, which takes seconds."""
    for name in names:
        tail = name.replace(".", "/")
        there = [f"{folder}/{tail}" for folder in sys.path if os.path.isdir(f"{folder}/{tail}")]
        module = types.ModuleType(name)
        module.__path__ = there
        sys.modules[name] = module


def _dataset(task: str, options: dict[str, Any], seed: int) -> Any:
    from reasoning_gym.factory import CURRICULA, DATASETS

    made, config = DATASETS[task]
    fields = {key: value for key, value in options.items() if key != "level"}
    if "level" not in options:
        settings = config(**fields, seed=seed, size=1)
    else:
        curriculum = CURRICULA[task]()
        for name, attribute in curriculum.attributes.items():
            curriculum.set_attr_level(name, min(int(options["level"]), len(attribute.levels) - 1))
        settings = curriculum.generate_configuration({**fields, "seed": seed, "size": 1})
    if hasattr(settings, "validate"):
        settings.validate()
    return made(config=settings)


def fields(task: str) -> dict[str, str]:
    """The settings that a task has, with their defaults as text."""
    from dataclasses import fields as of

    from reasoning_gym.factory import CURRICULA, DATASETS

    config = DATASETS[task][1]()
    found = {f.name: repr(getattr(config, f.name)) for f in of(config) if f.name not in ("seed", "size")}
    return {**found, **({"level": "(of its curriculum)"} if task in CURRICULA else {})}


def make(task: str, options: dict[str, Any], seeds: list[int]) -> list[Any]:
    """[question, answer] for each seed."""
    made = []
    for seed in seeds:
        entry = _dataset(task, options, seed)[0]
        made.append([str(entry["question"]), str(entry["answer"])])
    return made


def score(task: str, options: dict[str, Any], seed: int, answer: str, question: str) -> list[Any]:
    """[whether it got full marks, its score, what stopped the evaluation (or ""), whether the question is still the same]."""
    dataset = _dataset(task, options, seed)
    entry = dataset[0]
    same = str(entry["question"]) == question
    stopped: list[str] = []
    refuse = _guard(stopped)
    try:
        given = dataset.score_answer(answer, entry)
    finally:
        refuse()
    number = float(given) if type(given) in (int, float, bool) or type(given).__module__ == "numpy" else -1.0
    return [number == ENOUGH, number, stopped[0] if stopped else "", same]


def scores(task: str, options: dict[str, Any], tries: list[tuple[int, str, str]]) -> list[Any]:
    """What `score` says of each (seed, answer, question), or what it raised: for the script that makes the list of tasks."""
    found: list[Any] = []
    for seed, answer, question in tries:
        try:
            found.append(score(task, options, seed, answer, question))
        except Exception as error:
            found.append(f"{type(error).__name__}: {error}"[:200])
    return found


def _guard(stopped: list[str]) -> Any:
    """Watch what is evaluated from now on until the function that is returned is called. What is not allowed raises and is noted."""
    off: list[bool] = []

    def watch(event: str, args: tuple[Any, ...]) -> None:
        if event != "exec" or off:
            return
        code = args[0]
        where = getattr(code, "co_filename", "")
        if where.startswith("<") and not where.startswith("<frozen") and (why := _forbidden(code)):
            stopped.append(why)
            raise ValueError(f"not evaluated: {why}")

    sys.addaudithook(watch)
    return lambda: off.append(True)


def _forbidden(code: Any) -> str:
    for name in (*code.co_names, *code.co_varnames, *code.co_freevars, *code.co_cellvars):
        if name in FORBIDDEN or (name.startswith("_") and name != "_"):
            return f"the name {name[:40]}"
    for value in code.co_consts:
        if isinstance(value, types.CodeType):
            if why := _forbidden(value):
                return why
        elif "__" in repr(value):
            return "a text with two underscores"
    return ""
