"""Replay: chat rows and own answers are mixed into mid-training, the same for every arm; the loss on held-out ones is measured."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from midway import open_run
from midway.questions.base import QuestionError
from midway.questions.chat import read_chats
from midway.recipe import RecipeError, load_recipe
from midway.rundir import read_json
from midway.training.replay import split, wanted

LayOut = Callable[..., Path]
Here = Callable[..., Any]

CHAT = [
    {
        "messages": [
            {"role": "user", "content": f"Say hello number {n}."},
            {"role": "assistant", "content": f"hello {n}"},
        ]
    }
    if n % 2
    else {"prompt": f"Say hello number {n}.", "completion": f"hello {n}"}
    for n in range(24)
]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    "family", [pytest.param("llama", marks=pytest.mark.slow), "gpt2"]
)  # with and without a chat template
def test_replay_goes_into_every_arm_alike_and_its_loss_is_in_the_results(
    family: str, lay_out: LayOut, here: Here, tmp_path: Path
) -> None:
    write_rows(tmp_path / "chat.jsonl", [*CHAT, CHAT[3]])
    write_rows(tmp_path / "general.jsonl", [{"prompt": f"What is the word {n}?"} for n in range(6)])
    stop = {"max_tokens": 24, "stop": ["e", "a", "t", "1", "5"]}
    replay = [{"source": "chat.jsonl", "share": 0.3, "held_out": 8}, {"pool": "chat", "share": 0.1, "held_out": 2}]
    recipe = lay_out(
        family,
        pools={
            "guided": {"heuristics": ["working-backward", "analogy"], "samples": 2, "sampling": stop},
            "unguided": {"samples": 4, "sampling": stop},
            "chat": {"prompts": "general.jsonl", "samples": 2, "sampling": stop},
        },
        arms={
            name: {"midtrain": [{"pool": name, "strategy": "wrong-but-diverse"}, *replay], "rl": False}
            for name in ("guided", "unguided")
        },
        treatment="guided",
        benchmarks=[],
        midtrain={"max_steps": 12, "per_device_train_batch_size": 4, "learning_rate": 3e-3},
    )
    run = tmp_path / "run"
    here("run", recipe, "--out", run)

    rows = {arm: pl.read_parquet(run / f"arms/{arm}/seed-0/midtrain/rows.parquet") for arm in ("guided", "unguided")}
    mixed = {arm: table.filter(pl.col("heuristic") == "replay") for arm, table in rows.items()}
    assert mixed["guided"].equals(mixed["unguided"]), "the same rows for every arm"
    own = rows["guided"].height - mixed["guided"].height
    from_file = mixed["guided"].filter(pl.col("source") == "chat.jsonl")
    assert from_file.height == min(round(own * 0.3 / 0.6), 24 - 8)
    assert from_file["question_id"].n_unique() == from_file.height
    held_out = pl.read_parquet(run / "arms/guided/seed-0/midtrain/held-out.parquet")
    assert held_out.filter(pl.col("source") == "chat.jsonl").height == 8
    assert not set(held_out["question_id"]) & set(mixed["guided"]["question_id"])
    assert not (run / "pools/chat/verdicts").exists(), "what has no gold answer is not verified"

    found = {one.arm: one for one in open_run(run).results.replay}
    assert set(found) == {"guided", "unguided"}
    for one in found.values():
        assert one.sources == ("chat.jsonl", "pool chat") and one.held_out == held_out.height
        assert one.before is not None and one.after is not None
        assert one.after < one.before - 0.1, "twelve steps on rows like these make a random model better at them"
        assert one.share == pytest.approx(mixed["guided"].height / rows["guided"].height)
    assert found["guided"].before == pytest.approx(found["unguided"].before, rel=1e-6)
    assert read_json(run / "report/results.json")["replay"][0]["held_out"] == held_out.height


def test_held_out_loss_is_the_models_own_mean_over_answer_tokens(lay_out: LayOut, here: Here, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    write_rows(tmp_path / "chat.jsonl", CHAT)
    recipe = lay_out(
        "gpt2",
        pools={},
        arms={
            "reference": {"midtrain": [{"strategy": "reference"}, {"source": "chat.jsonl", "share": 0.5}], "rl": False}
        },
        treatment=None,
        benchmarks=[],
    )
    run = tmp_path / "run"
    here("run", recipe, "--out", run)
    one = open_run(run).results.replay[0]
    folder = run / "arms/reference/seed-0/midtrain"
    model = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    total, count = 0.0, 0
    for prompt, answer in pl.read_parquet(folder / "held-out.parquet").select("prompt", "completion").iter_rows():
        head = tokenizer(prompt)["input_ids"]
        whole = [*tokenizer(prompt + answer)["input_ids"], tokenizer.eos_token_id]
        with torch.no_grad():
            logprobs = model(torch.tensor([whole])).logits[0, :-1].log_softmax(-1)
        tail = range(len(head), len(whole))
        total -= sum(float(logprobs[i - 1, whole[i]]) for i in tail)
        count += len(tail)
    assert one.tokens == count
    assert one.after == pytest.approx(total / count, rel=1e-4)


def test_which_rows_are_held_out_and_drawn_depends_on_the_rows_alone(tmp_path: Path) -> None:
    rows = read_chats(
        write_rows(tmp_path / "chat.jsonl", [*CHAT, {"prompt": "Say hello number 4.", "completion": "hi"}]),
        answered=True,
    )
    parts, again = split(rows, 6), split(list(reversed(rows)), 6)
    assert parts.train == again.train and {c.id for c in parts.held_out} == {c.id for c in again.held_out}
    assert not {c.id for c in parts.train} & {c.id for c in parts.held_out}
    assert len(parts.train) + len(parts.held_out) == 25
    assert len(split(rows[:3], 64).held_out) == 1, "half of them at most"
    assert wanted(300, [0.2]) == [75] and wanted(60, [0.3, 0.1]) == [30, 10]


@pytest.mark.parametrize(
    ("arm", "says"),
    [
        ([{"pool": "guided"}, {"pool": "chta", "share": 0.2}], "there is no pool 'chta'"),
        ([{"pool": "guided"}, {"pool": "guided", "share": 0.2}], "replay takes an unguided pool"),
        ([{"pool": "guided"}, {"share": 0.2}], "name a file"),
        ([{"source": "chat.jsonl", "share": 0.2}], "replay goes with mid-training data"),
        ([{"pool": "chat"}], "cannot be verified"),
        ([{"pool": "guided"}, {"source": "chat.jsonl", "share": 1.0}], "less than 1"),
    ],
)  # fmt: skip
def test_mistakes_say_what_would_be_right(arm: Any, says: str, tmp_path: Path) -> None:
    tree = {"pools": {"guided": {"heuristics": ["analogy"]}, "chat": {"prompts": "p.jsonl"}}, "arms": {"polya": arm}}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(RecipeError, match=says):
        load_recipe(tmp_path / "r.yaml")


def test_a_row_that_cannot_be_learnt_from_is_named(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "chat.jsonl", [CHAT[0], {"messages": [{"role": "user", "content": "Hello?"}]}])
    with pytest.raises(QuestionError, match=r"chat.jsonl:2: there is no answer in it"):
        read_chats(path, answered=True)
    assert len(read_chats(path, answered=False)) == 2


def test_replay_enters_the_digest_of_what_it_changes_alone(lay_out: LayOut, tmp_path: Path) -> None:
    from midway.plan import make_plan
    from midway.rundir.layout import Layout
    from midway.workbench import Workbench

    write_rows(tmp_path / "chat.jsonl", CHAT)

    def digests(replay: list[dict[str, Any]]) -> dict[str, str]:
        recipe = load_recipe(
            lay_out(arms={"rl-only": [], "reference": [{"strategy": "reference"}, *replay]}, pools={}, treatment=None)
        )
        return {
            rel: stage.digest for rel, stage in make_plan(recipe, Workbench(recipe, Layout(tmp_path))).stages.items()
        }

    without, some = digests([]), digests([{"source": "chat.jsonl", "share": 0.2}])
    changed = {rel for rel in without if without[rel] != some[rel]}
    assert changed == {rel for rel in without if rel.startswith("arms/reference") and "selection" not in rel}
    (tmp_path / "chat.jsonl").rename(tmp_path / "moved.jsonl")
    assert digests([{"source": "moved.jsonl", "share": 0.2}]) == some, "the rows count, not what the file is called"
    write_rows(tmp_path / "moved.jsonl", CHAT[1:])
    assert digests([{"source": "moved.jsonl", "share": 0.2}]) != some
