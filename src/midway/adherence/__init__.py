"""Did a completion follow its heuristic? Three scorers behind one protocol, and the test whether a scorer can tell at all.

    scorer = open_scorer(recipe.adherence, engine, prompts, catalogue)
    for adherence in scorer.score(items): ...
    found = discrimination(scorer, some_items, catalogue)     # report it; found.tells_apart is False: do not select by the scores

Promises: no score is invented. What cannot be told (an unreadable reply, an empty or too long text) is None. Importing this loads no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from midway import registry
from midway.adherence.base import Comparison, Item, Scorer
from midway.adherence.judge import JudgeScorer
from midway.adherence.likelihood import LikelihoodScorer
from midway.adherence.report import Discrimination, Estimate, agreement, discrimination, label_auc
from midway.adherence.reward import RewardModelScorer
from midway.adherence.ways import JudgeWays, LikelihoodWays, WaysLabeller, compared, measure
from midway.engines.base import Engine
from midway.recipe.schema import AdherenceConfig, LabelsConfig
from midway.records import Heuristic, Prompt, Question

__all__ = [
    "Comparison",
    "Discrimination",
    "Estimate",
    "Item",
    "JudgeScorer",
    "JudgeWays",
    "LikelihoodScorer",
    "LikelihoodWays",
    "RewardModelScorer",
    "Scorer",
    "WaysLabeller",
    "agreement",
    "compared",
    "discrimination",
    "label_auc",
    "measure",
    "open_labeller",
    "open_scorer",
]


def open_scorer(
    config: AdherenceConfig,
    engine: Engine | None,
    prompts: Callable[[Question, Heuristic | None], Prompt],
    catalogue: Mapping[str, Heuristic],
    *,
    state: Mapping[str, Any] | None = None,
    chat: bool = True,
) -> Scorer:
    """Return the scorer that the recipe asks for.

    `engine` writes log-probabilities (likelihood: of the model and prompts that generated) or judgements (judge; `chat`: whether it takes
    messages); the reward model needs none. `catalogue` holds the heuristics of the pool, by slug. `state` is what an earlier scorer's
    `state()` returned: a stage that goes on after a stop passes it, so that all its scores are calibrated alike.
    Raises ValueError for `none`, for a missing engine or model, and for fewer than two heuristics.
    """
    if config.scorer == "none":
        raise ValueError("adherence: the recipe asks for no scorer")
    part = registry.find("scorers", config.scorer)
    if engine is None and part.engine:
        raise ValueError(f"adherence: scorer {config.scorer!r} needs an engine")
    scorer: Scorer = part.open(config, engine=engine, prompts=prompts, heuristics=catalogue, state=state, chat=chat)
    return scorer


def open_labeller(
    config: LabelsConfig,
    engine: Engine,
    prompts: Callable[[Question, Heuristic | None], Prompt],
    catalogue: Mapping[str, Heuristic],
    *,
    state: Mapping[str, Any] | None = None,
    chat: bool = True,
) -> WaysLabeller:
    """Return the labeller of evaluation samples that the recipe asks for; `catalogue` holds the ways, by slug.

    `state` is what an earlier labeller's `state()` returned, so that all samples of a run are labelled alike. Raises ValueError for labels
    by a program, which evaluation makes itself, and for fewer than two heuristics.
    """
    if config.by == "program":
        raise ValueError("labels: the recipe asks for no labeller but a program")
    part = registry.find("scorers", config.by)
    labeller: WaysLabeller = part.label(
        config, engine=engine, prompts=prompts, heuristics=catalogue, state=state, chat=chat
    )
    return labeller
