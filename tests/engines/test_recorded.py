"""Completions from files: matched by question, name and heuristic; what is not there is not made up."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from midway.engines import EngineError, RecordedEngine, open_engine
from midway.engines.recorded import Recorded, recorded_requests
from midway.engines.stream import complete
from midway.recipe import ModelConfig
from midway.records import Finish, Prompt, Question, Request, Sampling

ROWS = [
    {"question": "What is 2 + 3?", "completion": "2 + 3 = 5", "heuristic": "analogy"},
    {"question": "What is  2 + 3?\n", "completion": "five", "heuristic": "analogy"},
    {"question": "What is 2 + 3?", "completion": "back from 5", "heuristic": "backward"},
    {"question": "What is 7 * 8?", "completion": "56", "heuristic": "analogy"},
]
TWO, SEVEN = Question("math", "What is 2 + 3?", "5", name="two"), Question("math", "What is 7 * 8?", "56", name="seven")


def opened(path: Path, **columns: str) -> Recorded:
    engine = open_engine(RecordedEngine(kind="recorded", path=str(path), columns=columns), ModelConfig())
    assert isinstance(engine, Recorded)
    return engine


def jsonl(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "parquet", "csv"])
def test_asks_for_exactly_what_is_there(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"rows.{kind}"
    if kind == "parquet":
        pl.DataFrame(ROWS).write_parquet(path)
    elif kind == "csv":
        pl.DataFrame(ROWS).write_csv(path)
    else:
        data = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
        path.write_bytes(gzip.compress(data) if kind.endswith("gz") else data)
    engine = opened(path)
    assert engine.heuristics() == ["analogy", "backward"]
    requests = list(recorded_requests(engine, [TWO, SEVEN]))
    report = complete(requests, engine, tmp_path / "c")
    assert (report.done, report.failed) == (4, 0)
    got = {(r.question_id, r.heuristic, r.index): c.text for r in requests for c in engine.generate([r])}
    assert got == {
        (TWO.id, "analogy", 0): "2 + 3 = 5",
        (TWO.id, "analogy", 1): "five",
        (TWO.id, "backward", 0): "back from 5",
        (SEVEN.id, "analogy", 0): "56",
    }


@pytest.mark.parametrize("column", ["finish", "finish_reason", "why"])
def test_a_file_may_say_which_were_cut_off(tmp_path: Path, column: str) -> None:
    whys = ["length", "stop", None]
    rows: list[dict[str, object]] = [{"question": "What is 2 + 3?", "completion": "5", column: why} for why in whys]
    path = jsonl(tmp_path / "r.jsonl", rows)
    engine = opened(path, **({"finish": column} if column == "why" else {}))
    found = [c.finish for c in engine.generate(recorded_requests(engine, [TWO]))]
    assert found == [Finish.LENGTH, Finish.STOP, Finish.STOP]
    assert opened(jsonl(tmp_path / "s.jsonl", ROWS)).recorded(TWO, "analogy") == ["2 + 3 = 5", "five"]  # type: ignore[arg-type]


def test_what_is_not_recorded_is_an_error_completion(tmp_path: Path) -> None:
    engine = opened(jsonl(tmp_path / "r.jsonl", ROWS))  # type: ignore[arg-type]
    sampling = Sampling()
    asked = [
        Request("a", Prompt(text="What is 7 * 8?"), sampling, "q", "analogy", 0),
        Request("b", Prompt(text="What is 7 * 8?"), sampling, "q", "analogy", 1),
        Request("c", Prompt(messages=({"role": "user", "content": "What is 1 + 1?"},)), sampling, "q", "analogy", 0),
        Request("d", Prompt(text="something else"), sampling, "q", "backward", 0, {"question": "What is 2 + 3?"}),
    ]
    got = {c.id: c for c in engine.generate(asked)}
    assert (got["a"].text, got["d"].text) == ("56", "back from 5")
    assert all(got[i].finish is Finish.ERROR and got[i].error == "not recorded" for i in "bc")


def test_by_name_and_own_columns(tmp_path: Path) -> None:
    rows = [{"task": "two", "written": "5!"}, {"task": "seven", "written": "56!"}, {"task": "two", "written": "V"}]
    path = jsonl(tmp_path / "r.jsonl", rows)  # type: ignore[arg-type]
    with pytest.raises(EngineError, match=r"has the columns task, written\n.*columns: \{question:"):
        opened(path)
    engine = opened(path, question_name="task", completion="written")
    assert engine.recorded(TWO) == ["5!", "V"] and engine.recorded(SEVEN) == ["56!"]
    other = jsonl(tmp_path / "s.jsonl", rows[:2])  # type: ignore[arg-type]
    assert opened(other, question_name="task", completion="written").model_key != engine.model_key
    with pytest.raises(EngineError, match=r"no column 'text' .*it has task, written"):
        opened(path, question_name="task", completion="text")


def test_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="there is no file"):
        opened(tmp_path / "none.jsonl")
    (tmp_path / "bad.jsonl").write_text('{"question": "x", "completion": "y"}\n{"question": ')
    with pytest.raises(EngineError, match="line 2 is no JSON"):
        opened(tmp_path / "bad.jsonl")
    jsonl(tmp_path / "null.jsonl", [{"question": "x", "completion": None}])
    with pytest.raises(EngineError, match="row 1: 'completion' is None"):
        opened(tmp_path / "null.jsonl")
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(EngineError, match="holds no rows"):
        opened(tmp_path / "empty.jsonl")
    with pytest.raises(EngineError, match="recorded completions have no log-probabilities"):
        list(opened(jsonl(tmp_path / "r.jsonl", ROWS)).logprobs([(Prompt(text="x"), "y")]))  # type: ignore[arg-type]


def test_gsm8k_model_solutions(shared_data: Path) -> None:
    """The recorded solutions that GSM8K publishes, if they are at hand."""
    path = shared_data / "gsm8k_model_solutions" / "all.jsonl.gz"
    with gzip.open(path, "rt") as file:
        first = json.loads(next(file))
    column = next(k for k, v in first.items() if isinstance(v, str) and k != "question" and len(v) > 40)
    engine = opened(path, completion=column)
    question = Question("math", first["question"], "0")
    assert first[column] in engine.recorded(question)
