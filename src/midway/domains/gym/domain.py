"""The domain `gym`: an answer is right if it is the stored one, or if the task's scorer gives it full marks, in the sandbox.

The final answer is what stands in the last `<answer>...</answer>`, else after `Answer:`, else in the last box, else the whole text. A
scorer that takes too long, dies or raises gives `unjudged`, never `wrong`; an answer that holds Python beyond a computation with plain
values is wrong (`code-in-answer`). Another version of reasoning-gym that makes another question of the same seed gives `unjudged`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from midway.domains.base import Domain, task
from midway.domains.gym import box
from midway.domains.gym.tasks import known
from midway.domains.text import final_answer
from midway.records import Exemplar, Judgement, Question, Verdict
from midway.registry import Row, Task
from midway.verifier import extract
from midway.verifier.programs.sandbox import SandboxUnavailable, available, require

_TAG = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
MAX_ANSWER = 20_000
"""Characters of an answer that is handed to a scorer."""
SECONDS = 60.0
"""A worker waits so long for the sandbox; the sandbox's own limits end it before."""


@dataclass(frozen=True, kw_only=True)
class Gym(Domain):
    name: str = "gym"
    summary: str = "a question of reasoning-gym, judged by its task's scorer in the sandbox"
    extra: str = "midway[gym]"
    columns: tuple[str, ...] = ("answer", "task", "options", "seed")
    required: str = "made by `source: gym:TASK`; in a file: `question`, `answer`, `task`, `seed`, `options`"
    answer_form: str = "End with the final answer between <answer> and </answer>."

    def gold(self, row: Row) -> dict[str, Any]:
        name = str(row.pick("task", what="task"))
        gold = {
            "task": name,
            "seed": int(row.pick("seed", what="seed")),
            "options": dict(row.optional("options") or {}),
        }
        return {"answer": str(row.pick("answer", what="answer")), "gold": gold}

    def example_columns(self, exemplar: Exemplar) -> Mapping[str, Any] | None:
        return None  # an example belongs to no seed

    def judge(self, question: Question, text: str, *, truncated: bool, require_sandbox: bool) -> Verdict | Task:
        gold = question.gold if isinstance(question.gold, Mapping) else {}
        made = known()[1].get(str(gold.get("task")))
        if made is None or question.answer is None or "seed" not in gold:
            return Verdict(Judgement.UNJUDGED, None, "no-gold")
        try:
            answer, rule = answer_of(text)
        except extract.Truncated:
            return Verdict(Judgement.WRONG, None, "truncated")
        if truncated and rule == "bare":
            return Verdict(Judgement.WRONG, None, "truncated")
        if not answer:
            return Verdict(Judgement.WRONG, None, "no-answer")
        if answer == question.answer.strip():
            return Verdict(Judgement.CORRECT, answer, rule)
        if made.equality:
            return Verdict(Judgement.WRONG, answer, f"wrong-answer:{rule}")
        if len(answer) > MAX_ANSWER:
            return Verdict(Judgement.WRONG, answer[:200], f"wrong-answer:{rule}: {len(answer)} characters")
        fields = {
            "module": made.module, "task": made.name, "options": dict(gold.get("options") or {}), "seed": int(gold["seed"]),
            "question": question.text, "answer": answer, "rule": rule, "require_sandbox": require_sandbox,
        }  # fmt: skip
        return task(judge_in_the_sandbox, fields, idle_limit=SECONDS)

    def golds(self, question: Question) -> Iterator[tuple[str, str]]:
        yield "answer", f"<answer>{question.answer or ''}</answer>"
        yield from super().golds(question)

    def must_fail(self, question: Question) -> Iterator[tuple[str, str]]:
        yield "nonsense", "<answer>xyzzy</answer>"


def answer_of(text: str) -> tuple[str, str]:
    """Return the final answer of a text, and the rule that found it: tag, statement, boxed or bare. Raises extract.Truncated."""
    part = extract.answer_part(text)
    if tags := [found.strip() for found in _TAG.findall(part) if found.strip()]:
        return tags[-1], "tag"
    answer, announced = final_answer(part)
    if not announced:
        return answer.strip(), "bare"
    return answer.strip(), "boxed" if "\\boxed" in part and answer in part.rpartition("\\boxed")[2] else "statement"


def warm() -> None:
    """Find out, once in a worker's keeper, which sandbox there is."""
    available()


def judge_in_the_sandbox(fields: Mapping[str, Any]) -> Verdict:
    """Score an answer in the sandbox. Called in a worker."""
    answer, rule = str(fields["answer"]), str(fields["rule"])
    try:
        if fields["require_sandbox"]:
            require()
        found = box.score(
            fields["module"], fields["task"], fields["options"], fields["seed"], answer, str(fields["question"])
        )
    except SandboxUnavailable as error:
        return Verdict(Judgement.UNJUDGED, answer, f"no-sandbox: {error}"[:300])
    except box.BoxError as error:
        return Verdict(Judgement.UNJUDGED, answer, f"scorer-{'ended' if error.ended else 'failed'}: {error}"[:300])
    if not found.same:
        return Verdict(Judgement.UNJUDGED, answer, "gym-changed: this reasoning-gym makes another question of its seed")
    if found.stopped:
        return Verdict(Judgement.WRONG, answer, f"code-in-answer: {found.stopped}")
    return (
        Verdict(Judgement.CORRECT, answer, rule)
        if found.full
        else Verdict(Judgement.WRONG, answer, f"wrong-answer:{rule}")
    )


GYM = Gym()
