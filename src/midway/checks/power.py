"""How large a difference each benchmark could show."""

from __future__ import annotations

from collections.abc import Iterator

from midway.checks.base import Check, Finding, Subject
from midway.evidence import minimum_detectable_effect


def run(subject: Subject) -> Iterator[Finding]:
    for benchmark in subject.recipe.benchmarks:
        questions = len(subject.bench.questions.benchmark(benchmark.name))
        if questions < 2:
            yield Finding(
                f"power: on {benchmark.name}, one question shows no difference: use two or more, some hundred better"
            )
            continue
        effect = minimum_detectable_effect(
            questions=questions,
            seeds=len(subject.recipe.seeds),
            samples=benchmark.samples,
        )
        yield Finding(f"power: on {benchmark.name}, {effect}")


CHECK = Check("power", run)
