"""Multiple choice: MuSR, three sets of long stories whose question takes several steps of reasoning.

Promises: the text is the story, then the question; the options stay in published order
(`midway.records.shuffled` mixes them when they are scored).
"""

from __future__ import annotations

from typing import Any

from midway.questions.base import KnownSet, Part, Row, pick, pick_text
from midway.questions.gold import option_index, option_list


def _musr(row: Row) -> dict[str, Any]:
    story, question = pick_text(row, "narrative", what="story"), pick_text(row, "question", what="question")
    choices = option_list(pick(row, "choices", what="choices"))
    meta = row.get("meta") if isinstance(row.get("meta"), dict) else {}
    return {
        "text": f"{story.strip()}\n\n{question.strip()}",
        "choices": choices,
        "answer_index": option_index(pick(row, "answer_index", what="answer"), choices),
        "name": str(row.get("id") or ""),
        "meta": dict(meta or {}),
    }


CHOICE_SETS: tuple[KnownSet, ...] = (
    KnownSet(
        "musr", "MuSR, multistep soft reasoning over stories", "choice", "TAUR-Lab/MuSR", "CC BY 4.0", "`answer_index`",
        {
            "murder_mystery": {"test": Part("murder_mysteries", ("murder_mystery",), 250)},
            "object_placements": {"test": Part("object_placements", ("object_placements",), 256)},
            "team_allocation": {"test": Part("team_allocation", ("team_allocation",), 250)},
        },
        _musr, default=("murder_mystery", "object_placements", "team_allocation"),
        columns=("narrative", "question", "choices", "answer_index"),
        note="2, 2 to 5 and 3 options: chance is 50, about 30 and 33 percent, so report the subsets one by one",
    ),
)  # fmt: skip
