"""Why a selection is empty, in words: at which step the last completions were lost, to what, and what to change.

Promises: a pure function of tables. It names the step that emptied the selection, not the verifier's reasons where something else did it.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from midway.selection.pick import Selection
from midway.wording import plural

SHARE = 0.5
"""From this share of the completions on, being cut off or wrong is called the cause."""


def why_empty(found: Selection, completions: pl.DataFrame, verdicts: pl.DataFrame, pool: str) -> Iterator[str]:
    """Yield what emptied a selection and what to do about it.

    `completions` has at least `id` and `finish`, `verdicts` `id`, `judgement` and `reason`; `pool` is the pool's name.
    """
    counts = found.funnel.group_by("step", maintain_order=True).agg(pl.col("count").sum())
    steps = [(str(step), int(count)) for step, count in counts.iter_rows() if step != "repeated"]
    at = next((n for n, (_, count) in enumerate(steps) if not count), len(steps) - 1)
    step, before = steps[at][0], steps[at - 1][1] if at else 0
    if step in ("asked", "generated") or not completions.height:
        yield "no completion was generated: look at the pool's failures"
        return
    cut = completions.filter(pl.col("finish") == "length").height
    verdicts = verdicts.join(completions.select("id"), on="id", how="semi")
    short = f"pools.{pool}.sampling.max_tokens"
    if cut >= SHARE * completions.height:
        of = plural(completions.height, "completion")
        yield f"{cut:,} of {of} were cut off at max_tokens: raise {short} (more samples would not help)"
        if step == "finished":
            return
    if step == "finished":
        yield f"all {before:,} were cut off or too short: raise {short}, or lower selection.min_tokens"
    elif step in ("correct", "wrong"):
        lost = verdicts.filter(pl.col("judgement") != step)
        if not lost.is_empty():
            reason, count = lost["reason"].value_counts(sort=True).row(0)
            yield f"commonest reason: {reason} ({count:,} of {lost.height:,} that are not {step})"
        yield f"raise pools.{pool}.samples, take easier questions, or a stronger model"
    elif step == "not leaked":
        sets = (
            found.removed.filter(pl.col("step") == step)["other"].str.split(": ").list.first().unique().sort().to_list()
        )
        yield f"decontamination removed all {before:,}: their questions stand in {', '.join(sets)}"
        yield "train on other questions than you evaluate on, or set selection.decontaminate: false if you mean it"
    else:
        yield from _lost(found.removed, step, before)


KEYS = {
    "accepted": "selection.accept names the rules that count: add one, or ask for the answer form that they read",
    "consistent": "set selection.consistent: false to keep them",
    "adherent": "lower selection.min_adherence, or leave it out",
    "not a copy": "raise selection.near_copy",
    "kept": "see selection.balance, per_question and per_heuristic",
}
"""What to change for a step that took all."""


def _lost(removed: pl.DataFrame, step: str, before: int) -> Iterator[str]:
    yield f"the step `{step}` took the last {before:,}"
    reasons = removed.filter(pl.col("step") == step)["reason"].drop_nulls()
    if len(reasons):
        reason, count = reasons.value_counts(sort=True).row(0)
        yield f"commonest reason there: {reason} ({count:,} of {len(reasons):,})"
    if step in KEYS:
        yield KEYS[step]
