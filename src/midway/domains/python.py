"""A judge of your own: a function in a Python file decides, in a worker process that can be killed.

    questions:
      train:
        - source: mine.jsonl
          domain: python
          options: {judge: "my_judge.py:judge"}

    def judge(question, completion): ...   # in my_judge.py

`question` is a `midway.records.Question` whose `gold` holds the row's columns under `row`; the function returns True or False (or a
`Verdict`; None means that it cannot tell). A judge that raises, hangs, or takes its process with it gives `unjudged`, never `wrong`. The
content of the file is part of every question's id: another judge is another question.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from midway.domains.base import Domain, task
from midway.questions.base import QuestionError, Reader, RowError
from midway.questions.table import of_record, to_record
from midway.records import Exemplar, Judgement, Question, Verdict
from midway.registry import Row, Task, load_object
from midway.registry.files import FileError, digest


@dataclass(frozen=True, kw_only=True)
class Python(Domain):
    name: str = "python"
    summary: str = "judged by a function in a file of your own"
    columns: tuple[str, ...] = ("answer",)
    required: str = "`question`; every other column of the row is handed to the judge"
    options: tuple[str, ...] = ("judge",)

    def bad_option(self, options: Mapping[str, Any]) -> str:
        path, _, name = str(options.get("judge", "")).rpartition(":")
        if not path.endswith(".py") or not name:
            return "options.judge: name the function, such as `my_judge.py:judge`"
        return "" if Path(path).is_file() else f"options.judge: there is no file {path}"

    def gold(self, row: Row) -> dict[str, Any]:
        judge = str(row.option("judge", ""))
        path, _, name = judge.rpartition(":")
        try:
            content = digest(path)
        except FileError as error:
            raise QuestionError(f"options.judge: {error}") from error
        columns = dict(row.row) if isinstance(row, Reader) else {}
        gold = {"function": name, "file": content, "row": {str(k): v for k, v in columns.items()}}
        answer = row.optional("answer")
        return {
            "gold": gold,
            "answer": None if answer is None else str(answer),
            "meta": {"judge": f"{Path(path).resolve()}:{name}"},
        }

    def of_columns(self, columns: Mapping[str, Any]) -> Question:
        options = {"judge": columns.get("judge", "")}
        if problem := self.bad_option(options):
            raise ValueError(problem.replace("options.judge", "column judge"))
        fields = self.gold(Reader(columns, {}, options))
        return Question(self.name, str(columns.get("question") or ""), **fields)

    def example_columns(self, exemplar: Exemplar) -> Mapping[str, Any] | None:
        return None  # only its own judge could say

    def judge(self, question: Question, text: str, *, truncated: bool, require_sandbox: bool) -> Verdict | Task:
        gold = question.gold if isinstance(question.gold, Mapping) else {}
        where = str(question.meta.get("judge", ""))
        if not where or not gold.get("function"):
            return Verdict(Judgement.UNJUDGED, None, "no-judge")
        path = where.rpartition(":")[0]
        try:
            now = digest(path)
        except FileError as error:
            return Verdict(Judgement.UNJUDGED, None, f"no-judge: {error}"[:300])
        if now != gold.get("file"):
            return Verdict(
                Judgement.UNJUDGED, None, f"judge-changed: {path} is not the file that this question was loaded with"
            )
        fields = {"judge": where, "question": to_record(question), "text": text, "truncated": truncated}
        return task(judge_by_file, fields)


def judge_by_file(fields: Mapping[str, Any]) -> Verdict:
    """Call the user's function. Called in a worker; what it raises becomes `unjudged`."""
    found = load_object(fields["judge"])(of_record(dict(fields["question"])), fields["text"])
    if isinstance(found, Verdict):
        return found
    if found is None:
        return Verdict(Judgement.UNJUDGED, None, "judge: could not tell")
    if not isinstance(found, bool):
        raise RowError(f"{fields['judge']} returned {found!r}: return True, False, None or a Verdict")
    reason = "truncated" if fields["truncated"] and not found else "judge"
    return Verdict(Judgement.CORRECT if found else Judgement.WRONG, None, reason)


PYTHON = Python()
