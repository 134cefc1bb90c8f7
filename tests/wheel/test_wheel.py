"""The built wheel, installed away from the source tree, finds what it ships: recipes, fixtures, the catalogue, the base model."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(folder), str(ROOT)], check=True, capture_output=True)
    wheel = next(folder.glob("midway-*.whl"))
    names = zipfile.ZipFile(wheel).namelist()
    for needed in (
        "midway/_recipes/demo.yaml",
        "midway/_recipes/lab/main.yaml",
        "midway/training/trainers/trl/fields.json",
        "midway/heuristics/catalogue/working-backward.toml",
        "midway/questions/fixtures/gsm8k_recorded.jsonl",
        "midway/lab/base/model.safetensors",
        "midway/report/page.html.j2",
        "midway/report/page.js",
        "midway/py.typed",
    ):
        assert needed in names, needed
    assert not [n for n in names if n.startswith(("tests/", "docs/"))]
    target = folder / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", str(target), str(wheel)], check=True, capture_output=True)
    return target


@pytest.mark.slow
def test_it_runs_away_from_the_source_tree(installed: Path, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(installed)}

    def midway(*args: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "midway", *args], cwd=tmp_path, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "lab/main" in midway("list", "recipes")
    out = midway("check", "demo", "--no-model", "--no-gold")
    assert "arm polya (treatment)" in out
    assert str(ROOT) not in out
    assert "100" in midway("check", "gsm8k-recorded", "--no-model", "--no-gold")
    assert "working-backward" in midway("heuristics", "list")
