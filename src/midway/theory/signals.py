"""What a group sees and misses, how long a cold start takes, what a noisy verifier does, and where KL holds the
policy.

Promises: closed forms, or one quadrature or root search; ValueError for impossible rates. Times are learning rate x
steps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import logit

from midway.theory.rules import weight, weight_limit

Array = NDArray[np.float64]


def misses_while_moving(tau: ArrayLike, mu: ArrayLike, group: ArrayLike) -> Array:
    """Return P(a group holds right and wrong samples, none of them from one right way of mass tau): broadcast.

    `(1-tau)^G - (mu-tau)^G - (1-mu)^G`, mu the whole success rate, the way always right (F-GRPO, arXiv 2602.06717).
    Such a group moves the policy and does not know the way. Not monotone in G: small groups often have no signal at
    all, large ones rarely miss the way.
    """
    t, m, g = np.asarray(tau, float), np.asarray(mu, float), np.asarray(group, float)
    if np.any((t < 0) | (t > m) | (m > 1)) or np.any(g < 1):
        raise ValueError("needs 0 <= tau <= mu <= 1 and groups of at least one sample")
    return np.asarray((1 - t) ** g - (m - t) ** g - (1 - m) ** g)


def escape_time(start: float, target: float = 0.5, *, rule: str = "reinforce", group: int | None = None) -> float:
    """Return the time until RL has raised success from `start` to `target`, for a policy with one logit (right or
    wrong).

    `d p / dt = w(p) p^2 (1-p)^2`. For w = 1 the closed form is F(target) - F(start), `F(p) = -1/p + 1/(1-p) + 2 logit
    p`: about 1/start. group None: the limit of a large group. A softmax with one right and one wrong logit is twice
    as fast, with W wrong ones 1 + 1/W times.
    """
    _span(start, target)
    if rule in ("reinforce", "rloo") or (rule == "dr_grpo" and group is None):
        return float(_f(target) - _f(start))

    def pace(x: float) -> float:  # in logit p, where the integrand is smooth
        p = 1 / (1 + np.exp(-x))
        w = weight_limit(rule, p) if group is None else weight(rule, p, group)
        return float(1 / (w * p * (1 - p)))

    return float(quad(pace, logit(start), logit(target), limit=400)[0])


def sft_time(start: float, target: float = 0.5) -> float:
    """Return the time until SFT on right solutions has raised their probability: `d p / dt = p (1-p)^2`.

    Closed form `H(target) - H(start)`, `H(p) = logit p + 1/(1-p)`: about log(1/start). SFT is shown the way; RL has
    to sample it first.
    """
    _span(start, target)
    return float(logit(target) + 1 / (1 - target) - logit(start) - 1 / (1 - start))


def observed(q: ArrayLike, true_positive: float, false_positive: float) -> Array:
    """Return the rate at which a noisy verifier accepts: `FPR + (TPR - FPR) q`, shape of q.

    So every expected step keeps its direction if TPR > FPR, vanishes if equal and turns round if less (RLVeR, arXiv
    2601.04411): q_k - p becomes (TPR - FPR)(q_k - p), and the weight is taken at the observed rate.
    """
    if not (0 <= true_positive <= 1 and 0 <= false_positive <= 1):
        raise ValueError("TPR and FPR must be between 0 and 1")
    return np.asarray(false_positive + (true_positive - false_positive) * np.asarray(q, float))


def noisy_drift(p: float, true_positive: float, false_positive: float, *, rule: str = "grpo", group: int = 8) -> float:
    """Return the expected step of the right logit where one way is right, one wrong: `J w(p~, G) p (1-p)`, J = TPR "
    "- FPR."""
    seen = observed(p, true_positive, false_positive)
    return float((true_positive - false_positive) * weight(rule, seen, group) * p * (1 - p))


def kl_fixed_point(
    reference: float, beta: float, kl: str = "reverse", rule: str = "grpo", group: int | None = None
) -> float:
    """Return the success rate at which RL's push and KL's pull balance, for right and wrong with free logits.

    reverse: `logit p = logit p_ref + w(p) / beta` (Mroueh, arXiv 2503.06639, with w = 1/sqrt(p(1-p)) for GRPO in a
    large group, which is what group None means). k3, the estimate that trainers differentiate: `w(p) p (1-p) = beta
    (p - p_ref)`, another point. In both, ways with equal success keep the reference's ratio.
    """
    if not (0 < reference < 1 and beta > 0):
        raise ValueError("needs 0 < reference < 1 and beta > 0")

    def push(p: float) -> float:
        return float(weight_limit(rule, p) if group is None else weight(rule, p, group))

    def excess(p: float) -> float:
        if kl == "reverse":
            return float(push(p) - beta * (logit(p) - logit(reference)))
        return push(p) * p * (1 - p) - beta * (p - reference)

    if kl not in ("reverse", "k3"):
        raise ValueError(f"kl must be reverse or k3, not {kl!r}")
    # the lowest crossing above the reference: where a run that starts at the reference stops
    grid = reference + (1 - 1e-12 - reference) * np.linspace(0, 1, 4001)[1:]
    values = np.array([excess(p) for p in grid])
    below = np.flatnonzero(values <= 0)
    if not below.size:
        return 1.0
    last = below[0]
    low = float(grid[last - 1]) if last else reference
    return float(brentq(excess, low, float(grid[last]), xtol=1e-13))


def _f(p: float) -> float:
    return float(-1 / p + 1 / (1 - p) + 2 * logit(p))


def _span(start: float, target: float) -> None:
    if not 0 < start < target < 1:
        raise ValueError("needs 0 < start < target < 1")
