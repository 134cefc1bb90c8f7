"""The columns of every table of a run directory, each declared here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

Schema = Mapping[str, Any]

COMPLETIONS: Schema = {
    "id": pl.String,
    "question_id": pl.String,
    "heuristic": pl.String,
    "index": pl.Int32,
    "text": pl.String,
    "finish": pl.String,
    "prompt_tokens": pl.Int32,
    "completion_tokens": pl.Int32,
    "cached_tokens": pl.Int32,
    "logprob": pl.Float64,
    "error": pl.String,
}
VERDICTS: Schema = {"id": pl.String, "judgement": pl.String, "extracted": pl.String, "reason": pl.String}
"""`id` is the completion's."""
ADHERENCE: Schema = {"id": pl.String, "score": pl.Float64, "scorer": pl.String}
"""`id` is the completion's."""
SOLUTIONS: Schema = {
    "question_id": pl.String,
    "heuristic": pl.String,
    "text": pl.String,
    "source": pl.String,
    "completion_id": pl.String,
    "adherence": pl.Float64,
}
FUNNEL: Schema = {
    "step": pl.String,
    "heuristic": pl.String,
    "level": pl.String,
    "count": pl.Int64,
    "pool": pl.String,
}
"""How many completions of a pool are left after each step of selection; `pool` is `reference` for reference solutions."""
REMOVED: Schema = {
    "completion_id": pl.String,
    "question_id": pl.String,
    "step": pl.String,
    "reason": pl.String,
    "other": pl.String,
}
"""What selection dropped at which step and why; `other` is what it collides with."""
ASKED: Schema = {"id": pl.String}
"""The completions that a pool asked for last."""
EVALUATIONS: Schema = {
    **COMPLETIONS,
    "judgement": pl.String,
    "extracted": pl.String,
    "reason": pl.String,
    "ways": pl.List(pl.String),
    "composed": pl.Boolean,
    "steps_right": pl.Boolean,
}
"""`ways`, `composed` (does it join two or more of them?) and `steps_right` (is every step right?) where a program can tell."""
LABELS: Schema = {"id": pl.String, "ways": pl.List(pl.String)}
"""The ways that an evaluation sample uses, by a labeller that is no program; [] is none of those known. No row: no label."""
FILTERED: Schema = {"question_id": pl.String, "judged": pl.Int32, "correct": pl.Int32, "kept": pl.Boolean}
"""How often the base model solved each RL question, and whether RL asks it."""
ROLLOUTS: Schema = {
    "id": pl.String,
    "step": pl.Int32,
    "question_id": pl.String,
    "group": pl.Int32,
    "index": pl.Int32,
    "text": pl.String,
    "judgement": pl.String,
    "extracted": pl.String,
    "reason": pl.String,
    "reward": pl.Float64,
    "rewards": pl.List(pl.Struct({"name": pl.String, "value": pl.Float64})),
    "advantage": pl.Float64,
    "tokens": pl.Int32,
    "cut_off": pl.Boolean,
}
"""Completions that RL sampled. `step`: the first optimizer step that learns from it, as in metrics.jsonl. `group`: number of the group
within the step, `index`: number within the group. `reward` is the weighted sum of `rewards`, null where the trainer left the completion
out. `cut_off`: it reached the token limit, and no string at which an answer ends is in it."""
QUESTIONS: Schema = {
    "id": pl.String,
    "domain": pl.String,
    "text": pl.String,
    "answer": pl.String,
    "name": pl.String,
    "source": pl.String,
    "record": pl.String,
}
"""`record` is the whole question as JSON."""
