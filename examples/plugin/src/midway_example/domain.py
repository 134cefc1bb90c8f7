"""A domain: the answer is a total, written as `Total: 12`. It is judged in a worker process that is killed when it takes too long."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from midway.domains import Domain, task
from midway.records import Judgement, Question, Verdict
from midway.registry import Row, Task


@dataclass(frozen=True, kw_only=True)
class Total(Domain):
    name: str = "total"
    summary: str = "a total, written as `Total: 12`"
    columns: tuple[str, ...] = ("total",)
    answer_form: str = "End with a line `Total: ` and the total."

    def gold(self, row: Row) -> dict[str, Any]:
        return {"gold": {"total": int(row.pick("total", what="total"))}}

    def judge(self, question: Question, text: str, *, truncated: bool, require_sandbox: bool) -> Verdict | Task:
        return task(judge, {"total": question.gold["total"], "text": text})

    def golds(self, question: Question) -> Iterator[tuple[str, str]]:
        yield "answer", f"Total: {question.gold['total']}"


def judge(fields: Mapping[str, Any]) -> Verdict:
    """Called in a worker. Some answers make it hang, which costs nothing but a verdict `unjudged`: a judge of your own may do so too."""
    found = re.findall(r"Total:\s*(-?\d+|\?)", fields["text"])
    while found and found[-1] == "?":
        pass  # for ever
    if not found:
        return Verdict(Judgement.WRONG, None, "no-answer")
    right = int(found[-1]) == fields["total"]
    return Verdict(
        Judgement.CORRECT if right else Judgement.WRONG, found[-1], "total" if right else "wrong-answer:total"
    )


DOMAIN = Total()
