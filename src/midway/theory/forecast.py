"""The forecast: what RL alone, and several ways then RL, will gain, from the counts of a probe and a few calibrated constants.

The model, for each probed question by itself: a policy over the model's default and the W ways that were asked for, with free logits; each
way succeeds at a fixed rate on the question. RL follows the exact expected step of GRPO at the recipe's group size (`rules`):

    d theta_k / d t = w(p, G) pi_k (q_k - p),      t = pace x steps x (learning rate x width of the model / reference)

- Success rates q: guided samples (and unguided ones that show the way), drawn towards the way's mean over the questions (`strength`).
- Success of a way that nobody asked for, on a question where it did not show: between its mean where it showed (`elsewhere` = 1) and what
  the default does there (0). A model shows a way where it fits.
- Before RL alone: the shares of the ways among unguided samples, drawn towards their mean over the questions; a way that was asked for
  and never seen has the share of `unseen` samples among all that were drawn. Ways that nobody asked for count too, where they show unasked.
- After mid-training on right solutions: ways that were asked for in proportion to their success on the question to the power `focus`, and
  what the model does unasked as a way that counts for `keep`: where no way succeeds, the model goes on as before. Success of the ways is
  drawn to the base model's by `forget`.
- What RL adds that is no choice among ways (a way carried out better) is `polish`, of what is wrong and has signal, over steps.
- Of the gain in RL that this gives for the probed questions a share comes about on others: `alone` for RL alone, `added` for RL that
  follows mid-training.
- Chance: a run finds a rare way earlier or later (`luck`); what is expected is the mean over that.

Promises: pure functions of arrays; `ways_flow` agrees with `training.flow`; constants are read from `forecast.json`, which says where they
come from. Axes: Q questions, K = 1 + W + V choices (the default, ways asked for, other ways), T times.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.special import log_softmax

from midway.theory.probe import Probe
from midway.theory.rules import signal, weight

Array = NDArray[np.float64]
CONSTANTS = Path(__file__).with_name("forecast.json")
REFERENCE_RATE, REFERENCE_WIDTH = 2e-4, 128
"""The learning rate and the width of the model in whose units `pace` is."""
RULE = "grpo_trl"
GRID = np.linspace(0, 1, 201)
_NODES = (lambda found: (found[0], found[1] / found[1].sum()))(np.polynomial.hermite_e.hermegauss(5))


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """RL of one arm: `steps` optimizer steps of `completions` samples in groups of `group`, at a learning rate."""

    steps: int
    group: int = 8
    completions: int = 64
    rate: float = REFERENCE_RATE
    width: int = REFERENCE_WIDTH
    """The model's hidden size: with Adam one step moves the outputs of a wide layer by about rate x width (the scaling of muP)."""
    midtrained: bool = False
    """Whether mid-training on right guided solutions comes before."""

    def __post_init__(self) -> None:
        if self.steps < 0 or self.group < 2 or min(self.completions, self.width) < 1 or self.rate <= 0:
            raise ValueError(
                "a budget needs steps >= 0, groups of at least 2, completions >= 1 and a learning rate > 0"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """What the theory does not know: fitted on lab conditions, see `forecast.json`."""

    pace: float = 3.0
    """Logit time of one step at the reference rate and width."""
    luck: float = 0.5
    """Standard deviation of the logarithm of the time that a run takes."""
    unseen: float = 0.5
    """Samples that a way counts for that was never seen."""
    strength: float = 1.0
    """Samples that a way's mean over the questions counts for."""
    focus: float = 2.0
    keep: float = 0.05
    forget: float = 0.1
    polish: float = 0.0
    """Share of what is wrong and has signal that becomes right in one step at the reference rate and width."""
    alone: float = 1.0
    added: float = 1.0
    elsewhere: float = 1.0

    def __post_init__(self) -> None:
        positive = (self.pace, self.unseen, self.strength, self.keep, self.alone, self.added)
        if min(positive) <= 0 or min(self.polish, self.focus, self.luck) < 0:
            raise ValueError(
                "pace, unseen, strength, keep, alone and added must be above 0, polish, focus and luck not below"
            )
        if not (0 <= self.forget <= 1 and 0 <= self.elsewhere <= 1):
            raise ValueError("forget and elsewhere are shares")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The constants, how far forecasts were off on the conditions that they were fitted on, and where that is from."""

    constants: Constants = field(default_factory=Constants)
    spread: Mapping[str, float] = field(default_factory=dict)
    """Root mean square of what came out minus what was forecast, each learning condition left out of the fit in turn: of the gain of RL
    alone (`plain`), of the gain of mid-training and RL (`treated`), and of the `lead`; in shares."""
    conditions: int = 0
    """How many conditions that rests on; 0: set by hand."""
    source: str = ""
    held_out: Mapping[str, float] = field(default_factory=dict)
    """How a calibration did on conditions that it was not fitted on, this one or the last one before it (`source` says which):
    `conditions`, the mean absolute error of the lead (`error`) and that of the better simple rival (`rival`), both in shares,
    `rank_correlation`, and the `coverage` of the 80 % intervals. Empty: not tried."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def calibration(path: Path = CONSTANTS) -> Calibration:
    """Return the calibration that is stored. Raises ValueError for a file that is none."""
    found = json.loads(path.read_text(encoding="utf-8"))
    try:
        return Calibration(**{**found, "constants": Constants(**found["constants"])})
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is no calibration of the forecast: {error}") from error


@dataclass(frozen=True, slots=True, eq=False)
class Policies:
    """Per question: shares and success rates of the default (first) and of each way."""

    pi_QK: Array
    q_QK: Array

    @property
    def success_Q(self) -> Array:
        return np.asarray((self.pi_QK * self.q_QK).sum(1))


def _towards(right: Array, count: Array, strength: float) -> Array:
    """Return rates over axis 0 (questions), drawn towards their mean as if that were `strength` samples."""
    total = count.sum(0)
    mean = (right.sum(0) + 0.5) / (total + 1.0)
    return np.asarray((right + strength * mean) / (count + strength))


def rates_of(probe: Probe, constants: Constants) -> Array:
    """Return the success rate of the default, of each way that was asked for and of each other way on each question, (Q, K)."""
    plain = probe.judged_Q - probe.shown_QW.sum(1) - probe.other_QV.sum(1)
    plain_right = probe.right_Q - probe.shown_right_QW.sum(1) - probe.other_right_QV.sum(1)
    default = _towards(plain_right, plain, constants.strength)
    ways = _towards(probe.shown_right_QW + probe.solved_QW, probe.shown_QW + probe.asked_QW, constants.strength)
    mean_V = (probe.other_right_QV.sum(0) + 0.5) / (probe.other_QV.sum(0) + 1.0)
    goal_QV = constants.elsewhere * mean_V + (1 - constants.elsewhere) * default[:, None]
    others = (probe.other_right_QV + constants.strength * goal_QV) / (probe.other_QV + constants.strength)
    return np.concatenate([default[:, None], ways, others], axis=1)


def unasked(probe: Probe, constants: Constants) -> Policies:
    """Return the base model's policies as it shows itself unasked."""
    total = max(1.0, float(probe.judged_Q.sum()))
    shown_QK = np.concatenate([probe.shown_QW, probe.other_QV], axis=1)
    extra_K = np.concatenate([np.full(len(probe.ways), constants.unseen), np.zeros(len(probe.others))])
    mean_K = (shown_QK.sum(0) + extra_K) / (total + extra_K.sum())
    strength = 4.0  # half of the default probe's samples of a question
    share = (shown_QK + strength * mean_K) / (probe.judged_Q[:, None] + strength)
    share = share * np.minimum(1.0, 0.999 / np.maximum(share.sum(1, keepdims=True), 1e-12))
    pi = np.concatenate([1 - share.sum(1, keepdims=True), share], axis=1)
    return Policies(pi, rates_of(probe, constants))


def shown(probe: Probe, constants: Constants) -> Policies:
    """Return the policies after mid-training on right solutions of the ways that were asked for."""
    base = unasked(probe, constants)
    asked = slice(1, 1 + len(probe.ways))
    q_W = base.q_QK[:, asked]
    pi = base.pi_QK.copy()
    pi[:, asked] = 0.0
    pi *= constants.keep / pi.sum(1, keepdims=True)
    pi[:, asked] = q_W**constants.focus
    q = base.q_QK.copy()
    q[:, asked] = (1 - constants.forget) * q_W + constants.forget * np.minimum(q_W, base.success_Q[:, None])
    return Policies(pi / pi.sum(1, keepdims=True), q)


def ways_flow(policies: Policies, group: int, times: ArrayLike, *, rule: str = RULE, longest: float = 0.05) -> Array:
    """Return the shares over time, (T, Q, K): `d theta = w(p, G) pi (q - p) dt` for each question, by Runge-Kutta of order 4.

    times: increasing, from 0 on; `longest`: the longest step of the solver in logit time. Raises ValueError for other times.
    """
    at = np.asarray(times, float)
    if at.ndim != 1 or not at.size or at[0] < 0 or np.any(np.diff(at) <= 0):
        raise ValueError("times must be increasing and not negative")
    table = _weights(rule, group)
    q = policies.q_QK

    def slope(theta: Array) -> Array:
        pi = np.exp(log_softmax(theta, axis=1))
        p = (pi * q).sum(1)
        return np.asarray(np.interp(p, GRID, table)[:, None] * pi * (q - p[:, None]))

    with np.errstate(divide="ignore"):
        theta = np.log(policies.pi_QK)
    now, out = 0.0, []
    for then in at:
        steps = max(1, int(np.ceil((then - now) / longest)))
        h = (then - now) / steps
        for _ in range(steps if h > 0 else 0):
            k1 = slope(theta)
            k2 = slope(theta + h / 2 * k1)
            k3 = slope(theta + h / 2 * k2)
            k4 = slope(theta + h * k3)
            theta = theta + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        now = float(then)
        out.append(np.exp(log_softmax(theta, axis=1)))
    return np.array(out)


@lru_cache(maxsize=32)
def _weights(rule: str, group: int) -> Array:
    return weight(rule, GRID, group)


def learning_curve(policies: Policies, budget: Budget, steps: Sequence[int], constants: Constants) -> Array:
    """Return expected success, the mean over questions, after each number of RL steps (increasing).

    The mean over chance too: a run finds a rare way earlier or later, so the time is log-normal around what the steps say, with deviation
    `luck` (five points of Gauss-Hermite quadrature, all on one curve).
    """
    scale = budget.rate / REFERENCE_RATE * budget.width / REFERENCE_WIDTH
    at_T = np.asarray(steps, float)
    node_N, share_N = _NODES
    time_TN = constants.pace * scale * at_T[:, None] * np.exp(constants.luck * node_N)
    times, place = np.unique(time_TN, return_inverse=True)
    pi_UQK = ways_flow(policies, budget.group, times, longest=max(0.1, times[-1] / 120))
    p_TNQ = (pi_UQK * policies.q_QK).sum(-1)[place.reshape(time_TN.shape)]
    if constants.polish:
        seen = signal(np.clip(p_TNQ, 0, 1), budget.group)
        gained_T = 1 - np.exp(-constants.polish * scale * at_T)
        p_TNQ = p_TNQ + (1 - p_TNQ) * seen * gained_T[:, None, None]
    p_T = p_TNQ.mean(-1) @ share_N
    start = float((policies.pi_QK * policies.q_QK).sum(-1).mean())
    share = constants.added if budget.midtrained else constants.alone
    return np.asarray(start + share * (p_T - start))


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What is expected of one arm, in shares: before RL, after RL, and the base model's."""

    base: float
    before: float
    after: float

    @property
    def gain(self) -> float:
        return self.after - self.base


def course(probe: Probe, budget: Budget, constants: Constants) -> Course:
    """Return what is expected of an arm."""
    base = unasked(probe, constants)
    policies = shown(probe, constants) if budget.midtrained else base
    before, after = learning_curve(policies, budget, [0, max(1, budget.steps)], constants)
    observed = float(probe.right_Q.sum() / max(1.0, probe.judged_Q.sum()))
    at_base = float(base.success_Q.mean())
    shift = (
        observed - at_base
    )  # shrinkage moves the mean a little: gains are taken from the model, the level from the samples
    return Course(base=observed, before=float(before) + shift, after=float(after if budget.steps else before) + shift)


def catch_up(probe: Probe, plain: Budget, treated: Budget, constants: Constants, most: int = 2000) -> int | None:
    """Return the RL steps after which RL alone is within one point of the treatment at the earliest; None where that is beyond `most`.

    RL alone is given ever more steps; the treatment keeps its own. `alone` is left out (1): it was learnt from few steps, and as a
    limit for many it would say that RL alone never gets there.
    """
    goal = course(probe, treated, constants).after - 0.01
    constants = replace(constants, alone=1.0)
    base = unasked(probe, constants)
    observed = float(probe.right_Q.sum() / max(1.0, probe.judged_Q.sum()))
    shift = observed - float(base.success_Q.mean())
    grid = np.unique(np.round(np.geomspace(1, most, 60)).astype(int))
    curve = learning_curve(base, plain, grid.tolist(), constants) + shift
    reached = np.flatnonzero(curve >= goal)
    return int(grid[reached[0]]) if reached.size else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A forecast number with its interval, in shares."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What is expected of RL alone and of mid-training and RL. `level`: share of such intervals that are to hold the outcome."""

    plain: Range
    """Gain over the base model."""
    treated: Range
    lead: Range
    before: float
    """Success after mid-training, before RL."""
    base: float
    level: float


def expected(probe: Probe, plain: Budget, treated: Budget, known: Calibration, level: float = 0.8) -> Expected:
    """Return both arms' gains and the treatment's lead, with intervals.

    An interval is the value and t-quantile x `known.spread` to both sides: what the calibration's conditions were off by, which includes
    the chance of a probe of the default size and of one or two runs, as long as the case is like them. Raises ValueError for arms in the
    wrong order, and for a calibration without spreads.
    """
    if plain.midtrained or not treated.midtrained:
        raise ValueError("the first budget is of RL alone, the second of the arm with mid-training")
    one, two = course(probe, plain, known.constants), course(probe, treated, known.constants)
    quantile = float(stats.t.ppf(0.5 + level / 2, max(1, known.conditions)))

    def around(value: float, name: str, lowest: float, highest: float) -> Range:
        if name not in known.spread:
            raise ValueError(f"the calibration has no spread of {name!r}")
        half = quantile * known.spread[name]
        low, high = float(np.clip(value - half, lowest, highest)), float(np.clip(value + half, lowest, highest))
        return Range(value=value, low=min(low, value), high=max(high, value))

    base = one.base
    return Expected(
        plain=around(one.gain, "plain", -base, 1 - base),
        treated=around(two.gain, "treated", -base, 1 - base),
        lead=around(two.after - one.after, "lead", -1.0, 1.0),
        before=two.before,
        base=base,
        level=level,
    )
