#!/usr/bin/env python
"""Calibration of the forecast: 24 lab conditions that were drawn before any of them ran, 8 to learn the constants from, 16 held out.

    python benchmarks/calibration.py draw                      draw the conditions again, from the seeds, into calibration.json
    python benchmarks/calibration.py models                    make the small base models, once (a few minutes of one core each)
    python benchmarks/calibration.py all --jobs J --out DIR --minutes M
    python benchmarks/calibration.py run --condition N --out DIR
    python benchmarks/calibration.py score DIR                 fit on the 8, forecast the 16 from their probes, compare with what came out
    python benchmarks/calibration.py unpack DIR                write our own results (docs/forecast/results.jsonl.gz) into a folder
    python benchmarks/calibration.py score DIR --second        fit on all 24, forecast 16 that were drawn later

Conditions 0 to 23 are the first draw, 24 to 39 the second, which was made when the model of the forecast had been changed; `--from 24` runs
the second.
A condition is a recipe: a probe (the forecast's own stage), RL alone, and several ways, then RL; its result is one small JSON file a seed.
Conditions do not depend on each other; `all` runs them side by side with one thread each, skips what is done, and stops at its time limit.
What the conditions are, what was expected of them, and what came out: docs/forecast.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CONDITIONS = HERE / "calibration.json"
MODELS = HERE / "calibration-models"
KEPT = HERE.parent / "docs" / "forecast" / "results.jsonl.gz"
SEEDS = (0, 1)
BENCHMARK, QUESTIONS, SAMPLES = "single", 200, 2

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
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # before torch is imported
        os.environ.setdefault(name, "1")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=MODELS, metavar="DIR", help="where the base models are")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("draw")
    verbs.add_parser("models").add_argument("names", nargs="*")
    one = verbs.add_parser("run")
    one.add_argument("--condition", type=int, required=True)
    one.add_argument("--seed", type=int, default=0, choices=SEEDS)
    every = verbs.add_parser("all")
    every.add_argument("--jobs", type=int, default=2)
    every.add_argument("--minutes", type=float, default=60.0)
    for verb in (one, every):
        verb.add_argument("--out", type=Path, required=True, help="where the small JSON results go")
        verb.add_argument("--work", type=Path, help="where the run directories go; /tmp/midway-calibration if left out")
    every.add_argument("--from", dest="first", type=int, default=0, help="the first condition that is run")
    verbs.add_parser("unpack").add_argument("results", type=Path)
    scored = verbs.add_parser("score")
    scored.add_argument("results", type=Path)
    scored.add_argument("--second", action="store_true", help="learn from the whole first draw, judge by the second")
    args = parser.parse_args()
    if args.verb == "draw":
        first = draw()
        CONDITIONS.write_text(json.dumps({**first, "second": draw_again(first["conditions"])}, indent=1) + "\n")
        return 0
    if args.verb == "models":
        return make_models(args.models, args.names)
    if args.verb == "unpack":
        return unpack(args.results)
    if args.verb == "score":
        from calibration_score import score

        drawn = conditions()
        if args.second:
            drawn = [{**one, "learn": one["number"] < SECOND} for one in drawn]
        else:
            drawn = drawn[:SECOND]
        return score(args.results, drawn)
    work = args.work or Path("/tmp/midway-calibration")
    if args.verb == "run":
        return run(args.condition, args.seed, args.out, work, args.models)
    return run_all(args.jobs, args.minutes, args.out, work, args.models, args.first)


DRAW_SEED, SECOND_SEED = 20261126, 20261127
SECOND = 24
"""The number of the first condition of the second draw."""
LEVELS = ([1], [1, 2, 3], [2, 3])
STEPS = (8, 20, 40)
GROUPS = (4, 8, 16)
SIZES = {"default": (2, 4, 6), "two-ways": (2, 4)}
LEARN, HELD_OUT = (3, 5), (5, 11)
"""Conditions to learn from and to hold out, each as (near zero by the pilot, others)."""


def near_zero(condition: dict[str, Any]) -> bool:
    """Return whether the pilot says that the lead is within 10 points of zero: RL alone has the time to catch up.

    The pilot (docs/forecast.md): a base that shows ways in 6 % of unasked texts was 10.5 points behind after 30 steps.
    """
    shown = float(condition["base"].rpartition("-")[2])
    return bool((shown >= 0.06 and condition["steps"] >= 40) or (shown >= 0.2 and condition["steps"] >= 20))


def draw(seed: int = DRAW_SEED) -> dict[str, Any]:
    """Draw the conditions: every factor by itself and uniformly, until each kind has its number; no condition twice."""
    import random

    rng = random.Random(seed)
    wanted = {
        (learn, near): n
        for learn, counts in ((True, LEARN), (False, HELD_OUT))
        for near, n in zip((True, False), counts, strict=True)
    }
    taken: list[dict[str, Any]] = []
    while any(wanted.values()):
        one = one_condition(rng)
        kind = (rng.random() < 1 / 3, near_zero(one))
        if wanted[kind] and not any(all(one[key] == other[key] for key in one) for other in taken):
            wanted[kind] -= 1
            taken.append({**one, "learn": kind[0], "near_zero_by_pilot": kind[1]})
    return {"seed": seed, "conditions": [{"number": n, **one} for n, one in enumerate(taken)]}


def one_condition(rng: Any) -> dict[str, Any]:
    """Draw every factor by itself and uniformly."""
    base = rng.choice(list(BASES))
    world = base.rpartition("-")[0]
    return {
        "base": base,
        "world": world,
        "levels": rng.choice(LEVELS),
        "ways": sorted(rng.sample(WAYS[world], rng.choice(SIZES[world])), key=WAYS[world].index),
        "steps": rng.choice(STEPS),
        "group": rng.choice(GROUPS),
    }


def draw_again(before: list[dict[str, Any]], seed: int = SECOND_SEED) -> dict[str, Any]:
    """Draw as many held-out conditions as the first draw has, by the same rules; none that was drawn before."""
    import random

    rng = random.Random(seed)
    wanted = dict(zip((True, False), HELD_OUT, strict=True))
    taken: list[dict[str, Any]] = []
    while any(wanted.values()):
        one = one_condition(rng)
        near = near_zero(one)
        if wanted[near] and not any(all(one[key] == other[key] for key in one) for other in [*before, *taken]):
            wanted[near] -= 1
            taken.append({**one, "learn": False, "near_zero_by_pilot": near})
    return {"seed": seed, "conditions": [{"number": len(before) + n, **one} for n, one in enumerate(taken)]}


def conditions() -> list[dict[str, Any]]:
    """Return the conditions that were drawn, in order: the first draw, then the second."""
    stored = json.loads(CONDITIONS.read_text())
    return [*stored["conditions"], *stored["second"]["conditions"]]


def base_model(name: str, folder: Path) -> Path:
    """Return the directory of a base model. Raises SystemExit where it has not been made."""
    from midway.lab.checkpoints import SHIPPED

    path = SHIPPED if BASES[name] is None else folder / name
    if not (path / "config.json").is_file():
        raise SystemExit(
            f"no base model {name} in {folder}: make it with `python benchmarks/calibration.py models {name}`"
        )
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


def recipe_of(condition: dict[str, Any], models: Path, seed: int) -> Any:
    """Return the recipe of a condition."""
    from midway.recipe import Recipe

    world = condition["world"]
    options = {"families": FAMILIES[world], "levels": condition["levels"], "world": world}
    source = {"source": "lab", "split": "train", "limit": 160, "seed": 0, "options": options}
    test = {"source": "lab", "name": BENCHMARK, "limit": QUESTIONS, "options": options, "samples": SAMPLES}
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
            "seeds": [seed],
            "forecast": True,
            "benchmarks": [{**test, "sampling": {"max_tokens": 96}}],
        }
    )


def result_file(out: Path, number: int, seed: int) -> Path:
    """Return where the result of a condition and seed goes."""
    return out / f"condition-{number:02d}-seed-{seed}.json"


def run(number: int, seed: int, out: Path, work: Path, models: Path) -> int:
    """Run one condition with one seed, or go on with it, and write its result."""
    target = result_file(out, number, seed)
    if target.exists():
        return 0
    from midway.runner import opened

    condition = conditions()[number]
    began, clock = time.time(), time.process_time()
    with opened(recipe_of(condition, models, seed), work / f"condition-{number:02d}") as runner:
        runner.bench.questions.store(runner.run.files)
        runner.store(None)
        failures = runner.execute()
        if failures:
            print("\n".join(f"{f.rel}: {f.error}" for f in failures), file=sys.stderr)
            return 1
        found = outcome(runner.run.path, seed)
    found = {
        "condition": condition,
        "seed": seed,
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


def unpack(out: Path) -> int:
    """Write the results that docs/forecast.md rests on into a folder."""
    import gzip

    out.mkdir(parents=True, exist_ok=True)
    with gzip.open(KEPT, "rt", encoding="utf-8") as lines:
        for line in lines:
            found = json.loads(line)
            result_file(out, found["condition"]["number"], found["seed"]).write_text(line, encoding="utf-8")
    return 0


PHASES = {
    "base": "arms/base/seed-0/evaluations/{benchmark}/base",
    "rl-only": "arms/rl-only/seed-{seed}/evaluations/{benchmark}/after-rl",
    "several before RL": "arms/several/seed-{seed}/evaluations/{benchmark}/before-rl",
    "several": "arms/several/seed-{seed}/evaluations/{benchmark}/after-rl",
}


def outcome(path: Path, seed: int) -> dict[str, Any]:
    """Return what a condition's run says: the probe's counts, right samples by question and phase, ways used, RL's reward by step."""
    import polars as pl

    from midway.rundir.layout import Layout
    from midway.training.jobs import read_rows

    files = Layout(path)
    order = pl.read_parquet(files.questions(f"benchmark-{BENCHMARK}"))["id"].to_list()
    right: dict[str, list[int]] = {}
    ways: dict[str, dict[str, int]] = {}
    for phase, form in PHASES.items():
        frame = pl.read_parquet(files.evaluated(form.format(seed=seed, benchmark=BENCHMARK)))
        counts = dict(frame.group_by("question_id").agg((pl.col("judgement") == "correct").sum()).iter_rows())
        right[phase] = [int(counts.get(question, 0)) for question in order]
        first = [used[0] if used else "" for used in frame["ways"].to_list()]
        ways[phase] = {way: first.count(way) for way in sorted(set(first))}
    rate = {phase: sum(counts) / (SAMPLES * len(order)) for phase, counts in right.items()}
    rewards = {
        arm: [round(r["reward"], 4) for r in read_rows(files.metrics(f"arms/{arm}/seed-{seed}/rl")) if "reward" in r]
        for arm in ("rl-only", "several")
    }
    forecast = json.loads(files.forecast().read_text())
    return {
        "probe": json.loads(files.probe_counts().read_text()),
        "pre_registered": forecast["pre_registered"],
        "budgets": forecast["budgets"],
        "pass": rate,
        "lead": rate["several"] - rate["rl-only"],
        "right": right,
        "ways": ways,
        "rewards": rewards,
        "solutions": pl.read_parquet(files.solutions("several", seed)).height,
    }


