"""Branch points: how spread out a model is where ways part, which ways it takes there, and what RL changed: the choice or the skill.

Promises: pure functions on arrays and texts, no torch; entropies in nats; NaN where there is nothing to measure, ValueError for arrays that
are no probabilities.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from midway.evidence.diversity import entropy

Array = NDArray[np.float64]
FIRST, STEP, INSIDE = "first", "step", "inside"
"""Where a token stands: it begins the answer, begins a later step (sentence, line), or goes on with one."""
PLACES = (FIRST, STEP, INSIDE)
_CUT = re.compile(r"\n+|(?<=[.!?])\s+")


def entropy_of_logits(logits_TV: ArrayLike) -> Array:
    """Return the entropy in nats of softmax(logits) over the last axis, shape (...,): 0 to log V. Logits of -inf have no mass."""
    logits = np.asarray(logits_TV, float)
    log_p = logits - logsumexp(logits, axis=-1, keepdims=True)
    p = np.exp(log_p)
    return np.asarray(-(p * np.where(p > 0, log_p, 0.0)).sum(-1))


def step_starts(text: str) -> list[int]:
    """Return the character at which each step of a text begins (its first that is no space); steps are cut at line ends and after . ! ?"""
    starts, at = [], 0
    for end, after in [*((m.start(), m.end()) for m in _CUT.finditer(text)), (len(text), len(text))]:
        body = text[at:end]
        if body.strip():
            starts.append(at + len(body) - len(body.lstrip()))
        at = after
    return starts


def places(spans_T: Sequence[tuple[int, int]], text: str) -> list[str]:
    """Return for each token, given as its span of characters, where it stands: FIRST, STEP or INSIDE.

    The token that holds a step's first character begins the step; a leading space belongs to its token. The first token of the text is
    FIRST, whatever it holds, and the first step has no other.
    """
    starts = step_starts(text)[1:]
    found = []
    for i, (begin, end) in enumerate(spans_T):
        while starts and starts[0] < begin:  # no token holds it
            starts.pop(0)
        begins = bool(starts) and begin <= starts[0] < end
        if begins:
            starts.pop(0)
        found.append(FIRST if i == 0 else STEP if begins else INSIDE)
    return found


@dataclass(frozen=True, slots=True)
class Mix:
    """How one kind of question is answered: `ways` names, `count_W` samples of each, `right_W` those that are right."""

    ways: tuple[str, ...]
    count_W: tuple[int, ...]
    right_W: tuple[int, ...]

    @property
    def samples(self) -> int:
        return sum(self.count_W)

    @property
    def share_W(self) -> Array:
        """Shape (W,): the share of samples in each way; NaN without samples."""
        count = np.asarray(self.count_W, float)
        return count / count.sum() if count.sum() else np.full(count.size, np.nan)

    @property
    def success_W(self) -> Array:
        """Shape (W,): the share of a way's samples that is right; NaN for a way without samples."""
        count, right = np.asarray(self.count_W, float), np.asarray(self.right_W, float)
        return np.divide(right, count, out=np.full(count.size, np.nan), where=count > 0)

    @property
    def success(self) -> float:
        return sum(self.right_W) / self.samples if self.samples else float("nan")

    @property
    def effective(self) -> float:
        """exp of the entropy of the shares, with Miller's correction for so few samples, but never more than the ways seen."""
        if not self.samples:
            return float("nan")
        return float(min(np.exp(entropy(self.count_W, correct_bias=True)), np.count_nonzero(self.count_W)))


def mix(labels: Sequence[str], right: Sequence[bool], ways: Sequence[str] = ()) -> Mix:
    """Return how samples are spread over ways. labels, right: one entry a sample. `ways` come first, others follow, sorted."""
    if len(labels) != len(right):
        raise ValueError(f"{len(labels)} labels and {len(right)} verdicts")
    names = tuple(dict.fromkeys([*ways, *sorted(set(labels))]))
    place = {name: i for i, name in enumerate(names)}
    at = np.array([place[name] for name in labels], dtype=np.int64)
    count = np.bincount(at, minlength=len(names))
    hits = np.bincount(at, weights=np.asarray(right, float), minlength=len(names)).astype(int)
    return Mix(names, tuple(count.tolist()), tuple(hits.tolist()))


@dataclass(frozen=True, slots=True)
class Change:
    """What a change of success is made of: `choice` (other ways are taken) and `skill` (the same ways succeed more often). They add up."""

    choice: float
    skill: float

    @property
    def total(self) -> float:
        return self.choice + self.skill


def change(before: Mix, after: Mix) -> Change:
    """Return the change of success between two mixes over the same ways, taken apart (Kitagawa 1955): with pi shares and q success,

        choice = sum_w (pi'_w - pi_w) (q_w + q'_w) / 2        skill = sum_w (q'_w - q_w) (pi_w + pi'_w) / 2

    A way that one side never took has the other side's success there, so that all it changes is choice. Raises ValueError for other ways;
    NaN where a side has no samples. A table over ways, as in `midway.theory`, can change choice alone.
    """
    if before.ways != after.ways:
        raise ValueError(f"the mixes must be over the same ways: {before.ways} and {after.ways}")
    old, new = before.success_W, after.success_W
    q0 = np.nan_to_num(np.where(np.isnan(old), new, old))
    q1 = np.nan_to_num(np.where(np.isnan(new), old, new))
    pi0, pi1 = before.share_W, after.share_W
    return Change(float(((pi1 - pi0) * (q0 + q1) / 2).sum()), float(((q1 - q0) * (pi0 + pi1) / 2).sum()))


def mean_change(pairs: Sequence[tuple[Mix, Mix]]) -> Change:
    """Return the mean of `change` over kinds of questions, weighted by the samples before."""
    weight = np.array([before.samples for before, _ in pairs], float)
    parts = np.array([(c.choice, c.skill) for c in (change(*pair) for pair in pairs)])
    if not weight.sum():
        return Change(float("nan"), float("nan"))
    choice, skill = (weight @ parts) / weight.sum()
    return Change(float(choice), float(skill))
