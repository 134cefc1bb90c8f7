"""Asks the sandbox for questions of a reasoning-gym task and for scores of answers.

Promises: reasoning-gym's code runs in `verifier.programs.sandbox` alone, within limits of time and memory; what comes back is data.
When things go wrong: BoxError, which says what the task said; SandboxUnavailable; a run past its limits is a BoxError with `ended` set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from midway import registry
from midway.records import UserError
from midway.verifier.programs.remote import ProgramEnded, Session
from midway.verifier.programs.sandbox import Limits

PACKAGE = "reasoning-gym"
SCORING = Limits(cpu_seconds=10, idle_seconds=10.0, memory_bytes=2 << 30)
"""What scoring one answer may take, the import of the task included."""
MAKING = Limits(cpu_seconds=600, idle_seconds=60.0, memory_bytes=4 << 30)
"""What making one batch of questions may take."""


class BoxError(Exception):
    """The task's code failed: it raised, or (`ended`) it was stopped or died."""

    def __init__(self, message: str, *, ended: bool = False) -> None:
        super().__init__(message)
        self.ended = ended


class NotInstalled(UserError):
    """reasoning-gym is not there."""


def version() -> str:
    """Return the version of reasoning-gym that is installed. Raises NotInstalled."""
    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        raise NotInstalled(f"source gym: {PACKAGE} is not installed\n  {registry.install('gym')}") from None


def program(module: str) -> str:
    """Return the source that runs inside for the task that is defined in `module`, such as `reasoning_gym.arithmetic.chain_sum`."""
    parts = module.split(".")
    above = [".".join(parts[:n]) for n in range(1, len(parts))]
    source = Path(__file__).with_name("inside.py").read_text(encoding="utf-8")
    return f"{source}\npackages({above!r})\nimport {above[0]}.coaching, {module}\n"


@dataclass(frozen=True)
class Score:
    """What a scorer said of an answer."""

    full: bool
    """Whether it got full marks: nothing else counts as right."""
    score: float
    stopped: str
    """What the answer tried to evaluate that is not allowed; empty if nothing."""
    same: bool
    """Whether the question that was made again is the one that was asked."""


def make(module: str, task: str, options: Mapping[str, Any], seeds: Sequence[int]) -> list[tuple[str, str]]:
    """Return (question, answer) for each seed. Raises BoxError, SandboxUnavailable."""
    made = _ask(module, MAKING, "make", task, dict(options), list(seeds))
    return [(str(question), str(answer)) for question, answer in made]


def fields(module: str, task: str) -> dict[str, str]:
    """Return the settings that a task has, and their defaults as text. Raises BoxError, SandboxUnavailable."""
    return {str(k): str(v) for k, v in _ask(module, MAKING, "fields", task).items()}


def score(module: str, task: str, options: Mapping[str, Any], seed: int, answer: str, question: str) -> Score:
    """Return what the task's scorer says of an answer to the question of a seed. Raises BoxError, SandboxUnavailable."""
    return _score(_ask(module, SCORING, "score", task, dict(options), seed, answer, question))


def scores(
    module: str, task: str, tries: Sequence[tuple[int, str, str]], options: Mapping[str, Any] | None = None
) -> list[Score | str]:
    """Return what the scorer says of each (seed, answer, question), or what it raised, all in one process: for trusted answers only.

    Raises BoxError, SandboxUnavailable.
    """
    found = _ask(module, MAKING, "scores", task, dict(options or {}), [tuple(one) for one in tries])
    return [one if isinstance(one, str) else _score(one) for one in found]


def _score(found: Any) -> Score:
    if not isinstance(found, list) or [type(x) for x in found] != [bool, float, str, bool]:
        raise BoxError("the scorer's result cannot be read", ended=True)
    return Score(*found)


def _ask(module: str, limits: Limits, function: str, *args: Any) -> Any:
    try:
        with Session(program(module), limits) as session:
            if failed := session.load():
                raise BoxError(f"{failed[0]}: {failed[1]}")
            return session.call(function, args, {})
    except ProgramEnded as end:
        raise BoxError(end.reason, ended=True) from None
    except BoxError:
        raise
    except Exception as error:  # what the task's own code raised inside comes out as itself, or as ProgramError
        raise BoxError(f"{type(error).__name__}: {error}"[:300]) from None
