"""Why nothing is left: the step that emptied the selection is named, and what to change is what concerns it."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from midway.recipe.schema import DataConfig, SelectionConfig
from midway.selection import select, why_empty

TEXT = "Ann counts the boxes one by one from the left to the right and finds that there are {} of them in all."


def told(finish: str = "stop", judgement: str = "correct", leaked: bool = False, **config: Any) -> str:
    ids = range(8)
    completions = pl.DataFrame(
        {
            "id": [f"c{n}" for n in ids],
            "question_id": [f"q{n}" for n in ids],
            "heuristic": ["h"] * 8,
            "index": [0] * 8,
            "text": [TEXT.format(n) for n in ids],
            "finish": [finish] * 8,
            "completion_tokens": [20] * 8,
        }
    )
    reason = "no-answer" if judgement == "unjudged" else "wrong-answer:last-number"
    verdicts = pl.DataFrame({"id": [f"c{n}" for n in ids], "judgement": [judgement] * 8, "reason": [reason] * 8})
    texts = [f"How many boxes stand in the long row number {n} behind the old mill by the river?" for n in ids]
    questions = pl.DataFrame({"id": [f"q{n}" for n in ids], "text": texts, "level": ["1"] * 8})
    benchmarks = pl.DataFrame({"name": ["held-out"] * 8, "text": texts}) if leaked else None
    found = select(
        completions,
        verdicts,
        None,
        questions,
        SelectionConfig(**config),
        DataConfig(pool="guided"),
        seed=0,
        benchmarks=benchmarks,
    )
    assert found.solutions.is_empty()
    return "\n".join(why_empty(found, completions, verdicts, "guided"))


@pytest.mark.parametrize(
    ("case", "said", "unsaid"),
    [
        ({"finish": "length"}, ["8 of 8 completions were cut off at max_tokens", "pools.guided.sampling.max_tokens"], "samples,"),
        ({"judgement": "wrong"}, ["commonest reason: wrong-answer:last-number (8 of 8", "pools.guided.samples"], "max_tokens"),
        ({"leaked": True}, ["decontamination removed all 8", "held-out", "selection.decontaminate"], "commonest reason"),
        ({"min_tokens": 100}, ["selection.min_tokens"], "commonest reason"),
        ({"finish": "error"}, ["no completion was generated"], "commonest"),
    ],
    ids=["cut off", "wrong", "leaked", "too short", "failed"],
)  # fmt: skip
def test_the_step_that_emptied_it(case: dict[str, Any], said: list[str], unsaid: str) -> None:
    text = told(**case)
    for words in said:
        assert words in text
    assert unsaid not in text
