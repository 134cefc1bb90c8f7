#!/usr/bin/env python
"""Calibration of the forecast: 24 lab conditions that were drawn before any of them ran, 8 to learn the constants from, 16 held out.

    python benchmarks/calibration.py models                    make the small base models, once (a few minutes of one core each)
    python benchmarks/calibration.py all --jobs J --out DIR --minutes M
    python benchmarks/calibration.py run --condition N --out DIR
    python benchmarks/calibration.py score DIR                 fit on the 8, forecast the 16 from their probes, compare with what came out

A condition is a recipe: a probe (the forecast's own stage), RL alone, and several ways, then RL; its result is one small JSON file. Conditions do
not depend on each other; `all` runs them side by side with one thread each, skips what is done, and stops at its time limit. No network.
What the conditions are, what was expected of them, and what came out: docs/forecast.md.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CONDITIONS = HERE / "calibration.json"
MODELS = HERE / "calibration-models"
SEEDS = (0, 1)
BENCHMARK, QUESTIONS = "single", 200

WAYS = {
    "default": (
        "carry-out-step-by-step",
        "working-backward",
        "setting-up-equations",
        "guess-and-check",
        "auxiliary-elements",
        "decomposing-and-recombining",
    ),
    "two-ways": ("carry-out-step-by-step", "working-backward", "setting-up-equations", "auxiliary-elements"),
}
FAMILIES = {"default": ["single"], "two-ways": ["backward", "difference", "compare", "mixture"]}
BASES = {  # name: world, share of unasked documents that show a way, steps, learning rate, what it goes on from
    "default-0": None,
    "default-0.02": ("default", 0.02, 80, 4e-4, None),
    "default-0.06": ("default", 0.06, 80, 4e-4, None),
    "default-0.2": ("default", 0.2, 80, 4e-4, None),
    "two-ways-0": ("two-ways", 0.0, 250, 8e-4, None),
    "two-ways-0.08": ("two-ways", 0.08, 80, 4e-4, "two-ways-0"),
    "two-ways-0.25": ("two-ways", 0.25, 80, 4e-4, "two-ways-0"),
}
"""The base models. The first is the one that midway ships; the others go on from it (or from another) for some steps on another corpus."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=MODELS, metavar="DIR", help="where the base models are")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("models").add_argument("names", nargs="*")
    one = verbs.add_parser("run")
    one.add_argument("--condition", type=int, required=True)
    every = verbs.add_parser("all")
    every.add_argument("--jobs", type=int, default=2)
    every.add_argument("--minutes", type=float, default=60.0)
    for verb in (one, every):
        verb.add_argument("--out", type=Path, required=True, help="where the small JSON results go")
        verb.add_argument("--work", type=Path, help="where the run directories go; /tmp/midway-calibration if left out")
    verbs.add_parser("score").add_argument("results", type=Path)
    args = parser.parse_args()
    if args.verb == "models":
        return make_models(args.models, args.names)
    if args.verb == "score":
        from calibration_score import score

        return score(args.results, conditions())
    work = args.work or Path("/tmp/midway-calibration")
    if args.verb == "run":
        return run(args.condition, args.out, work, args.models)
    return run_all(args.jobs, args.minutes, args.out, work, args.models)


def conditions() -> list[dict[str, Any]]:
    """Return the conditions that were drawn, in order."""
    return list(json.loads(CONDITIONS.read_text())["conditions"])


def base_model(name: str, folder: Path) -> Path:
    """Return the directory of a base model. Raises SystemExit where it has not been made."""
    from midway.lab.checkpoints import SHIPPED

    path = SHIPPED if BASES[name] is None else folder / name
    if not (path / "config.json").is_file():
        raise SystemExit(f"no base model {name} in {folder}: make it with `python benchmarks/calibration.py models {name}`")
    return path


