"""Real sizes on a real card: a random-weights checkpoint in bf16, generation, SFT and GRPO for a few steps.

    python benchmarks/gpu.py [--sizes 135m 0.5b 1.5b | tiny | DIRECTORY ...] [--parts generate sft grpo side-by-side]
                             [--minutes 5] [--json FILE]

- generate: midway's transformers engine (and vLLM's, where installed) beside batched `model.generate`, same requests.
- sft, grpo: midway's trainings (`midway.training`) beside TRL's trainers alone, same checkpoint, same rows, same arguments.
- side-by-side: as many arms as `--arms` says do GRPO in processes of their own on the one card, beside one alone; they begin together.

Needs no network. `--minutes` begins no further measurement when they are over. `--json` has all figures, after each measurement.

Prints tokens/s and the share of the card's bf16 peak (2 N FLOP per token forward, 6 N per token trained, N the weights without the
input embedding; attention is left out), and the peak memory. Weights are random, so texts mean nothing and rewards are noise; speed does
not care. Without a GPU, `--size tiny` shows that the path runs.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from midway.engines import TransformersEngine, VllmEngine, open_engine
from midway.recipe import ModelConfig
from midway.records import Prompt, Request, Sampling

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "engines"))

# SmolLM2's and Qwen2.5's published configurations
SIZES: dict[str, dict[str, int]] = {
    "135m": {
        "hidden_size": 576,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "intermediate_size": 1536,
        "vocab_size": 49_152,
    },
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
PEAK_TFLOPS = {
    "H100 PCIe": 756.0, "H100 NVL": 835.0, "H100": 989.0, "H200": 989.0, "B200": 2250.0, "A100": 312.0, "A10G": 70.0,
    "A10": 125.0, "L40S": 362.0, "L40": 181.0, "L4": 121.0, "5090": 209.0, "4090": 165.0, "3090": 71.0,
}  # fmt: skip
"""Dense bf16, from the makers' data sheets; the first name that is part of the card's counts."""
CUDA = torch.cuda.is_available()


def make(size: str, folder: Path) -> Path:
    from tiny import Family, tiny_checkpoint

    vocabulary = (
        {} if size == "tiny" else {"vocab_size": 151_936, "tie_word_embeddings": True, "initializer_range": 0.02}
    )
    family: Family = "llama" if size == "135m" else "qwen2"
    tiny_checkpoint(folder, family, context=4096, dtype="bfloat16", **{**vocabulary, **SIZES[size]})
    return folder


FOUND: list[dict[str, Any]] = []
"""What was measured."""


def say(name: str, tokens: float, seconds: float, flop: float, peak: float | None) -> float:
    speed = tokens / seconds
    FOUND.append({"name": name, "tokens": tokens, "seconds": seconds, "tokens_per_s": speed})
    if peak:
        FOUND[-1]["share_of_peak"] = speed * flop / (peak * 1e12)
    if CUDA:
        FOUND[-1]["gib_at_most"] = torch.cuda.max_memory_allocated() / 2**30
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
                out = engine.model.generate(**inputs, max_new_tokens=new, do_sample=True, top_k=0, pad_token_id=0)[
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
    with torch.inference_mode():
        warm = tokenizer(asked[0].prompt.text, return_tensors="pt").to(engine.model.device)
        engine.model.generate(**warm, max_new_tokens=4, do_sample=True, top_k=0, pad_token_id=0)
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
    rows = [{"prompt": f"Question {i}", "completion": text} for i in range(batch * (steps + WARM))]
    args: dict[str, Any] = {
        "max_steps": steps + WARM, "per_device_train_batch_size": batch, "max_length": length,
        "gradient_checkpointing": False, "save_strategy": "no", "logging_steps": 1,
    }  # fmt: skip
    tokens = 0

    def bare(folder: Path, clock: _Clock) -> None:
        nonlocal tokens
        trainer = SFTTrainer(
            model=str(path),
            args=SFTConfig(output_dir=str(folder), report_to=[], model_init_kwargs=FLOAT32, **HARDWARE, **args),
            train_dataset=Dataset.from_list(rows),
        )
        trainer.add_callback(clock.callback())
        trainer.train()
        tokens = sum(len(row["input_ids"]) for row in list(trainer.train_dataset)[: batch * steps])

    def ours(folder: Path, clock: _Clock) -> None:
        from midway.training.trainers.trl.sft import run_sft

        run_sft(_job("sft", path, folder, rows, args), progress=clock.tick)

    beside("sft", bare, ours, lambda: tokens, 6 * weights, peak)


def grpo(
    path: Path, weights: int, peak: float | None, steps: int, batch: int, new: int, together: Together | None = None
) -> None:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    from midway.questions import to_frame
    from midway.records import Question

    questions = [Question("math", f"Question {i}: how many clips?", str(i)) for i in range(batch * (steps + WARM))]
    prompts = [{"prompt": q.text, "question_id": q.id} for q in questions]
    args: dict[str, Any] = {
        "max_steps": steps + WARM, "per_device_train_batch_size": batch, "num_generations": 4,
        "max_completion_length": new, "gradient_checkpointing": False, "save_strategy": "no", "logging_steps": 1,
    }  # fmt: skip
    if not CUDA:
        args["cache_implementation"] = "static"  # midway's choice on a CPU
    means: list[float] = []

    def reward(completions: list[Any], **_: Any) -> list[float]:
        return [float(len(c) % 7) for c in completions]

    def bare(folder: Path, clock: _Clock) -> None:
        trainer = GRPOTrainer(
            model=str(path),
            args=GRPOConfig(output_dir=str(folder), report_to=[], model_init_kwargs=FLOAT32, **HARDWARE, **args),
            train_dataset=Dataset.from_list(prompts),
            reward_funcs=reward,
        )
        trainer.add_callback(clock.callback())
        trainer.train()
        means[:] = [row[LENGTH] for row in trainer.state.log_history if LENGTH in row]

    def ours(folder: Path, clock: _Clock) -> None:
        from midway.training.trainers.trl.rl import run_grpo

        to_frame(questions).write_parquet(folder / "questions.parquet")
        run_grpo(_job("grpo", path, folder, prompts, args, str(folder / "questions.parquet")), progress=clock.tick)
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        means[:] = [row[LENGTH] for row in map(json.loads, lines) if LENGTH in row]

    name = "grpo (generated tokens; their generation and training)"

    def written() -> float:
        return sum(means[WARM:]) * batch

    if together is None:
        beside(name, bare, ours, written, 8 * weights, peak)
        return
    clock = _Clock(together)
    with tempfile.TemporaryDirectory() as out:
        ours(Path(out), clock)
    say("grpo, one of those side by side", written(), clock.seconds, 8 * weights, peak)


def side_by_side(path: Path, weights: int, peak: float | None, arms: int, steps: int, new: int) -> None:
    """GRPO in `arms` processes at once, and in one alone: the tokens of all over the seconds of the slowest."""
    alone = 0.0
    for count in (1, arms):
        with tempfile.TemporaryDirectory() as out:
            command = [sys.executable, __file__, "--sizes", str(path), "--parts", "grpo", "--steps", str(steps)]
            command += ["--new", str(new), "--together", str(Path(out) / "ready"), "--arms", str(count)]
            env = {**os.environ, "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // count))}
            started = [
                subprocess.Popen([*command, "--json", f"{out}/{k}.json"], stdout=subprocess.DEVNULL, env=env)
                for k in range(count)
            ]
            codes = [process.wait() for process in started]
            if any(codes):
                raise SystemExit("a process of those side by side failed; its error stands above")
            told = [json.loads(Path(out, f"{k}.json").read_text())["measured"][0] for k in range(count)]
        sizes, longest = sum(one["tokens"] for one in told), max(one["seconds"] for one in told)
        speed = say(f"grpo, {count} side by side", sizes, longest, 8 * weights, peak)
        alone = alone or speed
    print(f"  ratio {arms} side by side to one alone: {speed / alone:.2f}")


LENGTH = "completions/mean_length"
WARM = 2
"""Steps before the clock starts."""
FLOAT32 = {"dtype": "float32"}
"""Weights in float32, computing in bf16: what midway's trainings do with `dtype: auto`."""
HARDWARE: dict[str, Any] = {"bf16": True} if CUDA else {"use_cpu": True, "bf16": False}


