"""Whether a question's tests can fail at all, from their source. Nothing is executed.

Promises: `cannot_fail` gives a reason only where no program whatever could fail: no `assert` that depends on anything, no `raise`, no
call of something that is named like a check. Tests that might fail pass here, also weak ones: `midway check` tries those against
programs that do nothing.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterable, Iterator

from midway.records import CodeTests
from midway.verifier import rules

_CHECKS = re.compile(r"assert|raises|fail|expect|check|verify|^test", re.IGNORECASE)


def listed(tests: object) -> tuple[str, ...]:
    """The statements of a `test_list`: a list, one text, or a list that arrives as the text of one. Raises TypeError for anything else."""
    given = [tests] if isinstance(tests, str) else tests
    if not isinstance(given, list | tuple) or not all(isinstance(t, str) for t in given):
        raise TypeError("test_list must hold statements as text")
    statements: list[str] = []
    for text in given:
        inside = read_list(text) if rules.on("tests-as-text") else None
        if inside is not None and not all(isinstance(t, str) for t in inside):
            raise TypeError("test_list must hold statements as text")
        statements += [text] if inside is None else map(str, inside)
    return tuple(statements)


def read_list(text: str) -> list[object] | None:
    """Return the list that `text` writes in JSON or Python; None where it writes none."""
    if not text.lstrip().startswith(("[", "(")):
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(value, list | tuple):
            return list(value)
    return None


def broken(tests: CodeTests) -> str:
    """Return what of the tests does not compile, and why; empty where all of it does."""
    parts = [
        ("setup", tests.setup),
        ("test", tests.test),
        *((f"test {k}", t) for k, t in enumerate(tests.test_list, 1)),
    ]
    for name, source in parts:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SyntaxWarning)  # `assert (x, 'message')`: `cannot_fail` says so
                compile(source, "<tests>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            return f"{name} does not compile: {error}: {source.strip()[:60]}"
    return ""


def cannot_fail(tests: CodeTests) -> str:
    """Return why no program could fail these tests; empty where one could, or where they cannot be read."""
    if not rules.on("tests-assert") or not (tests.test or tests.test_list):
        return ""
    try:
        helpers = ast.parse("\n".join((tests.setup, tests.test))).body
        statements = [node for statement in tests.test_list for node in ast.parse(statement).body]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    functions = {
        node.name: node for node in [*helpers, *statements] if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    if tests.test and not tests.test_list:
        check = functions.get("check")
        if check is None:
            return ""
        start: Iterable[ast.AST] = check.body
        what = "`check` asserts nothing"
    else:
        start, what = statements, "the statements assert nothing"
    return "" if any(map(_may_fail, _reached(start, functions))) else what


def _reached(
    start: Iterable[ast.AST], functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef]
) -> Iterator[ast.AST]:
    """Every node of `start` and of the functions that it names, each function once."""
    left, seen = list(start), set[str]()
    while left:
        for node in ast.walk(left.pop()):
            yield node
            if isinstance(node, ast.Name) and node.id in functions and node.id not in seen:
                seen.add(node.id)
                left += functions[node.id].body


def _may_fail(node: ast.AST) -> bool:
    if isinstance(node, ast.Raise):
        return True
    if isinstance(node, ast.Call):
        name = (
            node.func.attr
            if isinstance(node.func, ast.Attribute)
            else node.func.id
            if isinstance(node.func, ast.Name)
            else ""
        )
        return bool(_CHECKS.search(name)) and isinstance(node.func, ast.Attribute)
    if not isinstance(node, ast.Assert) or isinstance(node.test, ast.Constant | ast.JoinedStr | ast.Lambda):
        return isinstance(node, ast.Assert) and isinstance(node.test, ast.Constant) and not node.test.value
    if isinstance(node.test, ast.Tuple | ast.List | ast.Set) and node.test.elts:
        return False
    return any(isinstance(part, ast.Name | ast.Call) for part in ast.walk(node.test))
