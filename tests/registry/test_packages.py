"""What is not installed is said before anything is spent, with what to type."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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


def test_a_run_and_a_check_say_what_to_install_before_they_begin(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(WITHOUT)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT / "src")])}

    def midway(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "midway", *args], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )

    done = midway("run", "demo")
    assert done.returncode == 2, done.stderr
    assert (
        "trainer trl (first in arms/polya/seed-0/midtrain): trl, datasets: pip install 'midway[train]'" in done.stderr
    )
    assert not list(tmp_path.glob("runs/demo/pools/*/completions/*")), "nothing was generated"
    checked = midway("check", "demo", "--no-model", "--no-gold")
    assert "packages: trainer trl needs trl, datasets: pip install 'midway[train]'" in checked.stdout
    assert (
        midway(
            "run",
            "demo",
            "--until",
            "verify",
            "pools.guided.samples=1",
            "pools.unguided.samples=1",
            "questions.train.0.limit=3",
            "name=part",
        ).returncode
        == 0
    ), "what needs no training goes on"
