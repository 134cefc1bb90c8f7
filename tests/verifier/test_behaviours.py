"""The 17 situations that the test suites of other sandboxes name (`sandbox/behaviours.jsonl`), each as it is described."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from midway.domains import Verifier
from midway.evidence import pass_at_k
from midway.records import CodeTests, Judgement, Question
from midway.verifier.programs import judge as programs
from midway.verifier.programs.judge import CaseResults, case_results

SQUARE = "print(int(input()) ** 2)"


def asked(*cases: tuple[str, str], limit: float = 2, function: str = "") -> Question:
    return Question("code", "", tests=CodeTests(io=cases, entry_point=function), meta={"time_limit": limit})


def squares(count: int, limit: float = 2) -> Question:
    return asked(*((f"{k}\n", f"{k * k}\n") for k in range(count)), limit=limit)


def alone(program: str, stdin: str = "", expected: str = "", limit: float = 2) -> tuple[str, str]:
    (case,) = case_results(asked((stdin, expected), limit=limit), program).cases
    return case.status, case.output


def statuses(found: CaseResults) -> dict[str, list[int]]:
    at: dict[str, list[int]] = {}
    for case in found.cases:
        at.setdefault(case.status, []).append(case.index)
    return at


def exact_output(_: Path) -> None:
    found = case_results(squares(3), SQUARE)
    assert statuses(found) == {"passed": [0, 1, 2]}
    assert found.verdict().correct


def other_output(_: Path) -> None:
    verdict = case_results(squares(3), "print(int(input()) + 1)").verdict()
    assert (verdict.judgement, verdict.reason) == (Judgement.WRONG, "wrong-answer (case 1 of 3)")


def uncaught_exception(_: Path) -> None:
    assert alone("raise ValueError('no')", expected="1")[0] == "runtime-error: ValueError: no"


def sleeps_too_long(_: Path) -> None:
    program = "import time\nx = int(input())\nif x == 1:\n    time.sleep(600)\nprint(x * x)"
    assert statuses(case_results(squares(3, limit=0.5), program)) == {"passed": [0, 2], "timeout": [1]}


def a_hundred_cases(_: Path) -> None:
    wrong, late = [7, 50, 93], [3, 40, 41, 99]
    program = (
        f"import time\nx = int(input())\nif x in {late}:\n    time.sleep(600)\nprint(-1 if x in {wrong} else x * x)"
    )
    found = case_results(squares(100, limit=0.5), program)
    at = statuses(found)
    assert (at["wrong-answer"], at["timeout"], len(at["passed"])) == (wrong, late, 93)
    assert found.score == 0.93


def continuous_score(_: Path) -> None:
    program = "x = int(input())\nprint(-1 if x in (4, 10) else x * x)"
    assert case_results(squares(11), program).score == pytest.approx(9 / 11)
    assert case_results(squares(11), program, first=10).score == 0.9


def prints_nothing(_: Path) -> None:
    assert alone("x = 3") == ("passed", "")


def divides_by_zero(_: Path) -> None:
    status, output = alone("print(1 / 0)", expected="1")
    assert "ZeroDivisionError" in status
    assert output == ""


def needless_indentation(_: Path) -> None:
    status, output = alone("print('ran')\n    print('on')", expected="ran\non")
    assert "IndentationError" in status
    assert output == ""


SLEEPER = "import time\ntime.sleep(1)\nprint('done')"


def sleeps_its_limit(_: Path) -> None:
    """The limit is up some milliseconds before the sleep is: a machine that is busy just then may look too late."""
    seen = []
    while ("timeout", "") not in seen and len(seen) < 10:
        seen.append(alone(SLEEPER, expected="done", limit=1))
    assert seen[-1] == ("timeout", "")


def sleeps_below_its_limit(_: Path) -> None:
    assert alone(SLEEPER, expected="done", limit=2) == ("passed", "done\n")


def reads_with_a_prompt(_: Path) -> None:
    assert alone("print(input('name? '))", "Ann\n", "name? Ann") == ("passed", "name? Ann\n")


def docstring(_: Path) -> None:
    program = 'def f():\n    """Says\n    hello."""\n    return "hello"\n\nprint(f())'
    assert alone(program, expected="hello") == ("passed", "hello\n")


def function_style(_: Path) -> None:
    question = asked(('[1, 2]\n{"k": 3}', "6"), ('[]\n{"k": 0}', "0"), function="total")
    right = case_results(question, "def total(xs, named):\n    return sum(xs) + named['k']")
    assert [(c.status, c.output) for c in right.cases] == [("passed", "6"), ("passed", "0")]
    wrong = case_results(question, "def total(xs, named):\n    return sum(xs)")
    assert [c.status for c in wrong.cases] == ["wrong-answer", "passed"]


def no_timers(folder: Path) -> None:
    """An interpreter without `alarm` and `setitimer`, here and in every process that it starts."""
    (folder / "sitecustomize.py").write_text(
        "import signal\nfor name in ('alarm', 'setitimer', 'getitimer', 'ITIMER_PROF'):\n    delattr(signal, name)\n"
    )
    script = """
        import sys
        sys.path.insert(0, FOLDER)
        import os, sitecustomize
        os.environ["PYTHONPATH"] = FOLDER + os.pathsep + os.environ.get("PYTHONPATH", "")
        import signal
        assert not hasattr(signal, "alarm") and not hasattr(signal, "setitimer")
        from midway.records import CodeTests, Question
        from midway.domains import Verifier
        hang = r"\\boxed{\\int_{0}^{\\infty} \\frac{\\sin(x^3) \\ln(x+1)}{x^2+\\cos x} dx}"
        code = Question("code", "", tests=CodeTests(io=(("3", "9"),)), meta={"time_limit": 1})
        with Verifier(1, cpu_seconds=1) as verifier:
            print(verifier.verify(Question("math", "", answer="6"), r"\\boxed{\\sum_{n=1}^{3} n}").reason)
            print(verifier.verify(Question("math", "", answer="5"), hang).reason)
            print(verifier.verify(code, "print(int(input()) ** 2)").reason)
            print(verifier.verify(code, "while True:\\n    pass").reason)
    """
    script = textwrap.dedent(script).replace("FOLDER", repr(str(folder)))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    said = ["boxed:sympy", "deadline", "passed", "timeout (case 1 of 1)"]
    assert done.stdout.splitlines() == said, done.stderr


def two_scripts(_: Path) -> None:
    question = asked(("", "x\n"))
    with Verifier(1) as verifier:
        first, second = verifier.verify_batch([(question, "print('x')"), (question, "print('x")])
    assert first.correct
    assert second.reason.startswith("syntax-error: SyntaxError: unterminated string")


def published_samples(data: Path) -> None:
    folder = data / "humaneval"
    problem = json.loads((folder / "example_problem.jsonl").read_text())
    samples = [json.loads(line)["completion"] for line in (folder / "example_samples.jsonl").read_text().splitlines()]
    question = Question("code", problem["prompt"], tests=programs.tests_of(problem), meta={"time_limit": 1})
    with Verifier(2) as verifier:
        right = [v.correct for v in verifier.verify_batch((question, sample) for sample in samples)]
    assert right == [False, False, False, True, True, True]
    assert pass_at_k([6], [3], 1)[0] == pytest.approx(0.4999999999999999, abs=1e-12)


SITUATIONS: dict[str, Callable[[Path], None]] = {
    f"sandbox-{k:02}": check
    for k, check in enumerate(
        (
            exact_output, other_output, uncaught_exception, sleeps_too_long, a_hundred_cases, continuous_score,
            prints_nothing, divides_by_zero, needless_indentation, sleeps_its_limit, sleeps_below_its_limit,
            reads_with_a_prompt, docstring, function_style, no_timers, two_scripts, published_samples,
        )
    )
}  # fmt: skip


@pytest.mark.parametrize("name", SITUATIONS)
def test_situation(name: str, shared_data: Path, tmp_path: Path) -> None:
    SITUATIONS[name](tmp_path if name == "sandbox-14" else shared_data)


def test_every_row_of_the_file_is_here(shared_data: Path) -> None:
    lines = (shared_data / "sandbox" / "behaviours.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == list(SITUATIONS)
