"""What fine-tuning and RL share: loading a model for training, checkpoints that can be trusted, metrics on disk, a clean stop.

Promises
- A checkpoint is resumed from only if it was finished: a marker file is written into it after everything else, so a process killed in
  the middle of saving never leads to a resume from half a checkpoint.
- The final model directory appears whole or not at all, and loads anywhere without a merge step (adapters are merged, the tokenizer,
  chat template and generation config are beside the weights).
- `metrics.jsonl` has one line per logged step, each step once, also after a resume.

When things go wrong: RunError for what a user can mend (no tokenizer, unknown model); TRL's and torch's own errors pass through.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import resource
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    ProgressCallback,
    TrainerCallback,
)

from midway import registry
from midway.engines.text import say_once
from midway.rundir import RunError, Stopped, write_bytes
from midway.training.jobs import SAVE_STEPS, Job, PaceAsked
from midway.training.trainers.trl.whole import possible, whole_weights

MARKER = "midway-complete"
QUANTIZE = "quantize"
"""Midway's own key in `lora`."""


def load_tokenizer(path: str, revision: str | None = None, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a model, with a pad token. Raises RunError when there is none."""
    say_once()
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, revision=revision, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{path}: no usable tokenizer there ({str(error).splitlines()[0]})\n"
            "  a model directory needs tokenizer.json and tokenizer_config.json: save them with tokenizer.save_pretrained(...)"
        ) from error
    if not len(tokenizer):
        raise RunError(
            f"{path}: its tokenizer is empty\n"
            "  a model directory needs tokenizer.json and tokenizer_config.json: save them with tokenizer.save_pretrained(...)"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(job: Job | PaceAsked) -> PreTrainedModel:
    """Return the model in the number format for training: the recipe's, else float32 (mixed precision computes in bf16 on GPUs).

    With `lora.quantize: nf4` the base weights' matrices are in 4 bits, as in QLoRA (arXiv:2305.14314).
    """
    sound_attention()
    dtype = torch.float32 if job.dtype == "auto" else getattr(torch, job.dtype)
    more: dict[str, Any] = {}
    if quantized(job):
        from transformers import BitsAndBytesConfig

        compute = torch.bfloat16 if dtype == torch.float32 and torch.cuda.is_available() else dtype
        more["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=compute,
        )
    return AutoModelForCausalLM.from_pretrained(
        job.model, revision=job.revision, dtype=dtype, trust_remote_code=job.trust_remote_code, **more
    )


def quantized(job: Job | PaceAsked) -> bool:
    """Whether the base weights are in 4 bits. Raises RunError for another format, or without bitsandbytes."""
    asked = (job.lora or {}).get(QUANTIZE)
    if asked is None:
        return False
    if asked != "nf4":
        raise RunError(f"lora.{QUANTIZE}: there is no {asked!r}; write nf4, or leave it out")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise RunError(f"lora.{QUANTIZE}: bitsandbytes is not installed: {registry.install('quantize')}")
    return True


def adapter_config(job: Job | PaceAsked) -> Any:
    """Return peft's configuration of the job's adapter, None where all weights are trained."""
    if job.lora is None:
        return None
    from peft import LoraConfig

    return LoraConfig(**{"task_type": "CAUSAL_LM", **{k: v for k, v in job.lora.items() if k != QUANTIZE}})


def sound_attention() -> None:
    """Switch cuDNN's attention off for the training in this process.

    Its backward pass returns gradients that are not numbers on H100 and H200 where a mask is given and the sequence length is 64 modulo
    128 (PyTorch 2.11 and later, pytorch issue 196678), which padding to the left meets by chance. The issue finds the other kernels right.
    """
    if torch.cuda.is_available():
        torch.backends.cuda.enable_cudnn_sdp(False)


def check_gradient(step: int, logs: Mapping[str, Any], args: Any) -> None:
    """Raise RunError when the gradient of a step is not finite: every weight is lost with it, and a later step fails for no visible reason.

    With fp16 a step with such a gradient is left out by the loss scaling, so there it is no error.
    """
    norm = logs.get("grad_norm")
    if norm is None or math.isfinite(float(norm)) or args.fp16:
        return
    raise RunError(
        f"step {step}: the gradient is not finite (grad_norm {norm}): the weights are lost from here on, and are not saved\n"
        "  the last checkpoint would meet the same step again, so change something first: a lower learning_rate, bf16: false, or\n"
        "  model.dtype: float32 (under midtrain: or rl: of the recipe)"
    )


def hardware_args() -> dict[str, Any]:
    """Return the arguments that depend on the machine: CPU training needs no mixed precision and no checkpointing."""
    if torch.cuda.is_available():
        return {"bf16": torch.cuda.is_bf16_supported()}
    return {"use_cpu": True, "bf16": False, "gradient_checkpointing": False, "dataloader_pin_memory": False}


def base_args(job: Job) -> dict[str, Any]:
    """Return the arguments that midway sets unless the recipe does."""
    hardware = hardware_args()
    if job.args.get("fp16"):
        hardware["bf16"] = False
    return {
        **hardware,
        "output_dir": str(Path(job.out) / "checkpoints"),
        "seed": job.seed,
        "data_seed": job.seed,
        "report_to": job.report_to or "none",
        "run_name": job.run_name,
        "disable_tqdm": True,
        "logging_steps": 1,
        "save_strategy": "steps",
        "save_steps": SAVE_STEPS,
        "save_total_limit": 2,
        "log_level": "warning",
        "ddp_timeout": 7200,  # seconds that the other processes wait while the first one evaluates a curve or saves
    }


def last_checkpoint(folder: Path, remove: bool) -> str | None:
    """Return the newest finished checkpoint, None if there is none; with `remove` (one process only) unfinished ones are removed."""
    finished = []
    for path in folder.glob("checkpoint-*"):
        if (path / MARKER).exists():
            finished.append(path)
        elif remove:
            shutil.rmtree(path, ignore_errors=True)
    if not finished:
        return None
    return str(max(finished, key=lambda p: int(p.name.rpartition("-")[2])))


class RunCallback(TrainerCallback):  # type: ignore[misc]
    """Marks finished checkpoints, writes metrics.jsonl, reports progress, stops on request."""

    def __init__(
        self,
        out: Path,
        progress: Callable[[int, int, dict[str, Any]], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> None:
        self.out, self.progress, self.stop = out, progress, stop
        self.stopped = False
        self.latest: dict[str, Any] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        path = self.out / "metrics.jsonl"
        if not state.is_world_process_zero or not path.exists():
            return
        kept = []
        for line in path.read_text().splitlines():
            try:
                if 0 < state.global_step >= json.loads(line)["step"]:
                    kept.append(line)
            except ValueError:
                continue  # the torn last line of a killed process; its step is run again
        write_bytes(path, "".join(line + "\n" for line in kept).encode())

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if logs:
            check_gradient(state.global_step, logs, args)
        if not state.is_world_process_zero or not logs:
            return
        self.latest.update(logs)
        with open(self.out / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps({"step": state.global_step, **logs}, default=float) + "\n")

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            write_bytes(folder / MARKER, b"")

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.progress and state.is_world_process_zero:
            self.progress(state.global_step, state.max_steps, self.latest)
        if state.global_step < state.max_steps and self._asked_to_stop(args):
            self.stopped = True
            control.should_save = True
            control.should_training_stop = True

    def _asked_to_stop(self, args: Any) -> bool:
        return anywhere(bool(self.stop and self.stop()), args.device)


def anywhere(asked: bool, device: Any) -> bool:
    """Return whether any process asks to stop, the same answer in all: else some would wait for ever for those that stopped."""
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return asked
    flag = torch.tensor(int(asked), device=device)
    torch.distributed.all_reduce(flag, op=torch.distributed.ReduceOp.MAX)
    return bool(flag.item())


def train(
    trainer: Any, job: Job, callback: RunCallback, finish: Callable[[], Mapping[str, Any]] = dict
) -> dict[str, Any]:
    """Run a trainer (with `callback` added) to its end, from its last finished checkpoint if there is one, and save the final model.

    `finish` is called between both, and returns what to add to the result.

    Returns steps, seconds, tokens and peak memory. Raises Stopped when the callback was told to stop.
    """
    for printing in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(printing)
    out = Path(job.out)
    done = out / "trained.json"
    if done.exists() and (out / "model").is_dir():
        return dict(json.loads(done.read_text()))  # killed between the end of training and the end of the stage
    resumed = last_checkpoint(out / "checkpoints", remove=trainer.is_world_process_zero())
    trainer.train(resume_from_checkpoint=resumed)
    if callback.stopped:
        raise Stopped(f"stopped after step {trainer.state.global_step} of {trainer.state.max_steps}")
    more = finish()
    save_final(trainer, out / "model", job)
    result = {
        **more,
        "steps": trainer.state.global_step,
        "resumed_from": int(resumed.rpartition("-")[2]) if resumed else 0,
        "tokens": int(getattr(trainer.state, "num_input_tokens_seen", 0) or 0),
        "peak_memory_mb": peak_memory_mb(),
    }
    if trainer.is_world_process_zero():
        write_bytes(done, json.dumps(result).encode())
        for marker in (out / "checkpoints").glob(f"*/{MARKER}"):
            marker.unlink()  # first: what is half removed must not look finished
        for folder in ("checkpoints", "best"):
            shutil.rmtree(out / folder, ignore_errors=True)
    return result


def save_final(trainer: Any, folder: Path, job: Job) -> None:
    """Write the trained model as a plain directory; adapters are merged, and kept beside as `adapter/`.

    With `dtype: auto` the number format is that of the model it was trained from (training itself is in float32), so that an engine
    loads both alike.
    """
    model = trainer.accelerator.unwrap_model(trainer.model)
    temporary = folder.with_name(f".{folder.name}.tmp")
    if not possible(trainer) and not hasattr(model, "merge_and_unload"):
        trainer.save_model(str(temporary))  # DeepSpeed gathers on every process
    else:
        with whole_weights(trainer) as whole:
            if whole is not None:
                _save(whole, temporary, folder.with_name("adapter"), job)
    if not trainer.is_world_process_zero():
        return
    trainer.processing_class.save_pretrained(str(temporary))
    own = AutoConfig.from_pretrained(job.model, revision=job.revision, trust_remote_code=job.trust_remote_code).dtype
    if job.dtype == "auto" and own not in (None, torch.float32):
        AutoModelForCausalLM.from_pretrained(str(temporary), dtype=own).save_pretrained(str(temporary))
    (temporary / "training_args.bin").unlink(missing_ok=True)
    if folder.exists():
        shutil.rmtree(folder)
    os.replace(temporary, folder)


def _save(model: Any, folder: Path, adapter: Path, job: Job) -> None:
    """Write whole weights; an adapter as it is and merged. One above 4 bits is merged into the base weights as they are on disk."""
    if not hasattr(model, "merge_and_unload"):
        model.save_pretrained(str(folder))
        return
    model.save_pretrained(str(adapter))
    if quantized(job):
        from peft import PeftModel

        base = load_model(replace(job, lora=None))
        model = PeftModel.from_pretrained(base, str(adapter))
    model.merge_and_unload().save_pretrained(str(folder))


def peak_memory_mb() -> float:
    """Return the peak memory of this process in MiB: of the GPU if there is one, else resident memory."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
