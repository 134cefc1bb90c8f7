"""Whether training or RL questions stand in a benchmark: then a gain on it may be memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from midway.checks.base import Check, Finding, Level, Subject
from midway.records import Question
from midway.selection import find_leaks
from midway.wording import plural
from midway.workbench import RL, TRAIN

SHOWN = 3


def run(subject: Subject) -> Iterator[Finding]:
    recipe = subject.recipe
    benchmarks = pl.DataFrame(
        [
            {"name": b.name, "text": q.text}
            for b in recipe.benchmarks
            for q in subject.bench.questions.benchmark(b.name)
        ],
        schema={"name": pl.String, "text": pl.String},
    )
    if benchmarks.is_empty():
        return
    sets = {name: subject.bench.questions.get(name) for name in (TRAIN, RL)}
    if [q.id for q in sets[TRAIN]] == [q.id for q in sets[RL]]:
        del sets[RL]
    clean = True
    for name, questions in sets.items():
        found = find_leaks(table(questions), benchmarks, ngram=recipe.selection.ngram)
        for (benchmark,), hits in found.group_by("benchmark", maintain_order=True):
            clean = False
            yield warning(name, len(questions), str(benchmark), hits, {q.id: q.name for q in questions}, subject)
    if clean:
        yield Finding(
            "leaks: no question of training or RL stands in a benchmark (same words, same but for numbers, or 13 words in a row)"
        )


def table(questions: Sequence[Question]) -> pl.DataFrame:
    return pl.DataFrame(
        {"id": [q.id for q in questions], "text": [q.text for q in questions]},
        schema={"id": pl.String, "text": pl.String},
    )


KINDS = {
    "exact": "in the same words",
    "template": "the same but for numbers",
    "ngram": "with a long run of words in common",
}


def warning(name: str, of: int, benchmark: str, hits: pl.DataFrame, names: dict[str, str], subject: Subject) -> Finding:
    """Say which questions of a set stand in a benchmark, how alike, and what becomes of them."""
    kinds = ", ".join(f"{n:,} {KINDS[k]}" for k, n in hits["kind"].value_counts(sort=True).iter_rows())
    some = ", ".join(names[id_] or id_ for id_ in hits["question_id"].head(SHOWN).to_list())
    more = ", ..." if hits.height > SHOWN else ""
    stand = "stands" if hits.height == 1 else "stand"
    text = (
        f"leaks: {hits.height:,} of {plural(of, 'question')} of {name} {stand} in {benchmark} ({kinds}): {some}{more}"
    )
    if name == TRAIN and subject.recipe.selection.decontaminate:
        text += "\n  their solutions are left out of mid-training (selection.decontaminate)"
        shared = [q.id for q in subject.bench.questions.get(RL)]
        if set(hits["question_id"].to_list()).isdisjoint(shared):
            return Finding(text, Level.WARNING)
        return Finding(f"{text}; RL still sees them: take other questions for `questions.rl`", Level.WARNING)
    return Finding(f"{text}\n  a gain there may be memory: take other questions, or another benchmark", Level.WARNING)


CHECK = Check("leaks", run)
