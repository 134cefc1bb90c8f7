"""Solutions as training data: rows for TRL, other trainers' formats, a Parquet file with a card, and the upload to the Hub.

Promises: pure functions of tables except `write_dataset` and `push`, which write only where they are told. Solutions are kept as they
were generated, to the byte: what the model wrote is what it learns. No torch.

The training prompt is the question as it is asked in RL and evaluation; the heuristic's prompt is not in it unless the heuristics are
given (`prompt_with_heuristic`).

When things go wrong: ValueError for a solution of a question that is not there, or of a heuristic that is not in the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from midway.records import UNGUIDED, Heuristic, Prompt, Question

PromptBuilder = Callable[[Question, Heuristic | None], Prompt]

MESSAGES = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))
PROVENANCE = {
    "question_id": pl.String,
    "heuristic": pl.String,
    "completion_id": pl.String,
    "adherence": pl.Float64,
    "source": pl.String,
}


def training_rows(
    solutions: pl.DataFrame,
    questions: Mapping[str, Question],
    prompts: PromptBuilder,
    chat: bool,
    *,
    heuristics: Mapping[str, Heuristic] | None = None,
) -> pl.DataFrame:
    """Return TRL prompt-completion rows: prompt, completion, question_id, heuristic, completion_id, adherence, source.

    `solutions` is as `run.SOLUTIONS`, `questions` is by id. With `chat` prompt and completion are lists of messages (conversational
    format), else strings (standard format; TRL ends the completion with the tokenizer's end mark). With `heuristics` (the catalogue)
    each row's prompt is that of its heuristic, where it has one; by default it is the bare question's.

    Raises ValueError when a question or a heuristic is unknown, or when `prompts` does not build what `chat` asks for.
    """
    rows: list[dict[str, Any]] = []
    seen: dict[tuple[str, str], Any] = {}
    for row in solutions.iter_rows(named=True):
        slug = row["heuristic"] if heuristics is not None and row["completion_id"] else UNGUIDED
        key = (row["question_id"], slug)
        if key not in seen:
            seen[key] = _prompt(*key, questions, prompts, chat, heuristics or {})
        completion: Any = [{"role": "assistant", "content": row["text"]}] if chat else row["text"]
        rows.append({"prompt": seen[key], "completion": completion, **{name: row[name] for name in PROVENANCE}})
    text: Any = MESSAGES if chat else pl.String
    return pl.DataFrame(rows, schema={"prompt": text, "completion": text, **PROVENANCE}, orient="row")


def _prompt(
    question_id: str,
    slug: str,
    questions: Mapping[str, Question],
    prompts: PromptBuilder,
    chat: bool,
    heuristics: Mapping[str, Heuristic],
) -> Any:
    question = questions.get(question_id)
    if question is None:
        raise ValueError(
            f"there is a solution of question {question_id}, which is not among the {len(questions)} questions"
        )
    if slug != UNGUIDED and slug not in heuristics:
        raise ValueError(
            f"there is a solution by heuristic {slug!r}, which is not in the catalogue ({', '.join(sorted(heuristics))})"
        )
    prompt = prompts(question, None if slug == UNGUIDED else heuristics[slug])
    if bool(prompt.messages) != chat:
        raise ValueError("the prompt builder must build messages for a chat model and text for any other")
    return [{"role": m["role"], "content": m["content"]} for m in prompt.messages] if chat else prompt.text
