"""The question sets that come with midway, for machines without the Hub: GSM8K, HumanEval, MuSR (two of three subsets), SVAMP.

They are used when the Hub cannot be reached, with one line that says so; their licences are in NOTICE. `Part.files` names a split's files,
as in a folder of one's own.
"""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path

from midway.questions.base import Part

FOLDER = Path(__file__).parent / "sets"
PATIENCE = 3.0
"""Seconds for the Hub to answer, before a set that is here is taken from here."""


def files(name: str, part: Part) -> list[Path]:
    """Return the files of a split that come with midway; none where it does not come with it."""
    found = [FOLDER / name / f"{stem}.jsonl.gz" for stem in part.files]
    return found if found and all(file.is_file() for file in found) else []


@cache
def hub_answers() -> bool:
    """Whether the Hub can be reached: asked once in a process, with little patience. HF_HUB_OFFLINE says that it cannot."""
    if any(
        os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE")
        for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
    ):
        return False
    address = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    try:
        with urllib.request.urlopen(f"{address}/api/whoami-v2", timeout=PATIENCE):
            return True
    except urllib.error.HTTPError:
        return True  # it answers, if only to ask who is there
    except (OSError, ValueError):
        return False
