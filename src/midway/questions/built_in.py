"""The question sets that midway knows, as parts that a recipe chooses by name."""

from __future__ import annotations

from functools import partial

from midway.questions.known import KNOWN
from midway.questions.load import read_known
from midway.registry import SourcePart

PARTS = tuple(
    SourcePart(name=name, summary=known.title, load=partial(read_known, known), licence=known.licence)
    for name, known in KNOWN.items()
)
