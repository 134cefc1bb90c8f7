"""An engine: a calculator that writes solutions by rule. Like a model it is sometimes wrong, and sometimes cannot end its answer.

It need not know what is stored: midway asks for what is missing, and stores each completion as it arrives. So a run that was killed asks
for nothing twice that had arrived. `log` (a file) has a line for every request, to see that.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from midway.engines import EngineError
from midway.recipe import EngineSettings, ModelConfig
from midway.records import Completion, Finish, Prompt, Request
from midway.registry import EnginePart

OPENINGS = {"working-backward": "From the end:", "analogy": "As before:"}


class Settings(EngineSettings):
    kind: Literal["calculator"] = "calculator"
    wrong: float = Field(0.1, ge=0, le=1)
    """Share of wrong totals."""
    hangs: float = Field(0.05, ge=0, le=1)
    """Share of answers that end in `Total: ?`."""
    seconds: float = Field(0.0, ge=0)
    """Seconds for an answer."""
    log: str | None = None
    """A file that has a line for every request."""


class Calculator:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.model_key = "calculator@1"

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        for request in requests:
            if self.settings.log:
                with open(self.settings.log, "a", encoding="utf-8") as log:
                    log.write(f"{request.id}\n")
            time.sleep(self.settings.seconds)
            text = self._write(request)
            tokens = len(text.split())
            yield Completion(
                request.id,
                request.question_id,
                request.heuristic,
                request.index,
                text,
                Finish.STOP,
                completion_tokens=tokens,
            )

    def _write(self, request: Request) -> str:
        asked = request.prompt.text or str(request.prompt.messages[-1]["content"])
        numbers = re.findall(r"(\d+) \+ (\d+)\?", asked)
        if not numbers:
            return "I can only add."
        a, b = map(int, numbers[-1])
        draw = random.Random(request.seed)  # the same request is answered in the same way
        total: Any = a + b + (draw.random() < self.settings.wrong)
        if draw.random() < self.settings.hangs:
            total = "?"
        opening = OPENINGS.get(request.heuristic, "So:")
        return f"{opening} {a} and {b} make the total, which I count {draw.randint(2, 99)} times.\nTotal: {total}"

    def logprobs(self, items: Iterable[tuple[Prompt, str]]) -> Iterator[tuple[float, int]]:
        raise EngineError("a calculator has no log-probabilities\n  use `adherence: {scorer: opening}`")

    def stats(self) -> dict[str, float]:
        return {"prompt_tokens": 0.0, "completion_tokens": 0.0, "cached_tokens": 0.0, "seconds": 0.0}

    def close(self) -> None:
        """Nothing is held."""


def open_engine(
    settings: Settings, model: ModelConfig, *, model_path: str | None, log: Callable[[str], None] | None
) -> Calculator:
    if settings.log and not Path(settings.log).parent.is_dir():
        raise EngineError(f"engine.log: there is no folder {Path(settings.log).parent}\n  make it, or leave `log` out")
    return Calculator(settings)


ENGINE = EnginePart(
    name="calculator",
    summary="adds two numbers, in words",
    config=Settings,
    open=open_engine,
    identifies=("kind", "wrong", "hangs"),  # not how long it takes, nor where it logs
    any_weights=False,  # it cannot serve a model that was just trained: transformers evaluates those
)
