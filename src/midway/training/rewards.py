"""Thin adapters of `midway.verifier` for the reward conventions of TRL, verl, OpenRLHF and verifiers.

Promises: importing this needs neither torch nor any of those libraries. A text that could not be judged is never a
silent 0: TRL gets None (left out of the group's statistics), verifiers an error; verl and OpenRLHF know no such value,
so there it is 0.0 together with `unjudged: 1.0`, which they log.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from midway.domains import Verifier, question_of
from midway.records import Question, Verdict


@cache
def _verifier() -> Verifier:
    return Verifier()


def text_of(completion: Any) -> str:
    """The words of a completion: plain text, or the last message of a conversation."""
    return completion if isinstance(completion, str) else str(completion[-1]["content"] or "")


def answer_in(text: str, stop: Iterable[str]) -> str:
    """The text up to the first string at which an answer ends."""
    return min((text.split(end, 1)[0] for end in stop), key=len, default=text)


def tell(verdicts: Sequence[Verdict], log: Callable[[str, list[Any]], None] | None) -> None:
    """Put verdicts into TRL's table of completions, where it offers one."""
    if log is not None:
        log("judgement", [str(verdict.judgement) for verdict in verdicts])
        log("extracted", [verdict.extracted for verdict in verdicts])
        log("reason", [verdict.reason for verdict in verdicts])


def _per_row(column: Any, k: int) -> bool:
    """Whether what TRL hands over has a value for completion `k` (its trainer state and callables have none)."""
    return isinstance(column, (list, tuple)) and len(column) > k


def _columns(label: Any) -> Mapping[str, Any]:
    """A label as columns: a mapping, the JSON text of one, or the answer itself."""
    if isinstance(label, str) and label.lstrip().startswith("{"):
        with contextlib.suppress(ValueError):  # \\{1, 2} and {1, 2} are answers
            label = json.loads(label)
    return label if isinstance(label, Mapping) else {"answer": label}


class Judging:
    """Verdicts on completions in TRL's convention: a column `question_id` names each row's question, or its own columns say it."""

    def __init__(self, questions: Iterable[Question] = (), verifier: Verifier | None = None, stop: Iterable[str] = ()):
        self.questions, self.verifier, self.stop = {q.id: q for q in questions}, verifier or Verifier(), tuple(stop)

    def verdicts(self, completions: Sequence[Any], columns: Mapping[str, Any]) -> list[Verdict]:
        """Return a verdict for each completion."""
        rows = [{c: v[k] for c, v in columns.items() if _per_row(v, k)} for k in range(len(completions))]
        asked = [self.questions[row["question_id"]] if self.questions else question_of(row) for row in rows]
        texts = [answer_in(text_of(completion), self.stop) for completion in completions]
        return list(self.verifier.verify_batch(zip(asked, texts, strict=True)))


class TRLReward(Judging):
    """Plug it into TRL with `GRPOTrainer(reward_funcs=TRLReward(questions))`: 1.0 correct, 0.0 wrong, None unjudged.

    A dataset's column `question_id` names each row's question; without `questions` its own columns do (`question_of`).
    `stop`: strings at which an answer ends (a base model goes on to invent the next question). Picklable.
    """

    __name__ = "midway_correct"

    def __call__(self, prompts: Any = None, completions: Sequence[Any] = (), **columns: Any) -> list[float | None]:
        verdicts = self.verdicts(completions, columns)
        tell(verdicts, columns.get("log_extra"))
        return [verdict.score() for verdict in verdicts]


def compute_score(
    data_source: str, solution_str: str, ground_truth: Any, extra_info: Mapping[str, Any] | None = None, **_: Any
) -> dict[str, float]:
    """Plug it into verl with `custom_reward_function.path=.../midway/training/rewards.py` (name `compute_score`).

    `ground_truth` is the answer, or a mapping of columns (also as JSON text) as `question_of` takes it.
    """
    score = _verifier().verify(question_of(_columns(ground_truth)), solution_str).score()
    return {"score": score or 0.0, "acc": score or 0.0, "unjudged": float(score is None)}


def reward_func(queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any], **_: Any) -> dict[str, Any]:
    """Plug it into OpenRLHF with `--remote_rm_url .../midway/training/rewards.py`.

    A query is the prompt and the completion; a label the answer, or columns as JSON text.
    """
    import torch

    questions = [question_of(_columns(label)) for label in labels]
    texts = [q[len(p) :] if q.startswith(p) else q for q, p in zip(queries, prompts, strict=True)]
    scores = [v.score() for v in _verifier().verify_batch(zip(questions, texts, strict=True))]
    rewards = torch.tensor([s or 0.0 for s in scores])
    unjudged = torch.tensor([float(s is None) for s in scores])
    return {"rewards": rewards, "scores": rewards, "extra_logs": {"correct": rewards, "unjudged": unjudged}}


async def correct(task: Any, trace: Any) -> float:
    """Plug it into verifiers with `rewards: {correct: {fn: midway.training.rewards:correct}}`, or in a `@vf.reward`.

    The row's own fields say what is right (see `question_of`). Raises RuntimeError when it could not be judged, which
    marks the rollout as failed instead of scoring it.
    """
    question = question_of(task.model_dump())
    verdict = await asyncio.wrap_future(_verifier().submit(question, trace.last_reply))
    score = verdict.score()
    if score is None:
        raise RuntimeError(f"could not be judged: {verdict.reason}")
    return score
