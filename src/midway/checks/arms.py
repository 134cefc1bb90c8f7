"""What each arm does, and how much is drawn to evaluate them all."""

from __future__ import annotations

from collections.abc import Iterator

from midway import registry
from midway.checks.base import Check, Finding, Subject
from midway.recipe import ArmConfig, Recipe, merge


def run(subject: Subject) -> Iterator[Finding]:
    recipe = subject.recipe
    for name, arm in recipe.arms.items():
        role = " (treatment)" if name == recipe.treatment_arm else " (control)" if name == recipe.control_arm else ""
        yield Finding(f"arm {name}{role}: {path(recipe, arm)}; seeds {recipe.seeds}")
    models = 1 + len(recipe.seeds) * sum(bool(a.midtrain) + a.rl for a in recipe.arms.values())
    drawn = sum(len(subject.bench.questions.benchmark(b.name)) * (b.samples + b.greedy) for b in recipe.benchmarks)
    yield Finding(f"evaluation: {models} models x {drawn:,} samples = {models * drawn:,} completions")


def path(recipe: Recipe, arm: ArmConfig) -> str:
    """Return an arm's way from its first model to its last, in words."""
    parts = [f"{data.strategy} of {data.pool}" if data.pool else "reference solutions" for data in arm.midtrain]
    steps = [f"from {arm.checkpoint}"] if arm.checkpoint else []
    if parts:
        steps.append(f"mid-train on {' + '.join(parts)}")
    if arm.rl:
        rl = registry.find("trainers", recipe.training.trainer).sampled(merge(recipe.rl, arm.rl_args))
        length = "compute-matched" if arm.compute_matched else f"{rl.steps or 'by epochs'} steps"
        steps.append(f"GRPO {length} of {rl.batch} completions, groups of {rl.group}")
    return ", then ".join(steps) or "the base model as it is"


CHECK = Check("arms", run)
