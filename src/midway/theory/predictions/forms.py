"""The closed forms in numbers: weights of the algorithms, growth of a preference, missed ways, cold starts, noise,
KL, clipping.

Promises: a frozen result with its own account; only the check of the flow draws random numbers, from the seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from midway.theory.account import Account, Curve, Panel
from midway.theory.invariant import ratio_at
from midway.theory.rules import weight, weight_limit
from midway.theory.signals import escape_time, kl_fixed_point, misses_while_moving, noisy_drift, sft_time
from midway.theory.space import ways
from midway.theory.training import Trainer, expected_step, flow, simulate

Array = NDArray[np.float64]

SHOWN_RULES = ("reinforce", "dr_grpo", "grpo", "maxrl")
WRONG = (1, 4, 16, 1000)
STARTS = ((0.3, 0.99), (0.03, 0.99), (0.3, 0.999), (0.03, 0.999))
SIZES = (2, 4, 8, 16, 32, 64)
COLD = (1e-2, 1e-3, 1e-4)
ESCAPES = (("reinforce", None), ("grpo", 16), ("grpo", 64), ("grpo", None), ("maxrl", 16))
NOISE = ((0.8, 0.2), (0.6, 0.4), (0.5, 0.5), (0.4, 0.6))
BETAS = (2.0, 5.0, 10.0)
NO_CLIP = (1 - 1e-9, 1e9)


@dataclass(frozen=True, slots=True)
class ClosedForms:
    """All numbers of the first half of docs/theory.md.

    weight_RP: rules x success rates (G 16), limit_P for GRPO; ratio_WS: what 2 : 1 becomes, by number of wrong ways
    and (start, end); missed_G at mu 0.5, tau 0.05; escape_EC and sft_C at cold starts; noise_J: expected step at p
    0.5, G 8; fixed_KB: reverse, k3; clip_V: the expected move of a rare right way's logit over a common one's, for
    one step, four, four clipped at 0.2, four clipped at 0.2 and 0.28; gap: largest |flow - mean of runs| of success,
    its standard error.
    """

    p_P: Array
    weight_RP: Array
    limit_P: Array
    at_P: Sequence[float]
    weight_at_RP: Array
    ratio_WS: Array
    success_T: Array
    ratio_WT: Array
    missed_G: Array
    escape_EC: Array
    sft_C: Array
    noise_J: Array
    fixed_KB: Array
    clip_V: Array
    step_T: Sequence[int]
    flow_T: Array
    runs_T: Array
    error_T: Array
    gap: float

    def account(self) -> Account:
        rows: list[Sequence[str]] = []
        for r, rule in enumerate(SHOWN_RULES):
            rows.append(
                [f"weight w of {rule}, G = 16", "p = 0.01, 0.5", ", ".join(f"{x:.3g}" for x in self.weight_at_RP[r])]
            )
        rows.append(
            [
                "weight of GRPO in a large group",
                "p = 0.01, 0.5",
                ", ".join(f"{x:.3g}" for x in weight_limit("grpo", self.at_P)),
            ]
        )
        for w, wrong in enumerate(WRONG):
            text = ", ".join(f"{x:,.0f} : 1" for x in self.ratio_WS[w])
            rows.append(
                [
                    f"a preference of 2 : 1, {wrong:,} wrong way{'s' if wrong > 1 else ''}",
                    "30 to 99 %, 3 to 99 %, 30 to 99.9 %, 3 to 99.9 %",
                    text,
                ]
            )
        rows.append(
            [
                "group moves and misses a right way",
                "mu 0.5, tau 0.05; G = 2 ... 64",
                ", ".join(f"{x:.2f}" for x in self.missed_G),
            ]
        )
        for e, (rule, group) in enumerate(ESCAPES):
            size = "large group" if group is None else f"G = {group}"
            name = "reinforce, rloo" if rule == "reinforce" else f"{rule}, {size}"
            rows.append(
                [
                    f"time from p0 to one half, {name}",
                    "p0 = 0.01, 0.001, 0.0001",
                    ", ".join(f"{x:,.0f}" for x in self.escape_EC[e]),
                ]
            )
        rows.append(
            ["time from p0 to one half, SFT", "p0 = 0.01, 0.001, 0.0001", ", ".join(f"{x:.1f}" for x in self.sft_C)]
        )
        rows.append(
            [
                "step with a noisy verifier, GRPO",
                "TPR − FPR = 0.6, 0.2, 0, −0.2; p 0.5, G 8",
                ", ".join(f"{x:.3f}".replace("-", "−") for x in self.noise_J),
            ]
        )
        for k, kind in enumerate(("reverse KL", "k3 in the loss")):
            rows.append(
                [
                    f"fixed point of success, {kind}",
                    "start 0.2; beta = 2, 5, 10",
                    ", ".join(f"{x:.3f}" for x in self.fixed_KB[k]),
                ]
            )
        rows.append(
            [
                "logit step of a rare right way (5 %) over a common one's (45 %)",
                "G 8, rate 1: one inner step; four; four, clip 0.2; four, clip 0.2 and 0.28",
                ", ".join(f"{x:.2f}" for x in self.clip_V),
            ]
        )
        rows.append(
            [
                "flow against simulated GRPO",
                "3 ways, G 8, rate 0.05, 500 runs: largest gap in success",
                f"{self.gap:.4f}",
            ]
        )
        return Account(
            "The closed forms in numbers",
            "A softmax over ways with free logits; way k succeeds with q_k, p is the mean success, G the group. "
            "Times are learning rate x steps.",
            "",
            "",
            "",
            ["quantity", "at", "value"],
            rows,
            [
                Panel(
                    "weight w(p, G = 16) of the expected step",
                    "success p",
                    "w",
                    [
                        *(
                            Curve(rule, r, self.p_P.tolist(), self.weight_RP[r].tolist())
                            for r, rule in enumerate(SHOWN_RULES)
                        ),
                        Curve("GRPO, large group", 4, self.p_P.tolist(), self.limit_P.tolist(), thin=True),
                    ],
                    log_x=True,
                    log_y=True,
                    x_ticks=(0.001, 0.01, 0.1, 0.5),
                ),
                Panel(
                    "what 2 : 1 becomes, from 30 % success",
                    "odds of success",
                    "preference : 1",
                    [
                        Curve(
                            f"{w:,} wrong way{'s' if w > 1 else ''}",
                            4 + i,
                            (self.success_T / (1 - self.success_T)).tolist(),
                            self.ratio_WT[i].tolist(),
                        )
                        for i, w in enumerate(WRONG)
                    ],
                    log_x=True,
                    log_y=True,
                    x_ticks=(1, 10, 100, 1000),
                ),
                Panel(
                    "a cold start",
                    "success at the start p0",
                    "time to one half",
                    [
                        *(
                            Curve(
                                rule
                                if group is None and rule != "grpo"
                                else f"{rule}, {'large group' if group is None else f'G = {group}'}",
                                i,
                                COLD,
                                self.escape_EC[i].tolist(),
                            )
                            for i, (rule, group) in enumerate(ESCAPES)
                        ),
                        Curve("SFT", 5, COLD, self.sft_C.tolist()),
                    ],
                    log_x=True,
                    log_y=True,
                ),
                Panel(
                    "group moves but misses a way (5 % of the mass)",
                    "group size G",
                    "probability",
                    [Curve("success 0.5", 6, SIZES, self.missed_G.tolist())],
                    log_x=True,
                ),
                Panel(
                    "flow (thin) and simulated GRPO",
                    "steps",
                    "success, %",
                    [
                        Curve("mean of 500 runs", 7, self.step_T, self.runs_T.tolist()),
                        Curve("", 7, self.step_T, self.flow_T.tolist(), thin=True),
                    ],
                    percent=True,
                ),
            ],
        )


def closed_forms(seed: int = 0) -> ClosedForms:
    """Compute every closed form that docs/theory.md quotes (a second)."""
    p = np.geomspace(1e-3, 0.5, 28)
    at = (0.01, 0.5)
    success = 1 - 1 / (1 + np.geomspace(3 / 7, 999, 25))
    space, start, q = ways(3), np.log([[0.2, 0.1, 0.7]]), np.array([1.0, 0.6, 0.1])
    trainer = Trainer("grpo", group=8, rate=0.05)
    record = list(range(0, 401, 20))
    runs = simulate(space, start, q, trainer, record, replicas=500, seed=seed).success_TR
    solved = flow(space, start, q, trainer, np.array(record) * trainer.rate).success_T
    clipping = np.log([[0.05, 0.45, 0.5]])
    moves = []
    for inner, clip in ((1, NO_CLIP), (4, NO_CLIP), (4, (0.2, 0.2)), (4, (0.2, 0.28))):
        step = expected_step(space, clipping, [1, 1, 0], Trainer("grpo", group=8, rate=1.0, inner=inner, clip=clip))[0]
        moves.append(step[0] / step[1])
    return ClosedForms(
        p,
        np.array([weight(r, p, 16) for r in SHOWN_RULES]),
        weight_limit("grpo", p),
        at,
        np.array([weight(r, at, 16) for r in SHOWN_RULES]),
        np.array([[ratio_at(2, a, b, w) for a, b in STARTS] for w in WRONG]),
        success,
        np.array([[ratio_at(2, 0.3, max(b, 0.3), w) for b in success] for w in WRONG]),
        misses_while_moving(0.05, 0.5, SIZES),
        np.array([[escape_time(c, rule=r, group=g) for c in COLD] for r, g in ESCAPES]),
        np.array([sft_time(c) for c in COLD]),
        np.array([noisy_drift(0.5, a, b) for a, b in NOISE]),
        np.array([[kl_fixed_point(0.2, b, kl) for b in BETAS] for kl in ("reverse", "k3")]),
        np.array(moves),
        record,
        solved,
        runs.mean(1),
        runs.std(1, ddof=1) / np.sqrt(500),
        float(np.abs(runs.mean(1) - solved).max()),
    )
