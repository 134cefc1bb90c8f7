"""The reward of a stage, as verl calls it: midway's verdict, or what the recipe names. Runs in verl's reward workers.

Promises: verdicts come from worker processes that are killed at their deadline, without holding up verl's event loop. verl has no value for
a text that could not be judged: it gets 0.0 and `unjudged: 1.0`, which verl keeps beside the score. Verdicts need neither torch nor TRL.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from midway import registry
from midway.domains import Verifier
from midway.questions import from_frame
from midway.records import Verdict
from midway.training.jobs import Job
from midway.training.rewards import TRLReward, answer_in


class VerlReward:
    """The reward of a job. `workers`: how many such objects share this machine."""

    def __init__(self, job: Job, workers: int = 1) -> None:
        assert job.questions is not None
        registry.load_plugins(job.plugins)
        self.job = job
        self.questions = {question.id: question for question in from_frame(pl.read_parquet(job.questions))}
        verify = dict(job.verify)
        verify["workers"] = verify.get("workers") or max(1, (os.cpu_count() or 1) // workers)
        self.verifier = Verifier(**verify)
        opened = [
            (
                registry.find("rewards", one["name"]).open(
                    one["options"], questions=list(self.questions.values()), verifier=self.verifier, stop=job.stop
                ),
                float(one["weight"]),
            )
            for one in job.rewards
        ]
        self.verdict_weight = sum(weight for reward, weight in opened if isinstance(reward, TRLReward))
        self.others: Sequence[tuple[Any, float]] = [one for one in opened if not isinstance(one[0], TRLReward)]

    @cached_property
    def tokenizer(self) -> Any:
        """Tokens of a completion, for rewards that count them."""
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(
            self.job.model, revision=self.job.revision, trust_remote_code=self.job.trust_remote_code
        )

    async def __call__(self, text: str, question_id: str) -> dict[str, float]:
        """Return `score`, `acc` (1.0: judged right), `unjudged` of a completion."""
        question = self.questions[question_id]
        verdict: Verdict = await asyncio.wrap_future(self.verifier.submit(question, answer_in(text, self.job.stop)))
        right = verdict.score()
        parts = [(right, self.verdict_weight)] if self.verdict_weight else []
        if self.others:
            parts += await asyncio.get_running_loop().run_in_executor(None, self._others, text, question_id)
        known = [value * weight for value, weight in parts if value is not None]
        score = float(sum(known)) if len(known) == len(parts) else 0.0
        return {"score": score, "acc": right or 0.0, "unjudged": float(right is None)}

    def _others(self, text: str, question_id: str) -> list[tuple[float | None, float]]:
        columns: Mapping[str, Any] = {
            "prompts": [""],
            "completions": [text],
            "completion_ids": [self.tokenizer(text, add_special_tokens=False)["input_ids"]],
            "question_id": [question_id],
        }
        return [(reward(**columns)[0], weight) for reward, weight in self.others]


def reward_of(job: Path, workers: int = 1) -> VerlReward:
    """Return the reward of the job in a file."""
    return VerlReward(Job.load(job), workers)
