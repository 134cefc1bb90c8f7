"""Tiny checkpoints, made once for a test session, and requests for them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # several workers share few cores
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`checkpoint("qwen2", chat=False)` is the directory of a random model of that family."""
    from tiny import tiny_checkpoint

    made: dict[str, Path] = {}

    def make(family: str = "llama", **options: object) -> Path:
        key = f"{family}-{sorted(options.items())}"
        if key not in made:
            made[key] = tiny_checkpoint(tmp_path_factory.mktemp(family), family, **options)  # type: ignore[arg-type]
        return made[key]

    return make
