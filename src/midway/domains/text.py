"""Answers that are a text: the same words, one of several, a regular expression, or JSON equal to JSON.

The final answer is what stands after the last `Answer:` (or in the last `\\boxed{}`); where there is neither, the whole text. A text that
was cut off at its token limit is right only if it says `Answer:` (or has a box). Regular expressions are matched in a worker that can be
killed, since one may run for ever.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from midway.domains.base import Domain, task
from midway.questions.base import RowError
from midway.records import Judgement, Question, Verdict
from midway.registry import Row, Task, near
from midway.verifier import extract

MATCHES = ("folded", "exact", "regex", "json")
"""How an answer is compared: case and space folded, as it is, as a regular expression for the whole answer, as JSON values."""

_ANSWER = re.compile(r"^[ \t>*_#]*(?:final\s+)?answer[*_]*\s*(?:is)?\s*[:：][*_]*[ \t]*", re.IGNORECASE | re.MULTILINE)
_FENCE = re.compile(r"```(?:json)?[ \t]*\n(.*?)```", re.DOTALL)
_BOX = re.compile(r"\\boxed\s*\{")


@dataclass(frozen=True, kw_only=True)
class Text(Domain):
    name: str = "text"
    summary: str = "a text: the same words, one of several, a regular expression, JSON"
    columns: tuple[str, ...] = ("answer", "match")
    required: str = "`question`, `answer` (a text, or a list of accepted ones); `match` if rows differ in it"
    options: tuple[str, ...] = ("match",)
    answer_form: str = "End with a line that begins with `Answer:` and gives the final answer."

    def bad_option(self, options: Mapping[str, Any]) -> str:
        match = options.get("match", MATCHES[0])
        return "" if match in MATCHES else f"options.match is {match!r}{near(str(match), MATCHES)}"

    def gold(self, row: Row) -> dict[str, Any]:
        answer = row.pick("answer", what="answer")
        match = str(row.optional("match") or row.option("match", MATCHES[0]))
        if match not in MATCHES:
            raise RowError(f"`{row.column('match')}` is {match!r}{near(match, MATCHES)}")
        if match == "json":
            accepted = [answer if isinstance(answer, str) else json.dumps(answer)]
        else:
            accepted = [str(a) for a in answer] if isinstance(answer, list | tuple) else [str(answer)]
        accepted = [a for a in accepted if a.strip()]
        if not accepted:
            raise RowError("no answer: the list of accepted answers is empty")
        for text in accepted:
            if problem := _unreadable(text, match):
                raise RowError(f"answer {text[:60]!r} {problem}")
        return {"gold": {"accept": accepted, "match": match}}

    def judge(self, question: Question, text: str, *, truncated: bool, require_sandbox: bool) -> Verdict | Task:
        gold = question.gold if isinstance(question.gold, Mapping) else {}
        accepted = [str(a) for a in gold.get("accept", ())]
        match = str(gold.get("match", MATCHES[0]))
        if not accepted or match not in MATCHES:
            return Verdict(Judgement.UNJUDGED, None, "no-gold")
        try:
            answer, said = final_answer(text)
        except extract.Truncated:
            return Verdict(Judgement.WRONG, None, "truncated")
        if truncated and not said:
            return Verdict(Judgement.WRONG, None, "truncated")
        if not answer.strip():
            return Verdict(Judgement.WRONG, None, "no-answer")
        if match == "regex":
            return task(judge_regex, {"answer": answer, "accept": accepted})
        return decide(answer, accepted, match)

    def golds(self, question: Question) -> Iterator[tuple[str, str]]:
        gold = question.gold if isinstance(question.gold, Mapping) else {}
        accepted = gold.get("accept") or [""]
        if gold.get("match") != "regex":  # what a pattern matches is not written in it
            yield "answer", f"Answer: {accepted[0]}"
        yield from super().golds(question)

    def gold_text(self, question: Question) -> str:
        gold = question.gold if isinstance(question.gold, Mapping) else {}
        accepted = list(gold.get("accept", ()))
        return accepted[0] if len(accepted) == 1 else json.dumps(accepted, ensure_ascii=False)


def final_answer(text: str) -> tuple[str, bool]:
    """Return the final answer of a text and whether it was announced (`Answer:`, a box); see the module."""
    text = extract.answer_part(text)
    found = list(_ANSWER.finditer(text))
    if found:
        rest = text[found[-1].end() :].strip()
        fence = _FENCE.match(rest)
        return (fence[1].strip() if fence else rest.split("\n\n")[0].strip()).strip("*_ \t"), True
    boxes = list(_BOX.finditer(text))
    if boxes:
        return _braces(text[boxes[-1].end() :]).strip(), True
    fences = _FENCE.findall(text)
    return (fences[-1] if fences else text).strip(), False


def _braces(rest: str) -> str:
    depth = 1
    for place, character in enumerate(rest):
        depth += (character == "{") - (character == "}")
        if not depth:
            return rest[:place]
    return rest


def fold(text: str) -> str:
    """Return a text with case, runs of space and a full stop at the end taken away."""
    return " ".join(text.split()).casefold().rstrip(".").strip()


def decide(answer: str, accepted: Sequence[str], match: str) -> Verdict:
    """Compare an answer with the accepted ones, exactly, folded, or as JSON."""
    if match == "json":
        try:
            value = json.loads(answer)
        except ValueError:
            return Verdict(Judgement.WRONG, answer, "wrong-answer:no-json")
        right = any(_same(value, json.loads(text)) for text in accepted)
    elif match == "exact":
        right = answer in accepted
    else:
        right = fold(answer) in {fold(text) for text in accepted}
    return Verdict(
        Judgement.CORRECT if right else Judgement.WRONG, answer, f"text:{match}" if right else f"wrong-answer:{match}"
    )


def _same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal: `true` is not 1, but 1 is 1.0."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)


def judge_regex(fields: Mapping[str, Any]) -> Verdict:
    """Match the whole answer against each pattern. Called in a worker."""
    answer = str(fields["answer"])
    right = any(re.fullmatch(pattern, answer, re.DOTALL) for pattern in fields["accept"])
    return Verdict(
        Judgement.CORRECT if right else Judgement.WRONG, answer, "text:regex" if right else "wrong-answer:regex"
    )


def _unreadable(text: str, match: str) -> str:
    try:
        if match == "regex":
            re.compile(text)
        elif match == "json":
            json.loads(text)
    except (re.error, ValueError) as error:
        return f"is no {'regular expression' if match == 'regex' else 'JSON'}: {error}"
    return ""


TEXT = Text()
