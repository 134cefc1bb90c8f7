"""Whole weights of a model that may be trained in shards (FSDP), where midway itself reads or writes them: curves, samples, saving.

Promises: with weights that every process holds whole, nothing is copied. With shards (`torch.distributed.fsdp`, both versions) every
process must call together; the first one gets an ordinary model with ordinary parameters, on the training's device, the others None. It
is a second copy of the weights, for as long as it is used.

When things go wrong: DeepSpeed's shards are not gathered; `possible` says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict, set_model_state_dict
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.distributed.tensor import DTensor
from transformers import AutoModelForCausalLM


def sharded(model: torch.nn.Module) -> bool:
    """Whether a process holds a share of the weights only."""
    return any(isinstance(p, DTensor) for p in model.parameters()) or any(
        isinstance(m, FullyShardedDataParallel) for m in model.modules()
    )


def possible(trainer: Any) -> bool:
    """Whether the weights of a trainer can be had whole."""
    return not trainer.is_deepspeed_enabled


def agreed(flag: bool) -> bool:
    """Return the first process's answer in every process."""
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return flag
    box = [flag]
    torch.distributed.broadcast_object_list(box, src=0)
    return box[0]


def whole_state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return all weights on the CPU by name; in the first process, else nothing. Every process must call it."""
    return dict(get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True)))


def put_state(model: torch.nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Put whole weights, which the first process has, into a sharded model. Every process must call it."""
    options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True, strict=False)
    set_model_state_dict(model, dict(state), options=options)


def whole_copy(model: Any) -> Any:
    """Return an ordinary model with the weights of a sharded one in the first process, else None. Every process must call it."""
    state = whole_state(model)
    if torch.distributed.get_rank():
        return None
    adapted = getattr(model, "peft_config", None)
    base = model.get_base_model() if adapted else model
    plain = AutoModelForCausalLM.from_config(base.config, dtype=next(iter(state.values())).dtype)
    if adapted:
        from peft import get_peft_model

        plain = get_peft_model(plain, adapted["default"], autocast_adapter_dtype=False)
    plain.load_state_dict(state, assign=True, strict=False)
    (plain.get_base_model() if adapted else plain).tie_weights()
    plain.generation_config = base.generation_config
    return plain


@contextmanager
def whole_weights(trainer: Any) -> Iterator[Any]:
    """Give the trainer's model with whole weights to the first process, None to the others. Every process must enter."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    if sharded(model):
        plain = whole_copy(model)
        yield None if plain is None else plain.to(trainer.accelerator.device)
    else:
        yield model if trainer.is_world_process_zero() else None
