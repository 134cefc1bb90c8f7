"""The scripts in examples/ run as they stand, and each is short enough to read."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "examples").glob("*.py"))


def test_each_is_short() -> None:
    assert len(SCRIPTS) >= 3
    assert not [s.name for s in SCRIPTS if len(s.read_text().splitlines()) >= 40]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("verify.py", ["Judgement.CORRECT", "correct text:folded", "wrong wrong-answer:folded"]),
        ("pass_at_k.py", ["pass@8: 0.", "paired difference: +0."]),
    ],
)
def test_it_runs(script: str, said: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / script], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    for words in said:
        assert words in done.stdout


def test_a_run_from_python(tmp_path: Path) -> None:
    """With a stored run, which is complete: nothing is run again, and the script reads it."""
    with tarfile.open(ROOT / "tests" / "fixtures" / "run-e7b8f3f.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    overrides = (
        "import midway, sys; from midway.rundir import read_json; from midway.recipe import loads_recipe; from pathlib import Path\n"
        "stored = loads_recipe(read_json(Path('run/resolved.json'))['recipe'])\n"
        "run = midway.run; midway.run = lambda recipe, out: run(stored, out=out)\n"
        "sys.argv = ['x', 'small', 'run']\n"
        f"exec(open({str(ROOT / 'examples' / 'run_a_recipe.py')!r}).read())"
    )
    done = subprocess.run([sys.executable, "-c", overrides], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "single: treatment minus rl-only: +8.8" in done.stdout and "working-backward" in done.stdout
