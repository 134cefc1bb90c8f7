"""The engines that come with midway: their settings, and how each is opened. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field

from midway.engines.base import Engine
from midway.recipe.schema import ModelConfig
from midway.recipe.section import EngineSettings
from midway.registry import EnginePart

Log = Callable[[str], None]


class TransformersEngine(EngineSettings):
    kind: Literal["transformers"] = "transformers"
    batch_size: int | None = Field(None, ge=1)
    """Sequences in a batch; found by itself if left out."""
    device: str = "auto"


class VllmEngine(EngineSettings):
    kind: Literal["vllm"]
    args: dict[str, Any] = {}
    """Passed to `vllm.LLM` (tensor_parallel_size, gpu_memory_utilization, max_model_len, ...)."""
    seeded: bool = True
    """Give each sample a seed of its own, so that it can be drawn again; false asks for a prompt's samples at once (`n`), which spares a
    GPU some work in each step."""
    lora: str | None = None
    """Directory of a LoRA adapter."""


class OpenAIEngine(EngineSettings):
    kind: Literal["openai"]
    base_urls: list[str] = ["http://127.0.0.1:8000/v1"]
    """Servers, used side by side."""
    model: str | None = None
    """Name the server knows the model by; `model.path` if left out."""
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable with the key; never written anywhere. Local servers need none."""
    chat: bool = True
    """Send messages to /chat/completions, else to /completions with the template applied here. Plain text always goes to /completions."""
    max_concurrency: int = Field(256, ge=1)
    """Requests in flight at most, over all servers; fewer when a server says it is overloaded."""
    timeout: float = Field(600, gt=0)
    """Seconds for one request."""
    max_retries: int = Field(8, ge=0)
    """How often a request is tried again before it counts as failed."""
    serve: list[str] | None = None
    """Arguments for the local `vllm serve` that `midway serve` starts (`[--tensor-parallel-size, "2"]`)."""


class RecordedEngine(EngineSettings):
    kind: Literal["recorded"]
    path: str
    """JSONL or Parquet with completions somebody else generated."""
    columns: dict[str, str] = {}
    """Where things are: question (its text) or question_name, completion, heuristic, finish (`length`: cut off)."""


def _transformers(config: Any, model: ModelConfig, *, model_path: str | None, log: Log | None) -> Engine:
    from midway.engines.transformers import HFEngine

    return HFEngine(config, model, model_path=model_path, log=log)


def _vllm(config: Any, model: ModelConfig, *, model_path: str | None, log: Log | None) -> Engine:
    from midway.engines.vllm import InProcessVllm

    return InProcessVllm(config, model, model_path=model_path, log=log)


def _openai(config: Any, model: ModelConfig, *, model_path: str | None, log: Log | None) -> Engine:
    from midway.engines.openai import OpenAIClient

    return OpenAIClient(config, model, model_path=model_path, log=log)


def _recorded(config: Any, model: ModelConfig, *, model_path: str | None, log: Log | None) -> Engine:
    from midway.engines.recorded import Recorded

    return Recorded(config)


def _vllm_gpus(config: VllmEngine) -> int:
    return int(config.args.get("tensor_parallel_size", 1)) * int(config.args.get("pipeline_parallel_size", 1))


PARTS = (
    EnginePart(
        name="transformers",
        summary="Hugging Face transformers in this process",
        extra="midway[train]",
        packages=("torch", "transformers"),
        config=TransformersEngine,
        open=_transformers,
        identifies=("kind",),
        gpus=lambda config: 1,
        by_weights=True,
    ),
    EnginePart(
        name="vllm",
        summary="vLLM in this process",
        extra="midway[vllm]",
        packages=("vllm",),
        config=VllmEngine,
        open=_vllm,
        identifies=("kind", "lora"),
        gpus=_vllm_gpus,
        by_weights=True,
    ),
    EnginePart(
        name="openai",
        summary="OpenAI-compatible servers (vLLM, SGLang, llama.cpp, ...)",
        extra="midway[openai]",
        packages=("httpx",),
        config=OpenAIEngine,
        open=_openai,
        identifies=("kind", "model"),
        any_weights=False,
        messages=lambda config: config.chat,
        by_weights=True,
    ),
    EnginePart(
        name="recorded",
        summary="completions that somebody else generated, from a file",
        config=RecordedEngine,
        open=_recorded,
        identifies=("kind", "path", "columns"),
        any_weights=False,
        recorded=True,
        messages=lambda config: True,
        on_ray=False,
        by_weights=True,
    ),
)
