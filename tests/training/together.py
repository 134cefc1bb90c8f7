"""A plug-in for tests of several processes: sampling that does not depend on how rows are spread, a reward that is a number,
and weights sharded as FSDP 2 does it on GPUs (accelerate refuses to on CPUs), where the environment asks for it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from midway.registry import RewardPart
from midway.training.rewards import text_of

GROUP = 4


def open_digits(options: Any, *, questions: Any, verifier: Any, stop: Any) -> Any:
    def digits(completions: Any, **columns: Any) -> list[float]:
        return [sum(c.isdigit() for c in text_of(one)) / 10 for one in completions]

    return digits


DIGITS = RewardPart(name="digits", open=open_digits)


def sample_alike() -> None:
    """Let `generate` draw by step, token number and place in the group alone: one process and two then sample the same texts."""
    import torch
    from trl import GRPOTrainer

    now = {"step": 0, "token": 0}
    turn = GRPOTrainer._generate_single_turn

    def generate(self: Any, *given: Any, **named: Any) -> Any:
        now.update(step=self.state.global_step, token=0)
        return turn(self, *given, **named)

    def drawn(probs: Any, num_samples: int = 1, **_: Any) -> Any:
        now["token"] += 1
        key = [(now["step"], now["token"], row % GROUP) for row in range(len(probs))]
        values = [int.from_bytes(hashlib.blake2b(repr(k).encode(), digest_size=4).digest(), "big") / 2**32 for k in key]
        reached = probs.double().cumsum(-1)
        wanted = torch.tensor(values, dtype=torch.float64)[:, None] * reached[:, -1:]
        return torch.searchsorted(reached, wanted).clamp(max=probs.shape[-1] - 1)

    GRPOTrainer._generate_single_turn = generate
    torch.multinomial = drawn


def shard() -> None:
    """Shard each layer and the whole model when the optimizer is made, and wrap it in nothing else; write down what the parameters are."""
    import torch
    from accelerate import Accelerator
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from transformers import Trainer

    create, step = Trainer.create_optimizer, Trainer.training_step

    def sharded(self: Any, *given: Any, **named: Any) -> Any:
        mesh = init_device_mesh("cpu", (torch.distributed.get_world_size(),))
        base = self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model
        for layer in base.model.layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(self.model, mesh=mesh)
        return create(self, *given, **named)

    def told(self: Any, *given: Any, **named: Any) -> Any:
        kinds = sorted({type(p.data).__name__ for p in self.model.parameters()})
        rank = torch.distributed.get_rank()
        (Path(self.args.output_dir).parent / f"kinds-{rank}.json").write_text(json.dumps(kinds))
        return step(self, *given, **named)

    Trainer.create_optimizer, Trainer.training_step = sharded, told
    Accelerator.prepare_model = lambda self, model, **_: model


if os.environ.get("MIDWAY_TEST_ALIKE"):
    sample_alike()
if os.environ.get("MIDWAY_TEST_SHARD"):
    shard()
