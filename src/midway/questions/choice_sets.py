"""Multiple choice: MuSR, three sets of long stories whose question takes several steps of reasoning.

Promises: the text is the story, then the question; the options stay in published order (`shuffled` mixes them when they are scored).
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from midway.questions.base import KnownSet, Part, Row, pick, pick_text
from midway.questions.gold import option_index, option_list
from midway.records import Question, content_id


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


def shuffled(question: Question, seed: int = 0) -> Question:
    """Return the question with its options in another order, which depends on `seed` and the question's id alone.

    `meta["order"]` gives for each new place the published one, `meta["unshuffled"]` the id of the question before. A question
    without options comes back as it is.
    """
    if not question.choices:
        return question
    order = list(range(len(question.choices)))
    random.Random(content_id("shuffle", seed, question.id)).shuffle(order)
    index = question.answer_index
    return replace(
        question,
        choices=tuple(question.choices[i] for i in order),
        answer_index=None if index is None else order.index(index),
        meta={**question.meta, "order": order, "unshuffled": question.id},
        id="",
    )


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
