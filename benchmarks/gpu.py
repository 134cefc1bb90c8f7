"""Real sizes on a real card: a random-weights checkpoint in bf16, generation, SFT and GRPO for a few steps.

    python benchmarks/gpu.py [--size 0.5b|1.5b|tiny] [--parts generate sft grpo] [--peak-tflops 989]

- generate: midway's transformers engine (and vLLM's, where installed) beside batched `model.generate`, same requests.
- sft, grpo: TRL's trainers on the same checkpoint, as midway's stages run them.

Prints tokens/s and the share of the card's bf16 peak (2 N FLOP per token forward, 6 N per token trained, N the weights without the
input embedding; attention is left out), and the peak memory. Weights are random, so texts mean nothing and rewards are noise; speed does
not care. Without a GPU, `--size tiny` shows that the path runs.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from midway.engines import open_engine
from midway.recipe import ModelConfig, TransformersEngine, VllmEngine
from midway.records import Prompt, Request, Sampling

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "engines"))

# Qwen2.5's published configurations
SIZES: dict[str, dict[str, int]] = {
    "0.5b": {
        "hidden_size": 896,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "intermediate_size": 4864,
    },
    "1.5b": {
        "hidden_size": 1536,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "intermediate_size": 8960,
    },
    "tiny": {
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 256,
    },
}
PEAK_TFLOPS = {"H100": 989.0, "H200": 989.0, "A100": 312.0, "L40S": 362.0, "L4": 121.0, "4090": 165.0}
"""Dense bf16, from the makers' data sheets."""
CUDA = torch.cuda.is_available()


def make(size: str, folder: Path) -> Path:
    from tiny import tiny_checkpoint

    vocabulary = (
        {} if size == "tiny" else {"vocab_size": 151_936, "tie_word_embeddings": True, "initializer_range": 0.02}
    )
    tiny_checkpoint(folder, "qwen2", context=4096, dtype="bfloat16", **SIZES[size], **vocabulary)
    return folder


def say(name: str, tokens: float, seconds: float, flop: float, peak: float | None) -> float:
    speed = tokens / seconds
    share = f", {100 * speed * flop / (peak * 1e12):.1f} % of the peak" if peak else ""
    memory = f", {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB at most" if CUDA else ""
    print(f"{name}: {speed:,.0f} tokens/s ({tokens:,.0f} in {seconds:.1f} s){share}{memory}", flush=True)
    if CUDA:
        torch.cuda.reset_peak_memory_stats()
    return speed


def sync() -> float:
    if CUDA:
        torch.cuda.synchronize()
    return time.monotonic()