def run_all(jobs: int, minutes: float, out: Path, work: Path, models: Path, first: int = 0) -> int:
    """Run what has no result, `jobs` at a time, until the time is up: all conditions from number `first` on with one seed, dear ones
    first; then with the next seed."""
    end = time.time() + 60 * minutes
    units = [(seed, c) for seed in SEEDS for c in sorted(conditions()[first:], key=lambda c: -c["steps"])]
    todo = [(c["number"], seed) for seed, c in units if not result_file(out, c["number"], seed).exists()]
    running: dict[subprocess.Popen[bytes], tuple[int, int]] = {}
    out.mkdir(parents=True, exist_ok=True)
    work.mkdir(parents=True, exist_ok=True)
    own = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    failed = 0
    while (todo or running) and time.time() < end:
        busy = {
            number for number, _ in running.values()
        }  # seeds of one condition share a run directory: one after the other
        while len(running) < jobs and (unit := next((u for u in todo if u[0] not in busy), None)):
            todo.remove(unit)
            busy.add(unit[0])
            command = [sys.executable, str(Path(__file__).resolve()), "--models", str(models.resolve()), "run"]
            command += ["--condition", str(unit[0]), "--seed", str(unit[1]), "--out", str(out), "--work", str(work)]
            with open(work / f"condition-{unit[0]:02d}.log", "ab") as log:
                running[subprocess.Popen(command, env={**os.environ, **own}, stderr=log)] = unit
        for process in [p for p in running if p.poll() is not None]:
            failed += process.returncode != 0
            del running[process]
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
    print(
        f"{done} of {len(units)} results are there ({len(SEEDS)} seeds a condition); {failed} failed; logs are in {work}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
