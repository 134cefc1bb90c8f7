"""Programs: how they are found in a reply, how they are tested, and what each failure is called."""

from __future__ import annotations

import ast
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from midway.domains import Verifier
from midway.records import CodeTests, Judgement, Question
from midway.verifier.programs import judge as programs
from midway.verifier.programs.judge import case_results, find_program

DATA = Path(__file__).parent / "data"


def rows(path: Path) -> list[dict[str, Any]]:
    data = path.read_bytes()
    return [json.loads(line) for line in (gzip.decompress(data) if path.suffix == ".gz" else data).splitlines()]


@pytest.fixture(scope="module")
def verifier() -> Iterator[Verifier]:
    with Verifier(2) as made:
        yield made


def code(row: dict[str, Any]) -> Question:
    return Question("code", "", tests=programs.tests_of(row), name=str(row.get("task_id", "")))


def io(*cases: tuple[str, str], limit: float = 2, function: str = "") -> Question:
    return Question("code", "", tests=CodeTests(io=cases, entry_point=function), meta={"time_limit": limit})


def mutated(program: str) -> Iterator[str]:
    """The program with one return value, constant or comparison changed, one after the other."""

    class Change(ast.NodeTransformer):
        def __init__(self, which: int) -> None:
            self.left = which

        def turn(self) -> bool:
            self.left -= 1
            return self.left == -1

        def visit_Return(self, node: ast.Return) -> ast.AST:
            if node.value and self.turn():
                return ast.Return(ast.Constant(None))
            return self.generic_visit(node)

        def visit_Constant(self, node: ast.Constant) -> ast.AST:
            if isinstance(node.value, int | str) and self.turn():
                return ast.Constant(node.value + 1 if isinstance(node.value, int) else node.value + "?")
            return node

    for which in range(40):
        change = Change(which)
        tree = ast.fix_missing_locations(change.visit(ast.parse(program)))
        if change.left >= 0:
            return
        yield ast.unparse(tree)


PROMPT = (
    'from typing import List\n\n\ndef total(xs: List[int]) -> int:\n    """ Sum.\n    >>> total([1])\n    1\n    """\n'
)
TOTAL = Question(
    "code", "", tests=CodeTests(prompt=PROMPT, entry_point="total", test="def check(f):\n    assert f([1, 2]) == 3\n")
)

REPLIES = {
    "completion of the prompt": "    return sum(xs)\n",
    "completion that goes on": "    return sum(xs)\n\n\nprint('and now\nsome words",
    "fenced": "Here it is:\n```python\ndef total(xs: List[int]) -> int:\n    return sum(xs)\n```\nIt sums.",
    "fenced, no language": "```\ndef total(xs):\n    return sum(xs)\n```",
    "fenced, never closed": "```python\ndef total(xs):\n    return sum(xs)\n",
    "fenced body only": "```python\n    return sum(xs)\n```",
    "the last of several": "```python\ndef total(xs):\n    return 0\n```\nBetter:\n```python\ndef total(xs):\n    return sum(xs)\n```\n```bash\nls\n```",  # noqa: E501
    "an example of use after it": "```python\ndef total(xs):\n    return sum(xs)\n```\n```python\nprint(total([1]))\n```",
    "bare": "def total(xs):\n    return sum(xs)",
    "bare, then words": "def total(xs):\n    return sum(xs)\n\nThis works because sums are sums.",
    "whole prompt repeated": PROMPT + "    return sum(xs)\n",
    "after thinking": "<think>```python\ndef total(xs):\n    return 0\n```</think>```python\ndef total(xs):\n    return sum(xs)\n```",
    "with a main block": "```python\ndef total(xs):\n    return sum(xs)\n\nif __name__ == '__main__':\n    print(total(map(int, input().split())))\n```",  # noqa: E501
    "words, then the body": "Here is the body:\n\n    return sum(xs)\n",
    "words around the program": "Sure! This does it:\n\nimport math\ndef total(xs):\n    return sum(xs)\n\nI hope this helps!",
    "body, first line at the margin": "s = 0\n    for x in xs:\n        s += x\n    return s\n",
    "body at the margin": "s = 0\nfor x in xs:\n    s += x\nreturn s\n",
    "body at a margin of two": "  s = 0\n  for x in xs:\n    s += x\n  return s\n",
    "body with tabs": "\ts = 0\n\tfor x in xs:\n\t\ts += x\n\treturn s\n",
    "fenced body at the margin": "```python\ns = sum(xs)\nreturn s\n```",
    "body, then a fence that only closes": "    return sum(xs)\n```\nThis sums.",
    "fence with a margin": "1. So:\n   ```python\n   def total(xs):\n       return sum(xs)\n   ```",
    "fence after words": "Code: ```python\ndef total(xs):\n    return sum(xs)\n```",
    "four ticks": "````python\ndef total(xs):\n    return sum(xs)\n````",
    "tags": "[PYTHON]\ndef total(xs):\n    return sum(xs)\n[/PYTHON]",
    "helper in another block": "```python\nimport functools\ndef add(a, b):\n    return a + b\nprint(1 / 0)\n```\n```python\ndef total(xs):\n    return functools.reduce(add, xs)\n```",  # noqa: E501
    "a method": "```python\nclass Solution:\n    def total(self, xs: List[int]) -> int:\n        return sum(xs)\n```",
    "byte order mark and hard spaces": "\ufeffdef total(xs):\n\u00a0\u00a0\u00a0\u00a0return sum(xs)",
    "line ends of Windows": "```python\r\ndef total(xs):\r\n    return sum(xs)\r\n```\r\n",
    "lambda": "```python\ntotal = lambda xs: sum(xs)\n```",
}


