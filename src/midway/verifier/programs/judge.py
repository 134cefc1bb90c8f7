"""Judges programs: finds the program in what a model wrote, and runs it against tests in a sandbox (sandbox.py).

Promises: the tests (the question's own, which are trusted) run here, in the worker, and only their calls go to the
program (remote.py); a program is never run in this process. Tests: HumanEval's `check(candidate)`, MBPP's assert
statements, standard input and output, or EvalPlus's argument lists compared with a reference program.

Reasons: correct: `passed`. Wrong: `no-answer`, `truncated`, `syntax-error: ...`, `wrong-answer: ...`, `runtime-error:
...`,
`timeout: cpu | idle`, `program-ended: ...`, `output-limit`. Unjudged: `no-tests`, `no-sandbox: ...`,
`reference-failed: ...`,
`deadline` (the tests themselves ran too long).
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import io
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import lru_cache
from types import CodeType
from typing import Any

from midway.records import CodeTests, Judgement, Question, Verdict
from midway.registry import Task
from midway.verifier import extract, rules
from midway.verifier.programs import asserts
from midway.verifier.programs.cases import Case, CaseResults, arguments, run_each, value_of, verdict_of
from midway.verifier.programs.find import compiles, defines, find_program
from midway.verifier.programs.remote import Function, ProgramEnded, ProgramError, Remote, Session
from midway.verifier.programs.sandbox import Limits, SandboxUnavailable, require
from midway.verifier.programs.usual import with_usual_imports

MAX_PROGRAM = 200_000
"""Characters of a program."""
JUDGE_CPU_SECONDS = 30.0
"""CPU time of the tests themselves, outside the sandbox."""
REFERENCE_CPU_SECONDS = 300
"""CPU time of a question's own reference program: a bound on a defect of the question, far above what any needs."""
JUDGE_IDLE_SECONDS = 3600.0
"""Idle time of the judge: it waits for programs, whose own limits end them long before, however busy the machine is."""


# tasks ------------------------------------------------------------------------------------------------------------


def tests_of(columns: Mapping[str, Any]) -> CodeTests:
    """Return the tests in a row with HumanEval's, MBPP's or EvalPlus's own column names, or `tests: [{input, output}]`.

    With `entry_point` (or `fn_name`), `tests` are calls of that function: the arguments as JSON, one a line, and the
    value as JSON; without, standard input and output. Raises KeyError when there are no tests, TypeError or ValueError
    when they cannot be read.
    """
    text = {k: columns.get(k) or "" for k in ("prompt", "entry_point", "test", "canonical_solution")}
    if isinstance(text["entry_point"], str):
        text["entry_point"] = text["entry_point"].removeprefix("Solution().")  # a method is as good as a function
    if not all(isinstance(value, str) for value in text.values()):
        raise TypeError("prompt, entry_point, test and canonical_solution must be text")
    if columns.get("tests"):
        tests = columns["tests"]
        if isinstance(tests, CodeTests):
            return tests
        tests = asserts.read_list(tests) if isinstance(tests, str) else tests
        if not isinstance(tests, list) or not all(isinstance(t, Mapping) for t in tests):
            raise TypeError("tests must be a list of {input, output}")
        name = text["entry_point"] or str(columns.get("fn_name") or "")
        if name and not _unreadable(called := tuple(map(_case, tests))):
            io = called
        else:  # not arguments: what a program reads and prints
            name = ""
            if nothing := [k for k, t in enumerate(tests, 1) if t["output"] is None]:
                raise ValueError(f"the output of case {nothing[0]} is null; write what the program must print")
            io = tuple((_words(t["input"]), _words(t["output"])) for t in tests)
        return CodeTests(io=io, entry_point=name, prompt=text["prompt"] if name and _helpers(text["prompt"]) else "")
    if columns.get("test_list"):
        listed = asserts.listed(columns["test_list"])
        setup = "\n".join([*(columns.get("test_imports") or []), columns.get("test_setup_code") or ""]).strip()
        return CodeTests(test_list=listed, setup=setup)
    if "base_input" in columns:
        inputs = [*columns["base_input"], *(columns.get("plus_input") or [])]
        reference = text["canonical_solution"]
        if not defines(reference, text["entry_point"]):
            reference = text["prompt"] + reference
        return CodeTests(
            prompt=text["prompt"],
            entry_point=text["entry_point"],
            inputs=tuple(inputs),
            reference=reference,
            atol=float(columns.get("atol") or 0.0),
        )
    if text["test"]:
        if not text["entry_point"]:
            raise KeyError("entry_point")
        return CodeTests(prompt=text["prompt"], entry_point=text["entry_point"], test=text["test"])
    raise KeyError("no tests: the columns need `test` and `entry_point`, `test_list`, `base_input`, or `tests`")


