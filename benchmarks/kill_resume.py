"""Kill a run with SIGKILL at random moments of its stages, go on with the same command, and compare with a run that was left alone.

    python benchmarks/kill_resume.py [--kills 20] [--seed 0]

Prints, for each kill, the stage in which it fell, and at the end whether the two runs hold the same completions, each once, in
files that can all be read. Exit code 1 if not. The model is a random one of a real architecture: all the machinery, none of the sense.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl
import yaml

RECIPE = {
    "title": "kill and go on",
    "model": {"path": "tiny:llama"},
    "prompt": {"exemplars": 0},
    "verify": {"workers": 1},
    "pools": {"guided": {"heuristics": ["working-backward", "analogy"], "samples": 8, "sampling": {"max_tokens": 48}}},
    "selection": {"near_copy": 1.0, "decontaminate": False},
    "midtrain": {"max_steps": 40, "per_device_train_batch_size": 4, "save_steps": 5},
    "rl": {
        "max_steps": 24,
        "per_device_train_batch_size": 8,
        "num_generations": 4,
        "max_completion_length": 24,
        "save_steps": 3,
    },
}
KINDS = {"generate": "/completions", "midtrain": "/midtrain", "rl": "/rl", "evaluate": "/evaluations/"}


def main() -> int:
    """Run the experiment; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        recipe = write(root)
        subprocess.run(command(recipe, root / "calm"), check=True, capture_output=True)
        chance = random.Random(given.seed)
        for number in range(given.kills):
            kind = list(KINDS)[number % len(KINDS)]
            print(f"kill {number + 1}: {kill(recipe, root / 'rough', kind, chance.uniform(0.0, 2.5))}", flush=True)
        subprocess.run(command(recipe, root / "rough"), check=True, capture_output=True)
        calm, rough = ids(root / "calm"), ids(root / "rough")
        twice = sum(len(rows) - len(set(rows)) for rows in rough.values())
        rl = json.loads((root / "rough/arms/reference/seed-0/rl/stage.json").read_text())
        before, after = (sum(map(len, run.values())) for run in (calm, rough))
        print(f"{before} completions undisturbed, {after} after {given.kills} kills, {twice} twice")
        print(
            f"RL: {rl['attempts']} attempts, the last from step {rl['result']['resumed_from']} of {rl['result']['steps']}"
        )
        same = calm == rough and not twice
        print("the same set of completions" if same else "NOT THE SAME")
        return 0 if same else 1


def write(root: Path) -> Path:
    """Write questions and recipe; return the recipe."""
    for name, numbers in (("train", range(3, 27)), ("test", range(30, 46))):
        rows = [
            {
                "question": f"Ann has {n} apples and buys {n + 2}. How many has she?",
                "answer": str(2 * n + 2),
                "solution": f"{n} + {n + 2} = {2 * n + 2}.",
            }
            for n in numbers
        ]
        (root / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tree = {
        **RECIPE,
        "questions": {"train": [{"source": str(root / "train.jsonl"), "domain": "math"}]},
        "arms": {
            "reference": [{"strategy": "reference"}],
            "wrong": {"rl": False, "midtrain": [{"pool": "guided", "strategy": "wrong-but-diverse"}]},
        },
        "treatment": "wrong",
        "benchmarks": [
            {"source": str(root / "test.jsonl"), "domain": "math", "samples": 16, "sampling": {"max_tokens": 48}}
        ],
    }
    path = root / "recipe.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def command(recipe: Path, run: Path) -> list[str]:
    return [sys.executable, "-m", "midway", "run", str(recipe), "--out", str(run)]


def kill(recipe: Path, run: Path, kind: str, wait: float) -> str:
    """Start the run, wait for a stage of `kind` (or the end), then `wait` seconds, SIGKILL; return the stage it was in."""
    log = run / "log.jsonl"
    seen = log.read_text().count("\n") if log.exists() else 0

    def events() -> list[dict[str, str]]:
        return [json.loads(line) for line in log.read_text().splitlines()[seen:]] if log.exists() else []

    with subprocess.Popen(
        command(recipe, run), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        while process.poll() is None:
            if any(e["event"] == "begin" and KINDS[kind] in e["stage"] for e in events()):
                time.sleep(wait)
                break
            if any(e["event"] == "begin" for e in events()) and kind not in pending(run):
                time.sleep(wait)
                break
            time.sleep(0.02)
        ended = process.poll() is not None
        if not ended:
            os.killpg(process.pid, signal.SIGKILL)
    begun = [e["stage"] for e in events() if e["event"] == "begin"]
    return "it had ended" if ended else f"in {begun[-1]}" if begun else "before the first stage"


def pending(run: Path) -> set[str]:
    """The kinds of stages that are not complete."""
    done = {m["stage"] for f in run.rglob("stage.json") if (m := json.loads(f.read_text())).get("state") == "complete"}
    return set(KINDS) - done


def ids(run: Path) -> dict[str, list[str]]:
    """Every stored completion id by stage."""
    found = {}
    for stage in sorted(run.rglob("stage.json")):
        kind = json.loads(stage.read_text())["stage"]
        if kind in ("generate", "evaluate"):
            folder = stage.parent / ("completions" if kind == "evaluate" else "")
            found[stage.parent.relative_to(run).as_posix()] = sorted(
                i for f in folder.glob("*.parquet") for i in pl.read_parquet(f)["id"]
            )
    return found


if __name__ == "__main__":
    sys.exit(main())
