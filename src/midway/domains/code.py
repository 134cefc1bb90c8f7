"""Programs that are judged by tests: HumanEval's, MBPP's, EvalPlus's, or standard input and output."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from midway.domains.base import Domain
from midway.domains.values import is_missing, positive
from midway.questions.base import RowError
from midway.records import CodeTests, Exemplar, Question, Verdict
from midway.registry import Row, Task
from midway.verifier import explain
from midway.verifier.programs import judge as judging

_FENCE_AT_END = re.compile(r"^```python\n(?:(?!```).)+\n```\Z", re.MULTILINE | re.DOTALL)
TESTS = ("tests", "test", "test_list", "base_input")
"""Columns that hold tests, as published."""
COLUMNS = ("prompt", "entry_point", "test", "test_list", "setup", "io", "inputs", "reference", "atol", "tests")


@dataclass(frozen=True, kw_only=True)
class Code(Domain):
    name: str = "code"
    summary: str = "a Python program with tests"
    columns: tuple[str, ...] = COLUMNS
    required: str = (
        "`question` and one of: `test` with `entry_point` (`prompt` if the answer continues a given head); "
        "`test_list`, with `setup`; `io` (pairs of input and output); `inputs` and `reference` with `entry_point` (`atol`)"
    )
    answer_form: str = "End with one complete Python program in a ```python block."
    double_text: bool = False

    def gold(self, row: Row) -> dict[str, Any]:
        return {"tests": tests_of_row({name: row.optional(name) for name in COLUMNS})}

    def of_columns(self, columns: Mapping[str, Any]) -> Question:
        text = str(columns.get("question") or "")
        given = {k: v for k, v in columns.items() if k not in TESTS or not is_missing(v)}
        if len(given) < len(columns) and not any(name in given for name in TESTS):
            return Question(self.name, text)  # the column is there and holds nothing: `no-tests`
        return Question(self.name, text, tests=judging.tests_of(given), meta=positive(columns, "time_limit"))

    def claims(self, columns: Mapping[str, Any]) -> bool:
        return any(not is_missing(columns.get(name)) for name in TESTS)

    def show(self, question: Question) -> str:
        """A signature to be completed (HumanEval) in a fenced block; a text with its first test (MBPP), unless the text has it; a text
        with its first example (stdin/stdout); else a text with the name of the function."""
        text, tests = question.text.strip(), question.tests
        if tests is None:
            return text
        if tests.prompt and (text in tests.prompt or tests.prompt.strip() in text):
            return f"Complete this program; repeat what is given.\n```python\n{tests.prompt.strip()}\n```"
        if tests.prompt:
            return f"{text}\n```python\n{tests.prompt.strip()}\n```"
        if tests.test_list:
            first = tests.test_list[0].strip()
            return text if first in text else f"{text}\nIt must pass this test:\n{first}"
        if tests.io:
            given, expected = (part.strip() for part in tests.io[0])
            read = "It reads standard input and writes standard output."
            if given in text and expected in text:
                return f"{text}\n{read}"
            return f"{text}\n{read}\nFor the input\n{given}\nit writes\n{expected}"
        if tests.entry_point and tests.entry_point not in text:
            return f"{text}\nName the function `{tests.entry_point}`."
        return text

    def exemplar_question(self, exemplar: Exemplar) -> str:
        return f"{exemplar.question}\nIt must pass this test:\n{exemplar.answer.splitlines()[0]}"

    def example_columns(self, exemplar: Exemplar) -> Mapping[str, Any] | None:
        return {"question": exemplar.question, "test_list": exemplar.answer.splitlines()}

    def check_exemplar(self, exemplar: Exemplar) -> str:
        if not _FENCE_AT_END.search(exemplar.solution):
            return "solution must end with one ```python ... ``` block"
        if not exemplar.answer.startswith("assert "):
            return "answer must be assert statements, one a line, that call the program"
        return ""

    def probes(self) -> tuple[Question, ...]:
        kinds = (
            CodeTests(prompt="?", entry_point="f", test="t"),
            CodeTests(prompt="def f():", entry_point="f", test="t"),
            CodeTests(test_list=("assert f()",)),
            CodeTests(io=(("i", "o"),)),
            CodeTests(entry_point="f", inputs=((),), reference="r"),
        )
        return tuple(Question(domain=self.name, text="?", tests=tests) for tests in kinds)

    def judge(self, question: Question, text: str, *, truncated: bool, require_sandbox: bool) -> Verdict | Task:
        return judging.task(question, text, truncated, require_sandbox=require_sandbox)

    def explain(self, question: Question, text: str, *, truncated: bool) -> Iterator[str]:
        yield from explain.code(question, text, truncated=truncated)

    def golds(self, question: Question) -> Iterator[tuple[str, str]]:
        yield "solution", question.solution or ""

    def must_fail(self, question: Question) -> Iterator[tuple[str, str]]:
        tests = question.tests or CodeTests()
        if tests.io and not tests.entry_point:
            yield "a program that prints nothing", "```python\npass\n```"
            yield "a program that raises", "```python\nraise RuntimeError\n```"
            return
        names = judging.asked_for(tests)
        for what, body in (("returns nothing", "return None"), ("raises", "raise RuntimeError")):
            functions = "\n".join(f"def {name}(*args, **named):\n    {body}\n" for name in names)
            yield f"a program that {what}", f"```python\n{functions}```"

    def no_gold(self) -> str:
        return "no reference program"

    def gold_text(self, question: Question) -> str:
        return json.dumps(asdict(question.tests), sort_keys=True) if question.tests else ""


def tests_of_row(given: Mapping[str, Any]) -> CodeTests:
    """Return the tests of a row with midway's own columns. Raises RowError where there are none, or two kinds of them."""
    kinds = [name for name in ("test", "test_list", "io", "inputs", "tests") if given.get(name)]
    if len(kinds) != 1:
        raise RowError(f"no answer: exactly one of test, test_list, io, tests, inputs is needed, there {_are(kinds)}")
    tests = _tests_of_kind(kinds[0], given)
    if why := judging.asserts.broken(tests) or judging.asserts.cannot_fail(tests):
        raise RowError(f"no answer: {why}")
    return tests