@pytest.mark.parametrize("text", REPLIES.values(), ids=REPLIES)
def test_finds_the_program(text: str, verifier: Verifier) -> None:
    assert verifier.verify(TOTAL, text).reason == "passed"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no-answer"),
        ("<think>it is", "truncated"),
        ("I would add the numbers.", "syntax-error: "),
        ("```python\ndef total(xs):\n    return (\n```", "syntax-error: SyntaxError"),
        ("```python\ndef total(xs):\n    x = 1\n      return x\n```", "syntax-error: IndentationError"),
        ("```python\ndef other(xs):\n    return 3\n```", "wrong-answer: check(total)"),
        ("    return 4\n", "wrong-answer: check(total)"),
        ("    return 1 / 0\n", "runtime-error: ZeroDivisionError"),
        ("```python\nimport nowhere\ndef total(xs):\n    return 3\n```", "runtime-error: ModuleNotFoundError"),
        ("    raise SystemExit\n", "runtime-error: SystemExit"),
    ],
)
def test_names_the_failure(text: str, reason: str, verifier: Verifier) -> None:
    verdict = verifier.verify(TOTAL, text)
    assert verdict.judgement is Judgement.WRONG
    assert verdict.reason.startswith(reason)


def test_no_tests_is_not_a_wrong_answer(verifier: Verifier) -> None:
    assert verifier.verify(Question("code", ""), "x = 1").reason == "no-tests"


def test_an_example_after_the_function_is_not_the_program(verifier: Verifier) -> None:
    """MBPP names its function only in the tests."""
    setup = "from math import isclose"
    tests = CodeTests(test_list=("assert isclose(half(3), 1.5)", "assert half(2) == 1"), setup=setup)
    reply = (
        "```python\ndef half(x):\n    return x / 2\n```\nFor example:\n```python\nprint(half(4))\n```\n```\n2.0\n```"
    )
    assert verifier.verify(Question("code", "", tests=tests), reply).reason == "passed"


def test_prefers_nothing_it_cannot_read() -> None:
    assert find_program("  \n") is None
    assert find_program("```python\nx = 1\n```\n```text\nhello\n```") == "x = 1\n"


@pytest.mark.parametrize("name", ["humaneval.jsonl", "mbpp.jsonl"])
def test_canonical_programs_pass_and_changed_ones_fail(name: str, verifier: Verifier) -> None:
    """Rows of HumanEval (openai/human-eval, MIT) and MBPP (google-research, CC BY 4.0)."""
    for row in rows(DATA / name):
        program = row["prompt"] + row["canonical_solution"] if "canonical_solution" in row else row["code"]
        question = code(row)
        assert verifier.verify(question, f"```python\n{program}\n```").reason == "passed", row["task_id"]
        verdicts = verifier.verify_batch((question, f"```python\n{p}\n```") for p in mutated(program))
        assert any(v.judgement is Judgement.WRONG for v in verdicts), row["task_id"]


