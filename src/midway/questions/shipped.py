"""The question sets that come with midway, for machines without the Hub: GSM8K, HumanEval, MuSR (two of three subsets), SVAMP.

They are used when the Hub cannot be reached, with one line that says so; their licences are in NOTICE. `Part.files` names a split's files,
as in a folder of one's own.
"""

from __future__ import annotations

from pathlib import Path

from midway.questions.base import Part
from midway.questions.hub import hub_answers as hub_answers

FOLDER = Path(__file__).parent / "sets"


def files(name: str, part: Part) -> list[Path]:
    """Return the files of a split that come with midway; none where it does not come with it."""
    found = [FOLDER / name / f"{stem}.jsonl.gz" for stem in part.files]
    return found if found and all(file.is_file() for file in found) else []