def make_models(folder: Path, names: list[str]) -> int:
    """Make the base models that are not there, and store them in half precision."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from midway.lab.corpus import CorpusConfig
    from midway.lab.pretrain import pretrain
    from midway.lab.world import world_config

    for name in names or BASES:
        how = BASES[name]
        if how is None or (folder / name / "config.json").exists():
            continue
        world, shown, steps, lr, start = how
        config = replace(CorpusConfig(), shown=shown, world=world_config(world))
        raw = folder / f".{name}"
        print(name, pretrain(raw, config, steps=steps, lr=lr, start=base_model(start or "default-0", folder)))
        store(raw, folder / name, AutoModelForCausalLM, AutoTokenizer)
    return 0


def store(raw: Path, target: Path, models: Any, tokenizers: Any) -> None:
    """Write a checkpoint in half precision (1.5 MB each) and remove the one that it was made from."""
    import shutil

    models.from_pretrained(raw).half().save_pretrained(target)
    tokenizers.from_pretrained(raw).save_pretrained(target)
    shutil.rmtree(raw)


def recipe_of(condition: dict[str, Any], models: Path) -> Any:
    """Return the recipe of a condition."""
    from midway.recipe import Recipe

    world = condition["world"]
    options = {"families": FAMILIES[world], "levels": condition["levels"], "world": world}
    source = {"source": "lab", "split": "train", "limit": 160, "seed": 0, "options": options}
    test = {"source": "lab", "name": BENCHMARK, "limit": QUESTIONS, "options": options, "samples": 2}
    sampling = {"temperature": 0.8, "max_tokens": 96}
    return Recipe.model_validate(
        {
            "name": f"condition-{condition['number']:02d}",
            "title": f"Calibration, condition {condition['number']}",
            "model": {"path": str(base_model(condition["base"], models)), "dtype": "float32"},
            "questions": {"train": [source]},
            "prompt": {"style": "cue"},
            "verify": {"workers": 1},
            "pools": {"guided": {"heuristics": condition["ways"], "samples": 2, "sampling": sampling}},
            "selection": {"per_question": 3, "near_copy": 0.95, "same_computation": True, "decontaminate": ["exact"]},
            "midtrain": {
                "num_train_epochs": 5,
                "per_device_train_batch_size": 16,
                "learning_rate": 1.0e-3,
                "lr_scheduler_type": "cosine",
                "warmup_steps": 5,
                "save_steps": 1000,
            },
            "rl": {
                "max_steps": condition["steps"],
                "per_device_train_batch_size": 48,
                "num_generations": condition["group"],
                "max_completion_length": 96,
                "learning_rate": 4.0e-4,
                "lr_scheduler_type": "constant",
                "temperature": 1.0,
                "save_steps": 1000,
            },
            "training": {"rollouts": "none"},
            "arms": {"rl-only": [], "several": ["guided"]},
            "treatment": "several",
            "control": "rl-only",
            "seeds": list(SEEDS),
            "forecast": True,
            "benchmarks": [{**test, "sampling": {"max_tokens": 96}}],
        }
    )


def run(number: int, out: Path, work: Path, models: Path) -> int:
    """Run one condition, or go on with it, and write its result."""
    target = out / f"condition-{number:02d}.json"
    if target.exists():
        return 0
    from midway.runner import opened

    condition = conditions()[number]
    began, clock = time.time(), time.process_time()
    with opened(recipe_of(condition, models), work / f"condition-{number:02d}") as runner:
        runner.bench.questions.store(runner.run.files)
        runner.store(None)
        failures = runner.execute()
        if failures:
            print("\n".join(f"{f.rel}: {f.error}" for f in failures), file=sys.stderr)
            return 1
        found = outcome(runner.run.path)
    found = {
        "condition": condition,
        **found,
        "seconds": round(time.time() - began, 1),
        "cpu_seconds": round(time.process_time() - clock, 1),
    }
    out.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(f".{os.getpid()}.tmp")
    partial.write_text(json.dumps(found, separators=(",", ":")))
    os.replace(partial, target)
    print(target, f"lead {100 * found['lead']:+.1f} points, {found['cpu_seconds']:.0f} core-seconds", flush=True)
    return 0


def outcome(path: Path) -> dict[str, Any]:
    """Return what a condition's run says: the probe's counts, right samples by question and phase, RL's reward along its steps."""
    import polars as pl

    from midway.rundir.layout import Layout
    from midway.training.jobs import read_rows

    files = Layout(path)
    order = pl.read_parquet(files.questions(f"benchmark-{BENCHMARK}"))["id"].to_list()
    evaluations: dict[str, list[list[int]]] = {}
    ways: dict[str, list[dict[str, int]]] = {}
    for rel in files.evaluations():
        if not files.evaluated(rel).is_file():
            continue
        frame = pl.read_parquet(files.evaluated(rel))
        right = frame.group_by("question_id").agg(n=(pl.col("judgement") == "correct").sum())
        counts = dict(right.iter_rows())
        arm, phase = rel.split("/")[1], rel.split("/")[-1]
        key = "base" if arm == "base" else f"{arm}/{phase}"
        evaluations.setdefault(key, []).append([int(counts.get(q, 0)) for q in order])
        first = [w[0] if w else "" for w in frame["ways"].to_list()]
        ways.setdefault(key, []).append({w: first.count(w) for w in sorted(set(first))})
    rate = {key: sum(map(sum, seeds)) / (2 * len(order) * len(seeds)) for key, seeds in evaluations.items()}
    rewards = {
        arm: [[round(r["reward"], 4) for r in read_rows(files.metrics(f"arms/{arm}/seed-{s}/rl")) if "reward" in r] for s in SEEDS]
        for arm in ("rl-only", "several")
    }
    forecast = json.loads(files.forecast().read_text())
    solutions = [pl.read_parquet(files.solutions("several", s)).height for s in SEEDS]
    return {
        "probe": json.loads(files.probe_counts().read_text()),
        "pre_registered": forecast["pre_registered"],
        "budgets": forecast["budgets"],
        "pass": rate,
        "lead": rate["several/after-rl"] - rate["rl-only/after-rl"],
        "right": evaluations,
        "ways": ways,
        "rewards": rewards,
        "solutions": solutions,
        "questions": len(order),
    }


def run_all(jobs: int, minutes: float, out: Path, work: Path, models: Path) -> int:
    """Run every condition that has no result, `jobs` at a time, until the time is up; dear ones first."""
    end = time.time() + 60 * minutes
    todo = sorted(
        (c for c in conditions() if not (out / f"condition-{c['number']:02d}.json").exists()),
        key=lambda c: -c["steps"],
    )
    running: list[subprocess.Popen[bytes]] = []
    out.mkdir(parents=True, exist_ok=True)
    work.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    failed = 0
    while (todo or running) and time.time() < end:
        while todo and len(running) < jobs:
            number = todo.pop(0)["number"]
            command = [sys.executable, __file__, "--models", str(models), "run", "--condition", str(number)]
            command += ["--out", str(out), "--work", str(work)]
            log = open(work / f"condition-{number:02d}.log", "ab")  # noqa: SIM115
            running.append(subprocess.Popen(command, env=environment, stderr=log))
            log.close()
        for process in [p for p in running if p.poll() is not None]:
            failed += process.returncode != 0
            running.remove(process)
        time.sleep(0.2)
    for process in running:
        process.terminate()
    for process in running:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    done = len(list(out.glob("condition-*.json")))
    print(f"{done} of {len(conditions())} conditions are done; {failed} failed; logs are in {work}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
