"""Select n = 8 solutions of each question out of ten million synthetic completions: seconds, peak memory, and what was kept.

    python benchmarks/selection.py --rows 10000000 --folder /tmp/pool

Writes the pool as Parquet shards (completions, verdicts, adherence) unless the folder has it, then selects in a process of its own
and prints one JSON line. A completion has about 45 words; of a question's 64 completions about a fifth are near-copies of another.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl

PER_QUESTION = 64
HEURISTICS = 16
SHARD = 500_000
PARTS = 6


def mix(x: np.ndarray) -> np.ndarray:
    """splitmix64's finaliser: a draw that depends on the number only."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def write_pool(folder: Path, rows: int) -> None:
    """Write shards of completions, verdicts and scores, and the questions."""
    rng = np.random.default_rng(0)
    words = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in ("l", "m", "n", "r", "s", "t", "nd", "rt")]
    pool = pl.Series(
        [
            " ".join(rng.choice(words, int(rng.integers(4, 9)))) + f" {a} + {b} = {a + b}."
            for a, b in rng.integers(1, 900, (40_000, 2)).tolist()
        ]
    )
    questions = rows // PER_QUESTION
    texts = pl.Series([f"question {i}: " + " ".join(rng.choice(words, 30)) for i in range(questions)])
    keys = pl.Series(
        [f"{i:016x}{i:016x}" for i in mix(np.arange(questions, dtype=np.uint64) + np.uint64(2**40)).tolist()]
    )
    level = pl.Series(rng.integers(1, 6, questions)).cast(pl.String)
    folder.mkdir(parents=True, exist_ok=True)
    pl.DataFrame({"id": keys, "text": texts, "level": level}).write_parquet(folder / "questions.parquet")
    names = pl.Series([f"heuristic-{i:02d}" for i in range(HEURISTICS)])
    for name in ("completions", "verdicts", "adherence"):
        (folder / name).mkdir(exist_ok=True)
    for shard, start in enumerate(range(0, rows, SHARD)):
        n = min(SHARD, rows - start)
        row = np.arange(start, start + n)
        question = row // PER_QUESTION
        # each completion takes one of 48 variants of its question's sentences; one in five changes a sentence of it
        variant = rng.integers(0, 48, n)
        key = (question * 48 + variant).astype(np.uint64)
        parts = [mix(key * np.uint64(PARTS) + np.uint64(k)) % np.uint64(len(pool)) for k in range(PARTS)]
        changed = rng.random(n) < 0.2
        parts[-1] = np.where(changed, rng.integers(0, len(pool), n), parts[-1].astype(np.int64))
        sentences = [pool.gather(p) for p in parts]
        text = pl.DataFrame({f"s{k}": s for k, s in enumerate(sentences)}).select(
            pl.concat_str(pl.all(), separator=" ")
        )
        ids = pl.Series([f"{r:016x}{r:016x}" for r in mix(row.astype(np.uint64)).tolist()])
        finish = pl.Series(rng.choice(3, n, p=[0.93, 0.06, 0.01])).cast(pl.Int8)
        kinds = pl.Series(["stop", "length", "error"])
        judged = pl.Series(["correct", "wrong", "unjudged"]).gather(rng.choice(3, n, p=[0.45, 0.53, 0.02]))
        pl.DataFrame(
            {
                "id": ids,
                "question_id": keys.gather(question),
                "heuristic": names.gather(row % HEURISTICS),
                "index": (row % PER_QUESTION) // HEURISTICS,
                "text": text.to_series(),
                "finish": kinds.gather(finish),
                "prompt_tokens": np.full(n, 600),
                "completion_tokens": rng.integers(60, 400, n),
            }
        ).write_parquet(folder / "completions" / f"{shard:04d}.parquet", compression="zstd")
        pl.DataFrame({"id": ids, "judgement": judged, "extracted": "1", "reason": ""}).write_parquet(
            folder / "verdicts" / f"{shard:04d}.parquet"
        )
        pl.DataFrame({"id": ids, "score": rng.random(n).round(4), "scorer": "likelihood"}).write_parquet(
            folder / "adherence" / f"{shard:04d}.parquet"
        )


def measure(folder: Path) -> dict[str, float]:
    """Select and return seconds, peak memory in GB, and the funnel."""
    from midway.recipe.schema import DataConfig, SelectionConfig
    from midway.selection import select

    questions = pl.read_parquet(folder / "questions.parquet")
    benchmark = pl.DataFrame({"name": "benchmark", "text": questions["text"].head(50)})
    start, cpu = time.monotonic(), time.process_time()
    kept = select(
        pl.scan_parquet(folder / "completions" / "*.parquet"),
        pl.scan_parquet(folder / "verdicts" / "*.parquet"),
        pl.scan_parquet(folder / "adherence" / "*.parquet"),
        questions,
        SelectionConfig(per_question=8, min_adherence=0.1, balance=0.2),
        DataConfig(pool="guided"),
        seed=0,
        benchmarks=benchmark,
    )
    steps = dict(kept.funnel.group_by("step", maintain_order=True).agg(pl.col("count").sum()).iter_rows())
    return {
        "rows": steps["asked"],
        "seconds": round(time.monotonic() - start, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        **steps,
        "solutions": kept.solutions.height,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.folder)))
        return
    if not (args.folder / "questions.parquet").exists():
        write_pool(args.folder, args.rows)
    size = sum(p.stat().st_size for p in args.folder.rglob("*.parquet")) / 2**30
    print(f"{args.rows:,} completions, {size:.1f} GB of Parquet", file=sys.stderr)
    subprocess.run(
        [sys.executable, __file__, "--rows", str(args.rows), "--folder", str(args.folder), "--measure"], check=True
    )


if __name__ == "__main__":
    main()
