"""Questions with a mathematical answer: a number, an expression, a set, an interval ..."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from midway.domains.base import Domain
from midway.domains.values import positive, scalar
from midway.questions.base import RowError
from midway.questions.gold import after_hashes, last_boxed, number_text
from midway.records import Exemplar, Question, Verdict
from midway.registry import Row, Task, near
from midway.verifier import explain
from midway.verifier.math import judge as judging

NO_VALUE = frozenset({"nan", "null", "none", "na", "n/a", "<na>", "nat", "#n/a"})
"""Texts that a file of questions is not taken at their word for."""
GOLDS: Mapping[str, Callable[[str], str]] = {"as-is": str.strip, "boxed": last_boxed, "hashes": after_hashes}


@dataclass(frozen=True, kw_only=True)
class Math(Domain):
    name: str = "math"
    summary: str = "a number, an expression, a set, an interval"
    columns: tuple[str, ...] = ("answer",)
    required: str = "`question`, `answer`; `solution` if there is one"
    options: tuple[str, ...] = ("gold",)
    answer_form: str = "Put the final answer in \\boxed{}."

    def bad_option(self, options: Mapping[str, Any]) -> str:
        form = options.get("gold", "as-is")
        return "" if form in GOLDS else f"options.gold is {form!r}{near(str(form), list(GOLDS))}"

    def gold(self, row: Row) -> dict[str, Any]:
        form = row.option("gold", "as-is")
        answer = row.pick("answer", what="answer")
        if isinstance(answer, bool | list | dict):
            raise RowError(f"no answer: `{row.column('answer')}` holds {type(answer).__name__}, not text or a number")
        if isinstance(answer, str) and answer.strip().lower() in NO_VALUE:
            raise RowError(
                f"no answer: {answer.strip()!r} is what tables write where there is none; "
                f"if it is the answer, write \\text{{{answer.strip()}}}"
            )
        return {"answer": GOLDS[form](str(answer)) if isinstance(answer, str) else number_text(answer)}

    def of_columns(self, columns: Mapping[str, Any]) -> Question:
        text = str(columns.get("question") or "")
        return Question(self.name, text, answer=scalar(columns, "answer"), meta=positive(columns, "tolerance"))

    def check_exemplar(self, exemplar: Exemplar) -> str:
        if r"\boxed{" in exemplar.solution.splitlines()[-1]:
            return ""
        return rf"solution must end with a line that has \boxed{{{exemplar.answer}}}"

    def probes(self) -> tuple[Question, ...]:
        return (Question(domain=self.name, text="?", answer="0"),)

    def judge(self, question: Question, text: str, *, truncated: bool, require_sandbox: bool) -> Verdict | Task:
        tolerance = float(question.meta.get("tolerance") or 0.0)
        judged = judging.cheap(question.answer, text, truncated, tolerance)
        if isinstance(judged, Verdict):
            return judged
        fields = {"gold": judged.gold, "readings": list(judged.readings), "rule": judged.rule}
        return Task("midway.verifier.math.judge:judge_task", fields)

    def explain(self, question: Question, text: str, *, truncated: bool) -> Iterator[str]:
        yield from explain.math(question, text, truncated=truncated)

    def golds(self, question: Question) -> Iterator[tuple[str, str]]:
        yield "answer", f"\\boxed{{{question.answer or ''}}}"
        yield from super().golds(question)


MATH = Math()
