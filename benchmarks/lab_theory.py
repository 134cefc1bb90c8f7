"""The experiments of docs/theory.md, "From theory to the lab", on a machine with many cores: units (recipe, arm, seed) side by side.

    python benchmarks/lab_theory.py all --jobs 16 --out DIR [--minutes 9] [--work WORK] [--seeds 0,1]
    python benchmarks/lab_theory.py list

A unit is `midway run RECIPE --arm ARM --seed S` in a process of its own with one thread, on the CPU, without the network. Pools are made
first, once for all recipes. DIR gets one small JSON a unit (scores before and after RL, what mid-training reached, reward by step, seconds)
and one a recipe (`midway theory --run`: entropies, ways, predicted curves). WORK has the run directories. At the limit running units are
stopped, with a checkpoint where there is one; what is complete is measured, and the same command goes on later (with the same WORK).

Expected: about 200 core-seconds a unit and 350 for the pools; 28 units: 6,000 core-seconds in all, 7 to 9 minutes on 16 cores.
The world of two ways (`lab/matched-success-two-ways`) is not in it: its base model alone takes half an hour of one core.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ARMS = {
    "lab/entropy": ("polya", "epochs-1", "epochs-2", "smoothed", "one-way-each", "rl-only"),
    "lab/matched-success": ("one-heuristic", "polya-matched"),
    "lab/matched-entropy": ("one-warm", "one-hot", "one-hottest"),
    "lab/rewards-midtrained": ("polya", "polya-random", "polya-format"),
}
"""What is run of each recipe. `polya` of matched-entropy is that of lab/entropy, setting for setting."""
MEASURING = 75.0
"""Seconds at the end that are kept for measuring."""
ENV = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
}


@dataclass(frozen=True)
class Unit:
    """One arm of one recipe at one seed."""

    recipe: str
    arm: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.recipe.replace('/', '-')}-{self.arm}-s{self.seed}"


class Crew:
    """Processes side by side, at most `jobs`, until `end` (time.monotonic)."""

    def __init__(self, jobs: int, work: Path, end: float, keep: Callable[[str, int], None] | None = None) -> None:
        """`keep` is called with the name and the exit code of each process that ends by itself."""
        self.jobs, self.work, self.end, self.keep = jobs, work, end, keep
        self.running: dict[str, tuple[subprocess.Popen[bytes], float]] = {}
        self.seconds: dict[str, float] = {}

    def run(self, todo: list[tuple[str, list[str]]]) -> list[str]:
        """Run commands by name; return the names that ended well. At the limit the rest is interrupted."""
        good: list[str] = []
        waiting = list(todo)
        while (waiting or self.running) and time.monotonic() < self.end:
            while waiting and len(self.running) < self.jobs:
                name, command = waiting.pop(0)
                log = (self.work / f"{name}.log").open("wb")
                process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=ENV, cwd=self.work)
                self.running[name] = (process, time.monotonic())
            good += self._ended()
            time.sleep(0.2)
        for process, _ in self.running.values():
            process.send_signal(signal.SIGINT)
        patience = time.monotonic() + 10
        while self.running and time.monotonic() < patience:
            good += self._ended()
            time.sleep(0.2)
        for process, _ in self.running.values():
            process.kill()
            process.wait()
        self.running.clear()
        return good

    def _ended(self) -> list[str]:
        good = []
        for name, (process, start) in list(self.running.items()):
            code = process.poll()
            if code is None:
                continue
            del self.running[name]
            self.seconds[name] = round(time.monotonic() - start, 1)
            print(
                f"{name}: {'done' if code == 0 else f'ended with code {code}'}, {self.seconds[name]:.0f} s", flush=True
            )
            if code == 0:
                good.append(name)
            if self.keep is not None:
                self.keep(name, code)
        return good


def folder(work: Path, recipe: str) -> Path:
    return work / recipe.replace("/", "-")


def command(work: Path, recipe: str, settings: list[str], *more: str) -> list[str]:
    """Return what runs a recipe."""
    out = str(folder(work, recipe))
    return [sys.executable, "-m", "midway", "run", recipe, *settings, "--out", out, *more]


def pools(work: Path, recipes: list[str], settings: list[str], jobs: int, end: float) -> None:
    """Make the pools: the guided one once, in the first recipe, and a copy for each other recipe; then what is left, side by side."""
    first, *others = recipes
    Crew(jobs, work, end).run([("pools-first", command(work, first, settings, "--until", "verify"))])
    for recipe in others:
        for part in ("completions", "verdicts"):
            source, target = (folder(work, r) / "pools" / "guided" / part for r in (first, recipe))
            if source.is_dir() and not target.exists():
                shutil.copytree(source, target)
    Crew(jobs, work, end).run(
        [(f"pools-{r.replace('/', '-')}", command(work, r, settings, "--until", "verify")) for r in others]
    )


def outcome(work: Path, unit: Unit, seconds: float) -> dict[str, Any]:
    """Return what a unit's run directory says of it."""
    run = folder(work, unit.recipe)
    arm = run / "arms" / unit.arm / f"seed-{unit.seed}"
    scores = {}
    for file in sorted(arm.glob("evaluations/*/*/stage.json")):
        scores["/".join(file.parent.relative_to(arm / "evaluations").parts)] = score(file.parent)
    for file in sorted((run / "arms" / "base").glob("seed-*/evaluations/*/base/stage.json")):
        scores[f"{file.parent.parent.name}/base"] = score(file.parent)
    stages = {p: json.loads((arm / p / "stage.json").read_text()) for p in ("midtrain", "rl") if (arm / p).is_dir()}
    metrics = arm / "rl" / "metrics.jsonl"
    rows = [json.loads(line) for line in metrics.read_text().splitlines()] if metrics.exists() else []
    return {
        "recipe": unit.recipe,
        "arm": unit.arm,
        "seed": unit.seed,
        "scores": scores,
        "midtrain": stages.get("midtrain", {}).get("result", {}),
        "rl": stages.get("rl", {}).get("result", {}),
        "stage_seconds": {name: stage["cost"].get("seconds") for name, stage in stages.items()},
        "seconds": seconds,
        "correct_by_step": [row["rollouts/correct"] for row in rows if "rollouts/correct" in row],
        "entropy_by_step": [row["entropy"] for row in rows if "entropy" in row],
    }


