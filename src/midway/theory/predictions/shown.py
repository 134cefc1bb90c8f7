"""P5 and P6: how many ways to show, against group size, RL budget and a fixed number of examples.

Promises: frozen results with their own account; a run repeats with the same seed.

The model behind both: 64 possible ways; a *kind* of question is solved by 4 of them, drawn at random, and by no
other. SFT shows n ways, all of them right on the SFT questions, so that the model tries them evenly on any new
question; 1 % of the mass stays on the other ways. RL then trains each kind by itself (nothing is shared between
kinds). More ways cover more kinds; each of them is tried less often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from midway.theory.account import Account, Curve, Panel
from midway.theory.rules import weight
from midway.theory.space import ways
from midway.theory.training import Trainer, simulate

Array = NDArray[np.float64]

POSSIBLE = 64
FIT = 4
LEAK = 0.01
KINDS = 400
RATE = 0.3
NS = (1, 2, 4, 8, 16, 32, 64)
GROUPS = (4, 16, 64)
BUDGETS = (20, 80, 320)
EXPONENTS = (0.0, 0.5, 1.0)
MIDDLE = 16


def shown_start(n: int) -> Array:
    """Return the probabilities of the 64 ways after SFT on the first n of them."""
    if n == POSSIBLE:
        return np.full(POSSIBLE, 1 / POSSIBLE)
    return np.array([*np.full(n, (1 - LEAK) / n), *np.full(POSSIBLE - n, LEAK / (POSSIBLE - n))])


def kinds(number: int, seed: int) -> Array:
    """Return which ways solve each kind, shape (number, 64), 0 or 1, FIT of them each."""
    rng = np.random.default_rng(seed)
    fits = np.zeros((number, POSSIBLE))
    for row in fits:
        row[rng.choice(POSSIBLE, FIT, replace=False)] = 1
    return fits


@dataclass(frozen=True, slots=True)
class WaysShown:
    """P5: mean success over kinds after RL. N ways shown, G group sizes, B budgets in steps.

    success_GBN; error_GBN: its standard error; tied_GBN: whether n is not worse than the best n by more than two
    standard errors of the paired difference over kinds.
    """

    n_N: Sequence[int]
    group_G: Sequence[int]
    budget_B: Sequence[int]
    before_N: Array
    success_GBN: Array
    error_GBN: Array
    tied_GBN: NDArray[np.bool_]
    exponent_X: Sequence[float]
    scaled_XGN: Array
    """The same number of samples for all G, the rate growing as G ** exponent (0.3 at G = 16)."""

    def best(self, group: int, budget: int) -> int:
        """The n of highest mean success."""
        row = self.success_GBN[list(self.group_G).index(group), list(self.budget_B).index(budget)]
        return int(self.n_N[int(row.argmax())])

    def account(self) -> Account:
        rows = []
        for g, group in enumerate(self.group_G):
            for b, budget in enumerate(self.budget_B):
                tied = [str(n) for n, t in zip(self.n_N, self.tied_GBN[g, b], strict=True) if t]
                rows.append(
                    [
                        f"{group}",
                        f"{budget}",
                        f"{group * budget:,}",
                        *(f"{100 * x:.0f}" for x in self.success_GBN[g, b]),
                        str(self.best(group, budget)),
                        ", ".join(tied),
                    ]
                )
        fixed = {g: self.best(g, 80) for g in self.group_G}
        steps = {b: self.best(16, b) for b in self.budget_B}
        equal = [(g, b) for g, b in zip(self.group_G, reversed(self.budget_B), strict=True)]
        scaled = [[self.n_N[int(row.argmax())] for row in rows_GN] for rows_GN in self.scaled_XGN]
        by_rate = "; ".join(
            f"rate as G^{x:g}: {', '.join(map(str, best))}" for x, best in zip(self.exponent_X, scaled, strict=True)
        )
        speeds = ", ".join(f"{weight('grpo', FIT / POSSIBLE, g):.1f}" for g in self.group_G)
        return Account(
            "P5. How many ways to show, and the group size",
            f"{POSSIBLE} possible ways; each kind of question is solved by {FIT} of them, at random. SFT shows n; "
            f"then GRPO (rate {RATE:g}), each kind by itself. Mean over {KINDS} kinds. *Best n* is the highest mean; "
            "*not worse* lists every n within two standard errors of the paired difference.",
            "The best n follows the group size: a group of 16 can cover 16 ways and not 64.",
            f"At 80 steps the best n is {fixed[4]}, {fixed[16]} and {fixed[64]} for G = 4, 16 and 64. But it follows "
            f"the number of steps too: at G = 16 it is {steps[20]}, {steps[80]} and {steps[320]} after 20, 80 and "
            f"320 steps. At the same number of samples (G x steps: {', '.join(f'{g} x {b}' for g, b in equal)}) it "
            f"depends on how the learning rate is chosen: {by_rate}.",
            "The best n depends on the whole RL budget, and on the number of steps more than on the group. A group "
            "of 64 does little better than one of 16, because GRPO's expected step hardly grows with G any more "
            f"(its weight at p = 0.06 is {speeds} for G = 4, 16, 64). At a fixed number of samples the answer is "
            "decided by the learning rate: progress goes with rate x steps x weight. A comparison of n = 16 with n = "
            "64 at one G and one budget cannot show that n follows G.",
            ["G", "steps", "samples a kind", *(f"n = {n}" for n in self.n_N), "best n", "not worse"],
            rows,
            [
                Panel(
                    "80 steps",
                    "ways shown n",
                    "success after RL, %",
                    [
                        Curve(f"G = {g}", i, self.n_N, self.success_GBN[i, 1].tolist())
                        for i, g in enumerate(self.group_G)
                    ]
                    + [Curve("before RL", 5, self.n_N, self.before_N.tolist(), thin=True)],
                    log_x=True,
                    percent=True,
                ),
                Panel(
                    "G = 16",
                    "ways shown n",
                    "success after RL, %",
                    [
                        Curve(f"{b} steps", 6 + i, self.n_N, self.success_GBN[1, i].tolist())
                        for i, b in enumerate(self.budget_B)
                    ],
                    log_x=True,
                    percent=True,
                ),
                Panel(
                    f"{MIDDLE * BUDGETS[1]:,} samples, one learning rate",
                    "ways shown n",
                    "success after RL, %",
                    [
                        Curve(
                            f"G = {g}, {b} steps",
                            i,
                            self.n_N,
                            self.success_GBN[list(self.group_G).index(g), list(self.budget_B).index(b)].tolist(),
                        )
                        for i, (g, b) in enumerate(equal)
                    ],
                    log_x=True,
                    percent=True,
                ),
            ],
        )


def ways_shown(seed: int = 0) -> WaysShown:
    """Run P5 (about twenty seconds)."""
    fits = kinds(KINDS, seed)
    space = ways(POSSIBLE)
    values = np.empty((len(GROUPS), len(BUDGETS), len(NS), KINDS))
    for g, group in enumerate(GROUPS):
        for i, n in enumerate(NS):
            trainer = Trainer("grpo", group=group, rate=RATE)
            runs = simulate(space, np.log(shown_start(n))[None], fits, trainer, BUDGETS, replicas=KINDS, seed=seed)
            values[g, :, i] = runs.success_TR
    best = values.mean(-1).argmax(-1)
    lead = np.take_along_axis(values, best[:, :, None, None], axis=2) - values
    error = lead.std(-1, ddof=1) / np.sqrt(KINDS)
    scaled = np.empty((len(EXPONENTS), len(GROUPS), len(NS)))
    for g, (group, budget) in enumerate(zip(GROUPS, reversed(BUDGETS), strict=True)):
        for x, exponent in enumerate(EXPONENTS):
            if exponent == 0 or group == MIDDLE:
                scaled[x, g] = values[g, BUDGETS.index(budget)].mean(-1)
                continue
            trainer = Trainer("grpo", group=group, rate=RATE * (group / MIDDLE) ** exponent)
            for i, n in enumerate(NS):
                theta = np.log(shown_start(n))[None]
                runs = simulate(space, theta, fits, trainer, [budget], replicas=KINDS, seed=seed)
                scaled[x, g, i] = runs.success_TR.mean()
    return WaysShown(
        NS,
        GROUPS,
        BUDGETS,
        np.array([(fits @ shown_start(n)).mean() for n in NS]),
        values.mean(-1),
        values.std(-1, ddof=1) / np.sqrt(KINDS),
        lead.mean(-1) <= 2 * error,
        EXPONENTS,
        scaled,
    )


EXAMPLES = 7408
NEEDED = (10, 100, 300, 1000, 3000, 10_000)
SKILL_STEPS = 80


@dataclass(frozen=True, slots=True)
class FixedBudget:
    """P6: a fixed number of examples, Q = examples / n questions in n ways each. D: questions that a way needs to be
    learnt by half.

    A way shown on Q questions is carried out rightly with skill Q / (Q + D) (an assumption). success_DN: after RL;
    flat_N: with full skill.
    """

    n_N: Sequence[int]
    needed_D: Sequence[int]
    questions_N: Array
    success_DN: Array
    error_DN: Array

    def crossover(self, many: int = 16) -> float:
        """The D at which n = `many` and n = 1 are equally good, linear in log D; NaN if they never are within the "
        "grid."""
        gap = self.success_DN[:, list(self.n_N).index(many)] - self.success_DN[:, 0]
        turns = np.flatnonzero((gap[:-1] > 0) & (gap[1:] <= 0))
        if not turns.size:
            return float("nan")
        i = turns[0]
        logs = np.log(self.needed_D)
        return float(np.exp(logs[i] - gap[i] * (logs[i + 1] - logs[i]) / (gap[i + 1] - gap[i])))

    def account(self) -> Account:
        rows = [
            [f"{d:,}", *(f"{100 * x:.1f}" for x in self.success_DN[i]), str(self.n_N[int(self.success_DN[i].argmax())])]
            for i, d in enumerate(self.needed_D)
        ]
        best = [int(self.n_N[int(row.argmax())]) for row in self.success_DN]
        crossing = self.crossover()
        where = f"at D = {crossing:,.0f}" if np.isfinite(crossing) else f"at no D up to {self.needed_D[-1]:,}"
        many = int(self.questions_N[list(self.n_N).index(16)])
        gap = self.success_DN[0, list(self.n_N).index(16)] - self.success_DN[0, 0]
        return Account(
            "P6. A fixed number of examples: few questions in many ways",
            f"{EXAMPLES:,} examples, as {EXAMPLES:,} questions in one way or {many} questions in 16. A way shown on "
            "Q questions is carried out rightly with skill Q / (Q + D): an assumption, with D the number of "
            f"questions that it needs. Kinds and RL as in P5, G = 16, {SKILL_STEPS} steps.",
            "Few questions in many ways beat many questions in one way.",
            f"At D = {self.needed_D[0]} sixteen ways lead one way by {100 * gap:.0f} points. The best n falls from "
            f"{best[0]} at D = {self.needed_D[0]} to {best[-1]} at D = {self.needed_D[-1]:,}. n = 16 and n = 1 are "
            f"equal {where}, where a way in the n = 16 data set has {many} questions.",
            "The claim holds as long as a way can be learnt from the questions that are left for it. The crossover "
            "is a property of the skill curve, which this theory does not know: it has to be measured for a model.",
            ["D", *(f"n = {n}" for n in self.n_N), "best n"],
            rows,
            [
                Panel(
                    f"{EXAMPLES:,} examples, success after RL",
                    "ways a question n",
                    "success after RL, %",
                    [
                        Curve(f"D = {d:,}", i, self.n_N, self.success_DN[i].tolist())
                        for i, d in enumerate(self.needed_D)
                    ],
                    log_x=True,
                    percent=True,
                ),
            ],
        )


def fixed_budget(seed: int = 0) -> FixedBudget:
    """Run P6 (seconds)."""
    fits = kinds(KINDS, seed)
    trainer = Trainer("grpo", group=16, rate=RATE)
    success = np.empty((len(NEEDED), len(NS)))
    error = np.empty_like(success)
    questions = np.array([EXAMPLES / n for n in NS])
    for i, n in enumerate(NS):
        for d, needed in enumerate(NEEDED):
            skill = questions[i] / (questions[i] + needed)
            runs = simulate(
                ways(POSSIBLE),
                np.log(shown_start(n))[None],
                fits * skill,
                trainer,
                [SKILL_STEPS],
                replicas=KINDS,
                seed=seed,
            )
            success[d, i] = runs.success_TR[0].mean()
            error[d, i] = runs.success_TR[0].std(ddof=1) / np.sqrt(KINDS)
    return FixedBudget(NS, NEEDED, questions, success, error)
