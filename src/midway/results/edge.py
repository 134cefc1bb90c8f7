"""From JSON on disk to values: the one place of the reader where a file's structure is not known yet.

Promises: what is absent, damaged or of another kind than expected comes back empty or None, and is never an error: the report of a run must
render whatever is missing in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from midway.results.types import Forecast, Found, Interval, LabelCounts, Labeller


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedArm:
    """An arm as a recipe has it."""

    title: str
    midtrained: bool
    rl: bool
    checkpoint: bool = False
    pools: tuple[str, ...]
    rl_note: str = ""
    """What of its RL is not the default, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the reader wants to know of a recipe: also of one that this version cannot validate any more."""

    treatment: str
    control: str
    seeds: tuple[int, ...]
    arms: Mapping[str, AskedArm]
    pools: tuple[str, ...]
    benchmarks: tuple[str, ...]
    samples: Mapping[str, int]
    """Samples of each question, by benchmark, where the recipe says."""
    curve: int | None = None
    """Samples behind a point of a curve during RL, where the recipe says."""


FOUR = ("hits", "positives", "rejections", "negatives")


def as_dict(value: Any) -> dict[str, Any]:
    """Return `value` if it is a dict, else an empty one."""
    return value if isinstance(value, dict) else {}


def read_dict(file: Path) -> dict[str, Any] | None:
    """Return the dict in a JSON file, None where there is none."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def read_numbers(file: Path) -> Iterator[dict[str, float]]:
    """Yield the numbers of each row of a JSON-lines file; a last line that was cut off while being written is left out."""
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict):
                yield {key: value for key, value in row.items() if isinstance(value, int | float)}


def asked_of(recipe: Mapping[str, Any]) -> Asked:
    """Return what a stored recipe asked for."""
    benchmarks = [item if isinstance(item, dict) else {"name": item} for item in recipe.get("benchmarks") or ()]
    samples = {str(item.get("name")): item.get("samples") or item.get("n") for item in benchmarks}
    return Asked(
        treatment=str(recipe.get("treatment") or ""),
        control=str(recipe.get("control") or ""),
        seeds=tuple(int(seed) for seed in recipe.get("seeds") or ()),
        arms={name: _arm(name, as_dict(spec), recipe) for name, spec in as_dict(recipe.get("arms")).items()},
        pools=tuple(as_dict(recipe.get("pools"))),
        benchmarks=tuple(samples),
        samples={name: count for name, count in samples.items() if isinstance(count, int)},
        curve=_curve(as_dict(recipe.get("curve"))),
    )


def _curve(curve: Mapping[str, Any]) -> int | None:
    questions, samples = _count(curve, "questions"), _count(curve, "samples")
    return questions * samples if questions and samples else None


def _rl_note(spec: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    """Return what of an arm's RL is not the default, in words; empty if nothing is."""
    training, filtered = as_dict(recipe.get("training")), as_dict(as_dict(recipe.get("questions")).get("rl_filter"))
    reward = spec.get("reward") or training.get("reward") or "verdict"
    if isinstance(reward, list):
        reward = " + ".join(f"{as_dict(one).get('weight', 1):g} x {as_dict(one).get('name')}" for one in reward)
    notes = [] if reward == "verdict" else [f"reward: {reward}"]
    if training.get("overlong", "score") != "score":
        notes.append(f"cut-off completions: {training['overlong']}")
    if training.get("keep", "last") != "last":
        notes.append("kept: the best state by held-out training questions")
    if filtered:
        notes.append(
            f"questions that the base model solves in {filtered.get('min')} to {filtered.get('max')} of samples"
        )
    return "; ".join(notes) if spec.get("rl", True) else ""


def _arm(name: str, spec: Mapping[str, Any], recipe: Mapping[str, Any]) -> AskedArm:
    data = spec.get("midtrain")
    replay = spec.get("replay")
    items = [*(data if isinstance(data, list) else []), *(replay if isinstance(replay, list) else [])]
    pools = [item.get("pool") if isinstance(item, dict) else item for item in items]
    return AskedArm(
        title=str(spec.get("title") or in_words(name)),
        midtrained=bool(data),
        rl=bool(spec.get("rl", True)),
        checkpoint=bool(spec.get("checkpoint")),
        rl_note=_rl_note(spec, recipe),
        pools=tuple(pool for pool in pools if isinstance(pool, str) and pool),
    )


def forecast_of(record: Mapping[str, Any] | None, digest: object = None) -> Forecast | None:
    """Return the forecast that a probe stored, None where there is none or it says no number; `digest` is the run's recipe's."""
    if not record:
        return None
    arms = {str(name): found for name, arm in as_dict(record.get("arms")).items() if (found := _forecast(arm, "gain"))}
    lead, made_of = _forecast(record.get("lead"), "value"), record.get("recipe_digest")
    level = as_dict(record.get("lead")).get("level") or record.get("level")
    if not arms and lead is None:
        return None
    return Forecast(
        arms=arms,
        lead=lead,
        level=float(level) if isinstance(level, int | float) else 0.95,
        text=str(record.get("text") or ""),
        made_at=str(record.get("made_at") or ""),
        same_recipe=made_of == digest if made_of and digest else None,
        pre_registered=record.get("pre_registered") is not False,
    )


def _forecast(record: Any, key: str) -> Interval | None:
    found = [as_dict(record).get(name) for name in (key, "low", "high")]
    value, low, high = (float(n) if isinstance(n, int | float) else None for n in found)
    return None if value is None else Interval(value, low, high)


def in_words(name: str) -> str:
    """Return the title of an arm that has none: `rl-only` is `RL only`."""
    words = ["RL" if word == "rl" else word for word in name.replace("-", " ").replace("_", " ").split(" ")]
    return " ".join(words)[:1].upper() + " ".join(words)[1:]


def counted(program: Mapping[str, Any]) -> dict[str, int] | None:
    """Return the numbers of an `Agreement` from a label stage's record, None for an empty one."""
    return {key: int(program.get(key) or 0) for key in ("samples", "same", *FOUR)} if program else None


def labeller_of(record: Mapping[str, Any]) -> Labeller | None:
    """Return the labeller that a stage's record describes, None for an empty one; what is not a number there counts as not measured."""
    if not record:
        return None
    ways = record.get("ways")
    correct = record.get("correct")
    return Labeller(
        name=str(record["name"]) if "name" in record else None,
        **{key: _count(record, key) for key in (*FOUR, "unlabelled")},
        whole=_found(record.get("whole")),
        halves=_found(record.get("halves")),
        ways={str(way): _counts(item) for way, item in ways.items()} if isinstance(ways, Mapping) else None,
        correct=correct if isinstance(correct, bool) else None,
    )


def _count(record: Mapping[str, Any], key: str) -> int | None:
    value = record.get(key)
    return int(value) if isinstance(value, int | float) else None


def _found(record: Any) -> Found | None:
    return Found(int(record["hits"]), int(record["positives"])) if isinstance(record, Mapping) else None


def _counts(record: Any) -> LabelCounts:
    record = record if isinstance(record, Mapping) else {}
    return LabelCounts(*(_count(record, key) for key in FOUR))
