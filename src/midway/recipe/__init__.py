"""Recipes: the schema (`schema`) and how files become recipes (`load`). Importing this package loads no torch."""

from midway.recipe.forecast import ForecastConfig
from midway.recipe.load import (
    apply_override,
    find_recipe,
    load_recipe,
    loads_recipe,
    merge,
    shipped_recipes,
)
from midway.recipe.replay import ReplayConfig
from midway.recipe.schema import (
    AdherenceConfig,
    ArmConfig,
    BenchmarkConfig,
    CurveConfig,
    DataConfig,
    EngineConfig,
    LabelsConfig,
    ModelConfig,
    PoolConfig,
    PromptConfig,
    QuestionsConfig,
    Recipe,
    SamplingConfig,
    SelectionConfig,
    SourceConfig,
    VerifyConfig,
    engine_settings,
)
from midway.recipe.section import EngineSettings, RecipeError, Section
from midway.recipe.training import FilterConfig, RewardConfig, TrainingConfig
from midway.recipe.until import UntilConfig
from midway.registry import near

__all__ = [
    "AdherenceConfig",
    "ArmConfig",
    "BenchmarkConfig",
    "CurveConfig",
    "DataConfig",
    "EngineConfig",
    "EngineSettings",
    "FilterConfig",
    "ForecastConfig",
    "LabelsConfig",
    "ModelConfig",
    "PoolConfig",
    "PromptConfig",
    "QuestionsConfig",
    "Recipe",
    "RecipeError",
    "ReplayConfig",
    "RewardConfig",
    "SamplingConfig",
    "Section",
    "SelectionConfig",
    "SourceConfig",
    "TrainingConfig",
    "UntilConfig",
    "VerifyConfig",
    "apply_override",
    "engine_settings",
    "find_recipe",
    "load_recipe",
    "loads_recipe",
    "merge",
    "near",
    "shipped_recipes",
]
