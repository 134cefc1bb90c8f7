"""The scorers that come with midway; two of them can label ways too. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from midway.adherence.base import Scorer
from midway.adherence.judge import JudgeScorer
from midway.adherence.likelihood import LikelihoodScorer
from midway.adherence.reward import RewardModelScorer
from midway.adherence.ways import JudgeWays, LikelihoodWays, WaysLabeller
from midway.engines.base import Engine
from midway.recipe.schema import AdherenceConfig, LabelsConfig
from midway.records import Heuristic, Prompt, Question
from midway.registry import ScorerPart

Prompts = Callable[[Question, Heuristic | None], Prompt]
Heuristics = Mapping[str, Heuristic]
State = Mapping[str, Any] | None


def _likelihood(
    config: AdherenceConfig, *, engine: Engine, prompts: Prompts, heuristics: Heuristics, state: State, chat: bool
) -> Scorer:
    calibration = (state or {}).get("calibration")
    return LikelihoodScorer(engine, prompts, heuristics, rivals=config.rivals, calibration=calibration)


def _likelihood_ways(
    config: LabelsConfig, *, engine: Engine, prompts: Prompts, heuristics: Heuristics, state: State, chat: bool
) -> WaysLabeller:
    return LikelihoodWays(
        engine,
        prompts,
        heuristics,
        size=config.window,
        most=config.windows,
        threshold=config.threshold,
        calibration=(state or {}).get("calibration"),
    )


def _judge(
    config: AdherenceConfig, *, engine: Engine, prompts: Prompts, heuristics: Heuristics, state: State, chat: bool
) -> Scorer:
    return JudgeScorer(engine, heuristics, repeats=config.repeats, chat=chat)


def _judge_ways(
    config: LabelsConfig, *, engine: Engine, prompts: Prompts, heuristics: Heuristics, state: State, chat: bool
) -> WaysLabeller:
    return JudgeWays(engine, heuristics, chat=chat)


def _reward_model(
    config: AdherenceConfig,
    *,
    engine: Engine | None,
    prompts: Prompts,
    heuristics: Heuristics,
    state: State,
    chat: bool,
) -> Scorer:
    if not config.model:
        raise ValueError("adherence: name the reward model (`model: org/name`)")
    return RewardModelScorer(config.model, heuristics)


PARTS = (
    ScorerPart(
        name="likelihood",
        summary="under whose heuristic's prompt is the solution most probable",
        open=_likelihood,
        compares=True,
        engine="base",
        label=_likelihood_ways,
    ),
    ScorerPart(
        name="reward-model", summary="a sequence-classification model", open=_reward_model, extra="midway[train]"
    ),
    ScorerPart(
        name="judge",
        summary="a language model judges",
        open=_judge,
        compares=True,
        engine="own",
        label=_judge_ways,
    ),
)