def _unreadable(io: tuple[tuple[str, str], ...]) -> str:
    """Why these are not a function's arguments and values; empty if they are."""
    try:
        for given, expected in io:
            arguments(given), value_of(expected)
    except ValueError as error:
        return str(error)
    return ""


def _case(case: Mapping[str, Any]) -> tuple[str, str]:
    """A function's arguments and value as text. Of arguments that are data rather than text, a value that is no JSON is a text itself."""
    given, expected = case["input"], case["output"]
    read = _json_lines(expected, False)
    if rules.on("python-values") and isinstance(expected, str):
        with contextlib.suppress(ValueError):
            arguments(_json_lines(given, True))
            if not _reads(expected):
                read = json.dumps(expected)
    return _json_lines(given, True), read


def _reads(text: str) -> bool:
    try:
        value_of(text)
    except ValueError:
        return False
    return True


def _words(lines: Any, _: bool = True) -> str:
    """What stands on standard input or output."""
    return "\n".join(map(str, lines)) if isinstance(lines, list) else str(lines)


def _json_lines(value: Any, several: bool) -> str:
    """A function's arguments (`several`: one JSON value a line) or its value; text is taken as JSON already."""
    if isinstance(value, str):
        return value
    return "\n".join(map(json.dumps, value)) if several and isinstance(value, list) else json.dumps(value)


def task(question: Question, text: str, truncated: bool = False, *, require_sandbox: bool = False) -> Verdict | Task:
    """Return the task for a worker, or the verdict where there is nothing to run.

    `question.meta["time_limit"]` (seconds) limits the program's CPU and idle time, where a question sets it. Raises
    SandboxUnavailable if `require_sandbox` and there is none.
    """
    if require_sandbox:
        require()
    tests = question.tests
    if tests is None or not (tests.test or tests.test_list or tests.io or tests.inputs):
        return Verdict(Judgement.UNJUDGED, None, "no-tests")
    if why := asserts.cannot_fail(tests):
        return Verdict(Judgement.UNJUDGED, None, f"no-tests: {why}")
    try:
        text = extract.answer_part(text, limit=MAX_PROGRAM)
    except extract.Truncated:
        return Verdict(Judgement.WRONG, None, "truncated")
    if not text.strip():
        return Verdict(Judgement.WRONG, None, "truncated" if truncated else "no-answer")
    fields = {"tests": asdict(tests), "text": text, "truncated": truncated, "seconds": _seconds(question)}
    return Task(
        "midway.verifier.programs.judge:judge_task",
        fields,
        cpu_seconds=JUDGE_CPU_SECONDS,
        idle_limit=JUDGE_IDLE_SECONDS,
    )


def _seconds(question: Question) -> float:
    return float(question.meta.get("time_limit") or 0.0)


def _limits(seconds: float) -> Limits:
    """Limits for a question that sets its own: running and idling together, which is what a time limit means elsewhere."""
    if not seconds:
        return Limits()
    return Limits(cpu_seconds=max(1, math.ceil(seconds)), idle_seconds=seconds, run_seconds=seconds)


def _tests(content: Mapping[str, Any]) -> CodeTests:
    lists = {k: tuple(content[k]) for k in ("test_list", "inputs")}
    return CodeTests(**{**content, **lists, "io": tuple((a, b) for a, b in content["io"])})


