"""Settings of the rewards that come with midway."""

from __future__ import annotations

from pydantic import Field

from midway.recipe.section import Section


class RandomOptions(Section):
    """Settings of `random`."""

    share: float = Field(0.5, gt=0, lt=1)
    """Share of completions that get 1."""
    seed: int = 0


class LengthOptions(Section):
    """Settings of `length`."""

    target: int = Field(256, ge=1)
    """Tokens up to which a completion loses nothing."""
    exact: bool = False
    """Shorter ones lose too: -1 at length 0."""
