"""Generation with a real model (SmolLM2-135M-Instruct, bfloat16): midway's engines beside what lies beneath them. Same requests, one run.

    python benchmarks/generation_real.py [--vllm PYTHON] [--questions 32] [--samples 4] [--rounds 2] [--threads N]

Word problems asked by four heuristics and unguided, as a pool asks them; sampled at temperature 0.8, at most 96 tokens. Compared:

- the transformers engine; `model.generate` in batches of 64, sorted by length; transformers' own continuous batching
  (`model.generate_batch`; on our CPU it gave no answer in 75 s, so `--no-batch` leaves it out)
- with --vllm, in that environment's Python (see tools/engines-test.sh): midway's vLLM engine and one call of a bare `LLM.generate`

Printed: tokens/s of the best round of each, the ratio to the first, mean tokens of a completion (a mean that differs would mean other
work), and lines of code of the transformers engine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SRC = Path(__file__).resolve().parents[1] / "src"
os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "4")
os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
TOKENS, TEMPERATURE, BATCH = 96, 0.8, 64

Way = Callable[[list[Any]], tuple[int, int]]
"""Answers requests; returns tokens and completions."""


def requests(questions: int, samples: int) -> list[Any]:
    """Return the requests of a pool: every question unguided and by four heuristics."""
    from midway.recipe import loads_recipe
    from midway.records import Request, Sampling, completion_id
    from midway.rundir.layout import Layout
    from midway.workbench import TRAIN, Workbench

    slugs = ["carry-out-step-by-step", "working-backward", "drawing-a-figure", "setting-up-equations"]
    recipe = loads_recipe(
        {
            "model": {"path": "smollm2"},
            "questions": {"train": [{"source": "words", "limit": questions, "options": {"largest": 12}}]},
            "prompt": {"exemplars": 0, "phases": False},
            "pools": {"guided": {"heuristics": slugs}},
            "arms": {"several": {"midtrain": ["guided"]}},
        }
    )
    bench = Workbench(recipe, Layout(Path("unused")))
    sampling = Sampling(temperature=TEMPERATURE, max_tokens=TOKENS)
    asked = []
    for guide in [None, *bench.prompts.guides("guided").values()]:
        for question in bench.questions.get(TRAIN):
            prompt = bench.prompts.build(question, guide)
            for index in range(samples if guide else 4 * samples):
                id_ = completion_id(question.id, str(guide), prompt.key(), "m", sampling, index)
                asked.append(Request(id_, prompt, sampling, question.id, guide.slug if guide else "", index))
    return asked


def through(engine: Any) -> Way:
    """Return midway's way: the engine's stream."""

    def run(asked: list[Any]) -> tuple[int, int]:
        found = list(engine.generate(asked))
        return sum(c.completion_tokens for c in found), len(found)

    return run


def plain(engine: Any) -> Way:
    """Return `model.generate` in batches, sorted by length."""
    import torch

    from midway.engines.text import encode

    @torch.inference_mode()
    def run(asked: list[Any]) -> tuple[int, int]:
        ids = sorted((encode(r.prompt, engine.tokenizer, True) for r in asked), key=len)
        count = 0
        engine.tokenizer.padding_side = "left"
        for i in range(0, len(ids), BATCH):
            padded = engine.tokenizer.pad({"input_ids": ids[i : i + BATCH]}, return_tensors="pt")
            out = engine.model.generate(
                **padded, max_new_tokens=TOKENS, do_sample=True, temperature=TEMPERATURE, top_k=0, top_p=1.0
            )
            count += sum(length(row, engine.eos) for row in out[:, padded["input_ids"].shape[1] :].tolist())
        return count, len(ids)

    return run


def length(row: list[int], eos: Any) -> int:
    """Return tokens up to the end of a turn, with it."""
    return next((j + 1 for j, token in enumerate(row) if token in eos), len(row))


def continuous(engine: Any) -> Way:
    """Return transformers' continuous batching."""
    import copy

    from midway.engines.text import encode

    config = copy.deepcopy(engine.model.generation_config)
    config.update(max_new_tokens=TOKENS, do_sample=True, temperature=TEMPERATURE, top_k=0, top_p=1.0)

    def run(asked: list[Any]) -> tuple[int, int]:
        ids = [encode(r.prompt, engine.tokenizer, True) for r in asked]
        found = engine.model.generate_batch(ids, generation_config=config)
        if len(found) < len(ids):
            raise RuntimeError(f"{len(found)} of {len(ids)} requests were answered")
        return sum(len(one.generated_tokens) for one in found.values()), len(found)

    return run


