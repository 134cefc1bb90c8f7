"""Memory of training: what `midway check` estimates beside what is held at most, for SFT and GRPO through midway's own jobs.

    python benchmarks/memory.py [--models 0.5b | tiny | DIRECTORY ...] [--cases sft sft-plain sft-lora sft-bf16 grpo grpo-lora ...]

On a GPU the measured figure is `torch.cuda.max_memory_allocated`, without what was held before. Without one it is the growth of resident
memory (the kernel's VmHWM, set back before each training), which also has libraries and fragments in it. Sizes that are not directories are
made with random weights: memory does not care. Needs no network. About half a minute on an H100 with the default arguments is the aim.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import torch
from gpu import make

from midway.checks.memory import model_shape
from midway.engines.text import load_tokenizer
from midway.questions import to_frame
from midway.recipe import ModelConfig, loads_recipe
from midway.rundir import write_table
from midway.rundir.layout import Layout
from midway.training.jobs import Job
from midway.training.memory import GIB, Setting, Shape, estimate, lora_numbers, setting_of
from midway.training.trainers.trl import common
from midway.training.trainers.trl.rl import run_grpo
from midway.training.trainers.trl.sft import run_sft
from midway.workbench import RL, Workbench

CUDA = torch.cuda.is_available()
LORA = {"r": 16, "target_modules": "all-linear"}


@dataclass(frozen=True)
class Case:
    """One training."""

    kind: str
    args: dict[str, Any] = field(default_factory=dict)
    dtype: str = "auto"
    lora: dict[str, Any] | None = None


CASES = {
    "sft": Case("sft", {"gradient_checkpointing": True}),
    "sft-plain": Case("sft", {"gradient_checkpointing": False}),
    "sft-lora": Case("sft", {"gradient_checkpointing": True}, lora=LORA),
    "sft-bf16": Case("sft", {"gradient_checkpointing": True}, dtype="bfloat16"),
    "grpo": Case("grpo", {"gradient_checkpointing": True}),
    "grpo-accumulate": Case(
        "grpo", {"gradient_checkpointing": True, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 4}
    ),
    "grpo-lora": Case("grpo", {"gradient_checkpointing": True}, lora=LORA),
}
SHARED = {"max_steps": 2, "save_strategy": "no", "optim": "adamw_torch_fused", "logging_steps": 1}


def main() -> int:
    """Print a line for each training."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["0.5b" if CUDA else "tiny"])
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=1024, help="of an SFT example")
    parser.add_argument("--completion", type=int, default=64, help="tokens that GRPO samples")
    given = parser.parse_args()
    common.save_final = lambda *_: None  # the model is written from the CPU, and nobody reads it here
    print(f"torch {torch.__version__}, {torch.cuda.get_device_name() if CUDA else 'CPU, resident memory'}")
    print(
        f"{'model':24} {'case':16} {'estimated':>10} {'measured':>10} {'ratio':>6}  {'phase':10} seconds; parts in GiB"
    )
    with tempfile.TemporaryDirectory() as folder:
        for name in given.models:
            made = Path(name).is_dir()
            path = Path(name) if made else make(name, Path(folder) / name)
            for case in given.cases:
                measure(path, name if not made else path.name, case, Path(folder) / f"{path.name}-{case}", given)
    return 0


def measure(path: Path, name: str, title: str, out: Path, given: argparse.Namespace) -> None:
    """Train, and print estimate and measurement."""
    case, begun = CASES[title], time.perf_counter()
    job, tokens = sft_job(path, case, out, given) if case.kind == "sft" else grpo_job(path, case, out, given)
    setting, shape = told(path, job, case, tokens)
    expected = estimate(shape, setting)
    gc.collect()
    before = reset()
    run_sft(job) if case.kind == "sft" else run_grpo(job)
    held = peak() - before
    parts = ", ".join(f"{key} {value / GIB:.2f}" for key, value in expected.parts.items() if value)
    print(
        f"{name[:24]:24} {title:16} {expected.total / GIB:10.2f} {held / GIB:10.2f} {expected.total / held:6.2f}  "
        f"{expected.phase:10} {time.perf_counter() - begun:.0f} s; {parts}",
        flush=True,
    )


