"""Whether a recipe must name its model. The lab's small model is the default for the lab's own questions alone: elsewhere it would be
trained in silence. Where nothing is trained or evaluated, and a server or a file writes the solutions, no model is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midway import registry

if TYPE_CHECKING:
    from midway.recipe.schema import Recipe
    from midway.recipe.section import EngineSettings


def missing_model(recipe: Recipe, default: str) -> str:
    """Return what is wrong with a recipe that names no model; empty where it needs none. `default` is the model and source of the lab."""
    if "path" in recipe.model.model_fields_set:
        return ""
    asked = [*recipe.questions.train, *(recipe.questions.rl or []), *recipe.benchmarks]
    foreign = [source.source for source in asked if source.source.partition(":")[0] != default]
    if not foreign:
        return ""
    writers = [pool.engine or recipe.engine for pool in recipe.pools.values()]
    asking = [one for one in writers if registry.find("engines", one.kind).any_weights or _unnamed(one)]
    if not recipe.arms and not recipe.benchmarks and not asking:
        return ""
    return (
        f"model: name the model for the questions of {foreign[0]}, such as `model: {{path: Qwen/Qwen2.5-1.5B-Instruct}}` "
        f"(the lab's questions alone have a default, {default!r}; `midway list models` shows models known by name)"
    )


def _unnamed(engine: EngineSettings) -> bool:
    """Whether a server is asked for the recipe's model, since its settings name none."""
    return "model" in type(engine).model_fields and getattr(engine, "model", None) is None
