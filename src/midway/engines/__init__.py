"""Who answers: transformers, vllm, openai or recorded. Importing this package loads no torch; opening an engine loads what it needs."""

from __future__ import annotations

from collections.abc import Callable

from midway.engines.base import Engine, EngineError
from midway.engines.keys import model_key
from midway.recipe import EngineConfig, ModelConfig, OpenAIEngine, RecordedEngine, TransformersEngine, VllmEngine

__all__ = ["Engine", "EngineError", "model_key", "open_engine"]


def open_engine(
    config: EngineConfig, model: ModelConfig, *, model_path: str | None = None, log: Callable[[str], None] | None = None
) -> Engine:
    """Open the engine that a recipe asks for. `model_path` replaces `model.path` (a trained checkpoint); `log` takes lines for the user.

    Raises EngineError when the engine cannot be had: a package or model that is missing, no server, too little memory.
    """
    try:
        if isinstance(config, TransformersEngine):
            from midway.engines.transformers import HFEngine

            return HFEngine(config, model, model_path=model_path, log=log)
        if isinstance(config, VllmEngine):
            from midway.engines.vllm import InProcessVllm

            return InProcessVllm(config, model, model_path=model_path, log=log)
        if isinstance(config, OpenAIEngine):
            from midway.engines.openai import OpenAIClient

            return OpenAIClient(config, model, model_path=model_path, log=log)
        if isinstance(config, RecordedEngine):
            from midway.engines.recorded import Recorded

            return Recorded(config)
    except ImportError as error:
        extra = {"transformers": "train"}.get(config.kind, config.kind)
        raise EngineError(
            f"the {config.kind} engine needs a package that is not installed ({error})\n  pip install 'midway[{extra}]'"
        ) from error
    raise TypeError(f"no engine for {config!r}")
