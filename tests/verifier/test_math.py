"""Mathematics: extraction, comparison, and what must never be judged equal."""

from __future__ import annotations

import gzip
import json
import time
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midway.domains import Verifier, verify
from midway.records import Judgement, Question, Verdict
from midway.verifier import extract
from midway.verifier.math import compare
from midway.verifier.math import judge as math


def rows(path: Path) -> list[dict[str, object]]:
    data = path.read_bytes()
    return [json.loads(line) for line in (gzip.decompress(data) if path.suffix == ".gz" else data).splitlines()]


@pytest.fixture(scope="module")
def verifier() -> Iterator[Verifier]:
    with Verifier(1) as made:
        yield made


def question(answer: str, **meta: object) -> Question:
    return Question("math", "", answer=answer, meta=meta)


EQUAL = [
    ("18", "18"),
    ("three", "3"),
    ("2 million", "2000000"),
    ("0.1\\overline{6}", "1/6"),
    ("0.00001", "1e-5"),
    ("1000", "1,000"),
    ("1000", "1 000"),
    ("1234567", "1{,}234{,}567"),
    ("-3", "−3"),
    ("0.5", ".5"),
    ("1/2", "0.5"),
    ("\\frac12", "1/2"),
    ("2\\frac{1}{2}", "5/2"),
    ("2 1/2", "2.5"),
    ("$18", "18 dollars"),
    ("\\$18.50", "18.5"),
    ("45^\\circ", "45"),
    ("45", "45 degrees"),
    ("12\\text{ cm}^2", "12"),
    ("3 cm", "3 centimeters"),
    ("64\\%", "64"),
    ("25%", "1/4"),
    ("50 percent", "50\\%"),
    ("2^{10}", "1024"),
    ("5!", "120"),
    ("\\binom{5}{2}", "10"),
    ("\\sqrt{12}", "2\\sqrt3"),
    ("\\frac{1}{\\sqrt2}", "\\frac{\\sqrt{2}}{2}"),
    ("2\\pi r", "2 r \\pi"),
    ("x=5", "5"),
    ("(x+1)^2", "x^2+2x+1"),
    ("\\frac{x^2-1}{x-1}", "x+1"),
    ("\\sin(2x)", "2\\sin x\\cos x"),
    ("1+2i", "2i+1"),
    ("\\frac{1}{1+i}", "\\frac{1-i}{2}"),
    ("(1, 2)", "\\left(1,2\\right)"),
    ("1, 2", "2 and 1"),
    ("\\{1,2\\}", "2, 1"),
    ("1\\pm\\sqrt2", "1-\\sqrt2, 1+\\sqrt2"),
    ("[0,\\infty)", "x\\ge 0"),
    ("(1,3)", "1<x<3"),
    ("x<3", "3>x"),
    ("(-\\infty,0)\\cup(1,2]", "(1, 2] \\cup (-\\infty, 0)"),
    ("2x+3y=6", "y=2-\\frac{2}{3}x"),
    ("-x<2", "x>-2"),
    ("\\begin{pmatrix}1\\\\\\frac12\\end{pmatrix}", "\\begin{bmatrix} 1 \\\\ 0.5 \\end{bmatrix}"),
    ("\\text{Even}", "even"),
    ("\\text{(C)}", "C"),
    ("12:30", "12 : 30"),
    ("43_5", "43_{5}"),
    ("f(x)=x^2", "x^2"),
    ("\\frac{2}{3}", "0.6666667"),
    ("\\log_{10} 100", "2"),
    ("\\ln e^3", "3"),
    ("\\lfloor 2.7 \\rfloor", "2"),
    ("|{-3}|", "3"),
    ("e^{2\\ln 3}", "9"),
    ("10000", "1 \\times 10^4"),
    ("0.001", "10^{-3}"),
    ("\\sqrt[3]{8}", "2"),
    ("8^{1/3}", "2"),
    ("\\tan 45^\\circ", "\\tan 45"),
]

