"""The predicted curve of a real model: its limits, its first slope, and that a fit finds the scale that made a curve."""

from __future__ import annotations

import numpy as np
import pytest

from midway.theory import Trainer, weight
from midway.theory.curves import FASTEST, Kind, Measured, ceiling, fit_scale, gain_rate_of, predicted

GRPO = Trainer(rule="grpo", group=8)
KINDS = [Kind(0.25, [0.7, 0.2, 0.1, 0.0], [0.1, 0.5, 0.9, 0.0]), Kind(0.75, [0.5, 0.5], [0.3, 0.6])]


def test_it_begins_at_the_measured_success_and_ends_in_the_best_ways() -> None:
    start, end = predicted(KINDS, [0, 1e5], 1.0, GRPO)
    assert start == pytest.approx(0.25 * (0.07 + 0.1 + 0.09) + 0.75 * 0.45)
    assert ceiling(KINDS) == pytest.approx(0.25 * 0.9 + 0.75 * 0.6)
    assert end == pytest.approx(ceiling(KINDS), abs=2e-3)


def test_the_first_slope_is_the_rate_of_gain_times_the_weight() -> None:
    kind = KINDS[1]
    p, small = 0.45, 1e-4
    found = np.diff(predicted([Kind(1.0, kind.share_W, kind.success_W)], [0, small], 1.0, GRPO))[0] / small
    rate = gain_rate_of([Kind(1.0, kind.share_W, kind.success_W)])
    assert rate == pytest.approx(2 * (0.5 * 0.15) ** 2)
    assert found == pytest.approx(rate * float(weight("grpo", p, 8)), rel=1e-3)


def test_equal_success_gains_nothing_at_any_scale() -> None:
    assert predicted([Kind(1.0, [0.9, 0.1], [0.4, 0.4])], [0, 100], 1e3, GRPO) == pytest.approx([0.4, 0.4])


@pytest.mark.parametrize("scale", [0.02, 0.5, 8.0])
def test_the_fit_finds_the_scale(scale: float) -> None:
    steps = [0.0, 10.0, 20.0, 40.0]
    curve = Measured(KINDS, steps, predicted(KINDS, steps, scale, GRPO).tolist())
    flat = Measured([Kind(1.0, [1.0], [0.3])], [0.0, 40.0], [0.3, 0.32])
    assert fit_scale([curve, flat], GRPO) == pytest.approx(scale, rel=0.05)


def test_a_curve_beyond_the_ceiling_drives_the_scale_to_its_bound() -> None:
    assert fit_scale([Measured(KINDS, [0.0, 40.0], [0.4, 0.99])], GRPO) > FASTEST / 10


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        predicted([Kind(0.5, [1.0], [0.5])], [0], 1.0, GRPO)
    with pytest.raises(ValueError, match="after step 0"):
        fit_scale([Measured(KINDS, [0.0], [0.4])], GRPO)
    with pytest.raises(ValueError, match="share above 0"):
        predicted([Kind(1.0, [0.0], [0.5])], [0], 1.0, GRPO)
