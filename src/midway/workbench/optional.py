"""Benchmarks that a recipe calls `optional`: left out of a run where their questions cannot be had, and told as not measured.

Promises: which ones are left out is settled when the first stage of a run begins, and kept in resolved.json. A run never changes its
benchmarks under way. What is there but wrong (bad rows, an unknown split) is an error, as with any other benchmark.

When things go wrong: RunError where something else in the recipe needs a benchmark that is left out.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from midway.questions import NotHere, read
from midway.recipe import BenchmarkConfig, Recipe
from midway.rundir import RunError, layout, read_json
from midway.rundir.layout import Layout

log = logging.getLogger("midway.questions")


@dataclass(frozen=True)
class Measurable:
    """A recipe, and what of it can be measured on this machine."""

    asked: Recipe
    recipe: Recipe
    """`asked` without the benchmarks that cannot be had."""
    absent: Mapping[str, str] = field(default_factory=dict)
    """Name of a benchmark that is left out -> why, in one line."""


def measurable(recipe: Recipe, files: Layout, *, data: str | None = None) -> Measurable:
    """Return a recipe without the optional benchmarks whose questions cannot be had, each with a line in the log; `data` is a folder that
    is looked in before the Hub. Raises RunError and QuestionError."""
    stored = (read_json(files.resolved) or {}).get("absent") or {}
    begun = bool(stored) and any(files.manifests())
    absent: dict[str, str] = {}
    for benchmark in recipe.benchmarks:
        if not benchmark.optional:
            continue
        if begun and benchmark.name in stored:
            absent[benchmark.name] = stored[benchmark.name]
            log.warning(
                "benchmark %s: not measured, as when this run began: %s (a new run, name=NEW, looks again)",
                benchmark.name,
                absent[benchmark.name],
            )
        elif why := _missing(benchmark, files, data or recipe.questions.data):
            absent[benchmark.name] = why
            log.warning("benchmark %s: not measured: %s", benchmark.name, why)
    for name, arm in recipe.arms.items():
        until = arm.midtrain_until
        if until is not None and until.benchmark in absent:
            raise RunError(
                f"arms.{name}.midtrain_until: its benchmark {until.benchmark} cannot be had: {absent[until.benchmark]}\n"
                "  name another benchmark there, or give the questions with --data DIR"
            )
    kept = [b for b in recipe.benchmarks if b.name not in absent]
    return Measurable(recipe, recipe.model_copy(update={"benchmarks": kept}) if absent else recipe, absent)


def _missing(benchmark: BenchmarkConfig, files: Layout, data: str | None) -> str:
    """Return why a benchmark's questions cannot be had, in one line; empty if they can, or if the run has them already."""
    if files.questions(layout.benchmark_set(benchmark.name)).is_file():
        return ""
    try:
        read(benchmark, data=data)
    except NotHere as error:
        return str(error).splitlines()[0]
    return ""
