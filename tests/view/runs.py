"""Runs to look at: the one that tests/fixtures holds, with what its version did not store yet, and with texts that mean harm.

Everything is written with the product's own writers.
"""

from __future__ import annotations

import tarfile
from dataclasses import replace
from pathlib import Path

import polars as pl

from midway.questions import from_frame, to_frame
from midway.rundir import ROLLOUTS, ShardWriter, layout, write_table
from midway.rundir.layout import Layout

FIXTURE = Path(__file__).parents[1] / "fixtures" / "run-e7b8f3f.tar.xz"
HOSTILE = (
    "<script>window.hacked = true</script><img src=x onerror='window.hacked = true'> &amp; </div>"
    "\x1b[31mred\x1b[0m null:\x00: turned:\u202eesrever\u202c zero\u200bwidth C1:\x9b2J بيت #### 7"
)
LONG = "abcdefghij" * 10_000
"""100,000 characters without a space."""
NAME = "small"


def unpack(folder: Path) -> Path:
    """Unpack the stored run as `folder`/small: four arms, two seeds, two benchmarks, a guided and an unguided pool; no rollouts."""
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(folder, filter="data")
    return (folder / "run").rename(folder / NAME)


def add_rollouts(path: Path, steps: int = 6) -> None:
    """Store rollouts of the treatment's RL, seed 0: two groups of four each step; the questions come again in step 4."""
    files = Layout(path)
    asked = pl.read_parquet(files.questions("rl" if files.questions("rl").is_file() else "train"))["id"].to_list()
    with ShardWriter(files.rollouts(layout.rl("polya", 0)), ROLLOUTS) as writer:
        for step in range(1, steps + 1):
            for group in range(2):
                for index in range(4):
                    right = (step + group + index) % 3 == 0
                    writer.write(
                        [
                            {
                                "id": f"{step}-{group}-{index}",
                                "step": step,
                                "question_id": asked[(2 * step + group) % 6],
                                "group": group,
                                "index": index,
                                "text": f"Step by step. 2 + {step} = {2 + step}. #### {2 + step}",
                                "judgement": "correct" if right else "wrong",
                                "extracted": str(2 + step),
                                "reason": "hashes:exact" if right else "wrong-answer:hashes",
                                "reward": float(right),
                                "rewards": [{"name": "verdict", "value": float(right)}],
                                "advantage": (1.0 if right else -0.5) * (1 + index),
                                "tokens": 10 + step,
                                "cut_off": index == 3,
                            }
                        ]
                    )


def add_hostile(path: Path) -> str:
    """Give the first question of `single` a hostile text, and two samples of the treatment's final model too; return its id."""
    files = Layout(path)
    rel = layout.evaluation("polya", 0, "single", layout.AFTER_RL)
    frame = pl.read_parquet(files.evaluated(rel))
    id_ = str(frame["question_id"][0])
    number = pl.int_range(pl.len()).over("question_id")
    mine = pl.col("question_id") == id_
    text = pl.when(mine & (number == 0)).then(pl.lit(HOSTILE)).when(mine).then(pl.lit(LONG)).otherwise(pl.col("text"))
    write_table(files.evaluated(rel), frame.with_columns(text=text))
    file = files.questions(layout.benchmark_set("single"))
    asked = from_frame(pl.read_parquet(file))
    hurt = [replace(q, text=HOSTILE[:60] + q.text) if q.id == id_ else q for q in asked]
    write_table(file, to_frame(hurt))
    return id_
