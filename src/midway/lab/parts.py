"""The lab as parts: a source of questions, its base models, random models for trying out. Imports no torch."""

from __future__ import annotations

from typing import Any

from midway.questions.base import QuestionError
from midway.questions.load import Loaded
from midway.recipe.schema import SourceConfig
from midway.registry import ModelPart, SourcePart


def _questions(source: SourceConfig, *, data: str | None) -> Loaded:
    from midway.lab.world import questions

    for name in ("subset", "revision", "columns"):
        if getattr(source, name):
            raise QuestionError(f"lab: `{name}` is for files and Hub sets; the lab has `options`")
    try:
        found = questions(source.split, n=source.limit or 200, seed=source.seed, **source.options)  # type: ignore[arg-type]  # it says which there are
    except (TypeError, ValueError) as error:
        raise QuestionError(f"lab: {error}") from error
    return Loaded(list(found), [])


def _base(rest: str, *, make: bool) -> str:
    from midway.lab.checkpoints import base_checkpoint

    try:
        knobs: dict[str, Any] = dict(knob.split("=") for knob in rest.split(",")) if rest else {}
        knobs = {name: value if name == "world" else float(value) for name, value in knobs.items()}
        return str(base_checkpoint(**knobs, make=make))
    except (ValueError, TypeError) as error:
        raise ValueError(f"write lab, or lab:shown=0.06 or lab:shown=0.06,slip=0.1,world=two-ways ({error})") from None


def _cost(rest: str) -> str:
    from midway.lab.pretrain import MINUTES

    return f"the lab makes it when the run begins (about {MINUTES} minutes on a CPU, once)"


def _tiny(rest: str, *, make: bool) -> str:
    from midway.lab.tiny import cached_tiny

    return str(cached_tiny(rest))


SOURCE = SourcePart(
    name="lab",
    summary="a small world of word problems",
    load=_questions,
    label="midway.lab.labels:label",
    licence="Apache-2.0",
)
MODELS = (
    ModelPart(
        name="lab",
        summary="the small base model that comes with midway; `lab:shown=0.06` another",
        find=_base,
        cost=_cost,
    ),
    ModelPart(name="tiny", summary="a random model for trying out a recipe: `tiny:llama`", find=_tiny),
)
