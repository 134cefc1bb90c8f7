"""Rewards besides the bare verdict, in TRL's convention: sound (the verdict with conditions), random, format, length.

They import no torch and pickle.

Promises: the same completion of the same question in the same place of the same step gets the same random reward, so that a run that was
killed and went on is rewarded as one that was not. What cannot be judged is None (left out), never a silent 0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from midway.recipe.rewards import LengthOptions, RandomOptions, VerdictOptions
from midway.records import Judgement, Question, Verdict
from midway.selection.consistent import faults
from midway.training.rewards import Judging, TRLReward, answer_in, tell, text_of


class SoundReward(TRLReward):
    """As the verdict, but a right answer gets 0 where it is not what `selection.accept` and `selection.consistent` would keep: found by
    a rule that does not count, or in a text with a fault (`selection.consistent.faults`)."""

    __name__ = "midway_sound"

    def __init__(
        self,
        options: VerdictOptions,
        questions: Iterable[Question] = (),
        verifier: Any = None,
        stop: Iterable[str] = (),
    ) -> None:
        super().__init__(questions, verifier, stop)
        self.options = options

    def __call__(self, prompts: Any = None, completions: Sequence[Any] = (), **columns: Any) -> list[float | None]:
        verdicts = self.verdicts(completions, columns)
        tell(verdicts, columns.get("log_extra"))
        return [
            0.0
            if verdict.correct and not self._sound(verdict, answer_in(text_of(text), self.stop))
            else verdict.score()
            for verdict, text in zip(verdicts, completions, strict=True)
        ]

    def _sound(self, verdict: Verdict, text: str) -> bool:
        accept = self.options.accept
        if accept is not None and verdict.reason.split(":")[0] not in accept:
            return False
        return not (self.options.consistent and faults(text, verdict.extracted))


class RandomReward:
    """1 with probability `share`, else 0; what was written does not matter."""

    __name__ = "random"

    def __init__(self, options: RandomOptions) -> None:
        self.options = options

    def __call__(self, completions: Sequence[Any], trainer_state: Any = None, **columns: Any) -> list[float]:
        step = getattr(trainer_state, "global_step", 0)
        questions = columns.get("question_id") or [""] * len(completions)
        return [
            float(self._draw(step, index, question, text_of(completion)) < self.options.share)
            for index, (question, completion) in enumerate(zip(questions, completions, strict=True))
        ]

    def _draw(self, *key: Any) -> float:
        digest = hashlib.blake2b(repr((self.options.seed, *key)).encode("utf-8", "surrogatepass"), digest_size=8)
        return int.from_bytes(digest.digest(), "big") / 2**64


class FormatReward(Judging):
    """1 where an answer in a form that can be read was found, right or wrong; 0 where there is none; None for unjudged."""

    __name__ = "format"

    def __call__(self, prompts: Any = None, completions: Sequence[Any] = (), **columns: Any) -> list[float | None]:
        return [
            None if v.judgement is Judgement.UNJUDGED else float(v.correct or v.extracted is not None)
            for v in self.verdicts(completions, columns)
        ]


class LengthReward:
    """0 up to `target` tokens, then falling to -1 at twice the target; with `exact` shorter completions lose too."""

    __name__ = "length"

    def __init__(self, options: LengthOptions) -> None:
        self.options = options

    def __call__(self, completion_ids: Sequence[Sequence[int]], **columns: Any) -> list[float]:
        target = self.options.target
        over = [(len(ids) - target) / target for ids in completion_ids]
        return [0.0 - min(1.0, abs(x) if self.options.exact else max(0.0, x)) for x in over]