DIFFERENT = [
    ("18", "81"),
    ("5", "5.001"),
    ("0.5", "0.05"),
    ("1/3", "0.33"),
    ("1/3", "0.3334"),
    ("1e-7", "2e-7"),
    ("(1,2)", "(2,1)"),
    ("[0,1]", "[0,1)"),
    ("(0,1)", "[0,1]"),
    ("1,2", "1,2,3"),
    ("x^2+1", "x^2-1"),
    ("x^2+2x+1", "y^2+2y+1"),
    ("5", "-5"),
    ("x<3", "x>3"),
    ("x<3", "x\\le 3"),
    ("3 cm", "3 m"),
    ("4 cents", "4 dollars"),
    ("\\sqrt2", "2"),
    ("1-\\frac1e", "1+\\frac1e"),
    ("\\pi", "3.14"),
    ("7=11a+c", "11a+c"),
    ("a+3z=0", "0"),
    ("12:00", "1:00"),
    ("x+2n+1", "x+1"),
    ("4", "4\\sqrt{2}"),
    ("yes", "no"),
    ("Monday", "5"),
    ("2x+3y=6", "2x+3y=7"),
    ("1000", "100"),
    ("1:2", "2:1"),
    ("1+2i", "1-2i"),
    ("2", "2, 3"),
    ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\begin{pmatrix}2\\\\1\\end{pmatrix}"),
    ("10^{100}", "10^{100}+1"),
    ("\\sin x", "\\cos x"),
    ("43_5", "43_6"),
    ("\\frac{1}{x}", "x"),
    ("2^{2008}", "2^{2009}"),
    ("\\sqrt{x^2}", "x"),
]


@pytest.mark.parametrize(("gold", "given_"), EQUAL)
def test_equal(gold: str, given_: str) -> None:
    assert compare.equal(gold, given_) is True
    assert compare.equal(given_, gold) is True


@pytest.mark.parametrize(("gold", "given_"), DIFFERENT)
def test_different(gold: str, given_: str) -> None:
    assert not compare.equal(gold, given_)
    assert not compare.equal(given_, gold)


EXTRACT = [
    ("so we get \\boxed{42}.", "42", "boxed"),
    ("\\boxed{1} then \\boxed{2}", "2", "boxed"),
    ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}", "boxed"),
    ("\\boxed{1} and \\boxed{-2}", "1, -2", "boxed"),
    ("\\boxed 7", "7", "boxed"),
    ("steps\n#### 1,234", "1,234", "hashes"),
    ("#### 10\nno\n#### 20", "20", "hashes"),
    ("The answer is 5 apples.", "5 apples", "statement"),
    ("A: 26", "26", "statement"),
    ("Answer: 41 was a guess.\nAnswer: 42", "42", "statement"),
    ("**Final Answer:** $x=3$", "x=3", "statement"),
    ("Final answer:\n\\[ 7 \\]", "7", "statement"),
    ("The final answer is:\n\n$\\frac12$", "\\frac12", "statement"),
    ("<think>\\boxed{1}</think> The answer is 2", "2", "statement"),
    ("<answer> 12 </answer>", "12", "tag"),
    ("We sum: 3 + 4 = 7 pears and so 7 in all", "7", "number"),
    ("It follows that the value must be $x+1$ here", "x+1", "math"),
    ("3/4", "3/4", "bare"),
    ("\\boxed{8}<|im_end|>\n\\boxed{9}", "8", "boxed"),
]


@pytest.mark.parametrize(("text", "answer", "rule"), EXTRACT)
def test_extract(text: str, answer: str, rule: str) -> None:
    found = extract.find(text)
    assert found
    assert (found.answer, found.rule) == (answer, rule)


@pytest.mark.parametrize(
    ("text", "truncated", "reason"),
    [
        ("", False, "no-answer"),
        ("I do not know what to say about that, sorry", False, "no-answer"),
        ("\\boxed{}", False, "no-answer"),
        ("Let us first add 3 and 4, which is 7, and", True, "truncated"),
        ("<think>it may be 18", False, "truncated"),
        ("So the result is \\boxed{1", False, "truncated"),
        ("The answer is 17.", False, "wrong-answer:statement"),
        ("The answer is 17. And then I", True, "wrong-answer:statement"),
    ],
)
def test_three_diseases_have_three_names(text: str, truncated: bool, reason: str) -> None:
    verdict = verify(question("18"), text, truncated=truncated)
    assert (verdict.judgement, verdict.reason) == (Judgement.WRONG, reason)


def test_correct_says_how() -> None:
    assert verify(question("18"), "#### 18") == Verdict(Judgement.CORRECT, "18", "hashes:exact")
    assert verify(question("18"), "so it is 18 because \\boxed{18}", truncated=True).correct


def test_unusable_gold_is_not_a_wrong_answer() -> None:
    assert verify(question(""), "5").reason == "no-gold"
    assert verify(Question("math", ""), "5").judgement is Judgement.UNJUDGED


