"""Sets whose gold is a test: HumanEval, MBPP and their EvalPlus versions.

Promises: rows are taken as published. The plus versions come in two shapes, EvalPlus' own releases (inputs and a reference program
whose results are expected) and the Hub's copies (a ready `check` program or script); both are read.
"""

from __future__ import annotations

from typing import Any

from midway.questions.base import KnownSet, Part, Row, RowError, pick, pick_text
from midway.questions.plus_types import differential_test, typed_calls
from midway.records import CodeTests


def _program(row: Row) -> str:
    """The prompt (a function's head) followed by the canonical body is a whole program."""
    return pick_text(row, "prompt", what="question") + pick_text(row, "canonical_solution", what="reference program")


def _humaneval(row: Row) -> dict[str, Any]:
    prompt, entry = pick_text(row, "prompt", what="question"), pick_text(row, "entry_point", what="entry point")
    return {
        "text": prompt,
        "tests": CodeTests(prompt=prompt, entry_point=entry, test=pick_text(row, "test", what="tests")),
        "solution": _program(row),
        "name": str(row.get("task_id", "")),
    }


def _inputs(row: Row) -> tuple[Any, ...]:
    calls = [*pick(row, "base_input", what="tests"), *(row.get("plus_input") or [])]
    if not calls:
        raise RowError("no tests: `base_input` is empty")
    return tuple(list(call) for call in calls)


def _humaneval_plus(row: Row) -> dict[str, Any]:
    if "base_input" not in row:
        return _humaneval(row)  # the Hub's copy has everything in `test`
    prompt = pick_text(row, "prompt", what="question")
    tests = CodeTests(
        prompt=prompt,
        entry_point=pick_text(row, "entry_point", what="entry point"),
        inputs=_inputs(row),
        reference=_program(row),
        atol=float(row.get("atol") or 0),
    )
    return {"text": prompt, "tests": tests, "solution": _program(row), "name": str(row.get("task_id", ""))}


def _shown(task: str, tests: list[str]) -> str:
    """MBPP's prompt: the name of the function is known only from the tests, so they are shown (Austin et al. 2021)."""
    return f"{task.strip()}\nYour code should pass these tests:\n\n" + "\n".join(t.strip() for t in tests)


def _mbpp(row: Row) -> dict[str, Any]:
    task = pick_text(row, "text", "prompt", what="question")
    tests = [str(t) for t in pick(row, "test_list", what="tests")]
    if not tests:
        raise RowError("no tests: `test_list` is empty")
    setup = row.get("test_setup_code") or "\n".join(row.get("test_imports") or [])
    return {
        "text": _shown(task, tests),
        "tests": CodeTests(test_list=tuple(tests), setup=setup),
        "solution": pick_text(row, "code", what="reference program").replace("\r\n", "\n"),
        "name": f"mbpp-{row['task_id']}" if "task_id" in row else "",
    }


def _mbpp_plus(row: Row) -> dict[str, Any]:
    if "base_input" not in row:  # the Hub's copy: one script that defines `assertion` and calls the function
        fields = _mbpp(row)
        script = pick_text(row, "test", what="tests")
        return {**fields, "tests": CodeTests(test_list=(script,), setup="\n".join(row.get("test_imports") or []))}
    entry, atol = pick_text(row, "entry_point", what="entry point"), float(row.get("atol") or 0)
    reference, calls = pick_text(row, "canonical_solution", what="reference program"), _inputs(row)
    typed = typed_calls(str(row.get("assertion", "")), entry, calls)
    if typed == list(calls):
        tests = CodeTests(entry_point=entry, inputs=calls, reference=reference, atol=atol)
    else:  # tuples and sets, which inputs (JSON) cannot say, go into a program
        tests = CodeTests(entry_point=entry, test=differential_test(entry, reference, typed, atol))
    text = pick_text(row, "prompt", what="question").strip().removeprefix('"""').removesuffix('"""').strip()
    return {"text": text, "tests": tests, "solution": reference.strip(), "name": str(row.get("task_id", ""))}


CODE_SETS: tuple[KnownSet, ...] = (
    KnownSet(
        "humaneval", "HumanEval: complete a Python function", "code", "openai/openai_humaneval", "MIT",
        "the published `check` function", {"": {"test": Part("test", ("test",), 164)}}, _humaneval,
        columns=("prompt", "entry_point", "test", "canonical_solution"),
    ),
    KnownSet(
        "humaneval_plus", "HumanEval+: about 80 times the tests", "code", "evalplus/humanevalplus", "Apache-2.0",
        "the published `check` function (Hub), or inputs and reference program (EvalPlus release)",
        {"": {"test": Part("test", ("test",), 164)}}, _humaneval_plus,
        columns=("prompt", "entry_point", "test", "canonical_solution"),
    ),
    KnownSet(
        "mbpp", "MBPP: write a short Python function", "code", "google-research-datasets/mbpp", "CC BY 4.0",
        "the published assertions, which are shown in the question",
        {
            "full": {
                name: Part(name, (name,), rows, "full")
                for name, rows in (("train", 374), ("test", 500), ("validation", 90), ("prompt", 10))
            },
            "sanitized": {
                name: Part(name, ("sanitized",), rows, "sanitized", only=name)
                for name, rows in (("train", 120), ("test", 257), ("validation", 43), ("prompt", 7))
            },
        },
        _mbpp, few_shot=("mbpp", "prompt"), columns=("text", "code", "test_list"),
    ),
    KnownSet(
        "mbpp_plus", "MBPP+: about 35 times the tests", "code", "evalplus/mbppplus", "Apache-2.0",
        "the published test script (Hub), or inputs and reference program (EvalPlus release)",
        {"": {"test": Part("test", ("test",), 378)}}, _mbpp_plus, few_shot=("mbpp", "prompt"),
        columns=("prompt", "code", "test_list", "test"),
    ),
)  # fmt: skip