def _program(task: Mapping[str, Any], tests: CodeTests) -> str | Verdict:
    """The program in the text of a task, or the verdict where there is none that could run."""
    name = tests.entry_point or called(tests)
    program = find_program(task["text"], tests.prompt, name)
    if program is None:
        return Verdict(Judgement.WRONG, None, "no-answer")
    if not defines(program, name):
        program = find_program(task["text"], tests.prompt) or program
    if tests.io or defines(program, "Solution") or "[BEGIN]" in task["text"]:
        types_only = not (tests.io or defines(program, "Solution"))
        program = with_usual_imports(program, types_only=types_only)
    try:
        compile(program, "<program>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = "truncated" if task["truncated"] else f"syntax-error: {type(error).__name__}: {error}"[:200]
        return Verdict(Judgement.WRONG, program, reason)
    return program


@lru_cache(maxsize=512)
def called(tests: CodeTests) -> str:
    """The name that MBPP's statements call first: what the program must define."""
    with contextlib.suppress(SyntaxError, ValueError):
        given = {*_free_names((tests.setup,)), *re.findall(r"\w+", _definitions(tests.setup)), *dir(builtins)}
        for node in ast.walk(ast.parse("\n".join(tests.test_list))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id not in given:
                return node.func.id
    return ""


def warm() -> None:
    """Make a worker ready before judges are forked: what a model writes may be full of invalid escapes."""
    import warnings

    warnings.simplefilter("ignore", SyntaxWarning)


def asked_for(tests: CodeTests) -> list[str]:
    """Return the names that a program must define for these tests: the entry point, or all functions that the statements call."""
    if tests.entry_point:
        return [tests.entry_point]
    given = {*_free_names((tests.setup,)), *re.findall(r"\w+", _definitions(tests.setup)), *dir(builtins)}
    names: dict[str, None] = {}
    for statement in tests.test_list:
        with contextlib.suppress(SyntaxError, ValueError):
            tree = ast.parse(statement)
            mine = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
            for node in ast.walk(tree):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id not in given | mine:
                    names[node.func.id] = None
    return list(names)


def judge_task(task: Mapping[str, Any]) -> Verdict:
    """Judge a task made by `task`. Runs tests in this process, the program in a sandbox."""
    tests = _tests(task["tests"])
    program = _program(task, tests)
    if isinstance(program, Verdict):
        return program
    limits = _limits(task["seconds"])
    try:
        if tests.io:
            return _judge_io(program, tests, limits)
        if tests.inputs:
            return _judge_inputs(program, tests, limits)
        return _judge_asserts(program, tests, limits)
    except ProgramEnded as end:
        return Verdict(Judgement.WRONG, program, end.reason)
    except SandboxUnavailable as error:
        return Verdict(Judgement.UNJUDGED, program, f"no-sandbox: {error}"[:300])


# asserts: HumanEval and MBPP --------------------------------------------------------------------------------------


def _judge_asserts(program: str, tests: CodeTests, limits: Limits) -> Verdict:
    with Session(_definitions(tests.setup) + program, limits) as session:
        # the tests are made ready while the sandbox starts
        names = _free_names((tests.prompt, tests.setup, tests.test, tests.entry_point, *tests.test_list))
        statements = tests.test_list or (f"check({tests.entry_point})",)
        try:
            trusted = [_compiled(source) for source in (_helpers(tests.prompt), tests.setup, tests.test) if source]
            prepared = [_compiled(source) for source in statements]
        except (SyntaxError, ValueError) as error:
            return Verdict(Judgement.UNJUDGED, program, f"unreadable-tests: {error}"[:300])
        if unloaded := session.load():
            return _load_error(program, unloaded)
        mine = session.names(names)
        space: dict[str, Any] = {"__name__": "tests", **mine}
        with contextlib.redirect_stdout(io.StringIO()):
            for code in trusted:
                exec(code, space)
            if tests.entry_point:
                if tests.entry_point not in mine:
                    return Verdict(Judgement.WRONG, program, f"runtime-error: NameError: {tests.entry_point}")
                space[tests.entry_point] = mine[tests.entry_point]
            if not tests.test_list and "check" not in space:
                return Verdict(Judgement.UNJUDGED, program, "unreadable-tests: `test` defines no `check`")
            for k, statement in enumerate(statements):
                failed = _failure(prepared[k], statement, space)
                if failed:
                    where = f" (test {k + 1} of {len(statements)})" if len(statements) > 1 else ""
                    return Verdict(Judgement.WRONG, program, failed + where)
    return Verdict(Judgement.CORRECT, program, "passed")


def _failure(prepared: CodeType, statement: str, space: dict[str, Any]) -> str:
    try:
        exec(prepared, space)
    except AssertionError:
        return f"wrong-answer: {statement}"[:200]
    except RecursionError:
        return "runtime-error: RecursionError"
    except ProgramError as error:
        return f"runtime-error: {error}"[:200]
    except Exception as error:  # the test met what it did not expect: that is the program's failure
        return f"runtime-error: {type(error).__name__}: {error}"[:200]
    return ""


def _load_error(program: str, error: tuple[str, str]) -> Verdict:
    return Verdict(Judgement.WRONG, program, f"runtime-error: {error[0]}: {error[1]}"[:200])


@lru_cache(maxsize=512)
def _definitions(setup: str) -> str:
    """Imports and definitions of the setup, which the program may rely on; the rest of it runs with the tests only."""
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    return "".join(f"{ast.unparse(node)}\n" for node in ast.parse(setup).body if isinstance(node, kinds))


@lru_cache(maxsize=512)
def _compiled(source: str) -> CodeType:
    return compile(source, "<tests>", "exec", dont_inherit=True)


@lru_cache(maxsize=512)
def _helpers(prompt: str) -> str:
    """The prompt as a module of its own: its helpers are trusted. Empty if it cannot be completed to one."""
    return next((p for p in (prompt, prompt + "\n    pass\n") if p.strip() and compiles(p)), "")


def _free_names(sources: tuple[str, ...]) -> list[str]:
    """Names that the tests use; the program is asked which of them it defines."""
    names: set[str] = set()
    for source in filter(None, sources):
        with contextlib.suppress(SyntaxError, ValueError):
            names |= {n.id for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Name)}
    return sorted(names)


# EvalPlus: argument lists and a reference -------------------------------------------------------------------------


class _Object:
    """What the reference returned is no data but an object, such as a regular expression's match. A program need not
    return the like: it agrees where it returns anything true, and where the reference then returns None, anything false."""


OBJECT = _Object()


@lru_cache(maxsize=8)
def _expected(tests: CodeTests, inputs: str) -> tuple[list[Any], float, str]:
    """What the reference returns for each input (an exception where it raises, OBJECT where it gives no data), the CPU seconds that
    it took, and why it could not be run, if so. Also a failure is remembered: it is the question's, not a program's."""
    results: list[Any] = []
    try:
        with Session(tests.reference, Limits(cpu_seconds=REFERENCE_CPU_SECONDS)) as session:
            if failed := session.load():
                return [], 0.0, f"{failed[0]}: {failed[1]}"
            for args in _arguments(tests, inputs):
                try:
                    result = session.call(tests.entry_point, args, {})
                    results.append(result if _is_data(result) else OBJECT)
                except Exception as error:
                    results.append(error)
            return results, session.program.used(), ""
    except ProgramEnded as end:
        return [], 0.0, end.reason


def _limits_beside(limits: Limits, seconds: float) -> Limits:
    """Room for a program beside a reference that took `seconds` of CPU time: four times that, if it is more."""
    run = max(limits.run_seconds, 4 * seconds) if limits.run_seconds else 0.0
    return replace(limits, cpu_seconds=max(limits.cpu_seconds, math.ceil(4 * seconds)), run_seconds=run)


def _is_data(x: Any) -> bool:
    if isinstance(x, dict):
        return all(_is_data(v) for v in x.values())
    return all(map(_is_data, x)) if isinstance(x, (list, tuple)) else not isinstance(x, (Remote, Function))


def _judge_inputs(program: str, tests: CodeTests, limits: Limits) -> Verdict:
    inputs = json.dumps(tests.inputs)
    expected, seconds, failed = _expected(replace(tests, inputs=()), inputs)
    if failed:
        return Verdict(Judgement.UNJUDGED, program, f"reference-failed: {failed}"[:300])
    usable = [k for k, e in enumerate(expected) if not isinstance(e, Exception)]
    if all(expected[k] is OBJECT for k in usable):
        why = "it returns objects only" if usable else repr(expected[0]) if expected else "no inputs"
        return Verdict(Judgement.UNJUDGED, program, f"reference-failed: {why}"[:300])
    found_or_not = OBJECT in expected
    limits = _limits_beside(limits, seconds)
    with Session(program, limits) as session:
        if unloaded := session.load():
            return _load_error(program, unloaded)
        given_arguments = _arguments(tests, inputs)
        for k in usable:
            try:
                given = session.call(tests.entry_point, given_arguments[k], {})
                if found_or_not and (expected[k] is OBJECT or expected[k] is None):
                    same = bool(given) is (expected[k] is OBJECT)
                else:
                    same = _same(expected[k], given, tests.atol)
            except Exception as error:
                return Verdict(Judgement.WRONG, program, f"runtime-error: {error!r} (input {k + 1})"[:200])
            if not same:
                return Verdict(Judgement.WRONG, program, f"wrong-answer: input {k + 1} of {len(expected)}")
    return Verdict(Judgement.CORRECT, program, "passed")


def _arguments(tests: CodeTests, inputs: str) -> list[tuple[Any, ...]]:
    """The argument lists, fresh. JSON has no tuples or sets: types follow the example call in the prompt."""
    example = _example_call(tests.prompt, tests.entry_point)
    return [
        tuple(_typed(a, example[k] if k < len(example) else None) for k, a in enumerate(args))
        for args in json.loads(inputs)
    ]


@lru_cache(maxsize=64)
def _example_call(prompt: str, entry_point: str) -> list[Any]:
    for line in re.findall(r"^assert .*$", prompt, re.MULTILINE):
        with contextlib.suppress(SyntaxError, ValueError):
            for node in ast.walk(ast.parse(line)):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == entry_point:
                    return [ast.literal_eval(a) for a in node.args]
    return []


def _typed(value: Any, example: Any) -> Any:
    if isinstance(value, list):
        inner = list(example) if isinstance(example, (list, tuple, set)) and example else [None]
        parts = [_typed(v, inner[k] if k < len(inner) else inner[-1]) for k, v in enumerate(value)]
        try:
            return type(example)(parts) if isinstance(example, (tuple, set)) else parts
        except TypeError:  # a set of lists
            return parts
    return value


def _same(expected: Any, given: Any, atol: float) -> bool:
    """EvalPlus's comparison: equal, or floats within `atol` (1e-6 where none is set) or a relative 1e-7."""
    if isinstance(expected, float) and isinstance(given, (int, float)) and not isinstance(given, bool):
        if math.isnan(expected) or math.isnan(given):
            return math.isnan(expected) and math.isnan(given)
        return math.isclose(expected, given, rel_tol=1e-7, abs_tol=atol or 1e-6)
    if isinstance(expected, (list, tuple)) and type(expected) is type(given):
        return len(expected) == len(given) and all(_same(a, b, atol) for a, b in zip(expected, given, strict=True))
    if isinstance(expected, dict) and isinstance(given, dict):
        return expected.keys() == given.keys() and all(_same(v, given[k], atol) for k, v in expected.items())
    return bool(expected == given)


# cases with an input and an expected output ------------------------------------------------------------------------


def case_results(question: Question, text: str, *, first: int | None = None, truncated: bool = False) -> CaseResults:
    """Run every case of an input/output question (or the `first` of them): each one's outcome, and the share that passed.

    For partial credit and for debugging; `verify` itself stops at the first case that fails. Where there is no program
    to run, every case says so. Blocks until all cases ran, each within its limits. Raises ValueError for a question
    without such cases, SandboxUnavailable.
    """
    tests = question.tests
    if tests is None or not tests.io:
        raise ValueError(f"question {question.name or question.id} has no input/output cases")
    tests = replace(tests, io=tests.io[:first])
    found = task(question, text, truncated)
    program = found if isinstance(found, Verdict) else _program(found.fields, tests)
    if isinstance(program, Verdict):
        cases = tuple(Case(k, program.reason) for k in range(len(tests.io)))
        return CaseResults(cases, program.extracted)
    return CaseResults(tuple(run_each(program, tests, _limits(_seconds(question)), _same)), program)


def _judge_io(program: str, tests: CodeTests, limits: Limits) -> Verdict:
    if tests.entry_point and (why := _unreadable(tests.io)):
        return Verdict(Judgement.UNJUDGED, program, f"unreadable-tests: {why}"[:300])
    failed = next((case for case in run_each(program, tests, limits, _same) if case.status != "passed"), None)
    return verdict_of(failed, program, len(tests.io))
