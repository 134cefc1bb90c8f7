"""Where base checkpoints come from: the shipped one, and others along the knobs, made on demand and kept in a cache.

Promises: asking twice makes once; a checkpoint in the cache is complete (it is made beside it and renamed). Two
processes that ask at the same time may both make it; the first to finish wins and both get the same weights' directory.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from midway.lab.corpus import CorpusConfig, worked
from midway.lab.world import world_config

SHIPPED = Path(__file__).parent / "base"


def cache_dir() -> Path:
    """`$MIDWAY_LAB_CACHE`, else `midway-lab` beside the Hugging Face cache (`$HF_HOME`, `~/.cache/huggingface`)."""
    if given := os.environ.get("MIDWAY_LAB_CACHE"):
        return Path(given)
    home = os.environ.get("HF_HOME")
    return (Path(home) if home else Path.home() / ".cache" / "huggingface") / "midway-lab"


def trunk_name(config: CorpusConfig, seed: int, steps: int) -> str:
    """The file of the training state that checkpoints share which differ only in their last lesson."""
    return f"trunk-{worked(config).digest()}-seed{seed}-steps{steps}.pt"


def base_checkpoint(
    *,
    shown: float = 0.0,
    slip: float | None = None,
    world: str = "default",
    config: CorpusConfig | None = None,
    seed: int = 0,
    steps: int = 0,
    cache: Path | None = None,
    make: bool = True,
) -> Path:
    """Return the directory of a base checkpoint; with every knob at its default, the shipped one.

    `shown` is the peakedness knob (share of unprompted documents that show a fitting way), `slip` the noise, `world` the
    name of a world (which ways fit which problems); `config` sets every knob of the corpus and excludes these three.
    Making one needs torch and takes minutes (see docs/lab.md). Raises ValueError when both `config` and a single knob
    are given, and for an unknown world; FileNotFoundError with `make` false when it has not been made yet.
    """
    if config is not None and (shown or slip is not None or world != "default"):
        raise ValueError("give either config or the single knobs shown, slip and world, not both")
    if config is None:
        config = replace(CorpusConfig(), shown=shown, world=world_config(world))
        if slip is not None:
            config = replace(config, slip=slip)
    if config == CorpusConfig() and seed == 0 and steps == 0:
        return SHIPPED
    from midway.lab.pretrain import MINUTES, STEPS, pretrain

    steps = steps or STEPS
    root = cache or cache_dir()
    target = root / f"base-{config.digest()}-seed{seed}-steps{steps}"
    if not target.is_dir() and not make:
        raise FileNotFoundError(target)
    if not target.is_dir():
        root.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".making-", dir=root))
        print(f"making a base checkpoint of the lab, once: about {MINUTES} minutes on a CPU; it is kept in {target}")
        try:
            pretrain(work / "base", config, seed=seed, steps=steps, trunk=root / trunk_name(config, seed, steps))
            try:
                os.replace(work / "base", target)
            except OSError:
                if not target.is_dir():
                    raise
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return target
