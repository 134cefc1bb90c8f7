"""Programs as models write them, and tests that cannot fail."""

from __future__ import annotations

import json
from random import Random

from midway.domains import question_of
from midway.records import CodeTests, Question
from rewritings.saying import Case


def program(r: Random) -> Case:
    k, m = r.randint(2, 9), r.randint(1, 9)
    right = r.random() < 0.5
    wrong = r.choice((f"{k} * a + b + 1", f"{k} * a - b", f"{k + 1} * a + b", "None", "0"))
    body = f"{k} * a + b" if right else wrong
    value = k * m + k
    source = f"def f(a, b):\n    return {body}"
    line = f"def f(a, b): return {body}"
    test = f"assert f({m}, {k}) == {value}"
    more = f"assert f(0, 1) == 1 and f(2, 3) == {2 * k + 3}"

    def asked(text: str, style: str, tests: CodeTests | None = None, right: bool = right) -> Case:
        return Case(Question("code", "", tests=tests or CodeTests(test_list=(test, more))), text, right, style)

    def columns(text: str, style: str, right: bool = right, **named: object) -> Case:
        return Case(question_of({"domain": "code", **named}), text, right, style)

    fenced = f"```python\n{source}\n```"
    kind = r.randrange(8)
    if kind == 0:
        empty = r.choice(
            (
                (f"f({m}, {k}) == {value}",),
                ("# " + test,),
                (f"assert (f({m}, {k}) == 0, 'wrong')",),
                ("assert True",),
                (f"print(f({m}, {k}))",),
                ("pass", ""),
            )
        )
        check = r.choice(
            ("def check(candidate):\n    pass\n", f"def check(candidate):\n    candidate({m}, {k}) == {value}\n")
        )
        tests = CodeTests(test_list=empty) if r.random() < 0.6 else CodeTests(entry_point="f", test=check)
        return asked(fenced, "tests-assert", tests, False)
    if kind == 1:
        listed = r.choice((json.dumps([test, more]), str([test, more])))
        return columns(fenced, "tests-as-text", test_list=listed)
    if kind == 2:
        end = r.choice(("exit()", "quit()", "exit(0)", "sys.exit()"))
        script = f"a, b = map(int, input().split())\nprint({body})\n{end}"
        return columns(
            f"```python\n{script}\n```",
            "usual-imports",
            tests=[{"input": f"{m} {k}\n", "output": f"{value}\n"}, {"input": "2 3\n", "output": f"{2 * k + 3}"}],
        )
    if kind == 3:
        method = f"class Solution:\n    def f(self, a: Optional[int], b: int) -> List[int]:\n        return [{body}]"
        cases = [{"input": f"{m}\n{k}", "output": f"[{value}]"}, {"input": "2\n3", "output": f"[{2 * k + 3}]"}]
        return columns(f"```python\n{method}\n```", "usual-imports", tests=cases, entry_point="f")
    if kind == 4:
        marks = r.choice(
            (
                "[BEGIN]\n{}\n[DONE]",
                "<answer>\n{}\n</answer>",
                "[BEGIN] {} [DONE]",
                "<answer>{}</answer>",
                "```python {}```",
                "<solution>{}</solution>",
            )
        )
        return asked(marks.format(source if "\n" in marks else line), "program-marks")
    if kind == 5:
        fence = r.choice(("    ```\n    >>> f(1, 2)\n    ```", "    ```python\n    f(1, 2)\n    ```"))
        long = f'def f(a, b):\n    """Add.\n\n{fence}\n    """\n    return {body}'
        return asked(f"```python\n{long}\n```\nThat is all.", "inner-fence")
    if kind == 6:
        result, shown = r.choice(
            (
                (f"({body}, None)", f"({value}, None)"),
                (f"{{'k': ({body})}}", f"{{'k': {value}}}"),
                (f"(({body}) == {value})", "True"),
            )
        )
        return (
            columns(
                f"```python\ndef f(a, b):\n    return {result}\n```",
                "python-values",
                tests=[{"input": f"{m}\n{k}", "output": shown}],
                entry_point="f",
            )
            if (right or "==" not in result or body not in ("None", "0"))
            else asked(fenced, "plain")
        )
    return asked(r.choice((fenced, source, f"Here it is:\n\n{fenced}\n\nIt multiplies.")), "plain")
