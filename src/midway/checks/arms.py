"""What each arm does, and how much is drawn to evaluate them all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from midway import registry
from midway.checks.base import Check, Finding, Level, Subject
from midway.recipe import ArmConfig, Recipe, merge
from midway.rundir import RunError, find_run
from midway.rundir.layout import Layout
from midway.wording import plural


def run(subject: Subject) -> Iterator[Finding]:
    recipe = subject.recipe
    for name, arm in recipe.arms.items():
        role = " (treatment)" if name == recipe.treatment_arm else " (control)" if name == recipe.control_arm else ""
        yield Finding(
            f"arm {name}{role}: {path(recipe, arm)}; {'seed' if len(recipe.seeds) == 1 else 'seeds'} {', '.join(map(str, recipe.seeds))}"
        )
        if recipe.treatment_arm not in (None, name) and any(data.matched for data in arm.midtrain):
            yield matched(subject, name)
    kinds = {tuple(arm.replay) for arm in recipe.arms.values() if arm.midtrain}
    if len(kinds) > 1:
        text = (
            "arms: they do not replay the same rows in mid-training, so a difference between them may be the replay's\n"
            "  write the same replay in each of them"
        )
        yield Finding(text, Level.WARNING)
    if not recipe.arms:
        yield Finding(
            "arms: there is none, so nothing is trained: add some, or take the data alone: midway data RECIPE",
            Level.WARNING,
        )
    models = 1 + len(recipe.seeds) * sum(bool(a.midtrain) + a.rl for a in recipe.arms.values())
    drawn = sum(len(subject.bench.questions.benchmark(b.name)) * (b.samples + b.greedy) for b in recipe.benchmarks)
    if not recipe.benchmarks:
        yield Finding(
            "evaluation: there is no benchmark, so no arm is evaluated and the report has no verdict\n"
            "  add one, such as `benchmarks: [{source: gsm8k, split: test}]`",
            Level.WARNING,
        )
    elif recipe.arms:
        yield Finding(
            f"evaluation: {plural(models, 'model')} x {plural(drawn, 'sample')} = {plural(models * drawn, 'completion')}"
        )


def matched(subject: Subject, name: str) -> Finding:
    """Return what an arm's data is matched to, and how many different texts that is where the run has selected it already."""
    text = f"arm {name}: as many rows a question as {subject.recipe.treatment_arm}"
    try:
        files = [Layout(find_run(subject.recipe.name)).solutions(name, seed) for seed in subject.recipe.seeds]
    except RunError:
        files = []
    tables = [pl.read_parquet(file, columns=["question_id", "text"]) for file in files if file.is_file()]
    rows = sum(table.height for table in tables)
    if not rows:
        return Finding(
            f"{text}; where fewer different texts are right, rows are repeated, and the report says how many"
        )
    texts = sum(table.n_unique() for table in tables)
    return Finding(
        f"{text}; this run selected {plural(rows, 'row')}, {plural(texts, 'different text')} ({1 - texts / rows:.0%} repeats)"
    )


def path(recipe: Recipe, arm: ArmConfig) -> str:
    """Return an arm's way from its first model to its last, in words."""
    parts = [f"{data.strategy} of {data.pool}" if data.pool else "reference solutions" for data in arm.midtrain]
    steps = [f"from {arm.checkpoint}"] if arm.checkpoint else []
    if parts:
        parts += [f"{one.share:.0%} replay of {one.source or one.pool}" for one in arm.replay]
        steps.append(f"mid-train on {' + '.join(parts)}")
    if arm.rl:
        trainer, args = registry.find("trainers", recipe.training.trainer), merge(recipe.rl, arm.rl_args)
        rl = trainer.sampled(args)
        length = f"for {plural(rl.steps, 'step')}" if rl.steps else f"for {epochs(args)}"
        length = "for as long as the treatment took in all" if arm.compute_matched else length
        steps.append(f"RL ({trainer.algorithm(args)}) {length}, {rl.batch} completions a step in groups of {rl.group}")
    return ", then ".join(steps) or "the base model as it is"


def epochs(args: Mapping[str, Any]) -> str:
    """Return how many passes over the questions RL makes, where no number of steps is set."""
    found = args.get("num_train_epochs", args.get("trainer.total_epochs"))
    return "the trainer's own number of epochs" if found is None else f"{found:g} {'epoch' if found == 1 else 'epochs'}"


CHECK = Check("arms", run)
