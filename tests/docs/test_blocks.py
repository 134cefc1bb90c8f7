"""Every code block of README and docs runs here, or says in a mark before it what it needs: `<!-- needs: gpu, hours -->`, `<!-- slow -->`.

A page's blocks run in order in one folder, which holds the files that the page shows, and a stored run as `runs/demo` and `runs/other`.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tarfile
import tomllib
from collections import Counter
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import yaml

from midway.recipe import Recipe, RecipeError, loads_recipe

_spec = spec_from_file_location("docs_blocks", Path(__file__).with_name("blocks.py"))
assert _spec and _spec.loader
_blocks = module_from_spec(_spec)
sys.modules["docs_blocks"] = _blocks
_spec.loader.exec_module(_blocks)
ROOT, PAGES, LANGUAGES, NEEDS = _blocks.ROOT, _blocks.PAGES, _blocks.LANGUAGES, _blocks.NEEDS
ALL = {page: list(_blocks.blocks(page)) for page in PAGES}
OWN_TEST = {"own-data.md", "own-parts.md"}
"""Pages whose files and commands tests/docs/test_pages_run.py runs."""


def running(page: Path, *, slow: bool) -> bool:
    """Whether the page has blocks that run here: the slow ones, or the others."""
    if page.name in OWN_TEST:
        return False
    return any(b.language in {"sh", "python"} and not b.needs and b.slow == slow for b in ALL[page])


def test_every_block_has_a_language_and_known_needs() -> None:
    for page in PAGES:
        assert not list(_blocks.indented(page)), f"{page.name}: indented code; fence it and name its language"
        for block in ALL[page]:
            assert block.language in LANGUAGES | {"text"}, f"{block}: no language, or {block.language!r}"
            assert set(block.needs) <= set(NEEDS), f"{block}: needs {block.needs}; known: {', '.join(NEEDS)}"
            assert not (block.needs and block.language in {"yaml", "json", "toml"}), f"{block}: can be checked as it is"


def test_how_many_blocks_run() -> None:
    """Counted, so that a page does not lose its tests unseen: at most these many commands and scripts need what is not here."""
    code = [block for page in PAGES for block in ALL[page] if block.language in {"sh", "python"}]
    needing = Counter(need for block in code for need in block.needs)
    run = sum(not block.needs for block in code)
    assert len(code) - run <= 36, needing
    assert run >= 24, run


def test_every_recipe_that_is_shown_is_one() -> None:
    """Pieces of recipes too: each is put into a small recipe, whose schema knows every field or refuses it."""
    checked = 0
    for page in PAGES:
        for block in ALL[page]:
            if block.language == "json":
                assert [json.loads(line) for line in block.body.splitlines()], block
            elif block.language == "toml":
                assert tomllib.loads(block.body), block
            elif block.language == "yaml":
                for part in block.body.split("\n\n") if page.name == "engines.md" else [block.body]:
                    assert is_recipe(yaml.safe_load(part)), f"{block}:\n{part}"
                    checked += 1
    assert checked >= 15


def is_recipe(given: dict[str, Any]) -> bool:
    base = {
        "model": {"path": "tiny:llama"},
        "questions": {"train": [{"source": "words"}]},
        "pools": {"guided": {"heuristics": "all"}},
    }
    plugins = given.pop("plugins", None)
    if plugins or given.get("engine", {}).get("kind") == "phrasebook":
        return True  # run whole by test_pages_run
    merged = {**base, **given, "questions": {**base["questions"], **given.get("questions", {})}}
    merged["pools"] = {name: {} for name in mentioned(merged.get("arms", {}))} | {
        **base["pools"],
        **given.get("pools", {}),
    }
    try:
        return isinstance(loads_recipe(merged), Recipe)
    except RecipeError as error:
        raise AssertionError(str(error)) from None


def mentioned(arms: Any) -> set[str]:
    """Return the pools that arms name."""
    if isinstance(arms, dict) and isinstance(arms.get("pool"), str):
        return {arms["pool"]}
    if isinstance(arms, list):
        return {a for a in arms if isinstance(a, str)} | {
            m for a in arms if not isinstance(a, str) for m in mentioned(a)
        }
    if isinstance(arms, dict):
        return {m for a in arms.values() if isinstance(a, dict | list) for m in mentioned(a)}
    return set()


def prepared(page: Path, folder: Path) -> None:
    for block in ALL[page]:
        if block.file:
            (folder / block.file).write_text(block.body, encoding="utf-8")
    with tarfile.open(ROOT / "tests/fixtures/run-e7b8f3f.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    (folder / "runs").mkdir()
    (folder / "run").rename(folder / "runs/demo")
    subprocess.run(["cp", "-r", folder / "runs/demo", folder / "runs/other"], check=True)


def run_page(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, *, slow: bool) -> int:
    """Run the page's blocks that are slow, or those that are not; return how many commands and scripts that were."""
    prepared(page, folder)
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"__name__": "page"}
    count = 0
    for block in ALL[page]:
        if block.needs or block.slow != slow or block.language not in {"sh", "python"}:
            continue
        if block.language == "python":
            exec(compile(block.body, str(block), "exec"), names)
            count += 1
            continue
        for line in block.body.splitlines():
            command = line.strip()
            if not command or command.startswith("#"):
                continue
            assert command.startswith("midway "), (
                f"{block}: {command}: only midway's own commands run here; name what it needs"
            )
            typed = f"{shlex.quote(sys.executable)} -m {command}".replace("FILE", "x").replace(" DIR", " out")
            env = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT / "src")}
            done = subprocess.run(typed, shell=True, capture_output=True, text=True, env=env)
            assert done.returncode == 0, f"{block}: {command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
            assert "Traceback" not in done.stderr
            count += 1
    return count


@pytest.mark.parametrize("page", [p for p in PAGES if running(p, slow=False)], ids=lambda p: p.name)
def test_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_page(page, tmp_path, monkeypatch, slow=False) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if running(p, slow=True)], ids=lambda p: p.name)
def test_slow_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_page(page, tmp_path, monkeypatch, slow=True) >= 1
