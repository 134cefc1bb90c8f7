"""Group-based policy gradient on a policy with free logits: the expected step, exactly; the flow that follows; and
simulated runs.

Promises: `expected_step` enumerates all outcomes of a group (ways x rewards) and is exact also for several inner
steps, clipping and KL; `flow` solves the ordinary differential equation of many small steps; `simulate` draws groups
with a seeded generator and repeats bit by bit on one version of numpy. Time is learning rate x steps. Axes as in
`space`: R replicas, X contexts, K choices, C chains, T times.

The update is GRPO's (arXiv 2402.03300): ascent on the mean over the group of min(ratio A, clip(ratio) A) - beta KL,
with the ratio of the whole chain, plain gradient steps, and no averaging over tokens. Assumes free logits: nothing is
shared between contexts or ways.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import solve_ivp
from scipy.special import gammaln, xlogy

from midway.theory.rules import advantages, rule_named, weight
from midway.theory.space import Space
from midway.theory.step import rates

Array = NDArray[np.float64]
MOST_OUTCOMES = 400_000


@dataclass(frozen=True, slots=True)
class Trainer:
    """How RL is run: rule and group size, learning rate, groups a step, inner steps with clipping, and KL.

    kl "k3" is what trainers put into the loss (samples of `ref/pi - log(ref/pi) - 1`, differentiated through log pi):
    its expected step is that of the *forward* divergence KL(ref || pi). kl "reverse" is the step of KL(pi || ref).
    beta is in units of the advantage.
    """

    rule: str = "grpo"
    group: int = 16
    rate: float = 0.1
    groups: int = 1
    inner: int = 1
    clip: tuple[float, float] = (0.2, 0.2)
    beta: float = 0.0
    kl: Literal["k3", "reverse"] = "k3"

    def __post_init__(self) -> None:
        rule_named(self.rule, self.group)
        if self.rate <= 0 or self.groups < 1 or self.inner < 1 or self.beta < 0 or min(self.clip) <= 0:
            raise ValueError("needs rate > 0, groups >= 1, inner >= 1, beta >= 0 and clip > 0")


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """A solved learning curve: time (learning rate x steps), logits (T, X, K), probabilities (T, C) and mean "
    "success (T,)."""

    time_T: Array
    theta_TXK: Array
    pi_TC: Array
    success_T: Array


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Simulated runs at the recorded steps: probabilities (T, R, C) and mean success (T, R)."""

    step_T: NDArray[np.int64]
    pi_TRC: Array
    success_TR: Array


def drift(
    space: Space, theta: ArrayLike, q_C: ArrayLike, trainer: Trainer, reference_C: ArrayLike | None = None
) -> Array:
    """Return the expected step of the logits over the learning rate, shape (..., X, K), on-policy: `w(p, G) grad p -
    beta grad KL`.

    Exact for trainer.inner = 1 (the ratio is 1, so nothing is clipped); more inner steps raise ValueError: use
    `expected_step`. reference_C: the reference's probabilities, needed where beta > 0.
    """
    if trainer.inner != 1:
        raise ValueError("drift is for one step a batch; expected_step enumerates several")
    q = rates(q_C, len(space.choices), "q_C")
    pi = space.probability(theta)
    p = np.clip(pi @ q, 0.0, 1.0)
    push = weight(trainer.rule, p, trainer.group)[..., None] * pi * (q - p[..., None])
    if trainer.beta:
        push = push - trainer.beta * pi * _kl_slope(pi, _needed(reference_C), trainer.kl)
    return space.ascent(push, theta)


def flow(
    space: Space,
    theta_XK: ArrayLike,
    q_C: ArrayLike,
    trainer: Trainer,
    times: ArrayLike,
    reference_C: ArrayLike | None = None,
) -> Flow:
    """Return the curve of `d theta / dt = drift`, from logits (X, K), at increasing times >= 0. LSODA, relative "
    "tolerance 1e-8."""
    start, at = np.asarray(theta_XK, float), np.asarray(times, float)
    if at.ndim != 1 or not at.size or at[0] < 0 or np.any(np.diff(at) <= 0):
        raise ValueError("times must be increasing and not negative")

    def slope(_t: float, y: Array) -> Array:
        return drift(space, y.reshape(start.shape), q_C, trainer, reference_C).ravel()

    span = (0.0, float(at[-1]) or 1.0)
    solved = solve_ivp(slope, span, start.ravel(), method="LSODA", t_eval=at, rtol=1e-8, atol=1e-10)
    if not solved.success:
        raise ArithmeticError(f"the solver stopped at time {solved.t[-1] if solved.t.size else 0}: {solved.message}")
    theta = solved.y.T.reshape(at.size, *start.shape)
    pi = space.probability(theta)
    return Flow(at, theta, pi, pi @ np.asarray(q_C, float))


def outcomes(kinds: int, group: int) -> NDArray[np.int64]:
    """Return all counts of `kinds` kinds in a group, shape (outcomes, kinds). Raises ValueError above MOST_OUTCOMES "
    "of them."""
    number = comb(group + kinds - 1, kinds - 1)
    if number > MOST_OUTCOMES:
        raise ValueError(
            f"{number:,} outcomes of a group of {group} over {kinds} kinds; at most {MOST_OUTCOMES:,} are enumerated"
        )

    def parts(left: int, slots: int) -> list[tuple[int, ...]]:
        if slots == 1:
            return [(left,)]
        return [(first, *rest) for first in range(left + 1) for rest in parts(left - first, slots - 1)]

    return np.array(parts(group, kinds), dtype=np.int64)


