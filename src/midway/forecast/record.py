"""A forecast as it is stored in `probe/forecast.json`, and how it is read back.

The format (docs/forecast.md has it in words; fields may be added, none is taken away):

    {"format": 1,
     "arms": {NAME: {"gain", "low", "high", "midtrained"}},         gains over the base model, in shares
     "lead": {"value", "low", "high", "level"},                     the arm with mid-training minus the one without, after RL
     "catch_up_steps": steps | null, "features": {...}, "budgets": {NAME: {...}}, "calibration": {...}, "text": "...",
     "made_at", "recipe_digest", "pre_registered": true | false, "trained_before": [stages that had begun]}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from midway.forecast.features import features
from midway.forecast.words import paragraph
from midway.theory.forecast import Budget, Calibration, Range, calibration, catch_up, expected
from midway.theory.probe import Probe

LEVEL = 0.8
FORMAT = 1


def forecast_record(
    probe: Probe, budgets: Mapping[str, Budget], known: Calibration | None = None, level: float = LEVEL
) -> dict[str, Any]:
    """Return the forecast of two arms: one without mid-training, one with it. Raises ValueError where `budgets` has not one of each."""
    names = {budget.midtrained: name for name, budget in budgets.items()}
    if len(budgets) != 2 or set(names) != {False, True}:
        raise ValueError("a forecast is of two arms: one with RL alone, one with mid-training before it")
    known = known or calibration()
    plain, treated = budgets[names[False]], budgets[names[True]]
    told = expected(probe, plain, treated, known, level)
    found = features(probe, plain.group)
    steps = catch_up(probe, plain, treated, known.constants)
    return {
        "format": FORMAT,
        "arms": {
            names[False]: {**_gain(told.plain), "midtrained": False},
            names[True]: {**_gain(told.treated), "midtrained": True, "before_rl": round(told.before - told.base, 4)},
        },
        "lead": {**_rounded(told.lead), "level": level},
        "catch_up_steps": steps,
        "features": _plain(asdict(found)),
        "budgets": {name: asdict(budget) for name, budget in budgets.items()},
        "calibration": {"conditions": known.conditions, "source": known.source, "constants": asdict(known.constants)},
        "text": paragraph(found, told, plain, treated, steps, known),
    }


def _rounded(value: Range) -> dict[str, float]:
    return {"value": round(value.value, 4), "low": round(value.low, 4), "high": round(value.high, 4)}


def _gain(value: Range) -> dict[str, Any]:
    return {"gain": round(value.value, 4), "low": round(value.low, 4), "high": round(value.high, 4)}


def _plain(value: Any) -> Any:
    """Return what JSON holds: NaN is null."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, float | np.floating):
        return round(float(value), 6) if np.isfinite(value) else None
    return json.loads(json.dumps(value))
