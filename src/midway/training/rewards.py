"""Thin adapters of `midway.verify` for the reward conventions of TRL, verl, OpenRLHF and verifiers.

Promises: importing this needs neither torch nor any of those libraries. A text that could not be judged is never a
silent 0: TRL gets None (left out of the group's statistics), verifiers an error; verl and OpenRLHF know no such value,
so there it is 0.0 together with `unjudged: 1.0`, which they log.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from midway.records import Question
from midway.verify import Verifier


@cache
def _verifier() -> Verifier:
    return Verifier()


def _text(completion: Any) -> str:
    """The words of a completion: plain text, or the last message of a conversation."""
    return completion if isinstance(completion, str) else str(completion[-1]["content"] or "")


def question_of(columns: Mapping[str, Any]) -> Question:
    """Return the question that a row of a dataset describes: `answer`, or `choices` and `answer_index`, or tests."""
    if columns.get("tests") is not None or columns.get("test") or columns.get("test_list"):
        from midway.verify.code import tests_of

        return Question("code", "", tests=tests_of(columns))
    if columns.get("choices"):
        return Question("choice", "", choices=tuple(columns["choices"]), answer_index=int(columns["answer_index"]))
    answer = columns.get("answer", columns.get("ground_truth", columns.get("label")))
    if answer is None:
        raise KeyError(f"no answer, choices or tests among the columns {sorted(columns)}; name the column `answer`")
    return Question("math", "", answer=str(answer))


class TRLReward:
    """A reward function for TRL's GRPOTrainer: 1.0 correct, 0.0 wrong, None unjudged. Picklable.

    With `questions`, the dataset's column `question_id` says which one each completion answers (KeyError for an unknown
    id); without, each row's own columns do (see `question_of`).
    """

    __name__ = "midway_correct"

    def __init__(
        self, questions: Sequence[Question] = (), verifier: Verifier | None = None, stop: Sequence[str] = ()
    ) -> None:
        """`stop`: strings at which an answer ends (a base model goes on to invent the next question)."""
        self.questions = {q.id: q for q in questions}
        self.verifier = verifier or Verifier()
        self.stop = tuple(stop)

    def __call__(self, prompts: Any = None, completions: Sequence[Any] = (), **columns: Any) -> list[float | None]:
        rows = [
            self.questions[columns["question_id"][k]]
            if self.questions
            else question_of({c: v[k] for c, v in columns.items() if isinstance(v, (list, tuple)) and len(v) > k})
            for k in range(len(completions))
        ]
        texts = [
            min((text.split(s, 1)[0] for s in self.stop), key=len, default=text) for text in map(_text, completions)
        ]
        return [verdict.score() for verdict in self.verifier.verify_batch(zip(rows, texts, strict=True))]


def compute_score(
    data_source: str, solution_str: str, ground_truth: Any, extra_info: Mapping[str, Any] | None = None, **_: Any
) -> dict[str, float]:
    """verl: `custom_reward_function.path=.../rewards.py`. `ground_truth` is the answer, or a mapping of columns."""
    columns = ground_truth if isinstance(ground_truth, Mapping) else {"answer": ground_truth}
    score = _verifier().verify(question_of(columns), solution_str).score()
    return {"score": score or 0.0, "acc": score or 0.0, "unjudged": float(score is None)}


def reward_func(queries: Sequence[str], prompts: Sequence[str], labels: Sequence[str], **_: Any) -> dict[str, Any]:
    """OpenRLHF: `--remote_rm_url .../rewards.py`. A query is the prompt and the completion; a label the answer."""
    import torch

    questions = [question_of(json.loads(a)) if str(a).startswith("{") else question_of({"answer": a}) for a in labels]
    texts = [q[len(p) :] if q.startswith(p) else q for q, p in zip(queries, prompts, strict=True)]
    scores = [v.score() for v in _verifier().verify_batch(zip(questions, texts, strict=True))]
    rewards = torch.tensor([s or 0.0 for s in scores])
    unjudged = torch.tensor([float(s is None) for s in scores])
    return {"rewards": rewards, "scores": rewards, "extra_logs": {"correct": rewards, "unjudged": unjudged}}


async def correct(task: Any, trace: Any) -> float:
    """verifiers (v1): `rewards: {correct: {fn: midway.training.rewards:correct}}`, or called from a `@vf.reward`
    method.

    The row's own fields say what is right (see `question_of`). Raises RuntimeError when it could not be judged, which
    marks the rollout as failed instead of scoring it.
    """
    import asyncio

    question = question_of(task.model_dump())
    verdict = await asyncio.wrap_future(_verifier().submit(question, trace.last_reply))
    score = verdict.score()
    if score is None:
        raise RuntimeError(f"could not be judged: {verdict.reason}")
    return score
