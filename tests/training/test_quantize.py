"""QLoRA: base weights in 4 bits, the adapter merged into the weights as they are on disk. Needs bitsandbytes (`midway[quantize]`)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from midway.rundir import RunError
from midway.training.jobs import Job
from midway.training.memory import Setting, shape_of, weights
from midway.training.trainers.trl.common import load_model, load_tokenizer
from midway.workbench import find_model

LORA = {"r": 4, "target_modules": "all-linear", "quantize": "nf4"}


def job(tmp_path: Path, lora: dict[str, object]) -> Job:
    pl.DataFrame({"prompt": ["2 + 2 ="] * 8, "completion": [" 4"] * 8}).write_parquet(tmp_path / "rows.parquet")
    return Job(
        kind="sft",
        model=find_model("lab", make=True),
        revision=None,
        dtype="auto",
        trust_remote_code=False,
        rows=str(tmp_path / "rows.parquet"),
        out=str(tmp_path),
        seed=0,
        args={"max_steps": 3, "per_device_train_batch_size": 4, "learning_rate": 1e-2, "save_strategy": "no"},
        lora=lora,
    )


def test_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no 'int3'; write nf4"):
        load_model(job(tmp_path, {"quantize": "int3"}))


@pytest.mark.slow
def test_training_above_four_bits(tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    pytest.importorskip("peft")
    from midway.training.trainers.trl.sft import run_sft

    found = job(tmp_path, LORA)
    loaded = load_model(found)
    held = sum(p.numel() * p.element_size() for p in loaded.parameters())
    shape = shape_of(LlamaConfig.from_pretrained(found.model), load_model(replace(found, lora=None)).num_parameters())
    assert weights(shape, Setting(kind="sft", quantize=True, adapter=1)) == pytest.approx(held, rel=0.05)
    run_sft(found)
    base = AutoModelForCausalLM.from_pretrained(found.model, dtype=torch.float32).state_dict()
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32).state_dict()
    assert load_tokenizer(str(tmp_path / "model")) is not None
    moved = {name for name in base if not torch.equal(base[name], merged[name])}
    assert moved and all("proj" in name for name in moved)
    name = next(iter(moved))
    change = merged[name] - base[name]
    # what was learnt has rank 4; weights that had gone through 4 bits would differ by full-rank noise
    assert torch.linalg.matrix_rank(change, rtol=1e-3) <= 4