def bare_vllm(engine: Any) -> Way:
    """Return one call of `LLM.generate`, without a seed for each sample."""
    from vllm import SamplingParams

    from midway.engines.text import encode

    params = SamplingParams(temperature=TEMPERATURE, max_tokens=TOKENS)

    def run(asked: list[Any]) -> tuple[int, int]:
        prompts = [{"prompt_token_ids": encode(r.prompt, engine.tokenizer, True)} for r in asked]
        out = engine.llm.generate(prompts, params, use_tqdm=False)
        return sum(len(s.token_ids) for o in out for s in o.outputs), len(out)

    return run


def measure(ways: dict[str, Way], asked: list[Any], rounds: int) -> list[dict[str, Any]]:
    """Return tokens/s of the best round of each way, in turns; a way that fails says why."""
    found: dict[str, dict[str, Any]] = {name: {"way": name, "rates": []} for name in ways}
    for number in range(rounds):
        for name, way in ways.items():
            one = found[name]
            if "failed" in one:
                continue
            try:
                if number == 0:
                    way(asked[:8])
                start = time.monotonic()
                tokens, count = way(asked)
                one["rates"].append(tokens / (time.monotonic() - start))
                one["mean_tokens"] = tokens / count
                print(f"round {number}: {name}: {one['rates'][-1]:.1f} tokens/s", flush=True)
            except Exception as error:
                one["failed"] = f"{type(error).__name__}: {str(error).splitlines()[0][:160]}"
    return list(found.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vllm", help="Python of an environment with vLLM")
    parser.add_argument("--questions", type=int, default=32)
    parser.add_argument("--samples", type=int, default=4, help="of each heuristic; unguided has four times as many")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--no-batch", action="store_true", help="without model.generate_batch")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    from midway.engines import TransformersEngine, VllmEngine, open_engine
    from midway.recipe import ModelConfig
    from midway.workbench.models import find_model

    asked = requests(args.questions, args.samples)
    model = ModelConfig(path=find_model("smollm2"), dtype="bfloat16")
    engine: Any
    if args.inside:
        engine = open_engine(VllmEngine(kind="vllm", seeded=False, args={"enforce_eager": True}), model)
        ways = {"vLLM engine": through(engine), "bare LLM.generate": bare_vllm(engine)}
        print("\n" + json.dumps(measure(ways, asked, args.rounds)))
        engine.close()
        return
    import torch

    torch.set_num_threads(args.threads)
    engine = open_engine(TransformersEngine(), model)
    ways = {
        "transformers engine": through(engine),
        f"model.generate, batches of {BATCH}": plain(engine),
    }
    if not args.no_batch:
        ways["model.generate_batch"] = continuous(engine)
    print(
        f"{len(asked):,} requests, at most {TOKENS} tokens, {args.threads} threads, torch {torch.__version__}",
        flush=True,
    )
    found = measure(ways, asked, args.rounds)
    engine.close()
    if args.vllm:
        again = ["--inside", f"--questions={args.questions}", f"--samples={args.samples}", f"--rounds={args.rounds}"]
        command = [args.vllm, __file__, *again, f"--threads={args.threads}"]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(SRC)}, check=True
        )
        found += json.loads(done.stdout.strip().splitlines()[-1])
    first = max(found[0]["rates"])
    for one in found:
        if "failed" in one:
            print(f"{one['way']:<34} {one['failed']}")
            continue
        best = max(one["rates"])
        print(f"{one['way']:<34} {best:8.1f} tokens/s, {best / first:.2f} x; {one['mean_tokens']:.1f} tokens each")
    folder = SRC / "midway" / "engines" / "transformers"
    print(f"lines of the transformers engine: {sum(len(f.read_text().splitlines()) for f in folder.glob('*.py')):,}")


if __name__ == "__main__":
    main()
