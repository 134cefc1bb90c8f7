"""The best state of RL: measured at every checkpoint on training questions that are held out of RL; kept, and put back at the end.

Promises: only questions of the training set choose, never a benchmark's. The measurement stands in metrics.jsonl under
`eval/held-out/pass@1`. Of equal states the earliest is kept; the model before RL is measured too, but is no candidate. A state is on disk
whole or not at all, so a killed run goes on with the best so far.

Weights that FSDP shards over processes are gathered for it. When things go wrong: under DeepSpeed they are not; it is said once, and the
last state is kept.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from midway.domains import Verifier
from midway.rundir import write_bytes
from midway.training.trainers.trl.curve import CurveCallback
from midway.training.trainers.trl.whole import agreed, put_state, sharded, whole_state


class BestCallback(CurveCallback):
    """See the module. `folder` holds the best state while training goes on."""

    def __init__(self, trainer: Any, every: int, held_out: Mapping[str, Any], verifier: Verifier, folder: Path) -> None:
        super().__init__(trainer, every, [held_out], verifier)
        self.key, self.folder = f"eval/{held_out['name']}/pass@1", folder
        self.latest: dict[str, Any] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 0 and state.is_world_process_zero:
            shutil.rmtree(self.folder, ignore_errors=True)
        super().on_train_begin(args, state, control)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step % self.every and state.global_step < state.max_steps:
            return
        self.latest = {}
        self._measure(args, state, control)
        value = self.latest.get(self.key)
        if agreed(value is not None and value > self.best().get("value", -1.0)):
            self._keep(state.global_step, value)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        self.latest.update(logs or {})

    def best(self) -> dict[str, Any]:
        """Return step and value of the state that is kept; empty where there is none."""
        file = self.folder / "best.json"
        return dict(json.loads(file.read_text())) if file.exists() else {}

    def _keep(self, step: int, value: float | None) -> None:
        model = self._model()
        trained = {k.replace("_checkpoint_wrapped_module.", "") for k, v in model.named_parameters() if v.requires_grad}
        state = whole_state(model) if sharded(model) else dict(model.named_parameters())
        if not self.trainer.is_world_process_zero():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"step-{step}.pt"
        weights = {k: v.detach().cpu() for k, v in state.items() if k in trained}
        torch.save(weights, self.folder / f".{name}")
        os.replace(self.folder / f".{name}", self.folder / name)
        write_bytes(self.folder / "best.json", json.dumps({"step": step, "value": value, "file": name}).encode())
        for old in self.folder.glob("*.pt"):
            if old.name != name:
                old.unlink()

    def take(self) -> dict[str, Any]:
        """Put the best state into the model, and return what is to be known of it."""
        model, first = self._model(), self.trainer.is_world_process_zero()
        best = self.best()
        if not agreed(bool(best)) or (not first and not sharded(model)):
            return {}
        weights = torch.load(self.folder / best["file"], weights_only=True) if first else {}
        kept = {"kept_step": best["step"], "kept_pass_at_1": best["value"]} if first else {}
        if sharded(model):
            put_state(model, weights)
            return kept
        own = dict(model.named_parameters())
        with torch.no_grad():
            for name, value in weights.items():
                own[name].copy_(value)
        return kept

    def _model(self) -> Any:
        return self.trainer.accelerator.unwrap_model(self.trainer.model)
