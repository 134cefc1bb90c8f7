"""RL in the lab, small enough for a test: real TRL, the real base model, seconds a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from midway.recipe import Recipe, loads_recipe

RL = {
    "max_steps": 4,
    "per_device_train_batch_size": 16,
    "num_generations": 8,
    "max_completion_length": 40,
    "learning_rate": 2.0e-4,
    "lr_scheduler_type": "constant",
    "save_steps": 2,
}


def lab_recipe(arms: Mapping[str, Any], *, rl: Mapping[str, Any] | None = None, **sections: Any) -> Recipe:
    """Return a recipe of RL from the lab's base model, without benchmarks."""
    tree = {
        "name": "rl",
        "model": {"path": "lab"},
        "questions": {"train": [{"source": "lab", "split": "train", "limit": 60, "options": {"families": ["single"]}}]},
        "prompt": {"style": "cue"},
        "verify": {"workers": 1},
        "rl": {**RL, **(rl or {})},
        "arms": dict(arms),
        **sections,
    }
    return loads_recipe(tree)


def logged(path: Path) -> list[dict[str, float]]:
    """Return the rows of a metrics.jsonl that a training step logged."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [row for row in rows if "reward" in row]
