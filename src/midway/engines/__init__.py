"""Who answers: transformers, vllm, openai, recorded, or an engine of a plug-in.

Importing this package loads no torch; opening an engine loads what it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from midway import registry
from midway.engines.base import Engine, EngineError
from midway.engines.keys import model_key
from midway.engines.parts import OpenAIEngine, RecordedEngine, TransformersEngine, VllmEngine
from midway.recipe import EngineConfig, ModelConfig

__all__ = [
    "Engine",
    "EngineError",
    "OpenAIEngine",
    "RecordedEngine",
    "TransformersEngine",
    "VllmEngine",
    "engine_identity",
    "model_key",
    "open_engine",
]


def open_engine(
    config: EngineConfig, model: ModelConfig, *, model_path: str | None = None, log: Callable[[str], None] | None = None
) -> Engine:
    """Open the engine that a recipe asks for. `model_path` replaces `model.path` (a trained checkpoint); `log` takes lines for the user.

    Raises EngineError when the engine cannot be had: a package or model that is missing, no server, too little memory.
    """
    part: registry.EnginePart = registry.find("engines", config.kind)
    try:
        engine: Engine = part.open(config, model, model_path=model_path, log=log)
    except ImportError as error:
        how = f"\n  pip install '{part.extra}'" if part.extra else ""
        raise EngineError(f"the {config.kind} engine needs a package that is not installed ({error}){how}") from error
    return engine


def engine_identity(config: EngineConfig) -> dict[str, Any]:
    """Return what of an engine's settings changes what is written: what a digest holds of it."""
    part: registry.EnginePart = registry.find("engines", config.kind)
    chosen = None if part.identifies is None else set(part.identifies)
    return {**config.model_dump(mode="json", include=chosen), **part.identity()}
