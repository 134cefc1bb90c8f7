"""Replay: rows that keep what the model could, mixed into mid-training; some are held out to measure the loss on.

Promises: pure functions of rows. Which rows are held out and which are drawn depends on the rows alone, so that all arms and seeds of a run
learn from the same ones and are measured on the same ones. No prompt is on both sides. No row is drawn twice: where there are too few, all
are taken, and the caller is told how many were wanted. No torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from midway.questions.chat import Chat
from midway.records import content_id
from midway.training.dataset import MESSAGES, PROVENANCE

REPLAY = "replay"
"""The `heuristic` of a replay row."""


@dataclass(frozen=True, slots=True)
class Split:
    """Rows to learn from, in the order in which they are drawn, and rows that are held out."""

    train: list[Chat]
    held_out: list[Chat]


def split(rows: Sequence[Chat], held_out: int) -> Split:
    """Hold out `held_out` rows or a few less, half of them at most, whole prompts; order the others by a hash of their content."""
    by_prompt: dict[str, list[Chat]] = {}
    for row in rows:
        by_prompt.setdefault(row.id, []).append(row)
    most = min(held_out, len(rows) // 2)
    kept: list[Chat] = []
    train: list[Chat] = []
    for _, group in sorted(by_prompt.items()):
        (kept if len(kept) + len(group) <= most else train).extend(group)
    return Split(sorted(train, key=lambda row: content_id(row.id, row.answer)), kept)


def wanted(examples: int, shares: Sequence[float]) -> list[int]:
    """Return how many rows of each share make a whole with `examples` other rows: n_i = examples * share_i / (1 - sum of shares)."""
    rest = 1 - sum(shares)
    return [round(examples * share / rest) for share in shares]


def replay_rows(rows: Sequence[Chat], chat: bool, source: str) -> pl.DataFrame:
    """Return rows as `dataset.training_rows` does: prompt, completion and provenance (`heuristic` is `replay`)."""
    out: list[dict[str, Any]] = []
    for row in rows:
        prompt = row.asked(chat)
        answer: Any = [{"role": "assistant", "content": row.answer}] if chat else row.answer
        asked: Any = [dict(m) for m in prompt.messages] if chat else prompt.text
        blank = dict.fromkeys(PROVENANCE)
        out.append(
            {
                **blank,
                "prompt": asked,
                "completion": answer,
                "question_id": row.id,
                "heuristic": REPLAY,
                "completion_id": "",
                "source": source,
            }
        )
    text: Any = MESSAGES if chat else pl.String
    return pl.DataFrame(out, schema={"prompt": text, "completion": text, **PROVENANCE}, orient="row")