def requests(count: int, prefix: int, new: int) -> list[Request]:
    shared = "clips sold in April " * (prefix // 4)
    return [
        Request(str(i), Prompt(text=f"{shared}Question {i // 4}?"), Sampling(max_tokens=new), f"q{i // 4}", index=i % 4)
        for i in range(count)
    ]


def generate(path: Path, weights: int, peak: float | None, count: int, new: int, batch: int) -> None:
    asked = requests(count, 512, new)
    engine: Any = open_engine(TransformersEngine(), ModelConfig(path=str(path)), log=print)
    tokenizer = engine.tokenizer
    tokenizer.padding_side = "left"

    def bare() -> tuple[int, float]:
        start, tokens = sync(), 0
        with torch.inference_mode():
            for i in range(0, count, batch):
                inputs = tokenizer([r.prompt.text for r in asked[i : i + batch]], return_tensors="pt", padding=True).to(
                    engine.model.device
                )
                out = engine.model.generate(**inputs, max_new_tokens=new, do_sample=True, pad_token_id=0)[
                    :, inputs["input_ids"].shape[1] :
                ]
                for row in out.tolist():
                    tokens += next((j + 1 for j, t in enumerate(row) if t in engine.eos), len(row))
        return tokens, sync() - start

    def ours(it: Any) -> tuple[int, float]:
        start = sync()
        tokens = sum(c.completion_tokens for c in it.generate(asked))
        return tokens, sync() - start

    list(engine.generate(asked[:4]))
    plain = say(f"generate, model.generate in batches of {batch}", *bare(), 2 * weights, peak)
    mine = say("generate, midway/transformers", *ours(engine), 2 * weights, peak)
    print(f"  ratio midway/transformers to model.generate: {mine / plain:.2f}")
    engine.close()
    try:
        import vllm  # noqa: F401
    except ImportError:
        print("generate, midway/vllm: vllm is not installed here")
        return
    engine = open_engine(
        VllmEngine(kind="vllm", args={"gpu_memory_utilization": 0.5, "max_model_len": 2048}),
        ModelConfig(path=str(path)),
    )
    ours(engine)
    engine.llm.reset_prefix_cache()
    say("generate, midway/vllm", *ours(engine), 2 * weights, peak)
    engine.close()


def sft(path: Path, weights: int, peak: float | None, steps: int, batch: int, length: int) -> None:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    text = "She sold 48 / 2 = 24 clips in May. " * (length // 8)
    data = Dataset.from_list([{"prompt": f"Question {i}", "completion": text} for i in range(batch * (steps + 2))])
    with tempfile.TemporaryDirectory() as folder:
        args = SFTConfig(
            output_dir=folder, max_steps=steps + 2, per_device_train_batch_size=batch, max_length=length, bf16=CUDA, use_cpu=not CUDA,
            report_to=[], save_strategy="no", logging_steps=1, model_init_kwargs={"dtype": "float32"}, gradient_checkpointing=False,
        )  # fmt: skip
        trainer = SFTTrainer(model=str(path), args=args, train_dataset=data)
        trainer.add_callback(clock := _Clock())
        trainer.train()
        tokens = sum(
            int(torch.as_tensor(row["input_ids"]).numel()) for row in list(trainer.train_dataset)[: batch * steps]
        )
    say("sft, TRL", tokens, clock.seconds, 6 * weights, peak)


def grpo(path: Path, weights: int, peak: float | None, steps: int, batch: int, new: int) -> None:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    def reward(completions: list[Any], **_: Any) -> list[float]:
        return [float(len(c) % 7) for c in completions]

    data = Dataset.from_list([{"prompt": f"Question {i}: how many clips?"} for i in range(batch * (steps + 2))])
    with tempfile.TemporaryDirectory() as folder:
        args = GRPOConfig(
            output_dir=folder, max_steps=steps + 2, per_device_train_batch_size=batch, num_generations=4, max_completion_length=new,
            bf16=CUDA, use_cpu=not CUDA, report_to=[], save_strategy="no", logging_steps=1, model_init_kwargs={"dtype": "float32"},
            gradient_checkpointing=False,
        )  # fmt: skip
        trainer = GRPOTrainer(model=str(path), args=args, train_dataset=data, reward_funcs=reward)
        trainer.add_callback(clock := _Clock())
        trainer.train()
        means = [
            row["completions/mean_length"] for row in trainer.state.log_history if "completions/mean_length" in row
        ]
    tokens = sum(means[2:]) * batch
    say("grpo, TRL (generated tokens; their generation and training)", tokens, clock.seconds, 8 * weights, peak)


def _clock_class() -> Any:
    from transformers import TrainerCallback

    class Clock(TrainerCallback):  # type: ignore[misc]
        """Seconds from the end of the second step to the end of the last."""

        start = end = 0.0

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.end = sync()
            if state.global_step == 2:
                self.start = self.end

        @property
        def seconds(self) -> float:
            return self.end - self.start

    return Clock


_Clock = _clock_class()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=list(SIZES), default="0.5b" if CUDA else "tiny")
    parser.add_argument("--parts", nargs="+", choices=["generate", "sft", "grpo"], default=["generate", "sft", "grpo"])
    parser.add_argument(
        "--peak-tflops", type=float, default=None, help="bf16 peak of the card, if midway does not know it"
    )
    parser.add_argument("--steps", type=int, default=10)
    args = parser.parse_args()
    name = torch.cuda.get_device_name() if CUDA else "CPU"
    peak = args.peak_tflops or next((v for k, v in PEAK_TFLOPS.items() if k in name), None)
    folder = make(args.size, Path(tempfile.mkdtemp(prefix="midway-gpu-")))
    try:
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(folder)
        weights = sum(p.numel() for p in model.parameters())
        if not model.config.tie_word_embeddings:
            weights -= model.get_input_embeddings().weight.numel()
        del model
        print(f"{name}: {weights / 1e6:,.0f} M weights, torch {torch.__version__}", flush=True)
        big = args.size != "tiny"
        if "generate" in args.parts:
            generate(folder, weights, peak, *(512, 256, 128) if big else (32, 32, 16))
        if "sft" in args.parts:
            sft(folder, weights, peak, args.steps, *(16, 1024) if big else (4, 128))
        if "grpo" in args.parts:
            grpo(folder, weights, peak, args.steps, *(32, 256) if big else (4, 24))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
