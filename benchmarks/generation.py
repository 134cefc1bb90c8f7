"""Generation through midway beside the engine beneath it: same requests, same tiny model, one run. Prints ratios (midway / bare).

    python benchmarks/generation.py transformers vllm openai       (vllm and openai need vLLM; see tools/engines-test.sh)

- transformers: greedy, 512-token shared prefix, 64 new tokens, against batched `model.generate`; the texts must be identical.
- vllm: seeded samples, midway's whole storing loop against one `LLM.generate` call on the full list, the same LLM object.
- openai: the same server, midway's whole storing loop against a bare asyncio client (AsyncOpenAI and a semaphore).

Rounds alternate; medians and best rounds are compared.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from midway.engines import OpenAIEngine, TransformersEngine, VllmEngine, open_engine
from midway.engines.stream import complete
from midway.recipe import ModelConfig
from midway.records import Prompt, Request, Sampling

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "engines"))
for _name, _value in {
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_CPU_KVCACHE_SPACE": "2",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONPATH": str(ROOT / "src"),
}.items():
    os.environ.setdefault(_name, _value)

VLLM_ARGS = {"dtype": "float32", "enforce_eager": True, "max_num_seqs": 64, "block_size": 32}
TEXT = "the answer is the sum of two numbers and half of them were sold in April to her friends so we look back "
WORDS = TEXT.split()


def prefix(number: int, tokens: int, tokenizer: Any) -> str:
    """Return a text of about `tokens` tokens, another one for each number."""
    words = [f"Heuristic {number}."]
    while len(tokenizer(" ".join(words))["input_ids"]) < tokens:
        words += [WORDS[(len(words) * (number + 3) + i) % len(WORDS)] for i in range(8)]
    return " ".join(words) + "\n"


def requests(
    round_: str, heuristics: int, questions: int, samples: int, sampling: Sampling, length: int, tokenizer: Any
) -> list[Request]:
    texts = [prefix(h, length, tokenizer) for h in range(heuristics)]
    return [
        Request(
            f"{round_}-{h}-{q}-{s}",
            Prompt(text=f"{texts[h]}Question {round_} {q}: 7 + {q}?"),
            sampling,
            f"q{q}",
            f"h{h}",
            s,
        )
        for h in range(heuristics)
        for q in range(questions)
        for s in range(samples)
    ]


def compare(name: str, bare: Callable[[int], float], midway: Callable[[int], float], rounds: int) -> None:
    """Print the tokens/s of both, measured alternately, and their ratio: of the medians, and of the best rounds, which other work on the
    machine disturbs least."""
    bare(-1), midway(-1)  # warm up
    a, b = [], []
    for number in range(rounds):
        first, second = (bare, midway) if number % 2 else (midway, bare)
        for run in (first, second):
            (a if run is bare else b).append(run(number))
    ours, theirs = statistics.median(b), statistics.median(a)
    spread = " ".join(f"{y / x:.2f}" for x, y in zip(a, b, strict=True))
    print(
        f"{name}: medians {theirs:,.0f} (bare) and {ours:,.0f} (midway) tokens/s, ratio {ours / theirs:.2f}; "
        f"best rounds {max(a):,.0f} and {max(b):,.0f}, ratio {max(b) / max(a):.2f}; by round {spread}",
        flush=True,
    )


def transformers_part(path: Path, rounds: int) -> None:
    import torch

    engine: Any = open_engine(TransformersEngine(), ModelConfig(path=str(path)))
    sampling = Sampling(temperature=0, max_tokens=64)
    asked = requests("t", 1, 64, 1, sampling, 512, engine.tokenizer)
    texts: dict[str, dict[str, str]] = {}

    def bare(batch: int) -> Callable[[int], float]:
        @torch.inference_mode()
        def run(_: int) -> float:
            start, count = time.monotonic(), 0
            got = {}
            engine.tokenizer.padding_side = "left"
            for i in range(0, len(asked), batch):
                part = asked[i : i + batch]
                inputs = engine.tokenizer([r.prompt.text for r in part], return_tensors="pt", padding=True)
                out = engine.model.generate(**inputs, max_new_tokens=64, do_sample=False, pad_token_id=0)[
                    :, inputs["input_ids"].shape[1] :
                ]
                for r, row in zip(part, out.tolist(), strict=True):
                    end = next((j + 1 for j, t in enumerate(row) if t in engine.eos), len(row))
                    count += end
                    got[r.id] = engine.tokenizer.decode(
                        row[: end - 1] if row[end - 1] in engine.eos else row, skip_special_tokens=True
                    )
            texts["bare"] = got
            return count / (time.monotonic() - start)

        return run

    def midway(_: int) -> float:
        start, count = time.monotonic(), 0
        engine._prefixes.clear()  # the prefix is computed in the measured time
        got = {}
        for c in engine.generate(asked):
            count += c.completion_tokens
            got[c.id] = c.text
        texts["midway"] = got
        return count / (time.monotonic() - start)

    for batch in (16, 64):
        compare(f"transformers, plain batches of {batch}", bare(batch), midway, rounds)
        same = sum(texts["bare"][r.id] == texts["midway"][r.id] for r in asked)
        print(f"  identical greedy texts: {same} of {len(asked)}", flush=True)


def stored(asked: list[Request], engine: Any) -> float:
    """Run the storing loop in a new folder; return tokens/s."""
    folder = Path(tempfile.mkdtemp())
    start = time.monotonic()
    report = complete(asked, engine, folder)
    seconds = time.monotonic() - start
    assert report.done == len(asked), report.as_dict()
    shutil.rmtree(folder)
    return report.completion_tokens / seconds


def vllm_part(path: Path, rounds: int) -> None:
    from vllm import SamplingParams

    engine: Any = open_engine(VllmEngine(kind="vllm", args=VLLM_ARGS), ModelConfig(path=str(path)))
    sampling = Sampling(max_tokens=48)

    def make(number: int) -> list[Request]:
        return requests(f"v{number}", 4, 8, 4, sampling, 200, engine.tokenizer)

    def bare(n: int) -> Callable[[int], float]:
        def run(number: int) -> float:
            engine.llm.reset_prefix_cache()
            asked = make(number)
            start = time.monotonic()
            if n == 1:
                prompts = [r.prompt.text for r in asked]
                params = [SamplingParams(temperature=1.0, max_tokens=48, seed=r.seed) for r in asked]
            else:
                prompts = [r.prompt.text for r in asked[::n]]
                params = [SamplingParams(temperature=1.0, max_tokens=48, n=n)] * len(prompts)
            outputs = engine.llm.generate(prompts, params, use_tqdm=False)
            return sum(len(s.token_ids) for o in outputs for s in o.outputs) / (time.monotonic() - start)

        return run

    def midway(seeded: bool) -> Callable[[int], float]:
        def run(number: int) -> float:
            engine.llm.reset_prefix_cache()
            engine.seeded = seeded
            return stored(make(number), engine)

        return run

    compare("vllm, one seed each", bare(1), midway(True), rounds)
    compare("vllm, n = 4", bare(4), midway(False), rounds)
    compare("vllm, bare n = 4 against midway with one seed each", bare(4), midway(True), rounds)
    engine.close()


def openai_part(path: Path, rounds: int) -> None:
    from openai import AsyncOpenAI

    from midway.engines.serve import serve_command, serving

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    arguments = ["--enforce-eager", "--max-num-seqs", "64", "--block-size", "32", "--disable-log-requests"]
    config = OpenAIEngine(kind="openai", base_urls=[url], max_concurrency=128, serve=arguments[:-1])
    model = ModelConfig(path=str(path), dtype="float32")
    sampling = Sampling(max_tokens=48)
    with serving(serve_command(config, model), url, seconds=300):
        engine: Any = open_engine(config, model)
        tokenizer, _ = engine.tokenizer_and_chat()

        def make(number: int, who: str) -> list[Request]:
            return requests(f"{who}{number}", 4, 32, 4, sampling, 200, tokenizer)

        async def ask(asked: list[Request]) -> int:
            gate = asyncio.Semaphore(128)

            async def one(client: AsyncOpenAI, r: Request) -> int:
                async with gate:
                    answer = await client.completions.create(
                        model=str(path),
                        prompt=r.prompt.text,
                        max_tokens=48,
                        temperature=1.0,
                        seed=r.seed,
                        extra_body={"top_k": 0},
                    )
                return int(answer.usage.completion_tokens) if answer.usage else 0

            async with AsyncOpenAI(base_url=url, api_key="none", timeout=600) as client:
                return sum(await asyncio.gather(*(one(client, r) for r in asked)))

        def bare(number: int) -> float:
            asked = make(number, "b")
            start = time.monotonic()
            return asyncio.run(ask(asked)) / (time.monotonic() - start)

        compare("openai, bare AsyncOpenAI client", bare, lambda number: stored(make(number, "m"), engine), rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=["transformers", "vllm", "openai"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    args = parser.parse_args()
    from tiny import tiny_checkpoint

    folder = Path(tempfile.mkdtemp(prefix="midway-bench-"))
    size = {"hidden_size": args.hidden, "num_hidden_layers": args.layers, "intermediate_size": 4 * args.hidden}
    tiny_checkpoint(folder, "qwen2", context=2048, initializer_range=0.1, **size)
    try:
        for part in args.parts:
            {"transformers": transformers_part, "vllm": vllm_part, "openai": openai_part}[part](folder, args.rounds)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