def test_objects_of_the_program_in_tests(verifier: Verifier) -> None:
    """Tests may build the program's classes, change arguments in place, and catch its exceptions."""
    program = """
class Node:
    def __init__(self, value):
        self.value, self.next = value, None
    def __eq__(self, other):
        return self.value == other.value

def walk(node):
    while node:
        yield node.value
        node = node.next

def double(xs):
    for k, x in enumerate(xs):
        xs[k] = 2 * x

def fail():
    raise KeyError("x")
"""
    tests = (
        "head = Node(1)\nhead.next = Node(2)\nassert list(walk(head)) == [1, 2]",
        "xs = [1, 2]\ndouble(xs)\nassert xs == [2, 4]",
        "assert Node(1) == Node(1) and not Node(1) == Node(2)",
        "try:\n    fail()\n    assert False\nexcept KeyError:\n    pass",
        "assert not isinstance(head.value, str) and head.next.value == 2",
    )
    assert verifier.verify(Question("code", "", tests=CodeTests(test_list=tests)), program).reason == "passed"
    wrong = Question("code", "", tests=CodeTests(test_list=("assert Node(1) == 1",)))
    assert verifier.verify(wrong, program).judgement is Judgement.WRONG


def test_values_of_all_kinds_come_back_whole(verifier: Verifier) -> None:
    program = """
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from decimal import Decimal
from fractions import Fraction
P = namedtuple("P", "a b")
def f(k):
    return [None, True, -5, 10**400, 0.1, float("inf"), "é\\ud800\\n", b"\\x00\\xff", [1, [2.5]], (1,),
            {1: {2}}, {3}, frozenset({4}),
            2 + 3j, range(2, 9, 3), Fraction(1, 3), Decimal("1.10"), deque([1, 2]), Counter("aab"),
            defaultdict(int, {1: 2}),
            OrderedDict(a=1), P(1, 2), [float(x) for x in range(3)], {"a": (1, None)}][k]
"""
    values = """from collections import deque
from decimal import Decimal
from fractions import Fraction
expected = [None, True, -5, 10**400, 0.1, float("inf"), "é\\ud800\\n", b"\\x00\\xff", [1, [2.5]], (1,),
            {1: {2}}, {3}, frozenset({4}),
            2 + 3j, range(2, 9, 3), Fraction(1, 3), Decimal("1.10"), deque([1, 2]), {"a": 2, "b": 1}, {1: 2},
            {"a": 1}, (1, 2), [0.0, 1.0, 2.0], {"a": (1, None)}]
"""
    test = (
        values + "for k, e in enumerate(expected):\n    got = f(k)\n    assert got == e and type(got) is type(e), k\n"
    )
    question = Question("code", "", tests=CodeTests(test_list=(test,)))
    assert verifier.verify(question, program).reason == "passed"


def test_inputs_beside_a_reference(verifier: Verifier) -> None:
    tests = CodeTests(
        prompt='"""\nWrite a function.\nassert scale((1, 2), 2) == (2.0, 4.0)\n"""\n',
        entry_point="scale",
        inputs=([[1, 2], 3], [[], 1], [[0.1], 3]),
        reference="def scale(t, k):\n    return t + (0.0,) and tuple(k * float(x) for x in t)\n",
    )
    question = Question("code", "", tests=tests)
    assert (
        verifier.verify(question, "def scale(t, k):\n    return tuple(float(x) * k + 1e-9 for x in t)").reason
        == "passed"
    )
    assert (
        verifier.verify(question, "def scale(t, k):\n    return tuple(x * k for x in t[:1])").reason
        == "wrong-answer: input 1 of 3"
    )
    assert (
        verifier.verify(question, "def scale(t, k):\n    return [k * float(x) for x in t]").judgement is Judgement.WRONG
    )
    broken = Question(
        "code", "", tests=CodeTests(entry_point="f", inputs=([1],), reference="def f(x):\n    return x.y\n")
    )
    assert verifier.verify(broken, "def f(x):\n    return 1").judgement is Judgement.UNJUDGED