def test_tolerance_of_the_question() -> None:
    assert verify(question("3.14", tolerance=0.01), "\\boxed{\\pi}").correct
    assert not verify(question("3.14"), "\\boxed{\\pi}").correct


numbers = st.fractions(min_value=-(10**6), max_value=10**6, max_denominator=10**4)


@given(numbers)
def test_every_spelling_of_a_number(x: Fraction) -> None:
    spellings = [
        f"{x.numerator}/{x.denominator}",
        f"\\frac{{{x.numerator}}}{{{x.denominator}}}",
        f"\\dfrac{{{2 * x.numerator}}}{{{2 * x.denominator}}}",
        f"x = {x.numerator}/{x.denominator}",
        f"${x.numerator:,}/{x.denominator}$",
    ]
    for spelling in spellings:
        assert verify(question(str(x)), f"\\boxed{{{spelling}}}").correct


@given(numbers, numbers)
def test_other_numbers_are_wrong(x: Fraction, y: Fraction) -> None:
    expected = x == y
    assert verify(question(str(x)), f"\\boxed{{{y.numerator}/{y.denominator}}}").correct is expected


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=5), st.integers(-9, 9), st.integers(1, 4))
def test_polynomials(coefficients: list[int], shift: int, power: int) -> None:
    horner = "0"
    for c in coefficients:
        horner = f"({horner})x + ({c})"
    expanded = " + ".join(f"({c})x^{{{len(coefficients) - 1 - k}}}" for k, c in enumerate(coefficients))
    assert compare.equal(horner, expanded) is True
    assert compare.equal(horner, expanded + " + 1") is False
    assert compare.equal(f"({horner})(x-({shift}))^{power}", f"({expanded})(x-({shift}))^{power}") is True


@settings(max_examples=300)
@given(
    st.text(alphabet="\\frac{}()[]123x^_,;=<$ .-+|!%&ab\n°½", max_size=60),
    st.sampled_from(["5", "x^2", "(1,2)", "[0,1)"]),
)
def test_never_raises_and_never_takes_long(text: str, gold: str) -> None:
    started = time.process_time()
    judged = math.cheap(gold, text)
    assert isinstance(judged, Verdict | math.Hard)
    assert time.process_time() - started < 2  # a bound on the algorithm, hundreds of times what it takes


HOSTILE = {
    "tower": "\\boxed{9^{9^9}}",
    "tower of five": "\\boxed{9^{9^{9^{9^9}}}}",
    "stars": "9**9**9",
    "nested braces": "\\boxed{" + "2^{" * 500 + "2" + "}" * 500 + "}",
    "factorial": "\\boxed{99999999!}",
    "factorials": "\\boxed{((9!)!)!}",
    "a million digits": "The answer is " + "7" * 10**6,
    "a million decimals": "A: 0." + "3" * 10**6,
    "brackets": "\\boxed{" + "(" * 10**5 + "1" + ")" * 10**5 + "}",
    "open boxes": "\\boxed{" * 3000,
    "fractions": "\\boxed{" + "\\frac{1}{" * 900 + "2" + "}" * 900 + "}",
    "a megabyte": "blah " * 200_000,
    "dollars": "$" * 10**6,
    "displays": "\\[" * 300_000,
    "answers": "the answer is " * 70_000,
    "backslashes": "\\" * 20_000,
    "minuses": "\\boxed{" + "-" * 3000 + "1}",
    "exponentials": "\\boxed{e^{e^{e^{e^{e^5}}}}}",
    "sine": "\\boxed{\\sin(10^{10^9})}",
    "binomial": "\\boxed{\\binom{10^9}{10^8}}",
    "null": "\\boxed{\x00}",
    "surrogate": "\\boxed{\ud800}",
    "long list": "\\boxed{" + ",".join(map(str, range(3000))) + "}",
    "integral": "\\boxed{\\int_{0}^{\\infty} \\frac{\\sin(x^3) \\ln(x+1)}{x^2+\\cos x} dx}",
    "product": "\\boxed{\\prod_{n=1}^{9999} (1+\\frac{1}{n^{2}})}",
    "malformed": "\\boxed{\\frac{1}{\\sqrt{\\left(}}}",
    "letters": "a" * 20_000,
    "spaces": "answer" + " " * 20_000 + "x",
    "unit words": "\\boxed{5 " + "cm. " * 900 + "}",
    "power of digits": "\\boxed{" + "9" * 390 + "^{999}}",
}


