"""How many groups of RL will have no signal (all right or all wrong): expected of the base model, before anything is paid for.

Where the run directory of the recipe's name has verdicts on the RL questions already (a filter's, or an unguided pool's), from those; else
what it depends on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from midway import registry
from midway.checks.base import Check, Finding, Level, Subject
from midway.evidence.alarms import Limits
from midway.evidence.signal import no_signal, no_signal_of_counts
from midway.recipe import Recipe
from midway.rundir import layout
from midway.rundir.layout import Layout
from midway.stages.filter import chosen, solved
from midway.stages.pools import asked
from midway.wording import plural
from midway.workbench import RL

SHOWN = (0.01, 0.05, 0.1, 0.5)


def run(subject: Subject) -> Iterator[Finding]:
    recipe = subject.recipe
    if not any(arm.rl for arm in recipe.arms.values()):
        return
    group = registry.find("trainers", recipe.training.trainer).sampled(recipe.rl).group
    found = counts_of(Layout(Path("runs") / recipe.name), recipe)
    if found is None:
        cases = ", ".join(f"{no_signal(p, group):.0%} of draws where the model solves {p:.0%}" for p in SHOWN)
        yield Finding(
            f"signal: a group of {group} has no signal (all right or all wrong) in {cases}; how often the base model solves which question "
            "is not known yet: questions.rl_filter measures it, or an unguided pool (`midway run RECIPE --until verify`)"
        )
        return
    counts, where = found
    config = recipe.questions.rl_filter
    yield expected(counts, group, f"of the base model's samples in {where}")
    if config is not None:
        left = chosen(subject.bench.questions.get(RL), counts, config).filter("kept")
        yield expected(left, group, f"with questions.rl_filter, which leaves {plural(left.height, 'question')}")


def expected(counts: pl.DataFrame, group: int, where: str) -> Finding:
    """Say what share of groups is expected to have no signal."""
    each = no_signal_of_counts(counts["judged"].to_numpy(), counts["correct"].to_numpy(), group)
    known = each[np.isfinite(each)]
    if not known.size:
        return Finding(
            f"signal: {where} no question has {group} judged samples, which an estimate for groups of {group} needs"
        )
    share, most = float(known.mean()), Limits().no_signal
    text = f"signal: {share:.0%} of groups of {group} are expected to have none (all right or all wrong), {where}"
    if share <= most:
        return Finding(text)
    return Finding(f"{text}: above {most:.0%} most of RL is wasted; set questions.rl_filter", Level.WARNING)


def counts_of(files: Layout, recipe: Recipe) -> tuple[pl.DataFrame, str] | None:
    """Return stored counts of judged and right samples by question, and where they are from; None where there are none."""
    if files.filtered().is_file():
        return pl.read_parquet(files.filtered()), "the filter's own"
    for name, pool in recipe.pools.items():
        if not pool.heuristics and not pool.prompts and files.asked(name).is_file():
            folder, verdicts = files.stage(layout.completions(name)), files.stage(layout.verdicts(name))
            return solved(folder, verdicts, asked(files, name)), f"pool {name} of {files.root}"
    return None


CHECK = Check("signal", run)
