"""docs/readers.md asks about messages that are really printed: its commands are typed, and what they say is compared."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "readers.md"
BLOCK = re.compile(r"^\d+\. (?:<!-- typed: (.*?) -->\n +)?```text\n(.*?)\n +```$", re.MULTILINE | re.DOTALL)
FILES = {
    "train.jsonl": [
        {
            "id": "apples",
            "question": "Ann has 3 apples and buys 5 more apples at the market. How many apples has she now?",
            "answer": "8",
        },
        {
            "id": "boxes",
            "question": "A shop has 4 boxes with 6 pens each and sells 9 pens on Monday. How many pens are left?",
            "answer": "15",
        },
    ],
    "test.jsonl": [
        {
            "id": "t1",
            "question": "Ann has 4 apples and buys 7 more apples at the market. How many apples has she now?",
            "answer": "11",
        },
        {"id": "t2", "question": "What is 7 times 6?", "answer": "42"},
    ],
    "answers.jsonl": [
        {"id": "x", "domain": "math", "answer": "3", "completion": "It is 3."},
        {"id": "y", "domain": "math", "completion": "It is 4."},
    ],
}
RECIPE = """
model: {path: lab}
questions: {train: [{source: train.jsonl, domain: math}]}
pools: {guided: {heuristics: [analogy, working-backward], samples: 2}}
arms: {rl-only: [], several: [guided]}
treatment: several
rl: {algorithm: dr-grpo, max_steps: 40}
benchmarks: [{source: test.jsonl, domain: math, samples: 4}]
"""
MESSAGES = [(command, dedent(text)) for command, text in BLOCK.findall(PAGE.read_text(encoding="utf-8"))]


def test_there_are_ten_messages_with_an_answer_each() -> None:
    assert len(MESSAGES) == 10
    answers = PAGE.read_text(encoding="utf-8").partition("what a reader should say")[2]
    assert [f"| {n} | " in answers for n in range(1, 11)] == [True] * 10


@pytest.mark.parametrize(("command", "text"), [pair for pair in MESSAGES if pair[0]])
def test_a_message_is_printed(command: str, text: str, typed: Callable[..., Any], tmp_path: Path) -> None:
    for name, items in FILES.items():
        (tmp_path / name).write_text("".join(json.dumps(item) + "\n" for item in items))
    (tmp_path / "r.yaml").write_text(RECIPE)
    (tmp_path / "taken").write_text("")
    done = typed(*shlex.split(command)[1:])
    assert text in done.out + done.err


def test_the_message_of_a_signal_is_the_one_of_the_console() -> None:
    from midway.cli.console import STOPPING

    assert STOPPING in [text for _, text in MESSAGES]