def told(path: Path, job: Job, case: Case, tokens: int) -> tuple[Setting, Shape]:
    """Return what the estimate is made from."""
    shape = model_shape(str(path))
    adapter = lora_numbers(shape, case.lora) if case.lora else 0
    return setting_of(case.kind, job.args, dtype=case.dtype, adapter=adapter, tokens=tokens, cuda=CUDA), shape


def job_at(path: Path, case: Case, out: Path, **more: Any) -> Job:
    """Return a job of either kind."""
    args = {"per_device_train_batch_size": 16, **SHARED, **case.args, **more.pop("args", {})}
    if not CUDA:
        args["optim"] = "adamw_torch"
    return Job(
        kind=case.kind,
        model=str(path),
        revision=None,
        dtype=case.dtype,
        trust_remote_code=False,
        rows=str(out / "rows.parquet"),
        out=str(out),
        seed=0,
        args=args,
        lora=case.lora,
        **more,
    )


def sft_job(path: Path, case: Case, out: Path, given: argparse.Namespace) -> tuple[Job, int]:
    """Write rows of one length; return the job and the tokens of a row."""
    out.mkdir(parents=True)
    tokenizer = load_tokenizer(str(path), ModelConfig(path=str(path)))
    word, length = "seven and nine make sixteen. ", 0
    for count in range(1, given.tokens):
        text = word * count
        length = len(tokenizer("What?" + text)["input_ids"])
        if length >= given.tokens - 1:
            break
    rows = 4 * given.batch
    write_table(out / "rows.parquet", pl.DataFrame({"prompt": ["What?"] * rows, "completion": [text] * rows}))
    return job_at(path, case, out, args={"per_device_train_batch_size": given.batch}), length + 1


def grpo_job(path: Path, case: Case, out: Path, given: argparse.Namespace) -> tuple[Job, int]:
    """Write the lab's questions; return the job and the tokens of the longest prompt with its completion."""
    source = {"source": "lab", "split": "train", "limit": 64, "options": {"families": ["single"]}}
    recipe = loads_recipe(
        {"model": {"path": str(path)}, "questions": {"train": [source]}, "prompt": {"style": "plain"}}
    )
    bench = Workbench(recipe, Layout(out))
    questions = bench.questions.get(RL)
    shown = [q.text for q in questions]
    write_table(out / "rows.parquet", pl.DataFrame({"prompt": shown, "question_id": [q.id for q in questions]}))
    write_table(out / "questions.parquet", to_frame(questions))
    tokenizer = load_tokenizer(str(path), ModelConfig(path=str(path)))
    longest = max(len(tokenizer(text)["input_ids"]) for text in shown)
    args: dict[str, Any] = {
        "num_generations": 8,
        "max_completion_length": given.completion,
        "generation_kwargs": {"min_new_tokens": given.completion},
    }
    if "per_device_train_batch_size" not in case.args:
        args["per_device_train_batch_size"] = given.batch
    return job_at(
        path, case, out, args=args, questions=str(out / "questions.parquet"), verify={"workers": 1}
    ), longest + given.completion


def reset() -> float:
    """Begin to measure; return the bytes that are held now."""
    if CUDA:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        return float(torch.cuda.memory_allocated())
    Path("/proc/self/clear_refs").write_text("5")
    return status("VmRSS")


def peak() -> float:
    """Return the bytes that were held at most."""
    return float(torch.cuda.max_memory_allocated()) if CUDA else status("VmHWM")


def status(key: str) -> float:
    """Return a size of this process in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith(key)).split()[1]) * 1024


if __name__ == "__main__":
    sys.exit(main())
