"""How large a difference each benchmark could show."""

from __future__ import annotations

from collections.abc import Iterator

from midway.checks.base import Check, Finding, Level, Subject
from midway.evidence import minimum_detectable_effect

POOR = 0.1
"""A benchmark that can only show differences above this, ten points, is warned of."""


def run(subject: Subject) -> Iterator[Finding]:
    for benchmark in subject.recipe.benchmarks:
        questions = len(subject.bench.questions.benchmark(benchmark.name))
        if questions < 2:
            yield Finding(
                f"power: on {benchmark.name}, one question shows no difference: use two or more, some hundred better",
                Level.WARNING,
            )
            continue
        effect = minimum_detectable_effect(
            questions=questions,
            seeds=len(subject.recipe.seeds),
            samples=benchmark.samples,
        )
        text = f"power: on {benchmark.name}, {effect}"
        if effect.difference <= POOR:
            yield Finding(text)
        else:
            large = "few gains are as large: " if effect.difference < 1 else ""
            yield Finding(f"{text}\n  {large}take more questions, or more seeds", Level.WARNING)


CHECK = Check("power", run)