def expected_step(
    space: Space, theta_XK: ArrayLike, q_C: ArrayLike, trainer: Trainer, reference_C: ArrayLike | None = None
) -> Array:
    """Return the expected change of the logits in one step, shape (X, K), by enumerating every outcome of one group.

    Exact with inner steps, clipping and KL. trainer.groups > 1 leaves it the same for inner = 1 and raises ValueError
    otherwise (the inner steps of several groups act on each other).
    """
    if trainer.groups > 1 and trainer.inner > 1:
        raise ValueError("expected_step enumerates one group; several groups with inner steps are only simulated")
    theta = np.asarray(theta_XK, float)
    q = rates(q_C, len(space.choices), "q_C")
    pi = space.probability(theta)
    chance = np.concatenate([pi * q, pi * (1 - q)])
    used = chance > 0
    found = outcomes(int(used.sum()), trainer.group)
    counts = np.zeros((len(found), chance.size), dtype=np.int64)
    counts[:, used] = found
    log_p = gammaln(trainer.group + 1) - gammaln(counts + 1).sum(-1) + xlogy(counts, chance).sum(-1)
    right, wrong = counts[:, None, : q.size], counts[:, None, q.size :]
    start = np.broadcast_to(theta, (len(counts), *theta.shape))
    moved = _update(space, start, right, wrong, trainer, reference_C) - start
    return np.asarray(np.tensordot(np.exp(log_p), moved, axes=1))


def simulate(
    space: Space,
    theta: ArrayLike,
    q: ArrayLike,
    trainer: Trainer,
    record: Sequence[int],
    *,
    replicas: int,
    seed: int,
    reference_C: ArrayLike | None = None,
) -> Runs:
    """Return independent runs from logits (X, K) or (R, X, K), success rates (C,) or (R, C), at the steps of "
    "`record` (increasing; 0 = start)."""
    steps = np.asarray(record, dtype=np.int64)
    if steps.ndim != 1 or not steps.size or steps[0] < 0 or np.any(np.diff(steps) <= 0):
        raise ValueError("record needs increasing step numbers from 0 on")
    chains = len(space.choices)
    now = np.array(np.broadcast_to(np.asarray(theta, float), (replicas, *space.shape)))
    q_RC = np.broadcast_to(np.asarray(q, float), (replicas, chains))
    if np.any((q_RC < 0) | (q_RC > 1)):
        raise ValueError("success rates must be between 0 and 1")
    sure = bool(np.all((q_RC == 0) | (q_RC == 1)))
    rng = np.random.default_rng(seed)
    pis, successes = [], []
    for step in range(int(steps[-1]) + 1):
        pi = space.probability(now)
        pi = pi / pi.sum(-1, keepdims=True)
        if step in steps:
            pis.append(pi)
            successes.append((pi * q_RC).sum(-1))
        if step == steps[-1]:
            break
        shape = (replicas, trainer.groups, chains)
        counts = rng.multinomial(trainer.group, np.broadcast_to(pi[:, None], shape))
        rate_RBC = np.broadcast_to(q_RC[:, None], shape)
        right = (counts * rate_RBC).astype(np.int64) if sure else rng.binomial(counts, rate_RBC)
        now = _update(space, now, right, counts - right, trainer, reference_C)
    return Runs(steps, np.array(pis), np.array(successes))


def _update(
    space: Space,
    theta: Array,
    right: NDArray[np.int64],
    wrong: NDArray[np.int64],
    trainer: Trainer,
    reference_C: ArrayLike | None,
) -> Array:
    """Return the logits after one batch. right, wrong: counts (R, B, C) of right and wrong samples of each chain in "
    "each of B groups."""
    plus, minus = advantages(trainer.rule, right.sum(-1), trainer.group)
    low, high = 1 - trainer.clip[0], 1 + trainer.clip[1]
    share = trainer.group * right.shape[-2]
    # summed over the groups: each sample's advantage, positive and negative apart, for clipping looks at the sign
    gain = np.zeros((2, *right.shape[:-2], right.shape[-1]))
    for counts, advantage in ((right, plus), (wrong, minus)):
        each = counts * advantage[..., None]
        gain[0] += np.where(each > 0, each, 0).sum(-2) / share
        gain[1] += np.where(each < 0, each, 0).sum(-2) / share
    sampled = (right + wrong).sum(-2) / share
    old = space.log_probability(theta) if trainer.inner > 1 else None
    for _ in range(trainer.inner):
        if old is None:
            push = gain[0] + gain[1]
        else:
            ratio = np.exp(np.clip(space.log_probability(theta) - old, -50, 50))
            push = ratio * (np.where(ratio < high, gain[0], 0) + np.where(ratio > low, gain[1], 0))
        if trainer.beta:
            pi = space.probability(theta)
            push = push - trainer.beta * sampled * _kl_slope(pi, _needed(reference_C), trainer.kl)
        theta = theta + trainer.rate * space.ascent(push, theta)
    return theta


def _kl_slope(pi: Array, reference: Array, kl: str) -> Array:
    """Return what multiplies grad log pi of a sample: k3 gives 1 - ref/pi, the reverse divergence log(pi/ref)."""
    tiny = 1e-300
    if kl == "k3":
        return np.asarray(1 - reference / np.maximum(pi, tiny))
    return np.log(np.maximum(pi, tiny)) - np.log(np.maximum(reference, tiny))


def _needed(reference_C: ArrayLike | None) -> Array:
    if reference_C is None:
        raise ValueError("beta > 0 needs the reference's probabilities (reference_C)")
    return np.asarray(reference_C, float)
