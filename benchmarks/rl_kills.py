"""Kill RL with SIGKILL at random moments, go on with the same command, and look whether every rollout that counts is there once.

    python benchmarks/rl_kills.py [--kills 20] [--steps 100] [--seed 0]

Prints the step of each kill, and at the end rollouts, how many are there twice, and the largest distance between the table's mean reward of
a step and the one that TRL logged. Exit code 1 if one is missing, twice, or the distance is above 1e-6.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl
import yaml

from midway.results import open_run
from midway.rundir import ROLLOUTS, layout, read_json, read_table

BATCH = 16
ARM = "plain"


def main() -> int:
    """Run the experiment; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        recipe, run = Path(folder) / "recipe.yaml", Path(folder) / "run"
        recipe.write_text(yaml.safe_dump(tree(given.steps)))
        command = [sys.executable, "-m", "midway", "run", str(recipe), "--out", str(run)]
        chance = random.Random(given.seed)
        for number in range(given.kills):
            print(f"kill {number + 1}: {kill(command, run, chance.uniform(0.0, 2.0))}", flush=True)
        subprocess.run(command, check=True, capture_output=True)
        return verdict(run, given.steps)


def tree(steps: int) -> dict[str, object]:
    """Return the recipe: RL in the lab."""
    return {
        "model": {"path": "lab"},
        "questions": {"train": [{"source": "lab", "split": "train", "limit": 60, "options": {"families": ["single"]}}]},
        "prompt": {"style": "cue"},
        "verify": {"workers": 1},
        "rl": {
            "max_steps": steps,
            "per_device_train_batch_size": BATCH,
            "num_generations": 8,
            "max_completion_length": 40,
            "learning_rate": 2.0e-4,
            "save_steps": 3,
        },
        "arms": {ARM: []},
    }


def kill(command: list[str], run: Path, wait: float) -> str:
    """Start the run, wait until RL stores a new rollout (or the run ends), then `wait` seconds, SIGKILL; return where that was."""
    table = run / layout.rl(ARM, 0) / "rollouts"
    before = {file.name for file in table.glob("*.jsonl")}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not {file.name for file in table.glob("*.jsonl")} - before:
            time.sleep(0.05)
        time.sleep(wait)
        ended = process.poll() is not None
        process.send_signal(signal.SIGKILL)
    stored = read_table(table, ROLLOUTS, ["step"])["step"].max()
    return "it had ended" if ended else f"in step {stored}"


def verdict(run: Path, steps: int) -> int:
    """Print what is there; return the exit code."""
    found = open_run(run)
    table = found.files.rollouts(layout.rl(ARM, 0))
    raw = sum(pl.read_parquet(file).height for file in table.glob("*.parquet"))
    frame = found.rollouts(ARM)
    means = dict(frame.group_by("step").agg(pl.col("reward").mean()).iter_rows())
    logged = [json.loads(line) for line in found.files.metrics(layout.rl(ARM, 0)).read_text().splitlines()]
    worst = max(abs(means[row["step"]] - row["reward"]) for row in logged if "reward" in row)
    stage = read_json(found.files.manifest(layout.rl(ARM, 0)))
    print(f"{frame.height} rollouts of {steps * BATCH}, {raw - frame.height} twice, {stage['attempts']} attempts")
    print(f"largest distance between the table's mean reward of a step and TRL's: {worst:.1e}")
    return 0 if frame.height == steps * BATCH == raw and worst <= 1e-6 else 1


if __name__ == "__main__":
    sys.exit(main())
