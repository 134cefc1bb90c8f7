"""TRL reward (temporary, replaced by the verifier room)."""

from __future__ import annotations

from typing import Any

from midway.records import Question
from midway.verify import Verifier


class TRLReward:
    __name__ = "verdict"

    def __init__(self, questions: dict[str, Question], **options: Any) -> None:
        self.questions, self.verifier = questions, Verifier(**options)

    def __enter__(self) -> TRLReward:
        return self

    def __exit__(self, *_: object) -> None:
        self.verifier.close()

    def __call__(self, completions: list[Any], question_id: list[str], **_: Any) -> list[float | None]:
        texts = [c if isinstance(c, str) else c[-1]["content"] for c in completions]
        items = [(self.questions[q], t) for q, t in zip(question_id, texts, strict=True)]
        return [v.score() for v in self.verifier.verify_batch(items)]
