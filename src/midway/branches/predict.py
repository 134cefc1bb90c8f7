"""What the table of ways predicts of the RL of each arm, from how the arm answered before RL, beside what was measured.

Promises: an arm's curve is predicted with a time scale that was fitted on the *other* arms of the run. Where these do not give one (there
is no other, or they gained what no table of ways can gain), it is fitted on all arms, and `Learning.fitted_on_itself` says so.

The success of a way on a kind of question is known from few answers. It is drawn towards the kind's mean by PRIOR answers of that mean,
or the best of several ways would look better than it is by chance alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from midway.branches.measure import Found, State
from midway.evidence.branch import Change, mean_change
from midway.results import Run
from midway.rundir import layout, read_json
from midway.rundir.layout import AFTER_RL, BEFORE_RL
from midway.theory import Trainer
from midway.theory.curves import FASTEST, SLOWEST, Kind, Measured, ceiling, fit_scale, gain_rate_of, predicted
from midway.training.jobs import read_rows

PRIOR = 4.0
"""Answers of the kind's mean success that are added to each way's."""


@dataclass(frozen=True, slots=True)
class Learning:
    """RL of one arm: measured, predicted, and what the change is made of."""

    arm: str
    title: str
    change: Change
    """Of success, within kinds of questions: choice and skill."""
    rate: float
    """Rate of gain at the start that the table gives: sum of pi^2 (q - p)^2 within kinds."""
    ceiling: float
    """Success with every kind in the best of the ways seen before RL."""
    scale: float
    """Time (learning rate x steps) of one optimizer step, as fitted; NaN where no scale fits better than the bounds."""
    fitted_on_itself: bool
    step_T: tuple[float, ...]
    measured_T: tuple[float, ...]
    predicted_T: tuple[float, ...]

    @property
    def measured_gain(self) -> float:
        return self.measured_T[-1] - self.measured_T[0]

    @property
    def predicted_gain(self) -> float:
        return self.predicted_T[-1] - self.predicted_T[0]


def learning(run: Run, found: Found) -> tuple[Learning, ...]:
    """Return what the table says of each arm with RL whose samples are labelled, in the run's order; () where nobody labelled any."""
    arms = [(name, found.state(name, BEFORE_RL), found.state(name, AFTER_RL)) for name in run.arms]
    pairs = [(name, before, after) for name, before, after in arms if before and after and before.mixes and after.mixes]
    measured = {name: _measured(run, found.benchmark, before, after) for name, before, after in pairs}
    group = run.recipe.rl.get("num_generations", 8)
    trainer = Trainer(rule="grpo", group=int(group))
    out = []
    for name, before, after in pairs:
        own = measured[name]
        others = [curve for other, curve in measured.items() if other != name]
        scale = _scale(others, trainer)
        on_itself = scale is None
        scale = scale or _scale(list(measured.values()), trainer) or float("nan")
        expected = (
            predicted(own.kinds, own.step_T, scale, trainer) if scale == scale else np.full(len(own.step_T), np.nan)
        )
        both = [kind for kind in before.mixes if kind in after.mixes]
        out.append(
            Learning(
                arm=name,
                title=after.title,
                change=mean_change([(before.mixes[kind], after.mixes[kind]) for kind in both]),
                rate=gain_rate_of(own.kinds),
                ceiling=ceiling(own.kinds),
                scale=scale,
                fitted_on_itself=on_itself,
                step_T=tuple(own.step_T),
                measured_T=tuple(own.success_T),
                predicted_T=tuple(expected.tolist()),
            )
        )
    return tuple(out)


def kinds_of(state: State) -> list[Kind]:
    """Return a state's mixes as the theory takes them, weighted by samples."""
    total = sum(m.samples for m in state.mixes.values())
    out = []
    for m in state.mixes.values():
        count, right = np.array(m.count_W, float), np.array(m.right_W, float)
        out.append(
            Kind(m.samples / total, m.share_W.tolist(), ((right + PRIOR * m.success) / (count + PRIOR)).tolist())
        )
    return out


def _scale(curves: Sequence[Measured], trainer: Trainer) -> float | None:
    """Return the scale that fits curves best, None where there are none, or where it is a bound of the search."""
    if not curves:
        return None
    found = fit_scale(curves, trainer)
    return found if 2 * SLOWEST < found < FASTEST / 2 else None


def _measured(run: Run, benchmark: str, before: State, after: State) -> Measured:
    """Return the measured curve: the evaluations before and after RL; between them what RL logged on a slice of the benchmark, as the
    distance from where that slice began (its questions are others, so its level is too)."""
    start, end = _success(before), _success(after)
    stages = [layout.rl(after.arm, seed) for seed in after.seeds]
    logged = [_logged(run, rel, f"eval/{benchmark}/pass@1") for rel in stages]
    steps = max(float(read_json(run.files.manifest(rel)).get("result", {}).get("steps") or 0) for rel in stages)
    common = sorted(set.intersection(*(set(log) for log in logged))) if logged else []
    points = {0.0: start}
    if common and common[0] == 0:
        zero = float(np.mean([log[0] for log in logged]))
        points |= {s: start + float(np.mean([log[s] for log in logged])) - zero for s in common if 0 < s < steps}
    points[steps] = end
    order = sorted(points)
    return Measured(kinds_of(before), order, [points[s] for s in order])


def _success(state: State) -> float:
    """Success over the labelled samples, as the mixes have it."""
    return sum(sum(m.right_W) for m in state.mixes.values()) / max(1, sum(m.samples for m in state.mixes.values()))


def _logged(run: Run, rel: str, key: str) -> Mapping[float, float]:
    rows: Sequence[Mapping[str, float]] = read_rows(run.files.metrics(rel))
    return {float(row["step"]): float(row[key]) for row in rows if key in row and "step" in row}
