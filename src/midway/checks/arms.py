"""What each arm does, and how much is drawn to evaluate them all."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from midway import registry
from midway.checks.base import Check, Finding, Level, Subject
from midway.recipe import ArmConfig, Recipe, merge
from midway.rundir import RunError, find_run
from midway.rundir.layout import Layout


def run(subject: Subject) -> Iterator[Finding]:
    recipe = subject.recipe
    for name, arm in recipe.arms.items():
        role = " (treatment)" if name == recipe.treatment_arm else " (control)" if name == recipe.control_arm else ""
        yield Finding(f"arm {name}{role}: {path(recipe, arm)}; seeds {recipe.seeds}")
        if recipe.treatment_arm not in (None, name) and any(data.matched for data in arm.midtrain):
            yield matched(subject, name)
    kinds = {tuple(arm.replay) for arm in recipe.arms.values() if arm.midtrain}
    if len(kinds) > 1:
        text = (
            "arms: they do not replay the same rows in mid-training, so a difference between them may be the replay's\n"
            "  write the same replay in each of them"
        )
        yield Finding(text, Level.WARNING)
    models = 1 + len(recipe.seeds) * sum(bool(a.midtrain) + a.rl for a in recipe.arms.values())
    drawn = sum(len(subject.bench.questions.benchmark(b.name)) * (b.samples + b.greedy) for b in recipe.benchmarks)
    yield Finding(f"evaluation: {models} models x {drawn:,} samples = {models * drawn:,} completions")


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
        f"{text}; this run selected {rows:,} rows, {texts:,} different texts ({1 - texts / rows:.0%} repeats)"
    )


def path(recipe: Recipe, arm: ArmConfig) -> str:
    """Return an arm's way from its first model to its last, in words."""
    parts = [f"{data.strategy} of {data.pool}" if data.pool else "reference solutions" for data in arm.midtrain]
    steps = [f"from {arm.checkpoint}"] if arm.checkpoint else []
    if parts:
        parts += [f"{one.share:.0%} replay of {one.source or one.pool}" for one in arm.replay]
        steps.append(f"mid-train on {' + '.join(parts)}")
    if arm.rl:
        rl = registry.find("trainers", recipe.training.trainer).sampled(merge(recipe.rl, arm.rl_args))
        length = "compute-matched" if arm.compute_matched else f"{rl.steps or 'by epochs'} steps"
        steps.append(f"GRPO {length} of {rl.batch} completions, groups of {rl.group}")
    return ", then ".join(steps) or "the base model as it is"


CHECK = Check("arms", run)