def _tests_of_kind(kind: str, given: Mapping[str, Any]) -> CodeTests:
    common: dict[str, Any] = {
        "prompt": given["prompt"] or "",
        "entry_point": given["entry_point"] or "",
        "setup": given["setup"] or "",
    }
    if kind == "tests":  # as `midway verify` has them
        try:
            return judging.tests_of(given)
        except (KeyError, TypeError, ValueError) as error:
            raise RowError(f"no answer: `tests`: {error}") from None
    if kind in ("test", "inputs") and not common["entry_point"]:
        raise RowError(f"no answer: `{kind}` needs `entry_point`, the name of the function")
    if kind == "test":
        return CodeTests(**common, test=str(given["test"]))
    if kind == "test_list":
        try:
            return CodeTests(**common, test_list=judging.asserts.listed(given["test_list"]))
        except TypeError as error:
            raise RowError(f"no answer: {error}") from None
    if kind == "io":
        pairs = tuple(_pair(p) for p in given["io"])
        return CodeTests(**common, io=pairs)
    if not given["reference"]:
        raise RowError("no answer: `inputs` needs `reference`, the program whose results are expected")
    return CodeTests(
        **common,
        inputs=tuple(list(call) for call in given["inputs"]),
        reference=str(given["reference"]),
        atol=float(given["atol"] or 0),
    )


def _are(kinds: Sequence[str]) -> str:
    return f"are {', '.join(kinds)}" if kinds else "is none"


def _pair(value: Any) -> tuple[str, str]:
    if isinstance(value, Mapping):
        value = [value.get("input"), value.get("output")]
    if not isinstance(value, list | tuple) or len(value) != 2 or any(v is None for v in value):
        raise RowError("no answer: `io` is a list of pairs [input, output]")
    return str(value[0]), str(value[1])


CODE = Code()
