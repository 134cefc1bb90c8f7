"""What a recipe says of replay: rows that keep what the model could, mixed into an arm's mid-training. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from midway.recipe.section import Section
from midway.registry import near

if TYPE_CHECKING:
    from midway.recipe.schema import Recipe


class ReplayConfig(Section):
    """Rows that are mixed into mid-training to keep what the model could. Written among an arm's `midtrain`, known by its `share`."""

    source: str | None = None
    """A file of chat rows (.jsonl, .json, .parquet): {messages: [...]}, the last one the assistant's, or {prompt, completion}."""
    pool: str | None = None
    """Or an unguided pool, such as one with `prompts` of its own: the model's own finished answers, right or wrong."""
    share: float = Field(gt=0, lt=1)
    """Share of the rows that the arm is mid-trained on."""
    held_out: int = Field(64, ge=0)
    """So many rows (half of them at most) are never trained on: the loss on them is measured before and after mid-training."""

    @model_validator(mode="after")
    def _one(self) -> ReplayConfig:
        if (self.source is None) == (self.pool is None):
            raise ValueError("replay rows: name a file (`source: chat.jsonl`) or a pool (`pool: chat`), one of them")
        return self


def split_midtrain(value: Any) -> Any:
    """Return an arm with those entries of `midtrain` that have a `share` moved to `replay`."""
    if not isinstance(value, Mapping) or not isinstance(value.get("midtrain"), list):
        return value
    entries = value["midtrain"]
    replay = [e for e in entries if isinstance(e, ReplayConfig) or (isinstance(e, Mapping) and "share" in e)]
    if not replay:
        return value
    return {
        **value,
        "midtrain": [e for e in entries if e not in replay],
        "replay": [*value.get("replay", []), *replay],
    }


def check_replay(recipe: Recipe) -> None:
    """Raise ValueError for replay that names no pool, shares that leave nothing, and for pools of `prompts` used as solutions."""
    for name, arm in recipe.arms.items():
        if arm.replay and not arm.midtrain:
            raise ValueError(f"arms.{name}: replay goes with mid-training data: add a pool to `midtrain`")
        if sum(one.share for one in arm.replay) >= 1:
            raise ValueError(f"arms.{name}: the shares of replay must add up to less than 1")
        for one in arm.replay:
            if one.pool is None:
                continue
            if one.pool not in recipe.pools:
                raise ValueError(f"arms.{name}: there is no pool {one.pool!r}{near(one.pool, sorted(recipe.pools))}")
            if recipe.pools[one.pool].heuristics:
                raise ValueError(f"arms.{name}: pool {one.pool!r} is guided; replay takes an unguided pool")
        for data in arm.midtrain:
            if data.pool and recipe.pools[data.pool].prompts:
                raise ValueError(
                    f"arms.{name}: answers to the prompts of pool {data.pool!r} cannot be verified, so they are no solutions\n"
                    f"  mix them in as replay: {{pool: {data.pool}, share: 0.2}}"
                )
