"""Scores `midway verify` on `verifier/reports.jsonl`: small cases after public bug reports, each with the verdict that is right.

    python benchmarks/reports.py DATA read|unread [--show]

Half of the rows were read while the rules were made, half never (`is_read` is the split, fixed before any row was read). `--show`
prints the rows that disagree, and only for the read half.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from midway.cli.verify import question_of
from midway.verifier import Verifier


def is_read(name: str) -> bool:
    """Whether the row with this id is in the half that was read."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") % 2 == 0


def half(data: Path, read: bool) -> list[dict[str, Any]]:
    """The rows of one half."""
    lines = (data / "verifier" / "reports.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if is_read(str(row["id"])) is read]
