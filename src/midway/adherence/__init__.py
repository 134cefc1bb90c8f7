"""Did a completion follow its heuristic? Three scorers behind one protocol, and the test whether a scorer can tell at all.

    scorer = open_scorer(recipe.adherence, engine, prompts, catalogue)
    for adherence in scorer.score(items): ...
    found = discrimination(scorer, some_items, catalogue)     # report it; found.tells_apart is False: do not select by the scores

Promises: no score is invented. What cannot be told (an unreadable reply, an empty or too long text) is None. Importing this loads no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from midway.adherence.base import Comparison, Item, Scorer
from midway.adherence.judge import JudgeScorer
from midway.adherence.likelihood import LikelihoodScorer
from midway.adherence.report import Discrimination, Estimate, agreement, discrimination, label_auc
from midway.adherence.reward import RewardModelScorer
from midway.engines.base import Engine
from midway.recipe.schema import AdherenceConfig
from midway.records import Heuristic, Prompt, Question

__all__ = [
    "Comparison",
    "Discrimination",
    "Estimate",
    "Item",
    "JudgeScorer",
    "LikelihoodScorer",
    "RewardModelScorer",
    "Scorer",
    "agreement",
    "discrimination",
    "label_auc",
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
    if config.scorer == "reward-model":
        if not config.model:
            raise ValueError("adherence: name the reward model (`model: org/name`)")
        return RewardModelScorer(config.model, catalogue)
    if config.scorer == "none":
        raise ValueError("adherence: the recipe asks for no scorer")
    if engine is None:
        raise ValueError(f"adherence: scorer {config.scorer!r} needs an engine")
    if config.scorer == "judge":
        return JudgeScorer(engine, catalogue, repeats=config.repeats, chat=chat)
    return LikelihoodScorer(
        engine, prompts, catalogue, rivals=config.rivals, calibration=(state or {}).get("calibration")
    )
