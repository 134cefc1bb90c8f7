"""What a recipe says of pools that draw on where right solutions are lacking. Imports no torch."""

from __future__ import annotations

from pydantic import Field

from midway.recipe.section import Section


class RoundsConfig(Section):
    """Draw more samples, in rounds of the pool's `samples`, of questions that lack distinct right solutions."""

    solutions: int = Field(ge=1)
    """Right solutions with different texts that a question should have, all its heuristics together."""
    samples: int = Field(ge=1)
    """Completions for each question and heuristic at most."""
