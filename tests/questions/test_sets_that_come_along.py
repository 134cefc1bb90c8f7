"""GSM8K, HumanEval, MuSR and SVAMP come with midway and are used where the Hub cannot be reached, which is said."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from midway.domains import check_gold
from midway.questions import KNOWN, QuestionError, hub, load, read, shipped
from midway.recipe import SourceConfig
from midway.selection import find_leaks

SETS = [
    ("gsm8k", None, "train", 7473),
    ("gsm8k", None, "test", 1319),
    ("humaneval", None, "test", 164),
    ("musr", "murder_mystery", "test", 250),
    ("musr", "object_placements", "test", 256),
    ("svamp_embedded", None, "train", 709),
    ("svamp_embedded", None, "test", 291),
]


@pytest.mark.parametrize(("name", "subset", "split", "rows"), SETS)
def test_every_row_is_there_and_offline_it_is_used(name: str, subset: str | None, split: str, rows: int) -> None:
    found = read(SourceConfig(source=name, subset=subset, split=split))
    repeats = sum("repeat another one" in note for note in found.notes)
    assert rows - 5 * repeats <= len(found.questions) <= rows
    on_hub = KNOWN[name].parts[subset or ""][split].split is not None
    assert any("come with midway" in note for note in found.notes) is on_hub


def test_golds_verify() -> None:
    for name in ("gsm8k", "svamp_embedded"):
        assert not list(check_gold(load(SourceConfig(source=name, split="test", limit=60))))


def test_the_embedded_svamp_is_no_test_of_the_hubs(shared_data: Path) -> None:
    """Whoever trains on one copy and tests on the other is told: every problem of the test split is in the Hub's sets too."""
    import polars as pl

    here = load(SourceConfig(source="svamp_embedded", split="test", limit=40))
    train = pl.DataFrame({"id": [q.id for q in here], "text": [q.text.upper() for q in here]})
    leaks = find_leaks(train, pl.DataFrame({"name": "svamp", "text": [q.text for q in here]}), kinds=["exact"])
    assert leaks["question_id"].n_unique() == len(here)
    splits = [{q.id for q in load(SourceConfig(source="svamp_embedded", split=s))} for s in ("train", "test")]
    assert not splits[0] & splits[1]


def test_what_does_not_come_along_says_what_to_do() -> None:
    with pytest.raises(QuestionError, match="--data DIR"):
        load(SourceConfig(source="musr", subset="team_allocation", split="test"))


def test_a_hub_that_does_not_answer_costs_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(hub, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection and says nothing
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        shipped.hub_answers.cache_clear()
        assert shipped.hub_answers() is False
    shipped.hub_answers.cache_clear()