def test_a_reference_that_returns_a_match_or_none(verifier: Verifier) -> None:
    """A match is no data: a program agrees by finding something where the reference does, and nothing elsewhere."""
    reference = "import re\ndef f(s):\n    return re.search('^a', s)\n"
    question = Question("code", "", tests=CodeTests(entry_point="f", inputs=(["ab"], ["ba"]), reference=reference))
    right = (reference, "def f(s):\n    return s.startswith('a')", "def f(s):\n    return s[0] == 'a' or None")
    wrong = ("def f(s):\n    return None", "def f(s):\n    return True", "def f(s):\n    return 'b' in s[:1]")
    assert [verifier.verify(question, program).reason for program in right] == ["passed"] * 3
    assert [verifier.verify(question, program).correct for program in wrong] == [False] * 3
    objects = Question("code", "", tests=CodeTests(entry_point="f", inputs=(["ab"],), reference=reference))
    assert verifier.verify(objects, reference).reason == "reference-failed: it returns objects only"


# the situations that other sandboxes' test suites name ------------------------------------------------------------

SQUARE = "print(int(input()) ** 2)"


def statuses(question: Question, text: str) -> list[str]:
    return [c.status for c in case_results(question, text).cases]


def test_every_case_is_judged_at_its_own_index() -> None:
    """Right, wrong and too slow, mixed: each status at its own place, the others still judged."""
    program = "import time\nx = int(input())\nif x % 4 == 3:\n    time.sleep(60)\nprint(x * x if x % 4 != 2 else 0)"
    question = io(*((f"{k}\n", f"{k * k}\n") for k in range(8)), limit=0.5)
    assert statuses(question, program) == ["passed", "passed", "wrong-answer", "timeout"] * 2


@pytest.mark.parametrize(
    ("program", "stdin", "status", "output"),
    [
        (SQUARE, "3\n", "passed", "9\n"),
        ("x = 3", "", "wrong-answer", ""),
        ("print(1 / 0)", "", "runtime-error: ZeroDivisionError: division by zero", ""),
        ("x = input('name: ')\nprint(x)", "Ann\n", "wrong-answer", "name: Ann\n"),
        ('def f():\n    """A\n    docstring."""\n    return 9\nprint(f())', "", "passed", "9\n"),
        ("import time\ntime.sleep(0.2)\nprint(9)", "", "passed", "9\n"),
        ("import time\ntime.sleep(60)\nprint(9)", "", "timeout", ""),
        ("while True:\n    pass", "", "timeout", ""),
        ("while True:\n    print('x' * 1000)", "", "output-limit", None),
        ("import sys\nprint(9)\nsys.exit(3)", "", "runtime-error: exit 3", "9\n"),
        ("import sys\nprint(9)\nsys.exit(0)", "", "passed", "9\n"),
        ("print('9   ')\nprint()", "", "passed", "9   \n\n"),
        ("if __name__ == '__main__':\n    print(9)", "", "passed", "9\n"),
        ("import numpy\nprint(int(numpy.array([4, 5]).sum()))", "", "passed", "9\n"),
        ("print(sum(map(int, open(0).read().split())))", "4 " * 100_000, "wrong-answer", "400000\n"),
    ],
)
def test_standard_input_and_output(program: str, stdin: str, status: str, output: str | None) -> None:
    (case,) = case_results(io((stdin, "9\n"), limit=1), program).cases
    assert case.status == status
    assert output is None or case.output == output


FUNCTION = io(("[1, 2]\n3", "[4, 5]"), ("[]\n1", "[]"), limit=2, function="add")


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("def add(xs, k):\n    return [x + k for x in xs]", ["passed", "passed"]),
        ("def add(xs, k):\n    return tuple(x + k for x in xs)", ["passed", "passed"]),
        ("class Solution:\n    def add(self, xs, k):\n        return [x + k for x in xs]", ["passed", "passed"]),
        ("def add(xs, k):\n    return [x + k for x in xs] or None", ["passed", "wrong-answer"]),
        (
            "def add(xs, k):\n    return [xs[0] + k, 5]",
            ["passed", "runtime-error: IndexError: list index out of range"],
        ),
        ("def add(xs, k):\n    while not xs:\n        pass\n    return [4, 5]", ["passed", "timeout"]),
        ("import os\ndef add(xs, k):\n    xs or os._exit(0)\n    return [4, 5]", ["passed", "program-ended: exit 0"]),
        (
            "class E:\n    def __eq__(self, o):\n        return True\ndef add(xs, k):\n    return E()",
            ["wrong-answer"] * 2,
        ),
        ("def other(xs, k):\n    return []", ["runtime-error: NameError: add"] * 2),
        ("1 / 0", ["runtime-error: ZeroDivisionError: division by zero"] * 2),
    ],
)
def test_cases_of_a_function(program: str, expected: list[str], verifier: Verifier) -> None:
    example = "\n```python\nprint('used')\n```" if "add" in program else ""
    text = f"Words.\n```python\n{program}\n```{example}"
    found = case_results(FUNCTION, text)
    assert [c.status for c in found.cases] == expected
    assert found.score == expected.count("passed") / 2
    assert found.verdict() == verifier.verify(FUNCTION, text)


