"""How a text was read, in words: what it offers as an answer, which rule took which, what both sides come to, and why they are equal.

Promises: one line a step, for a person; the same functions decide as in judging. The rules that a verdict rests on are found by judging
again without each of them, so this is slow, and not for other threads to run beside. Programs are read here, never run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from midway.records import CodeTests, Question, Verdict
from midway.verifier import choice as choices
from midway.verifier import extract, rules
from midway.verifier.math import compare
from midway.verifier.math import judge as maths
from midway.verifier.math.normalise import full_width
from midway.verifier.programs import asserts
from midway.verifier.programs import judge as programs
from midway.verifier.programs.find import find_program
from midway.wording import plural

SHOWN = 200
"""Characters of one line that quotes a text."""


def _quoted(text: str) -> str:
    short = " ".join(text.split())
    return repr(short if len(short) <= SHOWN else short[: SHOWN - 3] + "...")


def _form(answer: compare.Answer) -> str:
    extra = ["percent"] * answer.percent + ([f"unit {answer.unit}"] if answer.unit else [])
    return f"{answer.text!r}" + (f" ({', '.join(extra)})" if extra else "")


def math(question: Question, text: str, *, truncated: bool = False) -> Iterator[str]:
    """Explain the judgement of a mathematical answer."""
    tolerance = float(question.meta.get("tolerance") or 0.0)
    if maths.is_missing(question.answer):
        yield f"gold: {question.answer!r} is missing, so nothing is judged"
        return
    gold = maths.gold_answer(question.answer or "")
    yield f"gold: {_quoted(question.answer or '')}" + (
        f", its answer {_quoted(gold)}" if gold != question.answer else ""
    )
    try:
        for rule, answers in extract.candidates(text):
            yield f"candidate, {rule}: {', then '.join(map(_quoted, answers))}"
        found = extract.find(text)
    except extract.Truncated as error:
        yield f"the text breaks off inside its {error}"
        return
    if found is None:
        yield "no final answer is found"
    else:
        yield f"taken: {found.rule}" + (
            "" if found.rule in extract.EXPLICIT else ", a guess, since nothing says what the answer is"
        )
        for reading in (found.answer, *found.also):
            forms = compare.forms(gold, reading)
            yield f"  {_quoted(reading)} is read as {_form(forms[1])}; the gold as {_form(forms[0])}"
            yield f"    {compare.why(gold, reading, tolerance)}"
            if compare.equal(gold, reading, tolerance) is not None:
                break
    judged = maths.cheap(question.answer, text, truncated, tolerance)
    if isinstance(judged, maths.Hard):
        yield "undecided so far: math-verify decides"
    yield from _rests_on(lambda: str(maths.cheap(question.answer, text, truncated, tolerance)))


def choice(question: Question, text: str, *, truncated: bool = False) -> Iterator[str]:
    """Explain the judgement of a choice."""
    index = question.answer_index
    for k, option in enumerate(question.choices):
        yield f"option {chr(65 + k)}: {_quoted(option)}" + (" (the gold)" if k == index else "")
    try:
        part = full_width(extract.answer_part(text)).strip()
    except extract.Truncated as error:
        yield f"the text breaks off inside its {error}"
        return
    for mark, rest, read in choices.candidates(part, question.choices):
        yield f"candidate, after {_quoted(mark)}: {_quoted(rest)} names {_named(read, question)}"
    yield f"taken: {_named(choices.named(part, question.choices, truncated), question)}"
    yield from _rests_on(lambda: str(choices.judge(question, text, truncated)))


def _named(found: tuple[int, str] | None, question: Question) -> str:
    if found is None:
        return "no option"
    if found == choices.HEDGE:
        return "more than one option, so none"
    if found == choices.AMBIGUOUS:
        return "an option by its content and another one by its place: ambiguous"
    index, rule = found
    return f"option {chr(65 + index)} by its {rule}" if index >= 0 else "a number that is the place of no option"


def code(question: Question, text: str, *, truncated: bool = False) -> Iterator[str]:
    """Explain how a program is found, and what its tests are. It is not run."""
    tests = question.tests or CodeTests()
    kind = next((name for name in ("test", "test_list", "io", "inputs") if getattr(tests, name)), "none")
    yield f"tests: {kind}" + (f", which call {tests.entry_point}" if tests.entry_point else "")
    if why := asserts.broken(tests) or asserts.cannot_fail(tests):
        yield f"  {why}, so nothing is judged"
    try:
        part = extract.answer_part(text, limit=programs.MAX_PROGRAM)
    except extract.Truncated as error:
        yield f"the text breaks off inside its {error}"
        return
    program = find_program(part, tests.prompt, tests.entry_point or programs.called(tests))
    yield (
        "no program is found"
        if program is None
        else f"program, {plural(len(program.splitlines()), 'line')}: {_quoted(program)}"
    )
    yield from _rests_on(lambda: str(find_program(part, tests.prompt, tests.entry_point or programs.called(tests))))


def _rests_on(judge: Callable[[], str | Verdict]) -> Iterator[str]:
    """The named rules without which the result would be another one."""
    result = judge()
    for rule in rules.RULES.values():
        with rules.without(rule.name):
            other = judge() != result
        if other:
            yield f"rests on the rule {rule.name}: {rule.says}"
