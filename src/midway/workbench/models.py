"""Which weights: the base model of a recipe, an arm's own checkpoint, a trained model, the model that labels; and what names them in ids.

Promises: a model is looked for once; nothing is loaded. When things go wrong: RunError for a name that no model has.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from midway import registry
from midway.engines import model_key
from midway.questions.hub import offline_if_away
from midway.recipe import ModelConfig, Recipe
from midway.rundir import RunError


@dataclass(frozen=True)
class Weights:
    """A model: a path or Hub id, and what names its weights in the ids of completions: their hash for the base model, the digest of the
    stage that trains it for a trained one (so that a run that was killed and went on has the ids of one that was not)."""

    path: str
    key: str
    revision: str | None = None


def find_model(path: str, *, make: bool = True) -> str:
    """Return where a model is: the directory of one that is known by name (`lab`, `smollm2`, `tiny:FAMILY`, or a plug-in's), of a GGUF
    file that was converted, else `path`.

    With `make` false, raises FileNotFoundError where a named model has yet to be made or fetched. Raises RunError for a name that its part
    cannot read.
    """
    name, _, rest = path.partition(":")
    if path.endswith(".gguf") and Path(path).expanduser().is_file():
        name, rest = "gguf", path
    elif not registry.has("models", name) or Path(path).exists():
        if not Path(path).expanduser().exists():
            offline_if_away()
        return path
    try:
        found: str = registry.find("models", name).find(rest, make=make)
    except ValueError as error:
        raise RunError(f"model.path {path!r}: {error}") from None
    return found


class Models:
    """The models of a recipe."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    @cached_property
    def base(self) -> Weights:
        """The base model."""
        return self.weights(self.recipe.model)

    def weights(self, model: ModelConfig) -> Weights:
        """Return the weights that a model section names."""
        path = find_model(model.path)
        return Weights(path, model_key(path, model.revision), model.revision)

    def start(self, arm: str) -> Weights:
        """Return what an arm starts from: the base model, or a checkpoint of its own."""
        own = self.recipe.arms[arm].checkpoint
        return self.base if own is None else self.weights(ModelConfig(path=own))

    @cached_property
    def labels(self) -> Weights:
        """The model that labels evaluation samples: the base model unless the recipe names another. A server's is known by its name."""
        config = self.recipe.labels
        if config.model is None:
            return self.base
        part = registry.find("engines", (config.engine or self.recipe.engine).kind)
        if not part.any_weights:
            path = find_model(config.model.path)
            return Weights(path, path, config.model.revision)
        return self.weights(config.model)
