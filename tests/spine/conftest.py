"""A whole experiment small enough to run in seconds: a random checkpoint of a real architecture, a file of questions, a recipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from midway.lab.tiny import tiny_checkpoint

QUESTIONS = [
    {"id": f"q{n}", "question": f"Ann has {n} apples and buys {n + 2} more. How many has she?", "answer": str(2 * n + 2),
     "solution": f"She has {n} and buys {n + 2}: {n} + {n + 2} = {2 * n + 2}."}
    for n in range(3, 15)
]  # fmt: skip


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def get(family: str) -> Path:
        if family not in made:
            made[family] = tiny_checkpoint(tmp_path_factory.mktemp(family) / family, family, context=1024)  # type: ignore[arg-type]
        return made[family]

    return get


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Call the real command line in this process, so that torch is imported once: `here("run", recipe)`."""
    from midway.cli import main

    def call(*args: str | Path, check: bool = True) -> Done:
        capsys.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["midway", *map(str, args)])
            try:
                main()
                code = 0
            except SystemExit as end:
                code = int(end.code or 0)
        out, err = capsys.readouterr()
        assert not (check and code), f"exit {code}\n{out}\n{err}"
        return Done(code, out, err)

    return call


@pytest.fixture
def lay_out(tmp_path: Path, checkpoint: Callable[[str], Path]) -> Callable[..., Path]:
    """Write questions and a recipe into tmp_path; return the recipe. Keyword arguments replace sections.

    A random model is never right, so the arms are mid-trained on wrong (but diverse) solutions: all the machinery, none of the sense.
    """

    def write(family: str = "llama", **sections: Any) -> Path:
        for name, rows in (("train", QUESTIONS[:8]), ("test", QUESTIONS[8:])):
            (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
        recipe: dict[str, Any] = {
            "title": "a test",
            "model": {"path": str(checkpoint(family))},
            "questions": {"train": [{"source": str(tmp_path / "train.jsonl"), "domain": "math"}]},
            "prompt": {"exemplars": 0},
            "verify": {"workers": 1},
            "pools": {
                "guided": {
                    "heuristics": ["working-backward", "analogy"],
                    "samples": 2,
                    "sampling": {"max_tokens": 24, "stop": ["e", "a", "t", "1", "5"]},
                },
                "unguided": {"samples": 4, "sampling": {"max_tokens": 24, "stop": ["e", "a", "t", "1", "5"]}},
            },
            "selection": {"near_copy": 1.0, "decontaminate": False},
            "midtrain": {"max_steps": 3, "per_device_train_batch_size": 2, "save_steps": 1},
            "rl": {
                "max_steps": 3,
                "per_device_train_batch_size": 4,
                "num_generations": 4,
                "max_completion_length": 8,
                "save_steps": 1,
            },
            "arms": {
                "rl-only": [],
                "polya": [{"pool": "guided", "strategy": "wrong-but-diverse"}],
                "unguided": [{"pool": "unguided", "strategy": "wrong-but-diverse"}],
                "reference": [{"strategy": "reference"}],
            },
            "treatment": "polya",
            "benchmarks": [
                {"source": str(tmp_path / "test.jsonl"), "domain": "math", "samples": 2, "sampling": {"max_tokens": 8}}
            ],
        }
        recipe.update(sections)
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(recipe, sort_keys=False))
        return path

    return write