def test_hostile_mathematics() -> None:
    """Each is answered, none is correct, and afterwards the pool is at full strength."""
    with Verifier(2, cpu_seconds=1) as verifier:
        verdicts = dict(zip(HOSTILE, verifier.verify_batch((question("5"), t) for t in HOSTILE.values()), strict=True))
        assert not [name for name, v in verdicts.items() if v.correct]
        assert verdicts["integral"].reason == "deadline"
        assert {v.reason for v in verdicts.values() if v.judgement is Judgement.UNJUDGED} <= {"deadline", "too-large"}
        hard = question("\\sum_{n=1}^{3} n")  # needs a worker
        assert [v.correct for v in verifier.verify_batch([(hard, "\\boxed{6}")] * 4)] == [True] * 4


def test_sums_go_to_sympy(verifier: Verifier) -> None:
    verdict = verifier.verify(question("6"), "\\boxed{\\sum_{n=1}^{3} n}")
    assert (verdict.judgement, verdict.reason) == (Judgement.CORRECT, "boxed:sympy")
    assert verifier.verify(question("7"), "\\boxed{\\sum_{n=1}^{3} n}").judgement is Judgement.WRONG


def test_real_completions_and_their_published_verdicts(verifier: Verifier) -> None:
    """Forty completions of real models on GSM8K (openai/grade-school-math, MIT), with the verdicts published with them."""
    sample = rows(Path(__file__).parent / "data" / "gsm8k_completions.jsonl")
    assert len(sample) == 40
    verdicts = verifier.verify_batch((question(str(r["answer"])), str(r["completion"])) for r in sample)
    assert [v.correct for v in verdicts] == [r["correct"] for r in sample]


# against the public tables, where they are present ----------------------------------------------------------------


def judged(verifier: Verifier, table: list[dict[str, object]]) -> list[tuple[dict[str, object], Verdict]]:
    verdicts = verifier.verify_batch((question(str(r["gold"])), str(r["answer"])) for r in table)
    return list(zip(table, verdicts, strict=True))


def test_triples(shared_data: Path, verifier: Verifier) -> None:
    plain = [r for r in rows(shared_data / "verifier" / "triples.jsonl") if r["basis"] == "plain"]
    agreed = Counter(
        v.judgement is not Judgement.UNJUDGED and v.correct == r["expected"] for r, v in judged(verifier, plain)
    )
    assert agreed[True] / len(plain) >= 0.97


def test_forms(shared_data: Path, verifier: Verifier) -> None:
    plain = [r for r in rows(shared_data / "verifier" / "math_forms.jsonl") if r["basis"] != "policy"]
    assert sum(v.correct for _, v in judged(verifier, plain)) / len(plain) >= 0.99


def test_all_completions_of_gsm8k(shared_data: Path, verifier: Verifier) -> None:
    table = rows(shared_data / "gsm8k_model_solutions" / "all.jsonl.gz")
    verdicts = verifier.verify_batch((question(str(r["answer"])), str(r["completion"])) for r in table)
    agreed = sum(v.correct == r["correct"] for r, v in zip(table, verdicts, strict=True))
    assert agreed / len(table) >= 0.999


@pytest.mark.parametrize(
    ("gold", "text", "reason"),
    [
        ("7", "The answer is not 7.", "no-answer"),
        ("7", "The answer isn't 7", "no-answer"),
        ("7", "The answer is 5. The answer is not 7.", "wrong-answer:statement"),
        ("5", "The answer is 5. The answer is not 7.", "statement:exact"),
        ("5", "The answer is not 7, but rather 5.", "statement:exact"),
        ("5", "The answer is not 7. We count again and get 5.", "number:exact"),
        ("12", "The answer is 3 x 4 = 12", "statement:exact"),
        ("12", "A: 3 * $4 = $12", "statement:exact"),
        ("12", "The answer is 2x = 12", "wrong-answer:statement"),
        ("5", "5 is the final answer, since 2 + 3 = 5 and not 6.", "statement:exact"),
        ("3/4", "So **3/4** is our answer.", "statement:exact"),
        ("5", "I do not know", "no-answer"),
        ("5", "twelve", "wrong-answer:bare"),
        ("no", "yes", "wrong-answer:bare"),
    ],
)
def test_denials_sums_and_answers_in_front(gold: str, text: str, reason: str) -> None:
    assert verify(Question("math", "", answer=gold), text).reason == reason
