"""How fast the viewer is on a big run, and how much memory it takes: writes a run with the real writer, asks the real server.

    python benchmarks/viewer.py [--samples 1000000] [--keep DIR]

Prints for each screen the seconds of its first and of its second showing, the seconds of processor of the first, and the server's peak
memory; beside them the alternative that reads the whole tables at once (polars, eagerly, in a process of its own) and counts the same.
Exits 1 above 2 s for the first screen, 1 s for a filter, or 1 GB. Drawing the page is not in them.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from midway.rundir import ROLLOUTS, ShardWriter, layout, write_table
from midway.rundir.layout import Layout

ROOT = Path(__file__).resolve().parent.parent
FIRST, FILTER, MEMORY = 2.0, 1.0, 1.0
WORDS = 110
"""Words of a sample's text: about 600 characters, so that a million are 600 MB."""

EAGER = """
import sys, time, resource, polars as pl
from pathlib import Path
start = time.perf_counter()
files = sorted(Path(sys.argv[1]).glob("arms/*/seed-*/evaluations/*/*/results.parquet"))
every = pl.concat([pl.read_parquet(f).with_columns(place=pl.lit(str(f.parent))) for f in files])
read = time.perf_counter() - start
start = time.perf_counter()
right = (pl.col("judgement") == "correct").sum()
counted = every.group_by("place", "question_id").agg(right=right, samples=pl.len())
times = resource.getrusage(resource.RUSAGE_SELF)
print(every.height, read, time.perf_counter() - start, times.ru_utime + times.ru_stime, times.ru_maxrss / 1e6)
"""


def main() -> int:
    """Write, serve, ask; return 1 where a limit is not kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, default=None, help="Where the run is written, and found again.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = (given.keep or Path(folder)) / "big"
        if not path.is_dir():
            start = time.perf_counter()
            made = write_run(path, given.samples)
            print(f"wrote {made:,} samples in {time.perf_counter() - start:.0f} s", flush=True)
        kept = ask(path)
        done = subprocess.run([sys.executable, "-c", EAGER, str(path)], check=True, capture_output=True, text=True)
        rows, read, count, processors, peak = done.stdout.split()
        print(
            f"all tables at once (polars): {int(rows):,} samples read in {float(read):.2f} s, counted in {float(count):.2f} s "
            f"({float(processors):.2f} s of processor), {float(peak):.2f} GB at the peak"
        )
        return 0 if kept else 1


def write_run(path: Path, samples: int) -> int:
    """Write a run of about so many evaluation samples with texts, and a tenth of that of rollouts; return the number of samples."""
    spec = importlib.util.spec_from_file_location("make_run", ROOT / "tests/report/make_run.py")
    assert spec and spec.loader
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    # 3 benchmarks x (1 base + 3 mid-trained arms x 3 seeds x 2 phases + 3 seeds of RL alone) = 66 evaluations of 16 samples
    questions = max(1, samples // (66 * 16))
    make.make_run(path, questions=questions, samples=16, benchmarks=("gsm8k", "math500", "lab-hard"), rl_steps=1000)
    files, rng, total = Layout(path), np.random.default_rng(0), 0
    vocabulary = np.array(["".join(rng.choice(list("etaoinshrdlu"), n)) for n in rng.integers(2, 9, 5000)])
    for rel in files.evaluations():
        if files.evaluated(rel).is_file():
            frame = pl.read_parquet(files.evaluated(rel))
            drawn = rng.integers(0, len(vocabulary), (frame.height, WORDS))
            texts = pl.Series([" ".join(vocabulary[row]) for row in drawn])
            write_table(
                files.evaluated(rel), frame.with_columns(text=texts + " #### " + pl.col("extracted").fill_null(""))
            )
            total += frame.height
    write_rollouts(files, rng, vocabulary, count=samples // 10)
    return total


def write_rollouts(files: Layout, rng: np.random.Generator, vocabulary: Any, count: int) -> None:
    """Write the rollouts of one arm and seed: 512 a step, in groups of 8."""
    with ShardWriter(files.rollouts(layout.rl("polya-8-rl", 0)), ROLLOUTS) as writer:
        for start in range(0, count, 512):
            rewards = rng.integers(0, 2, 512)
            writer.write(
                {
                    "id": f"r{start + n}",
                    "step": start // 512 + 1,
                    "question_id": f"q{(start + n) // 8 % 1000}",
                    "group": n // 8,
                    "index": n % 8,
                    "text": " ".join(rng.choice(vocabulary, WORDS)),
                    "judgement": "correct" if rewards[n] else "wrong",
                    "extracted": "42",
                    "reason": "hashes:exact",
                    "reward": float(rewards[n]),
                    "rewards": [{"name": "verdict", "value": float(rewards[n])}],
                    "advantage": float(rewards[n] - rewards.mean()),
                    "tokens": int(rng.integers(20, 400)),
                    "cut_off": False,
                }
                for n in range(512)
            )


def ask(path: Path) -> bool:
    """Ask for every screen of a run twice; print seconds and memory; return whether the limits are kept."""
    command = [sys.executable, "-m", "midway", "view", str(path), "--no-browser", "--port", "0"]
    start = time.perf_counter()
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().split("#")[0].split()[0]
        print(f"the server listens after {time.perf_counter() - start:.2f} s")
        seconds = {}
        screens = {
            "overview": "overview",
            "questions": "questions",
            "filter: broken by RL": "questions?filter=broken&sort=gain",
            "filter: solved only with one way": "questions?filter=one-way&arm=rl-only",
            "text search in questions": "questions?q=000123",
            "another benchmark": "questions?benchmark=math500&filter=lost",
            "one question": "question?benchmark=gsm8k",
            "verifier: unjudged": "verifier?show=unjudged",
            "verifier: longest, page 400": "verifier?show=longest&page=400",
            "verifier: text search": "verifier?show=wrong&q=tenet",
            "solutions": "solutions",
            "rollouts": "rollouts",
            "rollouts, a step": "rollouts?step=150",
            "heuristics": "heuristics",
        }
        for title, screen in screens.items():
            before = processor(server.pid)
            seconds[title] = [timed(f"{url}api/run/{path.name}/{screen}")]
            spent = processor(server.pid) - before
            seconds[title].append(timed(f"{url}api/run/{path.name}/{screen}"))
            peak = memory(server.pid)
            first, again = seconds[title]
            print(
                f"{title:<34}{first:6.2f} s ({spent:.2f} s of processor)  again {again:.2f} s   {peak:.2f} GB",
                flush=True,
            )
        first, filters = seconds["overview"][0], max(t[1] for n, t in seconds.items() if n.startswith("filter"))
        print(
            f"first screen {first:.2f} s (limit {FIRST:g}), filter {filters:.2f} s ({FILTER:g}), memory {peak:.2f} GB ({MEMORY:g})"
        )
        return first < FIRST and filters < FILTER and peak < MEMORY
    finally:
        server.terminate()
        server.wait()


def timed(url: str) -> float:
    """Return the seconds until an answer is there, whole."""
    start = time.perf_counter()
    with urllib.request.urlopen(url, timeout=600) as answer:
        assert "error" not in json.load(answer)
    return time.perf_counter() - start


def processor(process: int) -> float:
    """Return the seconds of processor that a process has taken, of all its threads."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(process: int) -> float:
    """Return a process's peak memory in GB."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return float(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1e6


if __name__ == "__main__":
    sys.exit(main())
