"""Ends mid-training as soon as the model is as good as another arm: pass@1 on a slice of questions, measured every few steps.

Promises: the first measurement at or above the target ends training; all stand in metrics.jsonl under `eval/NAME/pass@1`. The first one
that reaches a level is a little lucky, so the model is on average a little below its value; its evaluation before RL says where it is.
When things go wrong: where none reaches the target, training goes on to its usual end and `reached` is false.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from midway.domains import Verifier
from midway.training.trainers.trl.common import anywhere
from midway.training.trainers.trl.curve import CurveCallback


class UntilCallback(CurveCallback):
    """See the module. `until`: `match`, `target`, `every` and `set`, as `Job.until`."""

    def __init__(self, trainer: Any, until: Mapping[str, Any], verifier: Verifier) -> None:
        super().__init__(trainer, int(until["every"]), [until["set"]], verifier)
        self.match, self.target = str(until["match"]), float(until["target"])
        self.key = f"eval/{until['set']['name']}/pass@1"
        self.latest: float | None = None

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step % self.every == 0:
            self._measure(args, state, control)
            if anywhere(self._reached, args.device):
                control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if logs and self.key in logs:
            self.latest = float(logs[self.key])

    def outcome(self) -> dict[str, Any]:
        """Return what the stage's result says of it; `value` is the last measurement."""
        return {"until": {"match": self.match, "target": self.target, "value": self.latest, "reached": self._reached}}

    @property
    def _reached(self) -> bool:
        return self.latest is not None and self.latest >= self.target
