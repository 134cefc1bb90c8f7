"""Alarms while RL runs: every few steps the log is looked at; a new alarm goes where TRL's own figures go, once.

Promises: `alarm/NAME` with its number stands in metrics.jsonl and in every tracker of `report_to` from the step on which it is seen first.
When it is that too many completions are cut off, up to 64 of them are continued to twice the limit first, and it is logged how many are
right then; training goes on as if that had not been (the random state is put back). Under DeepSpeed, which does not give its weights, that
number is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from midway.domains import Verifier
from midway.evidence.alarms import CONTINUED, CONTINUED_RIGHT, LOOK_EVERY, PREFIX, Limits, alarms
from midway.records import Question
from midway.training.jobs import Job, read_rows
from midway.training.rewards import Judging
from midway.training.trainers.trl.grpo import Recording
from midway.training.trainers.trl.whole import agreed, possible, whole_weights


class AlarmCallback(TrainerCallback):  # type: ignore[misc]
    """See the module."""

    def __init__(self, trainer: Recording, job: Job, questions: Sequence[Question], verifier: Verifier) -> None:
        self.trainer, self.metrics = trainer, Path(job.out) / "metrics.jsonl"
        self.judging = Judging(questions, verifier, job.stop)
        points = job.curve.get("points")
        self.limits = Limits(held_out=points) if points else Limits()
        self.known: set[str] = set()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            self.known = {key for row in read_rows(self.metrics) for key in row if key.startswith(PREFIX)}

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        # at the beginning: the figures of the step before are logged by then
        if state.global_step == 0 or state.global_step % LOOK_EVERY:
            return
        new: dict[str, float] = {}
        if state.is_world_process_zero:
            found = {PREFIX + alarm.name: alarm.value for alarm in alarms(read_rows(self.metrics), self.limits)}
            new = {key: value for key, value in found.items() if key not in self.known}
            self.known.update(new)
        if agreed(PREFIX + "cut-off" in new):
            new |= self._continued()
        if not new:
            return
        wish = control.should_log
        self.trainer.callback_handler.on_log(args, state, control, new)
        control.should_log = wish

    def _continued(self) -> dict[str, float]:
        """Return how many cut-off rollouts were continued, and how many of these are right."""
        if not possible(self.trainer):
            return {}
        with whole_weights(self.trainer) as model:
            if model is None or not self.trainer.cut:
                return {}
            questions, texts = self.trainer.continued(model)
        verdicts = self.judging.verdicts(texts, {"question_id": questions})
        return {CONTINUED: len(verdicts), CONTINUED_RIGHT: sum(verdict.correct for verdict in verdicts)}
