"""Shared fixtures: child processes find the package from the source tree; nothing reaches out to the network."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]))
for name in ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "HF_DATASETS_OFFLINE", "DO_NOT_TRACK"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture
def midway() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the real command line in a child process: `midway("verify", "x.jsonl")`."""

    def call(*args: str | Path, check: bool = True, **kwargs: object) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "midway", *map(str, args)],
            capture_output=True,
            text=True,
            **kwargs,  # type: ignore[call-overload]
        )
        if check and done.returncode:
            raise AssertionError(f"exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    return call


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public benchmark files beside the checkout; tests that need it are skipped where it is absent."""
    path = Path(os.environ.get("MIDWAY_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no benchmark files at {path}")
    return path
