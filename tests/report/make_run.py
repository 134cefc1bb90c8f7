"""Write a synthetic run directory of real files: parquet shards, stage.json, metrics.jsonl.

The truth is planted: `TRUTH` holds each arm's effect, so that a test can say what the report must find.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

WAYS = ["forward", "backward", "decompose", "analogy", "auxiliary", "cases", "table", "guess"]
ARMS: dict[str, dict[str, Any]] = {
    "base": {"midtrain": [], "rl": False, "title": "base model"},
    "rl-only": {"midtrain": [], "rl": True, "title": "RL only"},
    "unguided-8-rl": {"midtrain": ["unguided"], "rl": True, "title": "8 unguided solutions + RL"},
    "star-rl": {"midtrain": ["unguided"], "rl": True, "title": "one own solution + RL"},
    "polya-8-rl": {"midtrain": ["guided"], "rl": True, "title": "8 ways + RL"},
}
# pass rate before RL, after RL, concentration on one way, share composed
TRUTH = {
    "base": (0.30, 0.30, 3.0, 0.10),
    "rl-only": (0.30, 0.45, 6.0, 0.10),
    "unguided-8-rl": (0.36, 0.50, 4.0, 0.12),
    "star-rl": (0.34, 0.47, 5.0, 0.11),
    "polya-8-rl": (0.36, 0.52, 1.0, 0.22),
}


def write_stage(folder: Path, stage: str, state: str = "complete", **more: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    cost = {"seconds": 60.0, "prompt_tokens": 10_000, "completion_tokens": 50_000, "cached_tokens": 0}
    base: dict[str, Any] = {
        "stage": stage,
        "state": state,
        "digest": "d" * 32,
        "config": {},
        "inputs": {},
        "versions": {"midway": "0.1.0", "python": "3.11.2"},
        "cost": {**cost, "peak_memory_mb": 900.0},
        "started": "2026-11-22T10:00:00Z",
        "finished": "2026-11-22T10:01:00Z",
        "error": "",
    }
    (folder / "stage.json").write_text(json.dumps(base | more), encoding="utf-8")


def write_samples(
    folder: Path, rng: np.random.Generator, ids: list[str], p: np.ndarray[Any, Any], samples: int, arm: str, **more: Any
) -> None:
    """Write one evaluation: `samples` judged samples of each question with pass rate p[q]; shards of 50,000 rows."""
    folder.mkdir(parents=True, exist_ok=True)
    q = np.repeat(np.arange(len(ids)), samples)
    n = q.size
    composed = rng.random(n) < TRUTH[arm][3]
    right = rng.random(n) < np.clip(p[q] + 0.08 * (composed - TRUTH[arm][3]), 0, 1)
    unjudged = rng.random(n) < 0.004
    truncated = rng.random(n) < 0.02
    tokens = rng.gamma(6, 15 + 8 * composed, n).astype(int) + 5
    weights = np.exp(-np.arange(len(WAYS)) * TRUTH[arm][2] / 4)
    first = rng.choice(len(WAYS), n, p=weights / weights.sum())
    second = (first + rng.integers(1, len(WAYS), n)) % len(WAYS)
    names = np.array(WAYS)
    lists = [[a, b] if c else [a] for a, b, c in zip(names[first], names[second], composed, strict=True)]
    wrong_answer = rng.integers(1, 6, n).astype(str)
    no_answer = ~right & (rng.random(n) < 0.05)
    judgement = np.where(unjudged, "unjudged", np.where(right, "correct", "wrong"))
    reason = np.where(unjudged, "deadline", np.where(right, "match", np.where(no_answer, "no-answer", "wrong-answer")))
    index = np.tile(np.arange(samples), len(ids))
    label = f"{folder.parts[-4]}/{folder.parts[-3]}/{folder.parts[-1]}"
    frame = pl.DataFrame(
        {
            "id": [f"{label}/{a}/{b}" for a, b in zip(q, index, strict=True)],
            "question_id": np.array(ids)[q],
            "index": index,
            "text": np.where(right, "so the answer is 42", "so the answer is 7"),
            "finish": np.where(truncated, "length", "stop"),
            "completion_tokens": tokens,
            "prompt_tokens": np.full(n, 40),
            "judgement": judgement,
            "extracted": pl.Series(np.where(right, "42", wrong_answer)).set(pl.Series(no_answer | unjudged), None),
            "reason": reason,
            "ways": lists,
            "steps_right": right & (rng.random(n) < 0.9),
        }
    )
    for start in range(0, n, 50_000):
        frame[start : start + 50_000].write_parquet(folder / f"shard-{start // 50_000:05d}.parquet")
    write_stage(folder, "evaluate", config={"samples": samples, "temperature": 1.0}, **more)


def make_run(
    path: Path,
    *,
    seeds: tuple[int, ...] = (0, 1, 2),
    questions: int = 200,
    samples: int = 8,
    benchmarks: tuple[str, ...] = ("lab/test", "lab/hard"),
    empty: tuple[str, ...] = (),
    failed: tuple[str, int] | None = None,
    gone: tuple[str, int] | None = None,
    rl_steps: int = 200,
    seed_sd: float = 0.01,
    arms: dict[str, dict[str, Any]] | None = None,
    shift: float = 0.0,
    rng_seed: int = 0,
) -> Path:
    """Write a run.

    failed: (arm, seed) whose RL failed. gone: (arm, seed) that left nothing. empty: benchmarks without samples.
    """
    arms = ARMS if arms is None else arms
    rng = np.random.default_rng(rng_seed)
    path.mkdir(parents=True)
    recipe = {
        "treatment": "polya-8-rl",
        "control": "rl-only",
        "arms": arms,
        "seeds": list(seeds),
        "benchmarks": [{"name": b, "samples": samples} for b in (*benchmarks, *empty)],
        "model": "lab-base",
    }
    resolved = {
        "name": path.name,
        "recipe": recipe,
        "digest": "0123456789abcdef",
        "versions": {"midway": "0.1.0", "torch": "2.13.0", "trl": "1.16.0"},
        "created": "2026-11-22T09:00:00Z",
    }
    (path / "resolved.json").write_text(json.dumps(resolved), encoding="utf-8")
    (path / "recipe.yaml").write_text("name: demo\ntreatment: polya-8-rl\n", encoding="utf-8")
    (path / "questions").mkdir()
    difficulty: dict[str, Any] = {}
    ids: dict[str, list[str]] = {}
    for b, benchmark in enumerate((*benchmarks, *empty)):
        ids[benchmark] = [f"{benchmark}-{i:06d}" for i in range(questions)]
        difficulty[benchmark] = rng.normal(-0.15 * b, 0.25, questions)
        table = {"id": ids[benchmark], "text": ["?"] * questions}
        pl.DataFrame(table).write_parquet(path / "questions" / f"{benchmark.replace('/', '_')}.parquet")
    for pool in ("guided", "unguided"):
        for stage in ("completions", "verdicts", "adherence"):
            write_stage(
                path / "pools" / pool / stage, {"completions": "generate", "verdicts": "verify"}.get(stage, "score")
            )
    for arm, spec in arms.items():
        before, after, _, _ = TRUTH[arm]
        for seed in (0,) if arm == "base" else seeds:
            if gone == (arm, seed):
                continue
            root = path / "arms" / arm / f"seed-{seed}"
            broken = failed == (arm, seed)
            drift = 0.0 if arm == "base" else rng.normal(shift if arm != "base" else 0, seed_sd)
            if spec["midtrain"]:
                _selection(root / "selection", arm)
                write_stage(root / "midtrain", "midtrain")
                rows = [{"step": i, "loss": 2 / (i + 1), "num_tokens": 4000.0 * i} for i in range(1, 30)]
                (root / "midtrain" / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
            if spec["rl"]:
                steps = rl_steps // 3 if broken else rl_steps
                _rl(root / "rl", rng, before, after + drift, steps, benchmarks[0])
                more = {"state": "failed", "error": "Traceback\nRuntimeError: CUDA out of memory"} if broken else {}
                write_stage(root / "rl", "rl", **more)
            for benchmark in benchmarks:
                folder = root / "evaluations" / benchmark.replace("/", "_")
                p = np.clip(difficulty[benchmark] + rng.normal(0, 0.05, questions), 0, 1)
                if arm == "base":
                    write_samples(folder / "base", rng, ids[benchmark], np.clip(p + before, 0, 1), samples, arm)
                    continue
                if spec["midtrain"]:
                    write_samples(folder / "before-rl", rng, ids[benchmark], np.clip(p + before, 0, 1), samples, arm)
                else:
                    (folder / "before-rl").mkdir(parents=True)
                    shared = {"path": f"arms/base/seed-0/evaluations/{benchmark.replace('/', '_')}/base"}
                    (folder / "before-rl" / "shared.json").write_text(json.dumps(shared), encoding="utf-8")
                if spec["rl"] and not broken:
                    chance = np.clip(p + after + drift, 0, 1)
                    write_samples(folder / "after-rl", rng, ids[benchmark], chance, samples, arm)
    (path / "log.jsonl").write_text('{"event": "done"}\n', encoding="utf-8")
    return path


def _selection(folder: Path, arm: str) -> None:
    write_stage(folder, "select")
    kinds = WAYS if arm == "polya-8-rl" else ["unguided"]
    scale = 1 if arm == "star-rl" else 8
    steps = {"generated": 500, "correct": 300, "adherent": 240, "not a near-copy": 200, "kept": 100}
    rows = [(s, k, n * scale // len(kinds)) for s, n in steps.items() for k in kinds]
    pl.DataFrame(rows, schema=["step", "heuristic", "count"], orient="row").write_parquet(folder / "funnel.parquet")
    kept = [k for k in kinds for _ in range(100 * scale // len(kinds))]
    asked = [f"q{i % 100}" for i in range(len(kept))]
    texts = [f"by {k} we find the answer {q}" for k, q in zip(kept, asked, strict=True)]
    pl.DataFrame({"question_id": asked, "heuristic": kept, "text": texts}).write_parquet(folder / "solutions.parquet")


def _rl(folder: Path, rng: np.random.Generator, low: float, high: float, steps: int, benchmark: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "metrics.jsonl").open("w", encoding="utf-8") as out:
        for step in range(0, steps + 1, 5):
            level = low + (high - low) * (1 - np.exp(-3 * step / steps))
            row = {
                "step": step,
                "reward": level + rng.normal(0, 0.02),
                "reward_std": 0.4,
                "frac_reward_zero_std": 0.2 + 0.3 * step / steps,
                "entropy": 1.2 * np.exp(-step / steps),
                "completions/mean_length": 90 + rng.normal(0, 3),
                "num_tokens": 20_000.0 * step,
                "step_time": 1.5,
            }
            out.write(json.dumps(row) + "\n")
            if step % 25 == 0:
                evaluation = {"step": step, f"eval/{benchmark}/pass@1": level + rng.normal(0, 0.01)}
                out.write(json.dumps(evaluation) + "\n")
