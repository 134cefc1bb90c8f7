"""A forecast as it is stored: arms with gains, the lead with its interval, the words, and the features that it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from midway.theory.forecast import Budget, calibration, course
from midway.theory.probe import Probe

LEVEL = 0.8


def forecast_record(probe: Probe, budgets: Mapping[str, Budget]) -> dict[str, Any]:
    """Return the forecast of the arms in `budgets`: one without mid-training, one with it."""
    known = calibration()
    courses = {name: course(probe, budget, known.constants) for name, budget in budgets.items()}
    plain = next(name for name, budget in budgets.items() if not budget.midtrained)
    treated = next(name for name, budget in budgets.items() if budget.midtrained)
    lead = courses[treated].after - courses[plain].after
    return {
        "arms": {name: {"gain": c.gain} for name, c in courses.items()},
        "lead": {"value": lead, "level": LEVEL},
        "text": f"lead {100 * lead:.0f} points",
        "budgets": {name: asdict(budget) for name, budget in budgets.items()},
    }
