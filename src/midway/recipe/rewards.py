"""Settings of the rewards that come with midway."""

from __future__ import annotations

from pydantic import Field

from midway.recipe.section import Section


class VerdictOptions(Section):
    """Settings of `verdict`. Without any, whatever is right gets 1."""

    accept: list[str] | None = None
    """Answer rules that count (`boxed`, `statement`, `hashes`, `tag`, `letter` ...: the first word of a verdict's reason); any if left
    out. A right answer that another rule found gets 0."""
    consistent: bool = False
    """A right answer gets 0 where the text has false arithmetic, an answer that no computation gives, a loop, or two answers."""


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
