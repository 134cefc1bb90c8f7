"""What each pool asks for: completions, and tokens at most."""

from __future__ import annotations

from collections.abc import Iterator

from midway.checks.base import Check, Finding, Subject
from midway.plan import scored
from midway.wording import plural
from midway.workbench import TRAIN


def requests(subject: Subject, pool: str) -> int:
    """Return the completions that a pool asks for."""
    config = subject.recipe.pools[pool]
    if config.prompts:
        return len(subject.bench.chats.prompts(pool)) * config.samples
    return len(subject.bench.questions.get(TRAIN)) * len(subject.bench.prompts.heuristics(pool)) * config.samples


def run(subject: Subject) -> Iterator[Finding]:
    questions = len(subject.bench.questions.get(TRAIN))
    used = subject.recipe.used_pools
    for name, pool in subject.recipe.pools.items():
        if name not in used:
            yield Finding(f"pool {name}: no arm uses it, so it is not generated")
            continue
        count = requests(subject, name)
        guided = plural(len(subject.bench.prompts.heuristics(name)), "heuristic") if pool.heuristics else "unguided"
        asked = (
            plural(len(subject.bench.chats.prompts(name)), "prompt") if pool.prompts else plural(questions, "question")
        )
        more, most = "", count
        if pool.until:
            most = count // pool.samples * pool.until.samples
            more = (
                f"up to {most:,} until each question has {plural(pool.until.solutions, 'different right solution')}, "
            )
        yield Finding(
            f"pool {name}: {guided} x {plural(pool.samples, 'sample')} x {asked} = {plural(count, 'completion')}, "
            f"{more}at most {most * pool.sampling.max_tokens:,} tokens"
        )
        guides = len(subject.bench.prompts.guides(name))
        if guides and subject.recipe.adherence.scorer != "none" and not scored(subject.recipe, guides):
            yield Finding(
                f"pool {name}: {subject.recipe.adherence.scorer} compares heuristics with each other, and this pool has one: its "
                "completions get no adherence scores, the shortest are taken first"
            )


CHECK = Check("pools", run)
