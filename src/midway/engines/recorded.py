"""The recorded engine: completions that somebody else generated, from a JSONL, Parquet or CSV file.

Promises: a request is matched by its question's text or name (`Request.meta["question"]`, `meta["question_name"]`, else the prompt's
own text) and, where the file has such a column, its heuristic; sample `index` is the n-th row of that question in the file. A column
`finish` says which were cut off (`length`, as OpenAI's finish_reason); without one, none was. What is not in the file comes back as an
ERROR completion, "not recorded". `recorded_requests` asks for exactly what is there.

When things go wrong: a file that is missing, damaged or lacks a column is an EngineError that names the columns it has.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from midway.engines.base import EngineError
from midway.engines.parts import RecordedEngine as RecordedConfig
from midway.records import UNGUIDED, Completion, Finish, Prompt, Question, Request, Sampling, completion_id

QUESTION, NAME, COMPLETION, HEURISTIC, FINISH = "question", "question_name", "completion", "heuristic", "finish"
GUESSES: dict[str, tuple[str, ...]] = {
    QUESTION: ("question", "problem", "prompt", "query", "instruction"),
    NAME: ("question_name", "question_id", "task_id", "name"),
    COMPLETION: ("completion", "response", "output", "solution", "generation", "text", "answer"),
    HEURISTIC: ("heuristic", "strategy"),
    FINISH: ("finish", "finish_reason"),
}


class Recorded:
    """See the module."""

    def __init__(self, config: RecordedConfig) -> None:
        path = Path(config.path).expanduser()
        if not path.is_file():
            raise EngineError(f"there is no file {path}\n  correct `path` of the recorded engine")
        self.path = path
        data = path.read_bytes()
        self.model_key = f"recorded@{hashlib.blake2b(data, digest_size=12).hexdigest()}"
        rows = _read(path, data)
        if not rows:
            raise EngineError(f"{path} holds no rows")
        self.columns = _columns(path, list(rows[0]), config.columns)
        self._answers: dict[tuple[str, str], list[tuple[str, Finish]]] = defaultdict(list)
        for number, row in enumerate(rows, 1):
            text = row.get(self.columns[COMPLETION])
            if not isinstance(text, str):
                raise EngineError(f"{path}, row {number}: {self.columns[COMPLETION]!r} is {text!r}, not a text")
            heuristic = str(row.get(self.columns[HEURISTIC]) or UNGUIDED) if HEURISTIC in self.columns else ""
            cut = FINISH in self.columns and row.get(self.columns[FINISH]) == Finish.LENGTH
            for key in (QUESTION, NAME):
                if key in self.columns and row.get(self.columns[key]) is not None:
                    place = f"{key}:{_normal(str(row[self.columns[key]]))}", heuristic
                    self._answers[place].append((text, Finish.LENGTH if cut else Finish.STOP))
        self._given = 0

    def _rows(self, heuristic: str, question: str, name: str) -> list[tuple[str, Finish]]:
        if HEURISTIC not in self.columns:
            heuristic = ""
        for key, value in ((NAME, name), (QUESTION, question)):
            if value and (found := self._answers.get((f"{key}:{_normal(value)}", heuristic))):
                return found
        return []

    def heuristics(self) -> list[str]:
        """Return the heuristics that the file names; empty if it has no such column."""
        return sorted({heuristic for _, heuristic in self._answers} - {""})

    def recorded(self, question: Question, heuristic: str = UNGUIDED) -> list[str]:
        """Return the recorded completions of a question under a heuristic, in file order."""
        return [text for text, _ in self._rows(heuristic, question.text, question.name)]

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        for request in requests:
            meta = request.meta
            asked = str(
                meta.get(QUESTION)
                or request.prompt.text
                or (request.prompt.messages or [{"content": ""}])[-1]["content"]
            )
            rows = self._rows(request.heuristic, asked, str(meta.get(NAME) or ""))
            self._given += 1
            if request.index < len(rows):
                yield Completion(
                    request.id, request.question_id, request.heuristic, request.index, *rows[request.index]
                )
            else:
                yield Completion(
                    request.id,
                    request.question_id,
                    request.heuristic,
                    request.index,
                    "",
                    Finish.ERROR,
                    error="not recorded",
                )

    def logprobs(self, items: Iterable[tuple[Prompt, str]]) -> Iterator[tuple[float, int]]:
        raise EngineError(
            "recorded completions have no log-probabilities\n  give `adherence.engine` a model, or use `adherence.scorer: none`"
        )

    def stats(self) -> dict[str, float]:
        return {"prompt_tokens": 0.0, "completion_tokens": 0.0, "cached_tokens": 0.0, "seconds": 0.0}

    def close(self) -> None:
        self._answers.clear()


def recorded_requests(
    engine: Recorded, questions: Iterable[Question], sampling: Sampling | None = None
) -> Iterator[Request]:
    """Yield one request for each recorded completion of the questions: nothing that the file does not hold."""
    sampling = sampling or Sampling()
    heuristics = engine.heuristics() or [UNGUIDED]
    for question in questions:
        for heuristic in heuristics:
            for index in range(len(engine.recorded(question, heuristic))):
                yield Request(
                    completion_id(question.id, heuristic, "recorded", engine.model_key, sampling, index),
                    Prompt(text=question.text), sampling, question.id, heuristic, index,
                    {QUESTION: question.text, NAME: question.name},
                )  # fmt: skip


def _normal(text: str) -> str:
    return " ".join(text.split())


def _read(path: Path, data: bytes) -> list[dict[str, Any]]:
    suffixes = path.suffixes
    if suffixes[-1:] in ([".parquet"], [".csv"]):
        import polars as pl

        try:
            frame = pl.read_parquet(path) if suffixes[-1] == ".parquet" else pl.read_csv(path)
        except Exception as error:  # polars has many kinds; what matters is which file
            raise EngineError(f"{path} cannot be read: {error}") from error
        return frame.to_dicts()
    if suffixes[-1:] == [".gz"]:
        data = gzip.decompress(data)
    rows = []
    for number, line in enumerate(data.decode("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise EngineError(f"{path}, line {number} is no JSON ({error})") from None
        if not isinstance(row, dict):
            raise EngineError(f"{path}, line {number} is no JSON object")
        rows.append(row)
    return rows


def _columns(path: Path, there: list[str], given: dict[str, str]) -> dict[str, str]:
    unknown = set(given) - set(GUESSES)
    if unknown:
        raise EngineError(f"recorded engine, columns: {', '.join(sorted(unknown))} is none of {', '.join(GUESSES)}")
    found = {}
    for key, guesses in GUESSES.items():
        if key in given:
            if given[key] not in there:
                raise EngineError(f"{path} has no column {given[key]!r} (for {key}); it has {', '.join(there)}")
            found[key] = given[key]
        elif guess := next((g for g in guesses if g in there and g not in found.values()), None):
            found[key] = guess
    if COMPLETION not in found or not {QUESTION, NAME} & set(found):
        raise EngineError(
            f"{path} has the columns {', '.join(there)}\n"
            "  say which is which: `columns: {question: ..., completion: ...}` (or question_name; heuristic, finish)"
        )
    return found
