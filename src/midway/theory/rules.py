"""The advantage that each algorithm gives to right and wrong samples of a group, and the weight that follows for the
expected step.

Promises: for rewards 0 and 1 everything is exact, by summing over the number of right samples; p and G are checked,
ValueError says what was wrong. Advantages are in units of reward (RLOO, Dr. GRPO, REINFORCE) or have none (GRPO,
MaxRL).

The one theorem here: for a group of G independent samples of a softmax over ways with free logits, on-policy, with
one step a batch,

    E[ (1/G) sum_i A_i (e_{a_i} - pi) ]_k  =  w(p, G) pi_k (q_k - p),     w(p, G) = E[A_right(S + 1) - A_wrong(S)],  S
    ~ Binomial(G-1, p),

because given its reward a sample's way is independent of the rest of the group. So all these algorithms follow the
gradient of p, at a speed w that is the same for all ways.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rule:
    """An algorithm: its name, where it is from, and `advantages(right_S, group)`, which returns those of right and "
    "of wrong samples."""

    name: str
    source: str
    advantages: Callable[[Array, int], tuple[Array, Array]]
    least: int = 2
    """The smallest group for which it is defined."""


def _reinforce(right_S: Array, group: int) -> tuple[Array, Array]:
    return np.ones_like(right_S), np.zeros_like(right_S)


def _rloo(right_S: Array, group: int) -> tuple[Array, Array]:
    return (group - right_S) / (group - 1), -right_S / (group - 1)


def _dr_grpo(right_S: Array, group: int) -> tuple[Array, Array]:
    return 1 - right_S / group, -right_S / group


def _grpo(right_S: Array, group: int) -> tuple[Array, Array]:
    mean = right_S / group
    spread = np.sqrt(mean * (1 - mean))
    scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
    return (1 - mean) * scale, -mean * scale


def _grpo_trl(right_S: Array, group: int) -> tuple[Array, Array]:
    mean = right_S / group
    spread = np.sqrt(mean * (1 - mean) * group / (group - 1))
    return (1 - mean) / (spread + 1e-4), -mean / (spread + 1e-4)


def _maxrl(right_S: Array, group: int) -> tuple[Array, Array]:
    mean = right_S / group
    scale = np.divide(1.0, mean, out=np.zeros_like(mean), where=mean > 0)
    return (1 - mean) * scale, -mean * scale


def _maxrl_plain(right_S: Array, group: int) -> tuple[Array, Array]:
    mean = right_S / group
    return np.divide(1.0, mean, out=np.zeros_like(mean), where=mean > 0), np.zeros_like(mean)


RULES = {
    rule.name: rule
    for rule in (
        Rule("reinforce", "Williams 1992, without baseline: A = r", _reinforce, least=1),
        Rule("rloo", "arXiv 2402.14740: r minus the mean of the others", _rloo),
        Rule("dr_grpo", "arXiv 2503.20783: r minus the mean of the group", _dr_grpo),
        Rule(
            "grpo", "arXiv 2402.03300: divided by the group's standard deviation (divisor G); 0 where all agree", _grpo
        ),
        Rule("grpo_trl", "TRL 1.16: standard deviation with divisor G - 1, plus 1e-4", _grpo_trl),
        Rule("maxrl", "arXiv 2602.02710 with a baseline: (r - mean) / mean; 0 where none is right", _maxrl),
        Rule("maxrl_plain", "arXiv 2602.02710 without a baseline: r / mean; 0 where none is right", _maxrl_plain),
    )
}


def rule_named(name: str, group: int) -> Rule:
    """Return a rule. Raises ValueError for an unknown name, and for a group too small for it."""
    if name not in RULES:
        raise ValueError(f"unknown rule {name!r}: choose from {', '.join(RULES)}")
    rule = RULES[name]
    if group < rule.least:
        raise ValueError(f"{name} needs a group of at least {rule.least} samples, not {group}")
    return rule


def advantages(rule: str, right_S: ArrayLike, group: int) -> tuple[Array, Array]:
    """Return the advantages (of a right sample, of a wrong one) in a group with `right_S` right samples; shapes as
    right_S.

    A value is given even where the group has no such sample; nothing uses it.
    """
    s = np.asarray(right_S, float)
    if np.any((s < 0) | (s > group)):
        raise ValueError(f"a group of {group} cannot have that many right samples")
    return rule_named(rule, group).advantages(s, group)


def weight(rule: str, p: ArrayLike, group: int) -> Array:
    """Return w(p, G) of the module's theorem, shape of p: the factor by which the expected step exceeds the gradient
    of p.

    Closed forms that it reproduces: REINFORCE and RLOO 1, Dr. GRPO 1 - 1/G, MaxRL without baseline `(1 - (1-p)^G) /
    p` (order G), with baseline `(1 - (1-p)^(G-1)) / p` (order G - 1: in groups without a right sample the baseline is
    not subtracted, which costs one order). GRPO has none; it tends to `1 / sqrt(p (1-p))` for G p and G (1-p) large,
    and to sqrt(G-1) at p = 0 and 1.
    """
    x = np.asarray(p, float)
    if np.any((x < 0) | (x > 1)):
        raise ValueError("weight needs success rates between 0 and 1")
    one = rule_named(rule, group)
    s = np.arange(group + 1, dtype=float)
    right, wrong = one.advantages(s, group)
    chance = binom.pmf(np.arange(group), group - 1, x[..., None])
    return np.asarray(chance @ (right[1:] - wrong[:-1]))


def weight_limit(rule: str, p: ArrayLike) -> Array:
    """Return the limit of `weight` for a large group: 1 (REINFORCE, RLOO, Dr. GRPO), `1/sqrt(p(1-p))` (GRPO), `1/p` "
    "(MaxRL)."""
    x = np.asarray(p, float)
    if np.any((x <= 0) | (x >= 1)):
        raise ValueError("the limit needs success rates strictly between 0 and 1")
    rule_named(rule, 2)
    if rule.startswith("grpo"):
        return np.asarray(1 / np.sqrt(x * (1 - x)))
    return np.asarray(1 / x) if rule.startswith("maxrl") else np.ones_like(x)


def signal(p: ArrayLike, group: int) -> Array:
    """Return the share of groups with signal, neither all right nor all wrong: `1 - p^G - (1-p)^G`."""
    x = np.asarray(p, float)
    if np.any((x < 0) | (x > 1)) or group < 1:
        raise ValueError("signal needs 0 <= p <= 1 and a group of at least one sample")
    return np.asarray(1 - x**group - (1 - x) ** group)
