"""Write a synthetic run directory with the product's own writer: `RunDir`, `StageDir`, `Layout`, `ShardWriter`, `write_table`.

No path and no column is written by hand here, so that a fixture cannot differ from what a run leaves. The truth is planted: `TRUTH` holds
each arm's effect, so that a test can say what the report must find.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from midway.questions import to_frame
from midway.recipe import Recipe
from midway.records import UNGUIDED, Question
from midway.rundir import (
    ADHERENCE,
    COMPLETE,
    COMPLETIONS,
    EVALUATIONS,
    FAILED,
    FUNNEL,
    SOLUTIONS,
    VERDICTS,
    RunDir,
    Schema,
    ShardWriter,
    StageDir,
    layout,
    write_bytes,
    write_json,
    write_table,
)
from midway.rundir.layout import Layout

WAYS = ["forward", "backward", "decompose", "analogy", "auxiliary", "cases", "table", "guess"]
ARMS: dict[str, dict[str, Any]] = {
    "base": {"midtrain": [], "rl": False},
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


COST = {"seconds": 60.0, "prompt_tokens": 10_000.0, "completion_tokens": 50_000.0, "cached_tokens": 0.0}
VERSIONS = {"midway": "0.1.0", "python": "3.11.2"}


def write_stage(
    path: Path,
    rel: str,
    kind: str,
    *,
    state: str = COMPLETE,
    error: str = "",
    result: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
) -> StageDir:
    """Begin and end a stage of the run at `path`, as whoever runs it does."""
    stage = RunDir(path).stage(rel, kind, config or {}, {})
    stage.begin(VERSIONS)
    stage.end(state, {**COST, "peak_memory_mb": 900.0}, error=error, result=result)
    return stage


def write_samples(
    path: Path,
    rel: str,
    rng: np.random.Generator,
    *,
    ids: list[str],
    p: np.ndarray[Any, Any],
    samples: int,
    truth: tuple[float, float, float, float],
) -> None:
    """Write one evaluation: `samples` judged samples of each question with pass rate p[q]."""
    _, _, concentration, share = truth
    q = np.repeat(np.arange(len(ids)), samples)
    n = q.size
    composed = rng.random(n) < share
    right = rng.random(n) < np.clip(p[q] + 0.08 * (composed - share), 0, 1)
    unjudged = rng.random(n) < 0.004
    truncated = rng.random(n) < 0.02
    tokens = rng.gamma(6, 15 + 8 * composed, n).astype(int) + 5
    weights = np.exp(-np.arange(len(WAYS)) * concentration / 4)
    first = rng.choice(len(WAYS), n, p=weights / weights.sum())
    second = (first + rng.integers(1, len(WAYS), n)) % len(WAYS)
    names = np.array(WAYS)
    lists = [[a, b] if c else [a] for a, b, c in zip(names[first], names[second], composed, strict=True)]
    wrong_answer = rng.integers(1, 6, n).astype(str)
    no_answer = ~right & (rng.random(n) < 0.05)
    judgement = np.where(unjudged, "unjudged", np.where(right, "correct", "wrong"))
    reason = np.where(unjudged, "deadline", np.where(right, "match", np.where(no_answer, "no-answer", "wrong-answer")))
    index = np.tile(np.arange(samples), len(ids))
    frame = pl.DataFrame(
        {
            "id": [f"{rel}/{a}/{b}" for a, b in zip(q, index, strict=True)],
            "question_id": np.array(ids)[q],
            "heuristic": ["sampled"] * n,
            "index": index,
            "text": np.where(right, "so the answer is 42", "so the answer is 7"),
            "finish": np.where(truncated, "length", "stop"),
            "completion_tokens": tokens,
            "prompt_tokens": np.full(n, 40),
            "judgement": judgement,
            "extracted": pl.Series(np.where(right, "42", wrong_answer)).set(pl.Series(no_answer | unjudged), None),
            "reason": reason,
            "ways": lists,
            "composed": composed,
            "steps_right": right & (rng.random(n) < 0.9),
        }
    )
    write_table(Layout(path).evaluated(rel), as_stored(frame, EVALUATIONS))
    write_stage(path, rel, "evaluate", config={"benchmark": {"samples": samples, "sampling": {"temperature": 1.0}}})


def as_stored(frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """Return the frame with exactly the columns that the product stores; what is not given is null."""
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in schema.items()
    )


def make_run(
    path: Path,
    *,
    seeds: tuple[int, ...] = (0, 1, 2),
    questions: int = 200,
    samples: int = 8,
    benchmarks: tuple[str, ...] = ("lab-test", "lab-hard"),
    empty: tuple[str, ...] = (),
    failed: tuple[str, int] | None = None,
    gone: tuple[str, int] | None = None,
    rl_steps: int = 200,
    seed_sd: float = 0.01,
    arms: dict[str, dict[str, Any]] | None = None,
    shift: float = 0.0,
    rng_seed: int = 0,
    copies: bool = True,
    options: int = 0,
) -> Path:
    """Write a run.

    failed: (arm, seed) whose RL failed. gone: (arm, seed) that left nothing. empty: benchmarks without samples.
    copies: all solutions of one question by one way are one text. options: that many to choose from; 0: questions have none.
    """
    arms = ARMS if arms is None else arms
    rng = np.random.default_rng(rng_seed)
    path.mkdir(parents=True)
    trained = {name: spec for name, spec in arms.items() if name != layout.BASE_ARM}
    recipe = Recipe.model_validate(
        {
            "name": path.name,
            "pools": {"guided": {"heuristics": "all"}, "unguided": {}},
            "arms": trained,
            "treatment": "polya-8-rl",
            "control": "rl-only" if "rl-only" in trained else None,
            "seeds": seeds,
            "benchmarks": [{"source": "lab", "name": b, "samples": samples} for b in (*benchmarks, *empty)],
        }
    )
    resolved = {
        "name": recipe.name,
        "recipe": {
            **recipe.model_dump(mode="json"),
            "treatment": recipe.treatment_arm,
            "control": recipe.control_arm,
        },
        "digest": recipe.digest(),
        "versions": {"midway": "0.1.0", "torch": "2.13.0", "trl": "1.16.0"},
        "created": "2026-11-22T09:00:00Z",
    }
    files = Layout(path)
    write_json(files.resolved, resolved)
    write_bytes(files.recipe, b"name: demo\ntreatment: polya-8-rl\n")
    difficulty: dict[str, Any] = {}
    ids: dict[str, list[str]] = {}
    for b, benchmark in enumerate((*benchmarks, *empty)):
        ids[benchmark] = [f"{benchmark}-{i:06d}" for i in range(questions)]
        difficulty[benchmark] = rng.normal(-0.15 * b, 0.25, questions)
        choices = (
            {"choices": tuple(f"option {i}" for i in range(options)), "answer_index": 0}
            if options
            else {"answer": "42"}
        )
        asked = [Question("choice" if options else "math", f"? {id_}", id=id_, **choices) for id_ in ids[benchmark]]
        write_table(files.questions(layout.benchmark_set(benchmark)), to_frame(asked))
    for pool in ("guided", "unguided"):
        _pool(path, pool)
    for arm, spec in arms.items():
        before, after, _, _ = TRUTH[arm]
        for seed in (0,) if arm == "base" else seeds:
            if gone == (arm, seed):
                continue
            broken = failed == (arm, seed)
            drift = 0.0 if arm == "base" else rng.normal(shift if arm != "base" else 0, seed_sd)
            if spec["midtrain"]:
                _selection(path, arm, seed, copies)
                rel = layout.midtrain(arm, seed)
                write_stage(path, rel, "midtrain")
                rows = [{"step": i, "loss": 2 / (i + 1), "num_tokens": 4000.0 * i} for i in range(1, 30)]
                files.metrics(rel).write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
            if spec["rl"]:
                rel = layout.rl(arm, seed)
                more = {"state": FAILED, "error": "Traceback\nRuntimeError: CUDA out of memory"} if broken else {}
                write_stage(path, rel, "rl", **more)
                steps = rl_steps // 3 if broken else rl_steps
                _metrics(files.metrics(rel), rng, before, after + drift, steps=steps, benchmark=benchmarks[0])
            for benchmark in benchmarks:
                p = np.clip(difficulty[benchmark] + rng.normal(0, 0.05, questions), 0, 1)
                rates = {layout.BASE: before} if arm == layout.BASE_ARM else {}
                if spec["midtrain"]:
                    rates[layout.BEFORE_RL] = before
                elif arm != layout.BASE_ARM:
                    link = files.shared(layout.evaluation(arm, seed, benchmark, layout.BEFORE_RL))
                    write_json(link, {"path": layout.base_evaluation(benchmark)})
                if spec["rl"] and not broken:
                    rates[layout.AFTER_RL] = after + drift
                for phase, rate in rates.items():
                    rel, chance = layout.evaluation(arm, seed, benchmark, phase), np.clip(p + rate, 0, 1)
                    write_samples(path, rel, rng, ids=ids[benchmark], p=chance, samples=samples, truth=TRUTH[arm])
    return path


def _pool(path: Path, pool: str) -> None:
    """Write a small pool: a completion of each way for some questions, every third wrong, the right ones scored where guided."""
    kinds = WAYS if pool == "guided" else [UNGUIDED]
    rows = [
        {
            "id": f"{pool}-{q}-{k}",
            "question_id": f"q{q}",
            "heuristic": k,
            "index": 0,
            "text": f"{k}: 42",
            "finish": "stop",
        }
        for q in range(5)
        for k in kinds
    ]
    right = [row["id"] for n, row in enumerate(rows) if n % 3]
    verdicts = [
        {"id": r["id"], "judgement": "correct" if r["id"] in right else "wrong", "reason": "exact"} for r in rows
    ]
    tables: list[tuple[str, str, Schema, list[Any]]] = [
        (layout.completions(pool), "generate", COMPLETIONS, rows),
        (layout.verdicts(pool), "verify", VERDICTS, verdicts),
    ]
    if pool == "guided":
        scores = [{"id": id_, "score": 0.5, "scorer": "likelihood"} for id_ in right]
        tables.append((layout.adherence(pool), "score", ADHERENCE, scores))
    for rel, kind, schema, table in tables:
        with ShardWriter(Layout(path).stage(rel), schema) as writer:
            writer.write(table)
        write_stage(path, rel, kind)
    write_table(Layout(path).asked(pool), pl.DataFrame({"id": [row["id"] for row in rows]}))


def _selection(path: Path, arm: str, seed: int, copies: bool) -> None:
    write_stage(path, layout.selection(arm, seed), "select")
    kinds = WAYS if arm == "polya-8-rl" else [UNGUIDED]
    scale = 1 if arm == "star-rl" else 8
    steps = {"generated": 500, "correct": 300, "adherent": 240, "not a near-copy": 200, "kept": 100}
    funnel = [
        {"step": s, "heuristic": k, "level": "", "count": n * scale // len(kinds), "pool": "guided"}
        for s, n in steps.items()
        for k in kinds
    ]
    write_table(Layout(path).funnel(arm, seed), pl.DataFrame(funnel, schema=dict(FUNNEL)))
    kept = [k for k in kinds for _ in range(100 * scale // len(kinds))]
    asked = [f"q{i % 100}" for i in range(len(kept))]
    texts = [f"by {k} we find the answer {q}" for k, q in zip(kept, asked, strict=True)]
    texts = texts if copies else [f"{text}, as number {i} says" for i, text in enumerate(texts)]
    solutions = pl.DataFrame({"question_id": asked, "heuristic": kept, "text": texts, "source": "guided"})
    write_table(Layout(path).solutions(arm, seed), as_stored(solutions, SOLUTIONS))


def _metrics(file: Path, rng: np.random.Generator, low: float, high: float, *, steps: int, benchmark: str) -> None:
    """Write metrics.jsonl as a trainer does: a line for each logged step."""
    with file.open("w", encoding="utf-8") as out:
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
