"""The kinds of fault that real reports show: a test or two of each in the words of the table of rules, and the rows of the reports."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from midway.domains import question_of, verify
from midway.records import Judgement, Question
from midway.verifier import explain, rules

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

ADD = "```python\ndef add(a, b):\n    return a + b\n```"
GASES = ("oxygen", "helium", "argon", "neon")
THREE = ("red", "blue", "green")


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"test_list": ["add(1,2)==3"]}, "no-tests: the statements assert nothing"),
        ({"test_list": ["# assert add(1,2)==3", "pass"]}, "no-tests: the statements assert nothing"),
        ({"test_list": ["assert (add(1,2)==4, 'message')"]}, "no-tests: the statements assert nothing"),
        ({"test_list": ["assert True"]}, "no-tests: the statements assert nothing"),
        (
            {"test": "def check(candidate):\n    candidate(1, 2) == 3\n", "entry_point": "add"},
            "no-tests: `check` asserts nothing",
        ),
        ({"test_list": '["assert add(1,2)==3"]'}, "passed"),
        ({"test_list": "['assert add(1,2)==4']"}, "wrong-answer: assert add(1,2)==4"),
        ({"test_list": ['["assert add(1,2)==4"]']}, "wrong-answer: assert add(1,2)==4"),
        (
            {
                "test": "def check(candidate):\n    helper(candidate)\ndef helper(f):\n    assert f(1, 2) == 3\n",
                "entry_point": "add",
            },
            "passed",
        ),
        ({"test_list": ["import unittest\nunittest.TestCase().assertEqual(add(1,2), 3)"]}, "passed"),
        ({"tests": float("nan")}, "no-tests"),
        ({"test_list": None}, "no-tests"),
    ],
)
def test_tests_that_assert_nothing(columns: dict[str, Any], reason: str) -> None:
    assert verify(question_of({"domain": "code", **columns}), ADD).reason == reason


def test_a_row_whose_output_is_null_says_so() -> None:
    with pytest.raises(ValueError, match="the output of case 1 is null"):
        question_of({"domain": "code", "tests": [{"input": "1", "output": None}]})


@pytest.mark.parametrize(
    ("choices", "text", "index", "reason"),
    [
        (("0", "1", "2", "3"), "The answer is 2.", 2, "text"),
        (("12", "18", "24"), "Answer: 2", 1, "number"),
        (("3 apples", "5 apples", "2 apples"), "The answer is 2.", 2, "ambiguous"),
        (("3 apples", "5 apples", "2 apples"), "The answer is 2.", 1, "ambiguous"),
        (("3 apples", "5 apples", "2 apples"), "The answer is 2 apples.", 2, "text"),
        (("50 km/h", "60 km/h"), "The answer is 60.", 1, "text"),
        (("5 cm", "5 m"), "The answer is 5.", 0, "ambiguous"),
        (("-3", "3"), "The answer is -3.", 0, "text"),
        (("1/2", "1.2"), "The answer is 1.2.", 1, "text"),
        (("10", "10%"), "The answer is 10%.", 1, "text"),
        (("C", "C++", "Java"), "The answer is C++.", 1, "text"),
        (("C", "C++", "Java"), "The answer is C.", 0, "ambiguous"),
        (("<", ">", "="), "The answer is >.", 1, "text"),
        (THREE, "\\boxed{A, B}", 0, "no-answer"),
        (THREE, "Answer: A; B", 0, "no-answer"),
        (THREE, "(A) (B)", 0, "no-answer"),
        (THREE, "red or blue", 0, "no-answer"),
        (THREE, "\\boxed{A} or \\boxed{B}", 1, "no-answer"),
        (THREE, "Answer: A, not B", 0, "letter"),
        (THREE, "Either A or B, but I choose A.", 0, "mention"),
        (("A and B", "B and C", "A only"), "The answer is A and B.", 0, "text"),
        (GASES, "Answer: A noble gas, so neon", 3, "text"),
        (GASES, "Answer: I think B", 1, "letter"),
        (GASES, "Answer: A is wrong, so B.", 1, "letter"),
        (GASES, "Only D survives.", 3, "mention"),
        (GASES, "Ответ: B", 1, "letter"),
        (("Yes", "No"), "Yes. There is no doubt.", 0, "text"),
        (("Yes", "No"), "There is no doubt: yes.", 0, "mention"),
        (("Yes", "No"), "Yes and no.", 0, "no-answer"),
    ],
)
def test_choices(choices: tuple[str, ...], text: str, index: int, reason: str) -> None:
    verdict = verify(Question("choice", "", choices=choices, answer_index=index), text)
    assert verdict.reason == reason
    assert verdict.correct == (reason not in ("ambiguous", "no-answer"))


@pytest.mark.parametrize(
    ("gold", "text", "right"),
    [
        ("A", "The answer is A or B.", False),
        ("B", "Answer: A is wrong, so B.", True),
        ("2, 100", "\\boxed{2100}", False),
        ("1,2", "\\boxed{1.2}", False),
        ("2100", "\\boxed{2, 100}", False),
        ("{5,125}", "\\boxed{125, 5}", True),
        ("(5,125)", "\\boxed{(125,5)}", False),
        ("2, 2, 3", "\\boxed{2, 3, 3}", False),
        ("7:30 PM", "\\boxed{7:30 AM}", False),
        ("7:30 PM", "The train arrives at 7:30 p.m.", True),
        ("2024-03-01", "\\boxed{2020}", False),
        ("12 June", "\\boxed{12 July}", False),
        ("12 June", "\\boxed{June 12th}", True),
        ("34", "The answer is: the largest $n$ is 34.", True),
        ("12", "The answer is 12, since $k$ must divide $24$.", True),
        ("24", "The answer is 12, since $k$ must divide $24$.", False),
        ("5", "The answer is either 5 or 6.", False),
        ("9.8", "The answer is 9.8 m/s^2.", True),
        ("10-4n", "\\boxed{10}", False),
        ("3m", "\\boxed{3}", False),
        ("5 ft 6 in", "5 feet 6 inches", True),
        ("5 ft 6 in", "6 feet 5 inches", False),
        ("2.00625", "Answer: 2,00625 m", True),
        ("x \\in [\\sqrt{2},+\\infty)", "\\boxed{x \\ge \\sqrt{2}}", True),
        ("2, 4, 6", "$2, 4, 6, ...$", False),
        ("0.33", "\\boxed{0.33...}", False),
        ("1/3", "\\boxed{0.333...}", True),
        ("0.30000000000000004", "\\boxed{0.3}", True),
        ("0.3333333432674408", "\\boxed{1/3}", True),
        ("(3,3), (1,1)", "\\boxed{(3,3)} for (a) and \\boxed{(1,1)} for (b)", True),
        ("1,2", "\\boxed{1}\\boxed{2}", True),
        ("2", "\\boxed{1}\\boxed{2}", False),
        ("18", "We fill \\boxed{?}. The answer is 18.", True),
        ("5", "答案是 5 米。", True),
        ("12.5", "\\boxed{１２．５}", True),
        ("6", "Six birds.", True),
        ("6", "There are six birds left.", True),
        ("4", "The answer is 4 0/0.", False),
        ("yes", "Yes. There is no doubt.", True),
    ],
)
def test_mathematics(gold: str, text: str, right: bool) -> None:
    assert verify(Question("math", "", answer=gold), text).correct is right


@pytest.mark.parametrize("gold", ["nan", "NaN", "null", "", "  ", None])
def test_a_missing_gold_is_no_gold(gold: str | None) -> None:
    verdict = verify(Question("math", "", answer=gold), "\\boxed{nan}")
    assert (verdict.judgement, verdict.reason) == (Judgement.UNJUDGED, "no-gold")
    assert verify(question_of({"answer": float("nan")}), "5").reason == "no-gold"
    assert verify(question_of({"choices": ["a", "b"], "answer_index": None}), "A").reason == "no-gold"


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"test_list": ["assert add(1,2)==3"]}, "[BEGIN]\ndef add(a, b):\n    return a + b\n[DONE]"),
        ({"test_list": ["assert add(1,2)==3"]}, "[BEGIN] def add(a, b): return a + b [DONE]"),
        ({"test_list": ["assert add(1,2)==3"]}, "```python def add(a, b): return a + b```"),
        (
            {"test_list": ["assert add(1,2)==3"]},
            '```python\ndef add(a, b):\n    """Add.\n\n    ```\n    >>> add(1, 2)\n    ```\n    """\n    return a + b\n```\nThat is all.',
        ),
        (
            {"tests": [{"input": "2 5\n", "output": "7\n"}]},
            "```python\na, b = map(int, input().split())\nprint(a + b)\nquit()\n```",
        ),
        (
            {
                "entry_point": "Solution().top",
                "test": "def check(candidate):\n    assert candidate(nums=[1, 1, 2]) == 1\n",
            },
            "```python\nclass Solution:\n    def top(self, nums: List[int]) -> int:\n        return Counter(nums).most_common()[0][0]\n```",
        ),
        (
            {"entry_point": "f", "tests": [{"input": ["abc"], "output": "cba"}]},
            "```python\ndef f(s):\n    return s[::-1]\n```",
        ),
        (
            {"entry_point": "f", "tests": [{"input": "1", "output": "(1, None)"}]},
            "```python\ndef f(x):\n    return x, None\n```",
        ),
        (
            {"entry_point": "f", "tests": [{"input": "1", "output": "null"}]},
            "```python\ndef f(x):\n    return None\n```",
        ),
    ],
)
def test_programs_as_models_write_them(columns: dict[str, Any], text: str) -> None:
    assert verify(question_of({"domain": "code", **columns}), text).reason == "passed"


def test_explanations_name_the_rule_and_leave_rules_on() -> None:
    lines = list(explain.math(Question("math", "", answer="2, 100"), "\\boxed{2100}"))
    assert any("rests on the rule spaced-comma" in line for line in lines)
    assert any("compared part by part, 2 and 1" in line for line in lines)
    lines = list(explain.choice(Question("choice", "", choices=THREE, answer_index=0), "The answer is A or B."))
    assert any("more than one option" in line for line in lines) and any("rule hedge" in line for line in lines)
    lines = list(explain.code(question_of({"domain": "code", "test_list": ["add(1,2)"]}), ADD))
    assert any("assert nothing" in line for line in lines)
    assert all(map(rules.on, rules.RULES))


def test_the_kinds_that_the_unread_half_brought_up() -> None:
    """Six rows of the unread half were judged otherwise when it was scored; each is an example of a kind."""
    for gold, text, right in (
        (
            "12",
            "We first get \\boxed{12}. Rechecking, the final value is \\boxed{}.",
            False,
        ),  # a last box with nothing in it
        ("12", "\\boxed{} stands for the answer. It is \\boxed{12}.", True),
        ("5", "\\boxed{5\\ldots}", False),  # a whole number that goes on is another
        ("3.14", "\\boxed{3.14\\ldots}", True),  # a decimal may be cut short
        ("2, 4, 6", "2, 4, 6, \\ldots", False),
        ("12", "Answer: $k$ must be 12", True),
        ("12", "Answer: $k$ can only be $12$.", True),
    ):
        assert verify(Question("math", "?", answer=gold), text).correct is right, text
    for choices, index, text, reason in (
        (THREE, 0, "Answer: 1, 2", "no-answer"),
        (THREE, 1, "Answer: 2 or 3", "no-answer"),
        (THREE, 1, "Answer: 2", "number"),
        (GASES, 3, "Options A, B and C fail, which leaves D.", "letter"),
    ):
        found = verify(Question("choice", "?", choices=choices, answer_index=index), text)
        assert found.reason == reason, (text, found)
    optional = "```python\ndef add(a: int, b: int) -> Optional[int]:\n    return a + b\n```"
    tests = {"domain": "code", "test_list": ["assert add(1, 2) == 3"]}
    assert verify(question_of(tests), optional).reason.startswith("runtime-error: NameError"), (
        "graders import for class Solution"
    )
    assert verify(question_of(tests), optional.replace("python\n", "python\nfrom typing import Optional\n")).correct


def test_the_read_half_of_the_reports(shared_data: Path) -> None:
    """Every row of the half that was read while the rules were made (`docs/notebook.md` has the protocol and the other half's figure)."""
    import reports

    pytest.importorskip("numpy", reason="one program imports it")
    found = reports.score(reports.half(shared_data, read=True))
    other = [
        (row["id"], judgement)
        for row, judgement, _, _ in found
        if judgement != row["expected"] and row["id"] != "cd_numpy"
    ]
    assert len(found) == 170 and other == []


def test_the_other_half_of_the_reports(shared_data: Path) -> None:
    """Scored once while it was unread (182 of 188), then opened and mended: it must not get worse again."""
    import reports

    pytest.importorskip("numpy", reason="one program imports it")
    found = reports.score(reports.half(shared_data, read=False))
    assert len(found) == 188 and [row["id"] for row, judgement, _, _ in found if judgement != row["expected"]] == []
