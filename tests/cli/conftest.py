"""The command line in this process, in a folder of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass
class Said:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    """Type a command in tmp_path: `typed("run", "demo")`."""
    monkeypatch.chdir(tmp_path)
    from midway.cli import main

    def call(*words: str | Path) -> Said:
        capsys.readouterr()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["midway", *map(str, words)])
            try:
                main()
                code = 0
            except SystemExit as end:
                code = int(end.code or 0)
        return Said(code, *capsys.readouterr())

    return call
