"""The loss on held-out rows, before and after mid-training: what the model forgets of them shows as a rise.

Promises: the mean negative log-likelihood in nats of the rows' completion tokens, each token with one weight, in the number format of
training, without dropout. The loss before is measured once, also where the training is killed and goes on. When things go wrong: on weights
that are sharded over processes (DeepSpeed ZeRO-3, FSDP) it cannot be measured; it is said once, and the result has no losses.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from midway.rundir import write_bytes
from midway.training.jobs import Job

BATCH = 8
"""Rows at a time."""


class HeldOut:
    """See the module. `rows` are prepared by the trainer, as those it trains on."""

    def __init__(self, trainer: Any, rows: Any, job: Job) -> None:
        self.trainer, self.rows = trainer, rows
        self.file = Path(job.out) / "held-out.json"
        self.possible = not (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled)

    def before(self) -> None:
        """Measure, before the first step; an earlier attempt's figure stands."""
        if not self.trainer.is_world_process_zero():
            return
        if not self.possible:
            print("midway: no loss on held-out rows: the weights are sharded over processes")
        elif not self.file.exists():
            loss, tokens = self._loss()
            write_bytes(self.file, json.dumps({"rows": len(self.rows), "tokens": tokens, "before": loss}).encode())

    def after(self) -> dict[str, Any]:
        """Measure again, and return `held_out`: rows, tokens, before, after."""
        if not self.possible or not self.trainer.is_world_process_zero():
            return {}
        told = json.loads(self.file.read_text())
        return {"held_out": {**told, "after": self._loss()[0]}}

    def _loss(self) -> tuple[float, int]:
        model = self.trainer.accelerator.unwrap_model(self.trainer.model)
        device = self.trainer.args.device
        model.to(device)
        batches = DataLoader(self.rows, batch_size=BATCH, collate_fn=self.trainer.data_collator)
        training = model.training
        model.eval()
        total, count = 0.0, 0
        try:
            with torch.no_grad(), self.trainer.compute_loss_context_manager():
                for batch in batches:
                    sent = {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in batch.items()}
                    labels = sent.pop("labels")
                    logits = model(**sent).logits[:, :-1].float()
                    targets = labels[:, 1:]
                    total += float(
                        torch.nn.functional.cross_entropy(
                            logits.flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="sum"
                        )
                    )
                    count += int((targets != -100).sum())
        finally:
            model.train(training)
        return total / max(1, count), count
