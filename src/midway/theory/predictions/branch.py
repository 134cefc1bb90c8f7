"""P1 and P8: the size of a step at a branch, and what spread without differences of success is worth.

Promises: frozen results with their own account; a run repeats with the same seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from midway.theory.account import Account, Curve, Panel
from midway.theory.space import ways
from midway.theory.step import (
    exact_step,
    first_order_step,
    gain_rate,
    largest_step,
    peaked_step,
    rare_step,
    tempered,
    uniform_step,
)
from midway.theory.training import Trainer, flow, simulate

Array = NDArray[np.float64]

PUSH = 0.01
EPS = (0.5, 0.2, 0.1, 0.03, 0.01, 0.003, 0.001)


@dataclass(frozen=True, slots=True)
class StepSizes:
    """P1: steps over push of a sampled token, exact at push 0.01, and their closed forms; the root mean square change
    of the top token in one GRPO step.

    Axes: E peakedness (1 - top probability), N number of equal ways.
    """

    eps_E: Sequence[float]
    top_one_E: Array
    top_many_E: Array
    rare_E: Array
    form_one_E: Array
    form_many_E: Array
    form_rare_E: Array
    group_E: Array
    ways_N: Sequence[int]
    uniform_N: Array
    form_uniform_N: Array
    worst: float
    """Largest relative gap between exact step and first order."""

    def account(self) -> Account:
        rows = [
            [
                f"{e:g}",
                f"{self.top_one_E[i]:.3g}",
                f"{self.top_many_E[i]:.3g}",
                f"{self.rare_E[i]:.3g}",
                f"{(1 - e) * self.top_one_E[i]:.3g}",
                f"{e * self.rare_E[i]:.3g}",
                f"{self.group_E[i]:.3g}",
            ]
            for i, e in enumerate(self.eps_E)
        ]
        thin = list(self.eps_E).index(0.01)
        where, most = largest_step()
        four = list(self.ways_N).index(16)
        slope = float(np.polyfit(np.log(self.eps_E[-4:]), np.log(self.group_E[-4:]), 1)[0])
        return Account(
            "P1. How far one step moves a branch",
            f"A softmax with free logits. One step of learning rate x advantage = {PUSH:g} on one sampled token; "
            "sizes are divided by that number. Peaked: the top token has probability 1 − e.",
            "Where the policy is peaked, a step moves the sampled token by about e². Where N tokens share the mass, "
            "it is (1/N)(1 − 1/N). So a policy with several ways can be moved, a peaked one cannot.",
            f"The closed forms hold within {100 * self.worst:.1f} % at this size of step. At e = 0.01 the top token "
            f"moves by {self.top_many_E[thin]:.2g} (many alternatives) to {self.top_one_E[thin]:.2g} (one). But the "
            f"*rare* token, when it is sampled, moves by {self.rare_E[thin]:.2g}, about 2e. Times how often each is "
            f"sampled, both are equal ({(1 - 0.01) * self.top_one_E[thin]:.2g} and {0.01 * self.rare_E[thin]:.2g}). "
            f"Among uniform laws the largest step is at N = 2 ({self.uniform_N[1]:.3f}); at N = 16 it is "
            f"{self.uniform_N[four]:.3f}. The largest of all is 8/27 = {most:.3f}, at probability {where:.3f} "
            "against one alternative. A whole GRPO step with random rewards (G = 16) changes the top token by an "
            f"amount that falls as e to the power {slope:.2f}, not 2.",
            "The formula is right and says: a peaked policy moves slowly. It does not say that more ways are better "
            "(the step shrinks with N), nor in which direction a step goes: with the same advantage for every token "
            "the expected step is zero. Peaked policies are slow because the rare token is rarely sampled, not "
            "because it moves little.",
            [
                "e",
                "top, one alternative",
                "top, 63 alternatives",
                "rare, when sampled",
                "top x frequency",
                "rare x frequency",
                "GRPO step, rms",
            ],
            rows,
            [
                Panel(
                    "peaked: top probability 1 − e",
                    "e",
                    "step / (rate x advantage)",
                    [
                        Curve("top, one alternative", 0, self.eps_E, self.top_one_E.tolist()),
                        Curve("top, 63 alternatives", 1, self.eps_E, self.top_many_E.tolist()),
                        Curve("rare token, when sampled", 2, self.eps_E, self.rare_E.tolist()),
                        Curve("GRPO step on the top, rms", 3, self.eps_E, self.group_E.tolist()),
                        Curve("", 0, self.eps_E, self.form_one_E.tolist(), thin=True),
                        Curve("", 1, self.eps_E, self.form_many_E.tolist(), thin=True),
                        Curve("", 2, self.eps_E, self.form_rare_E.tolist(), thin=True),
                    ],
                    log_x=True,
                    log_y=True,
                    x_ticks=(0.001, 0.01, 0.1, 0.5),
                ),
                Panel(
                    "even: N tokens share the mass",
                    "N",
                    "step / (rate x advantage)",
                    [
                        Curve("uniform", 4, self.ways_N, self.uniform_N.tolist()),
                        Curve("", 4, self.ways_N, self.form_uniform_N.tolist(), thin=True),
                    ],
                    log_x=True,
                ),
            ],
        )


def _peaked(eps: float, alternatives: int) -> Array:
    return np.array([1 - eps, *np.full(alternatives, eps / alternatives)])


def step_sizes(seed: int = 0) -> StepSizes:
    """Run P1 (a second)."""
    one = [exact_step(_peaked(e, 1), PUSH) / PUSH for e in EPS]
    many = [exact_step(_peaked(e, 63), PUSH)[0, 0] / PUSH for e in EPS]
    counts = (1, 2, 3, 4, 8, 16, 32, 64)
    even = [exact_step(np.full(n, 1 / n), PUSH)[0, 0] / PUSH for n in counts]
    gaps = [
        abs(exact_step(_peaked(e, m), PUSH) / PUSH / first_order_step(_peaked(e, m)) - 1).max()
        for e in EPS
        for m in (1, 63)
    ]
    trainer = Trainer("grpo", group=16, rate=PUSH)
    moved = []
    for e in EPS:
        runs = simulate(ways(2), np.log(_peaked(e, 1))[None], [0.5, 0.5], trainer, [0, 1], replicas=40_000, seed=seed)
        moved.append(np.sqrt(((runs.pi_TRC[1, :, 0] - runs.pi_TRC[0, :, 0]) ** 2).mean()) / PUSH)
    return StepSizes(
        EPS,
        np.array([x[0, 0] for x in one]),
        np.array(many),
        np.array([x[1, 1] for x in one]),
        peaked_step(EPS),
        peaked_step(EPS, 63),
        rare_step(EPS),
        np.array(moved),
        counts,
        np.array(even),
        uniform_step(counts),
        float(max(gaps)),
    )


WAYS = 16
SUCCESS = (0.9, 0.1)
GOOD = 4
STEPS = 400


@dataclass(frozen=True, slots=True)
class Spread:
    """P8: equal entropy at the branch, a share v of the differences of success left. V versions, T recorded steps.

    v = 1: the options are ways, 4 of 16 succeed in 0.9 and 12 in 0.1 of cases; v = 0: surface variants, all succeed
    equally. first_V: exact rate of gain at the start. Temperature: a peaked policy (top way 0.9, one of the bad ones)
    that RL samples at temperature H, with the other ways in its tail or with variants of the same way there;
    entropy_H nats when sampled; after RL.
    """

    share_V: Sequence[float]
    step_T: Sequence[int]
    success_VT: Array
    flow_VT: Array
    error_V: Array
    first_V: Array
    temperature_H: Sequence[float]
    entropy_H: Array
    tail_ways_H: Array
    tail_variants_H: Array

    def account(self) -> Account:
        gain = self.success_VT[:, -1] - self.success_VT[:, 0]
        rows = [
            [
                f"{v:g}",
                f"{np.log(WAYS):.3f}",
                f"{self.success_VT[i, 0]:.3f}",
                f"{self.first_V[i]:.5f}",
                f"{self.success_VT[i, -1]:.3f} ± {self.error_V[i]:.3f}",
                f"{100 * gain[i]:+.1f}".replace("-", "−"),
            ]
            for i, v in enumerate(self.share_V)
        ]
        heated = ", ".join(f"{x:.2f}" for x in self.tail_ways_H)
        heats = ", ".join(f"{t:g}" for t in self.temperature_H)
        return Account(
            "P8. Spread from temperature against spread over ways",
            f"Sixteen options at the branch, even (entropy {np.log(WAYS):.2f} nats, step size "
            f"{uniform_step(WAYS):.3f} for all). With v = 1 they are ways: {GOOD} succeed in {SUCCESS[0]:g}, the "
            f"others in {SUCCESS[1]:g} of cases. With v = 0 they are variants of one way and succeed equally (mean "
            f"success is the same). GRPO, G = 16, rate 0.1, {STEPS} steps. Then a policy peaked on one bad way (0.9) "
            "whose distribution is flattened by a temperature before RL.",
            "If spread of tokens is the mechanism, every policy with the same entropy gains the same from RL.",
            f"The gain is {100 * gain[-1]:.1f} points at v = 1, {100 * gain[len(gain) // 2]:.1f} at v = "
            f"{self.share_V[len(gain) // 2]:g} and {100 * gain[0]:.1f} at v = 0. Entropy and step sizes are the "
            "same. The rate of gain at the start goes with v². Temperature helps if the tail holds other ways: "
            f"success after RL is {heated} at temperatures of {heats}. Most of that is there without heating "
            "(temperature 1), since RL runs long enough to find the tail. If the tail holds variants of the same "
            f"way, success stays at {self.tail_variants_H[-1]:.2f} at every entropy.",
            "In this model entropy at the branch is no mechanism. The gain comes from differences of success behind "
            "the branch: w Σ π² (q − p)². So a control with the same entropy and without ways should gain nothing "
            "where its variants succeed equally. A hotter sampler is a fair rival where the model knows the ways "
            "but rarely shows them.",
            [
                "v",
                "entropy, nats",
                "success before RL",
                "rate of gain at the start",
                "success after RL",
                "gain, points",
            ],
            rows,
            [
                Panel(
                    "equal entropy, share v of the differences",
                    "GRPO steps",
                    "success, %",
                    [
                        Curve(f"v = {v:g}", i, self.step_T, self.success_VT[i].tolist())
                        for i, v in enumerate(self.share_V)
                    ]
                    + [
                        Curve("", i, self.step_T, self.flow_VT[i].tolist(), thin=True) for i in range(len(self.share_V))
                    ],
                    percent=True,
                ),
                Panel(
                    "peaked on a bad way, then flattened",
                    "entropy at the branch, nats",
                    "success after RL, %",
                    [
                        Curve("tail: other ways", 5, self.entropy_H.tolist(), self.tail_ways_H.tolist()),
                        Curve(
                            "tail: variants of the same way", 6, self.entropy_H.tolist(), self.tail_variants_H.tolist()
                        ),
                    ],
                    percent=True,
                ),
            ],
        )


def spread(seed: int = 0) -> Spread:
    """Run P8 (seconds)."""
    space, trainer = ways(WAYS), Trainer("grpo", group=16, rate=0.1)
    q = np.array([*np.full(GOOD, SUCCESS[0]), *np.full(WAYS - GOOD, SUCCESS[1])])
    shares = (0.0, 0.25, 0.5, 0.75, 1.0)
    record = list(range(0, STEPS + 1, STEPS // 20))
    even = np.full(WAYS, 1 / WAYS)
    success, exact, error, first = [], [], [], []
    for v in shares:
        mixed = q.mean() + v * (q - q.mean())
        runs = simulate(space, np.log(even)[None], mixed, trainer, record, replicas=100, seed=seed)
        success.append(runs.success_TR.mean(1))
        error.append(runs.success_TR[-1].std(ddof=1) / 10)
        exact.append(flow(space, np.log(even)[None], mixed, trainer, np.array(record) * trainer.rate).success_T)
        first.append(gain_rate(even, mixed))
    peaked = np.array([*np.full(WAYS - 1, 0.1 / (WAYS - 1)), 0.9])
    temperatures = (0.5, 1.0, 1.5, 2.0, 3.0, 6.0)
    entropy, tail, variants = [], [], []
    for t in temperatures:
        law = tempered(peaked, t)
        entropy.append(float(-(law * np.log(law)).sum()))
        tail.append(float(flow(space, np.log(law)[None], q, trainer, [STEPS * trainer.rate]).success_T[-1]))
        same = np.full(WAYS, SUCCESS[1])
        variants.append(float(flow(space, np.log(law)[None], same, trainer, [STEPS * trainer.rate]).success_T[-1]))
    return Spread(
        shares,
        record,
        np.array(success),
        np.array(exact),
        np.array(error),
        np.array(first),
        temperatures,
        np.array(entropy),
        np.array(tail),
        np.array(variants),
    )
