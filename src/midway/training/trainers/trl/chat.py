"""Chat rows as the trainer takes them: what the recipe gives the chat template, and solutions that are kept to the byte.

Promises: a model learns what it wrote. Some templates drop an assistant's reasoning (all before `</think>`), or add an empty one: where one
does so to any row, all rows become plain text that the template made of the prompts, followed by the solutions as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datasets import Dataset

from midway.engines.text import chat_text


def as_seen(rows: Dataset, tokenizer: Any, template: Mapping[str, Any]) -> Dataset:
    """Return rows with the columns `prompt` and `completion`, and `chat_template_kwargs` where there are any."""
    rows = rows.select_columns(["prompt", "completion"])
    if not isinstance(rows[0]["prompt"], list):
        return rows
    if not all(_kept(row, tokenizer, template) for row in rows):
        return rows.map(lambda row: _text(row, tokenizer, template), remove_columns=rows.column_names)
    if template:
        return rows.add_column("chat_template_kwargs", [dict(template)] * len(rows))
    return rows


def _kept(row: Mapping[str, Any], tokenizer: Any, template: Mapping[str, Any]) -> bool:
    """Whether the template shows the solution as it is, right after the prompt."""
    answer, prompt = row["completion"][0]["content"], chat_text(row["prompt"], tokenizer, template)
    whole = str(tokenizer.apply_chat_template([*row["prompt"], *row["completion"]], tokenize=False, **template))
    return whole.startswith((prompt + answer, prompt + answer.strip()))


def _text(row: Mapping[str, Any], tokenizer: Any, template: Mapping[str, Any]) -> dict[str, str]:
    prompt = chat_text(row["prompt"], tokenizer, template)
    start = tokenizer.bos_token
    ids = tokenizer("a")["input_ids"]
    if start and prompt.startswith(start) and ids and ids[0] == tokenizer.bos_token_id:
        prompt = prompt.removeprefix(start)  # the tokenizer puts it there itself
    return {"prompt": prompt, "completion": row["completion"][0]["content"]}
