"""Solutions as training data: rows for TRL, other trainers' formats, a Parquet file with a card, and the upload to the Hub.

Promises: pure functions of tables except `write_dataset` and `push`, which write only where they are told. Solutions are kept as they
were generated, to the byte: what the model wrote is what it learns. No torch.

The training prompt is the question as it is asked in RL and evaluation; the heuristic's prompt is not in it unless the heuristics are
given (`prompt_with_heuristic`).

When things go wrong: ValueError for a solution of a question that is not there, or of a heuristic that is not in the catalogue.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import polars as pl

from midway.records import UNGUIDED, Heuristic, Prompt, Question
from midway.registry import domain
from midway.rundir import write_bytes, write_table
from midway.wording import plural

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
            f"there is a solution of question {question_id}, which is not among the {plural(len(questions), 'question')}"
        )
    if slug != UNGUIDED and slug not in heuristics:
        raise ValueError(
            f"there is a solution by heuristic {slug!r}, which is not in the catalogue ({', '.join(sorted(heuristics))})"
        )
    prompt = prompts(question, None if slug == UNGUIDED else heuristics[slug])
    if bool(prompt.messages) != chat:
        raise ValueError("the prompt builder must build messages for a chat model and text for any other")
    return [{"role": m["role"], "content": m["content"]} for m in prompt.messages] if chat else prompt.text


# Formats ------------------------------------------------------------------------------------------------------------------


def _messages(rows: pl.DataFrame) -> list[list[dict[str, str]]]:
    """Return each row as one conversation; plain text becomes a turn of the user and one of the assistant."""
    if rows.schema["prompt"] == pl.String:
        turns = zip(rows["prompt"].to_list(), rows["completion"].to_list(), strict=True)
        return [[{"role": "user", "content": p}, {"role": "assistant", "content": c}] for p, c in turns]
    return [[*p, *c] for p, c in zip(rows["prompt"].to_list(), rows["completion"].to_list(), strict=True)]


SHAREGPT = {"system": "system", "user": "human", "assistant": "gpt"}


def to_messages(rows: pl.DataFrame) -> pl.DataFrame:
    """Return `messages` (OpenAI fine-tuning; axolotl `chat_template`, LLaMA-Factory, Unsloth, verl's SFT) and the provenance."""
    return rows.select(pl.Series("messages", _messages(rows), dtype=MESSAGES), *PROVENANCE)


def to_sharegpt(rows: pl.DataFrame) -> pl.DataFrame:
    """Return `conversations` of {from, value} (LLaMA-Factory's sharegpt) and the provenance."""
    turns = [[{"from": SHAREGPT[m["role"]], "value": m["content"]} for m in row] for row in _messages(rows)]
    kind = pl.List(pl.Struct({"from": pl.String, "value": pl.String}))
    return rows.select(pl.Series("conversations", turns, dtype=kind), *PROVENANCE)


def to_openrlhf(rows: pl.DataFrame) -> pl.DataFrame:
    """Return `prompt` and `response` for OpenRLHF's SFT (input_key, output_key; with apply_chat_template for messages) and the
    provenance."""
    return rows.select("prompt", pl.col("completion").alias("response"), *PROVENANCE)


_INFO = {"split": pl.String, "index": pl.Int64, "question_id": pl.String, "question": pl.String}
VERL_RL: dict[str, Any] = {
    "data_source": pl.String,
    "prompt": MESSAGES,
    "ability": pl.String,
    "reward_model": pl.Struct({"style": pl.String, "ground_truth": pl.String}),
    "extra_info": pl.Struct(_INFO),
}
"""Columns of verl's RL data."""


def verl_row(question: Question, prompt: list[dict[str, str]], index: int, *, gold: str) -> dict[str, Any]:
    """Return a question as a row of verl's RL data."""
    record = {k: v for k, v in asdict(question).items() if v not in (None, "", (), {})}
    return {
        "data_source": question.source or "midway",
        "prompt": prompt,
        "ability": question.domain,
        "reward_model": {"style": "rule", "ground_truth": gold},
        "extra_info": {
            "split": "train",
            "index": index,
            "question_id": question.id,
            "question": json.dumps(record, ensure_ascii=False, sort_keys=True),
        },
    }


def rl_rows(
    questions: Iterable[Question], prompts: PromptBuilder, framework: Literal["verl", "openrlhf"]
) -> pl.DataFrame:
    """Return questions for another framework's RL, one row each.

    - verl: data_source, prompt (messages), ability, reward_model {style, ground_truth}, extra_info {split, index, question_id, question}.
    - openrlhf: prompt (messages or text), label, datasource, question_id.
    The gold is the answer (math), the letter (choice) or the tests as JSON (code); `question` is the whole record as JSON, which is what
    midway's reward functions judge by.
    """
    made: list[dict[str, Any]] = []
    chat = True
    for index, question in enumerate(questions):
        prompt = prompts(question, None)
        chat = bool(prompt.messages)
        asked: Any = [dict(m) for m in prompt.messages] if chat else prompt.text
        gold = domain(question.domain).gold_text(question)
        if framework == "openrlhf":
            made.append({"prompt": asked, "label": gold, "datasource": question.source, "question_id": question.id})
            continue
        made.append(verl_row(question, asked if chat else [{"role": "user", "content": asked}], index, gold=gold))
    text = MESSAGES if chat or framework == "verl" else pl.String()
    if framework == "openrlhf":
        return pl.DataFrame(
            made, schema={"prompt": text, "label": pl.String, "datasource": pl.String, "question_id": pl.String}
        )
    return pl.DataFrame(made, schema=VERL_RL)


Format = Literal["trl", "messages", "sharegpt", "verl", "openrlhf"]
FORMATS: tuple[Format, ...] = ("trl", "messages", "sharegpt", "verl", "openrlhf")


def write_dataset(
    folder: Path,
    rows: pl.DataFrame,
    form: Format,
    *,
    rl: Callable[[Literal["verl", "openrlhf"]], pl.DataFrame] | None = None,
) -> list[Path]:
    """Write training rows in a trainer's format; return the files, relative to `folder`.

    trl: data/train.parquet; messages, sharegpt: data/train.jsonl; verl: data/sft.parquet (and data/rl.parquet); openrlhf: data/sft.jsonl
    (and data/rl.jsonl). `rl` gives the questions of RL for a framework. Each file appears whole or not at all. Raises ValueError when the
    folder holds another data set's files already.
    """
    frames: dict[str, pl.DataFrame] = {}
    if form == "trl":
        frames["train.parquet"] = rows
    elif form == "messages":
        frames["train.jsonl"] = to_messages(rows)
    elif form == "sharegpt":
        frames["train.jsonl"] = to_sharegpt(rows)
    else:
        end = "parquet" if form == "verl" else "jsonl"
        frames[f"sft.{end}"] = to_messages(rows) if form == "verl" else to_openrlhf(rows)
        if rl is not None:
            frames[f"rl.{end}"] = rl(form)
    data = folder / "data"
    strangers = sorted(p.name for p in data.glob("*") if p.name not in frames) if data.is_dir() else []
    if strangers:
        raise ValueError(
            f"{data} holds another export ({', '.join(strangers)}): choose another folder with --out, or remove it"
        )
    for name, frame in frames.items():
        if name.endswith(".parquet"):
            write_table(data / name, frame)
        else:
            write_bytes(data / name, b"".join(_json_line(row) for row in frame.iter_rows(named=True)))
    return [Path("data") / name for name in frames]


def _json_line(row: Mapping[str, Any]) -> bytes:
    clean = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
    return json.dumps(clean, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def push(folder: Path, repo: str, *, private: bool = True, token: str | None = None) -> str:
    """Upload a data set folder to the Hub (or to HF_ENDPOINT) and return its address; the repository is made if it is not there.

    The token is huggingface_hub's own (`hf auth login`, HF_TOKEN) unless given. Its errors pass through: they say what is missing.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    address = api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
    api.upload_folder(folder_path=folder, repo_id=repo, repo_type="dataset", commit_message="midway export")
    return str(address)


def prompt_column(prompts: Sequence[Prompt], chat: bool) -> pl.Series:
    """Return prompts as a column `prompt`: lists of messages, or texts."""
    shown: Any = [[dict(m) for m in p.messages] for p in prompts] if chat else [p.text for p in prompts]
    return pl.Series("prompt", shown, dtype=MESSAGES if chat else pl.String)