def _job(
    kind: str, model: Path, folder: Path, rows: list[dict[str, str]], args: dict[str, Any], questions: str = ""
) -> Any:
    import polars as pl

    from midway.training.jobs import Job

    path = folder / "rows.parquet"
    pl.DataFrame(rows).write_parquet(path)
    return Job(
        kind=kind, model=str(model), revision=None, dtype="auto", trust_remote_code=False, rows=str(path), out=str(folder),
        seed=42, args=args, questions=questions or None,
    )  # fmt: skip


def beside(name: str, bare: Work, ours: Work, tokens: Callable[[], float], flop: float, peak: float | None) -> None:
    """Run both, each after the memory of what came before is free; print speeds and their ratio."""
    speeds = []
    for who, work in (("bare TRL", bare), ("midway", ours)):
        gc.collect()
        if CUDA:
            torch.cuda.empty_cache()
        clock = _Clock()
        with tempfile.TemporaryDirectory() as folder:
            work(Path(folder), clock)
        speeds.append(say(f"{name}, {who}", tokens(), clock.seconds, flop, peak))
    print(f"  ratio midway to bare TRL: {speeds[1] / speeds[0]:.2f}")


class Together:
    """Processes that wait for each other: each puts a file into one folder and goes on when there are `count`."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.count = folder, count

    def wait(self) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / str(os.getpid())).touch()
        until = time.monotonic() + 120
        while len(list(self.folder.iterdir())) < self.count:
            if time.monotonic() > until:
                raise SystemExit("the others did not come within two minutes")
            time.sleep(0.01)


class _Clock:
    """Seconds from the end of step WARM to the end of the last."""

    start = end = 0.0

    def __init__(self, together: Together | None = None) -> None:
        self.together = together

    def tick(self, step: int, total: int = 0, logs: Any = None) -> None:
        self.end = sync()
        if step == WARM:
            if self.together:
                self.together.wait()
            self.start = self.end = sync()

    def callback(self) -> Any:
        from transformers import TrainerCallback

        tick = self.tick

        class Ticking(TrainerCallback):  # type: ignore[misc]
            def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                tick(state.global_step)

        return Ticking()

    @property
    def seconds(self) -> float:
        return self.end - self.start


Work = Callable[[Path, _Clock], None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["135m", "1.5b"] if CUDA else ["tiny"], metavar="SIZE")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument(
        "--peak-tflops", type=float, default=None, help="bf16 peak of the card, if midway does not know it"
    )
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--requests", type=int, default=None, help="of generate; 512, or 32 for tiny")
    parser.add_argument("--new", type=int, default=None, help="tokens of a completion; 256, or 24 for tiny")
    parser.add_argument("--arms", type=int, default=6, help="processes side by side")
    parser.add_argument("--minutes", type=float, default=None, help="begin no measurement after so long")
    parser.add_argument("--json", type=Path, default=None, help="write all figures here")
    parser.add_argument("--together", type=Path, default=None, help=argparse.SUPPRESS)
    args = parser.parse_args()
    card = torch.cuda.get_device_name() if CUDA else "CPU"
    peak = args.peak_tflops or next((v for k, v in PEAK_TFLOPS.items() if k in card), None)
    began = time.monotonic()
    for size in args.sizes:
        given = Path(size).is_dir()
        folder = Path(size) if given else make(size, Path(tempfile.mkdtemp(prefix="midway-gpu-")))
        try:
            weights = counted(folder)
            print(f"{card}, {Path(size).name}: {weights / 1e6:,.0f} M weights, torch {torch.__version__}", flush=True)
            for part in args.parts:
                if args.minutes and time.monotonic() - began > 60 * args.minutes:
                    print(f"{part}: left out, {args.minutes:g} minutes are over")
                    continue
                before = len(FOUND)
                measure(part, folder, weights, peak, args, big=size != "tiny")
                for one in FOUND[before:]:
                    one |= {"size": Path(size).name, "part": part}
                if args.json:
                    told = {"card": card, "torch": torch.__version__, "peak_tflops": peak, "measured": FOUND}
                    args.json.write_text(json.dumps(told, indent=1) + "\n")
        finally:
            if not given:
                shutil.rmtree(folder)


PARTS = ("generate", "sft", "grpo", "side-by-side")


def counted(folder: Path) -> int:
    """Return the weights of a checkpoint without the input embedding, where that is not the head too."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    weights = sum(p.numel() for p in model.parameters())
    if not model.config.tie_word_embeddings:
        weights -= model.get_input_embeddings().weight.numel()
    return weights


def measure(part: str, folder: Path, weights: int, peak: float | None, args: argparse.Namespace, *, big: bool) -> None:
    """Do one part and print its lines."""
    new = args.new or (256 if big else 24)
    if part == "generate":
        generate(folder, weights, peak, args.requests or (512 if big else 32), new, 128 if big else 16)
    elif part == "sft":
        sft(folder, weights, peak, args.steps, *(16, 1024) if big else (4, 128))
    elif part == "grpo":
        together = Together(args.together, args.arms) if args.together else None
        grpo(folder, weights, peak, args.steps, 32 if big else 4, new, together)
    else:
        side_by_side(folder, weights, peak, args.arms, args.steps, new)


if __name__ == "__main__":
    main()
