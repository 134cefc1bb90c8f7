"""Near-copies, distinct computations and leaks in real data: OpenAI's recorded GSM8K completions, GSM8K and MATH.

    python benchmarks/near_copies.py FOLDER [--show 30]

FOLDER holds gsm8k/, gsm8k_model_solutions/ and math/ as JSON lines. Prints counts, and with --show a seeded sample of the near-copy pairs
for reading.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl

from midway.recipe.schema import DataConfig, SelectionConfig
from midway.records import UNGUIDED
from midway.selection import computations, find_leaks, select
from midway.selection.text import WORDS, bands, shingles, tokens


def read(path: Path) -> list[dict[str, object]]:
    """Return the rows of a JSON lines file, gzipped or not."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in data.decode().split("\n") if line]


def pairs_of(frame: pl.DataFrame) -> list[tuple[float, int, int, bool]]:
    """Return all pairs within a question: Jaccard similarity, rows, whether banding at 0.8 proposes them."""
    shingled = shingles(tokens(frame["text"]), WORDS)
    keys = bands(shingled.signatures(), 0.8)
    groups: dict[str, list[int]] = {}
    for row, question in enumerate(frame["question_id"].to_list()):
        groups.setdefault(question, []).append(row)
    return [
        (shingled.jaccard(a, b), a, b, bool((keys[a] == keys[b]).any()))
        for rows in groups.values()
        for a, b in combinations(rows, 2)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--show", type=int, default=0, help="Print so many near-copy pairs for reading.")
    parser.add_argument("--low", type=float, default=0.8, help="Of pairs with at least this similarity,")
    parser.add_argument("--high", type=float, default=1.01, help="and less than this.")
    args = parser.parse_args()
    rows = read(args.folder / "gsm8k_model_solutions/all.jsonl.gz")
    frame = pl.DataFrame([{"id": r["id"], "question_id": r["question_id"], "text": r["completion"]} for r in rows])
    pairs = pairs_of(frame)
    similarity = np.array([p[0] for p in pairs])
    print(
        f"{len(frame):,} completions of {frame['question_id'].n_unique():,} questions, {len(pairs):,} pairs within a question"
    )
    for low in (1.0, 0.9, 0.8, 0.7, 0.6, 0.5):
        print(f"  pairs with Jaccard >= {low}: {(similarity >= low).sum():,}")
    near = [p for p in pairs if p[0] >= 0.8]
    print(f"  of those >= 0.8, banding proposes {sum(p[3] for p in near):,} of {len(near):,}")
    print(f"  of all pairs, banding proposes {sum(p[3] for p in pairs):,}")

    found = [computations(t) for t in frame["text"].to_list()]
    bare = [computations("".join(part.split(">>")[-1] for part in t.split("<<"))) for t in frame["text"].to_list()]
    print(
        f"computations: {sum(map(bool, found)):,} completions have some, {sum(map(len, found)) / len(found):.2f} each"
    )
    some = [(a, b) for a, b in zip(found, bare, strict=True) if a]
    print(
        f"  read from the text without its calculator marks: {sum(a == b for a, b in some):,} of {len(some):,} the same sequence"
    )
    by_question = frame.with_columns(c=pl.Series([" ; ".join(f) for f in found])).filter(pl.col("c") != "")
    distinct = by_question.group_by("question_id").agg(pl.col("c").n_unique())["c"]
    print(f"  distinct sequences per question (of four models): {distinct.mean():.2f}")

    correct = {r["id"]: bool(r["correct"]) for r in rows}
    completions = frame.with_columns(heuristic=pl.lit(UNGUIDED), finish=pl.lit("stop"))
    verdicts = pl.DataFrame({"id": list(correct), "judgement": ["correct" if c else "wrong" for c in correct.values()]})
    train, test = read(args.folder / "gsm8k/train.jsonl.gz"), read(args.folder / "gsm8k/test.jsonl")
    questions = pl.DataFrame([{"id": q["id"], "text": q["question"]} for q in test])
    leaked = pl.DataFrame([{"name": "gsm8k-test", "text": q["question"]} for q in test])
    for label, same, benchmark in (
        ("text", False, None),
        ("text and computations", True, None),
        ("text", False, leaked),
    ):
        kept = select(
            completions,
            verdicts,
            None,
            questions,
            SelectionConfig(per_question=4, same_computation=same),
            DataConfig(pool="recorded"),
            seed=0,
            benchmarks=benchmark,
        )
        steps = ", ".join(f"{s} {n:,}" for s, n in kept.funnel.select("step", "count").iter_rows())
        print(f"select by {label}{', decontaminated against GSM8K test' if benchmark is not None else ''}: {steps}")

    math_train, math_test = (read(args.folder / f"math/{split}.jsonl.gz") for split in ("train", "test"))
    for name, ours, theirs in (
        ("gsm8k train against test", train, test),
        ("MATH train against test", math_train, math_test),
    ):
        table = pl.DataFrame([{"id": q["id"], "text": q["question"]} for q in ours])
        leaks = find_leaks(table, pl.DataFrame([{"name": name, "text": q["question"]} for q in theirs]))
        counts = dict(leaks["kind"].value_counts().iter_rows())
        print(f"{name}: {len(leaks)} of {len(ours):,} questions leak: {counts}")
        if args.show:
            text = dict(table.iter_rows())
            for row in leaks.sample(min(len(leaks), args.show), seed=0).iter_rows(named=True):
                print(f"  [{row['kind']}] {text[row['question_id']]!r}\n      {row['other']!r}")

    if args.show:
        shown = [p for p in pairs if args.low <= p[0] < args.high]
        for number, (jaccard, a, b, _) in enumerate(
            random.Random(0).sample(shown, min(args.show, len(shown))), start=1
        ):
            print(
                f"--- {number}: {jaccard:.3f} {frame['id'][a]} {frame['id'][b]}\n{frame['text'][a]}\n\n{frame['text'][b]}"
            )


if __name__ == "__main__":
    main()
