"""Multiple choice: the options are shown as `(A) ...`; a letter, or an option's own words, is an answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from midway.domains.base import Domain
from midway.domains.values import is_missing
from midway.heuristics.prompts import PromptError
from midway.questions.gold import option_index, option_list
from midway.records import Exemplar, Question, Verdict
from midway.registry import Row, Task
from midway.verifier import choice as judging
from midway.verifier import explain

_OPTION = re.compile(r"^\(([A-Z])\) \S", re.MULTILINE)
_LETTER_AT_END = re.compile(r"The answer is \(([A-Z])\)\.\Z")


@dataclass(frozen=True, kw_only=True)
class Choice(Domain):
    name: str = "choice"
    summary: str = "one of several options"
    columns: tuple[str, ...] = ("narrative", "choices", "answer_index")
    required: str = (
        "`question`, `choices` (a list), `answer_index` (index from 0, letter, or the option's text); "
        "`narrative` if there is one"
    )
    answer_form: str = 'End with "The answer is (X)." where X is the letter of the best option.'
    section: str = "narrative"

    def gold(self, row: Row) -> dict[str, Any]:
        choices = option_list(row.pick("choices", what="choices"))
        name = "answer" if not row.mapped("answer_index") and not row.has("answer_index") else "answer_index"
        index = row.pick(name if row.has(name) else "answer_index", what="answer")
        return {"choices": choices, "answer_index": option_index(index, choices, place=name == "answer_index")}

    def text(self, row: Row, question: str) -> str:
        narrative = row.optional("narrative")
        return f"{narrative.strip()}\n\n{question}" if isinstance(narrative, str) and narrative.strip() else question

    def of_columns(self, columns: Mapping[str, Any]) -> Question:
        choices, index = columns["choices"], columns["answer_index"]
        if not isinstance(choices, list | tuple) or not choices:
            raise TypeError("choices must be a list that is not empty")
        if is_missing(index):
            index = None
        elif isinstance(index, bool) or int(index) != float(index):
            raise TypeError(f"answer_index must be a whole number, not {index!r}")
        text = str(columns.get("question") or "")
        return Question(
            self.name, text, choices=tuple(map(str, choices)), answer_index=None if index is None else int(index)
        )

    def claims(self, columns: Mapping[str, Any]) -> bool:
        return bool(columns.get("choices"))

    def show(self, question: Question) -> str:
        if not question.choices:
            raise PromptError(
                f"choice question {question.name or question.id} has no choices; fill in Question.choices"
            )
        options = "\n".join(f"({chr(65 + i)}) {choice}" for i, choice in enumerate(question.choices))
        return f"{question.text.rstrip()}\n{options}"

    def show_short(self, question: Question) -> str:
        return self.show(question)

    def example_columns(self, exemplar: Exemplar) -> Mapping[str, Any] | None:
        choices = re.findall(r"^\([A-Z]\) (.+)$", exemplar.question, re.MULTILINE)
        return {"question": exemplar.question, "choices": choices, "answer_index": exemplar.answer}

    def check_exemplar(self, exemplar: Exemplar) -> str:
        letters = _OPTION.findall(exemplar.question)
        if len(letters) < 2 or letters != [chr(65 + i) for i in range(len(letters))]:
            return "question must end with its options, one a line: (A) ..., (B) ..."
        final = _LETTER_AT_END.search(exemplar.solution)
        if exemplar.answer not in letters or final is None or final.group(1) != exemplar.answer:
            return f"solution must end with 'The answer is ({exemplar.answer}).', one of its options"
        return ""

    def probes(self) -> tuple[Question, ...]:
        return (Question(domain=self.name, text="?", choices=("a", "b"), answer_index=0),)

    def judge(self, question: Question, text: str, *, truncated: bool, require_sandbox: bool) -> Verdict | Task:
        return judging.judge(question, text, truncated)

    def explain(self, question: Question, text: str, *, truncated: bool) -> Iterator[str]:
        yield from explain.choice(question, text, truncated=truncated)

    def golds(self, question: Question) -> Iterator[tuple[str, str]]:
        index = question.answer_index
        valid = index is not None and 0 <= index < len(question.choices)
        yield "answer", f"The answer is {chr(65 + (index or 0))}." if valid else ""
        yield from super().golds(question)

    def gold_text(self, question: Question) -> str:
        return chr(65 + question.answer_index) if question.answer_index is not None else ""


CHOICE = Choice()