def score(evaluation: Path) -> dict[str, float]:
    """Return pass@1 over judged samples."""
    import polars as pl

    file = evaluation / "results.parquet"
    if not file.exists():
        return {}
    judged = pl.read_parquet(file, columns=["judgement"])["judgement"]
    right, wrong = int((judged == "correct").sum()), int((judged == "wrong").sum())
    return {"right": right, "judged": right + wrong, "pass@1": right / max(1, right + wrong)}


def keep_tail(work: Path, out: Path, name: str) -> None:
    """Keep the end of what a process that failed printed."""
    lines = (work / f"{name}.log").read_text(encoding="utf-8", errors="replace").splitlines()
    (out / f"{name}.failed.txt").write_text("\n".join(lines[-25:]), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["all", "list"])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "midway-lab-theory")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--only", help="one recipe")
    parser.add_argument("--set", action="append", default=[], help="a change to every recipe (to try the script out)")
    args = parser.parse_args()
    units = [
        Unit(recipe, arm, int(seed))
        for seed in args.seeds.split(",")
        for recipe, arms in ARMS.items()
        if args.only in (None, recipe)
        for arm in arms
    ]
    if args.what == "list":
        for unit in units:
            print(unit.name)
        return
    if args.out is None:
        parser.error("name a folder for the results: --out DIR")
    out, work = args.out.resolve(), args.work.resolve()
    out.mkdir(parents=True, exist_ok=True)
    work.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    end = start + 60 * args.minutes - MEASURING
    settings = [f"seeds=[{args.seeds}]", *args.set]
    pools(work, list(dict.fromkeys(u.recipe for u in units)), settings, args.jobs, end)
    print(f"pools: {time.monotonic() - start:.0f} s", flush=True)
    todo = {u.name: u for u in units if not (out / f"{u.name}.json").exists()}

    def keep_unit(name: str, code: int) -> None:
        if code:
            keep_tail(work, out, name)
        else:
            found = outcome(work, todo[name], crew.seconds[name])
            (out / f"{name}.json").write_text(json.dumps(found, indent=1), encoding="utf-8")

    crew = Crew(args.jobs, work, end, keep_unit)
    done = crew.run(
        [
            (name, command(work, u.recipe, settings, "--arm", u.arm, "--seed", str(u.seed), "--wait"))
            for name, u in todo.items()
        ]
    )

    def keep_measured(name: str, code: int) -> None:
        lines = (work / f"{name}.log").read_text(encoding="utf-8").splitlines()
        text = next((line for line in lines if line.startswith("{")), None)
        if code or text is None:
            keep_tail(work, out, name)
        else:
            (out / f"{name}.json").write_text(text, encoding="utf-8")

    # the ways from all answers; the entropies, for which every model is loaded, from one answer a question
    measures = []
    for recipe in (r for r in ARMS if (folder(work, r) / "arms").is_dir()):
        name, run = recipe.replace("/", "-"), str(folder(work, recipe))
        begin = [sys.executable, "-m", "midway", "theory", "--run", run, "--json", "--benchmark", "single"]
        measures.append((f"entropies-{name}", [*begin, "--samples", "1"]))
        measures.append((f"ways-{name}", [*begin, "--no-entropies"]))
    Crew(args.jobs, work, start + 60 * args.minutes, keep_measured).run(measures)
    print(f"{len(done)} of {len(todo)} units, {time.monotonic() - start:.0f} s; results in {out}", flush=True)


if __name__ == "__main__":
    main()
