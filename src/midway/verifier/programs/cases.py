"""Runs a program on cases that have an input and an expected output: standard input and output, or a function's arguments.

Promises: every case runs in a sandbox of its own, so one that hangs, dies or leaves a mess takes no other with it, and
every case has its own outcome at its own index. Raises SandboxUnavailable when there is no sandbox to run it in.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from midway.records import CodeTests, Judgement, Verdict
from midway.verifier import rules
from midway.verifier.programs.remote import ProgramEnded, Remote, Session
from midway.verifier.programs.sandbox import Limits, Program, SandboxUnavailable

OUTPUT_KEPT = 20_000
"""Characters of a case's output that are kept."""


@dataclass(frozen=True, slots=True)
class Case:
    """What one case gave: `status` is `passed`, `wrong-answer`, `runtime-error: ...`, `timeout`, `output-limit` or
    `program-ended: ...`; where there is no program to run, `no-answer`, `truncated` or `syntax-error: ...`.

    `output` is what it printed, or the value that the function returned, as JSON where it can be.
    """

    index: int
    status: str
    output: str = ""


@dataclass(frozen=True, slots=True)
class CaseResults:
    """The outcome of every case, in the order of the question, and the program that was found."""

    cases: tuple[Case, ...]
    program: str | None

    @property
    def score(self) -> float:
        """The share of cases that passed."""
        return sum(case.status == "passed" for case in self.cases) / len(self.cases)

    def verdict(self) -> Verdict:
        """All or nothing: the same verdict that `verify` gives, by the first case that did not pass."""
        failed = next((case for case in self.cases if case.status != "passed"), None)
        return verdict_of(failed, self.program, len(self.cases))


def verdict_of(failed: Case | None, program: str | None, total: int) -> Verdict:
    """The verdict on a program of whose cases `failed` is the first that did not pass."""
    if failed is None:
        return Verdict(Judgement.CORRECT, program, "passed")
    nothing_ran = failed.status.split(":")[0] in ("no-answer", "truncated", "syntax-error")
    where = "" if nothing_ran else f" (case {failed.index + 1} of {total})"
    return Verdict(Judgement.WRONG, program, failed.status + where)


def run_each(program: str, tests: CodeTests, limits: Limits, same: Callable[[Any, Any, float], bool]) -> Iterator[Case]:
    """Run the cases one after the other; `same(expected, given, tolerance)` compares what a function returned."""
    for index, (given, expected) in enumerate(tests.io):
        if tests.entry_point:
            yield _call(index, program, tests, limits, same)
        else:
            yield _script(index, program, given, expected, limits)


def _script(index: int, program: str, given: str, expected: str, limits: Limits) -> Case:
    with Program(program, limits, script=True, ahead=True) as running:
        status, output = running.run(given.encode("utf-8", "replace"), limits.output_bytes + 2 * len(expected))
        why = running.why_dead() if status == "done" else status
        if why == "sandbox":
            raise SandboxUnavailable(running.stderr.decode(errors="replace")[-300:])
        words = output.decode("utf-8", "replace")
        if why == "exit 0":
            status = "passed" if lines_of(words) == lines_of(expected) else "wrong-answer"
        elif status == "done":
            lines = running.stderr.decode("utf-8", "replace").strip().split("\n")
            status = f"runtime-error: {lines[-1][:200] or why}"
        return Case(index, status, words[:OUTPUT_KEPT])


def lines_of(text: str) -> list[str]:
    """The lines of an output as they are compared: without white space at their ends, and without empty ones at the end."""
    return [line.rstrip() for line in text.rstrip().split("\n")]


def value_of(text: str) -> Any:
    """A value written as JSON or as Python: `true`, `(1, None)`. Raises ValueError for anything else."""
    try:
        return json.loads(text)
    except ValueError:
        if not rules.on("python-values"):
            raise
    try:
        return ast.literal_eval(text.strip())
    except (SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(f"neither JSON nor a Python value: {text[:60]!r}") from error


def arguments(given: str) -> list[Any]:
    """The arguments of a function's case: one value a line, or Python's with commas between them. Raises ValueError for anything else."""
    lines = [line for line in given.split("\n") if line.strip()]
    if len(lines) == 1 and not lines[0].lstrip().startswith("("):
        value = value_of(lines[0])
        return list(value) if isinstance(value, tuple) else [value]
    return [value_of(line) for line in lines]


def _call(index: int, program: str, tests: CodeTests, limits: Limits, same: Callable[[Any, Any, float], bool]) -> Case:
    given, expected = arguments(tests.io[index][0]), _as_json(value_of(tests.io[index][1]))
    try:
        with Session(program, limits) as session:
            if error := session.load():
                return Case(index, f"runtime-error: {error[0]}: {error[1]}"[:200])
            target = session.names([tests.entry_point]).get(tests.entry_point)
            if not callable(target):
                return Case(index, f"runtime-error: NameError: {tests.entry_point}")
            value = _as_json(target(*given))
    except ProgramEnded as end:
        status = "timeout" if end.reason.startswith("timeout") else end.reason
        return Case(index, status)
    except Exception as error:  # the program's own, carried over
        return Case(index, f"runtime-error: {type(error).__name__}: {error}"[:200])
    passed = not isinstance(value, Remote) and same(expected, value, tests.atol)
    try:
        output = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        output = f"an object of the program or of a kind that JSON does not have: {type(value).__name__}"
    return Case(index, "passed" if passed else "wrong-answer", output[:OUTPUT_KEPT])


def _as_json(value: Any) -> Any:
    """JSON has no tuples: where a list is expected, a tuple is as good."""
    if isinstance(value, (list, tuple)):
        return [_as_json(v) for v in value]
    return {k: _as_json(v) for k, v in value.items()} if isinstance(value, dict) else value