def test_rows_with_cases_of_a_function() -> None:
    cases = [{"input": [[1, 2], 3], "output": [4, 5]}, {"input": "[]\n1", "output": "[]"}]
    assert programs.tests_of({"tests": cases, "fn_name": "add"}).io == (FUNCTION.tests or CodeTests()).io
    words = programs.tests_of({"tests": [{"input": "two words", "output": "3"}], "entry_point": "add"})
    assert words == CodeTests(io=(("two words", "3"),))


def test_tests_that_cannot_be_read_are_not_a_wrong_answer(verifier: Verifier) -> None:
    for tests in (
        CodeTests(entry_point="f", test="def check(candidate):\n    assert candidate( == 1"),
        CodeTests(entry_point="f", test="assert f(1) == 1"),
        CodeTests(test_list=("assert f(1) ==",)),
        CodeTests(io=(("{", "1"),), entry_point="f"),
    ):
        verdict = verifier.verify(Question("code", "", tests=tests), "def f(x):\n    return 1")
        assert verdict.judgement is Judgement.UNJUDGED
        assert verdict.reason.startswith("unreadable-tests: ")


def test_a_long_program_comes_back_whole(verifier: Verifier) -> None:
    program = "def total(xs):\n" + "".join(f"    # line {k}\n" for k in range(3000)) + "    return sum(xs)\n"
    assert verifier.verify(TOTAL, program).extracted == PROMPT.split("def")[0] + program


def test_nothing_runs_when_it_does_not_compile() -> None:
    (case,) = case_results(io(("", "")), "print('x')\n  print('y')").cases
    assert case.status.startswith("syntax-error: IndentationError")
    assert case.output == ""
    assert statuses(io(("", "x\n")), "print('x')") == ["passed"]
    assert statuses(io(("", "x\n")), "print('x")[0].startswith("syntax-error: SyntaxError")


def test_batch_goes_on_while_one_sleeps(verifier: Verifier) -> None:
    slow = Question("code", "", tests=TOTAL.tests, meta={"time_limit": 1})
    items = [(slow, "    import time\n    time.sleep(600)\n"), *[(TOTAL, "    return sum(xs)\n")] * 10]
    verdicts = list(verifier.verify_batch(items))
    assert verdicts[0].reason == "timeout: idle"
    assert all(v.correct for v in verdicts[1:])


def test_all_of_humaneval(shared_data: Path, verifier: Verifier) -> None:
    table = rows(shared_data / "humaneval" / "test.jsonl")
    verdicts = verifier.verify_batch((code(r), r["canonical_solution"]) for r in table)
    assert [r["task_id"] for r, v in zip(table, verdicts, strict=True) if not v.correct] == []
    wrong = verifier.verify_batch((code(r), "    return None\n") for r in table[::6])
    assert [r["task_id"] for r, v in zip(table[::6], wrong, strict=True) if v.judgement is not Judgement.WRONG] == []


def test_ninety_of_mbpp(shared_data: Path, verifier: Verifier) -> None:
    table = rows(shared_data / "mbpp" / "validation.jsonl")
    verdicts = verifier.verify_batch((code(r), f"```python\n{r['code']}\n```") for r in table)
    assert [r["task_id"] for r, v in zip(table, verdicts, strict=True) if not v.correct] == []


def test_base_inputs_of_evalplus(shared_data: Path, verifier: Verifier) -> None:
    for name in ("humaneval_plus", "mbpp_plus"):
        table = [{**r, "plus_input": []} for r in rows(shared_data / name / "test.jsonl.gz")][::8]
        verdicts = verifier.verify_batch((code(r), r["canonical_solution"]) for r in table)
        assert [r["task_id"] for r, v in zip(table, verdicts, strict=True) if not v.correct] == []
