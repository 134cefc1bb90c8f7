"""What a planned comparison can see, before any GPU second is spent.

Promises: arithmetic on the plan only; the answer names the assumed spreads, because they are what it hangs on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from midway.evidence.intervals import degrees_of_freedom
from midway.wording import plural


@dataclass(frozen=True, slots=True)
class Detectable:
    """The smallest true difference that is found with probability `power`, and where the noise comes from.

    `str()` of it is the sentence for `midway check`.
    """

    questions: int
    seeds: int
    samples: int
    power: float

    difference: float
    """In the unit of pass rates: 0.03 is three points."""
    se: float
    from_seeds: float
    """Share of the variance that only more seeds lower."""
    from_questions: float
    """Share that only more questions lower."""
    from_samples: float
    """Share that more samples per question (or questions, or seeds) lower."""

    def __str__(self) -> str:
        plan = " x ".join(
            (plural(self.seeds, "seed"), plural(self.questions, "question"), plural(self.samples, "sample"))
        )
        text = f"with {plan} you can see differences of {100 * self.difference:.1f} points (power {self.power:.0%}"
        if self.difference >= 1:
            return f"with {plan} you can see no difference, however large: too few questions"
        if self.seeds == 1:
            return text + "; one seed: about these trained models only)"
        main = max(
            (self.from_seeds, "seeds"), (self.from_questions, "questions"), (self.from_samples, "samples or questions")
        )
        return text + f"; {main[0]:.0%} of the noise would fall with more {main[1]})"


def minimum_detectable_effect(
    questions: int,
    seeds: int,
    samples: int,
    *,
    pass_rate: float = 0.5,
    seed_sd: float = 0.01,
    between: float = 0.6,
    correlation: float = 0.9,
    power: float = 0.8,
    level: float = 0.95,
) -> Detectable:
    """Return the smallest true difference in pass@1 between two arms that a two-sided test finds with `power`.

    Both arms: `questions` questions, `seeds` training seeds, `samples` samples per question and seed.
    pass_rate: expected pass@1. seed_sd: standard deviation of an arm's true pass@1 from one training seed to the next
    (0.01 is a common size for small models on some hundred questions; measure your own). between: share of the
    pass/fail variance `pass_rate (1 - pass_rate)` that lies between questions (1: each question always or never
    solved). correlation: of the two arms' per-question pass rates. With one seed the answer is about these two
    trained models only and leaves seed_sd out.

    Method: the variance of `midway.evidence.intervals.difference` with these spreads, averaged over the seed spreads
    it may happen to see. Raises ValueError for impossible plans.
    """
    if questions < 2 or seeds < 1 or samples < 1:
        raise ValueError("a plan needs at least 2 questions, 1 seed and 1 sample per question")
    if not (0 < pass_rate < 1 and 0 <= between <= 1 and -1 <= correlation <= 1 and seed_sd >= 0 and 0 < power < 1):
        raise ValueError("pass_rate and power lie in (0, 1), between in [0, 1], correlation in [-1, 1], seed_sd >= 0")
    spread = pass_rate * (1 - pass_rate)
    by_question = 2 * between * spread * (1 - correlation) / questions
    by_sample = 2 * (1 - between) * spread / (questions * seeds * samples)
    by_seed = 2 * seed_sd**2 / seeds if seeds > 1 else 0.0
    variance = by_question + by_sample + by_seed
    if variance == 0:
        raise ValueError("with these spreads there is no noise at all; nothing to compute")
    se = float(np.sqrt(variance))
    # what the analysis will see: the seed spread it will estimate is random, and its critical value with it
    estimated, df = np.full(1, variance), np.full(1, questions - 1.0)
    if seeds > 1:
        rng = np.random.default_rng(0)
        parts = (by_seed + by_sample) / 2 * rng.chisquare(seeds - 1, (2, 20_000)) / (seeds - 1)
        estimated = by_question + parts.sum(axis=0)
        df = degrees_of_freedom(by_question, questions - 1, list(parts), [seeds - 1.0] * 2, [by_sample / 2] * 2)
    critical = stats.t.isf((1 - level) / 2, df) * np.sqrt(estimated) / se
    low, high = 0.0, 2 * float(critical.max()) + 10.0
    for _ in range(50):
        middle = (low + high) / 2
        if float(np.mean(stats.norm.sf(critical - middle) + stats.norm.cdf(-critical - middle))) < power:
            low = middle
        else:
            high = middle
    return Detectable(
        questions,
        seeds,
        samples,
        power,
        high * se,
        se,
        by_seed / variance,
        by_question / variance,
        by_sample / variance,
    )
