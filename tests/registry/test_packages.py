"""What is not installed is said before anything is spent, with what to type."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WITHOUT = """
import sys
from importlib.abc import MetaPathFinder

class Hidden(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"trl", "datasets"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
"""


@pytest.fixture
def midway(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command line in an environment that lacks TRL and datasets."""
    (tmp_path / "sitecustomize.py").write_text(WITHOUT)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT / "src")])}

    def call(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "midway", *args]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    return call


Midway = Callable[..., subprocess.CompletedProcess[str]]


def test_a_run_says_what_to_install_before_it_begins(midway: Midway, tmp_path: Path) -> None:
    done = midway("run", "demo")
    assert done.returncode == 2, done.stderr
    assert "trainer trl (first in arms/polya/seed-0/midtrain): trl, datasets: pip install " in done.stderr
    assert not list(tmp_path.glob("runs/demo/pools/*/completions/*")), "nothing was generated"


@pytest.mark.slow
def test_check_says_it_too_and_what_needs_no_training_goes_on(midway: Midway) -> None:
    checked = midway("check", "demo", "--no-model", "--no-gold")
    assert "packages: trainer trl needs trl, datasets: pip install " in checked.stdout
    given = ["pools.guided.samples=1", "pools.unguided.samples=1", "questions.train.0.limit=3", "name=part"]
    done = midway("run", "demo", "--until", "verify", *given)
    assert done.returncode == 0, done.stderr
