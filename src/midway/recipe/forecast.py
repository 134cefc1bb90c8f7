"""What a recipe says of the forecast: whether it is made before training, and from how many samples. Imports no torch."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from midway.recipe.section import Section


class ForecastConfig(Section):
    """A forecast of what mid-training will be ahead by, made from a few samples of the base model and stored before anything is trained."""

    questions: int = Field(64, ge=8)
    """RL questions that are sampled, drawn at random; all where there are fewer."""
    unguided: int = Field(8, ge=2)
    """Samples of each question as RL draws them: no heuristic, RL's temperature and length."""
    guided: int = Field(2, ge=1)
    """Samples of each question and heuristic of the treatment's guided pool."""


def asked_forecast(value: Any) -> Any:
    """`forecast: true` is one with every default, `false` none."""
    if isinstance(value, bool):
        return ForecastConfig() if value else None
    return value
