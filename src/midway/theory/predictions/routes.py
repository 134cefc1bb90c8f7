"""P2 and P7: how long several right ways stay alive under RL, and what wrong ways cost.

Promises: frozen results with their own account; a run repeats with the same seed. Time is learning rate x steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.special import softmax

from midway.theory.account import Account, Curve, Panel
from midway.theory.space import ways
from midway.theory.training import Trainer, flow, simulate

Array = NDArray[np.float64]

RIGHT = 16
LEAK = 0.01
STEPS = 1000
REPLICAS = 100


def effective_ways(pi: Array) -> Array:
    """Return exp(entropy) over the last axis, after normalising it: the number of equally common ways."""
    share = pi / pi.sum(-1, keepdims=True)
    logs = np.log(np.where(share > 0, share, 1))
    return np.asarray(np.exp(-(share * logs).sum(-1)))


def start_with(shown: int, mass: float, right: int = RIGHT, leak: float = LEAK) -> Array:
    """Return the start (right + 1 probabilities): `mass` on right ways, 1 - leak of it on those shown, the rest on "
    "one wrong way."""
    law = np.full(right, mass / right)
    if shown < right:
        law[:shown] = mass * (1 - leak) / shown
        law[shown:] = mass * leak / (right - shown)
    return np.array([*law, 1 - mass])


@dataclass(frozen=True, slots=True)
class Alive:
    """One simulated setting of P2: effective ways at the recorded steps (mean over runs, 10 % and 90 % of runs), "
    "success at the end."""

    shown: int
    success_rate: float
    group: int
    rate: float
    beta: float
    start: float
    step_T: Sequence[int]
    ways_T: Array
    low_T: Array
    high_T: Array
    success: float

    @property
    def kept(self) -> float:
        """The share of the lead over one way that is left at the end."""
        return float((self.ways_T[-1] - 1) / (self.ways_T[0] - 1))

    @property
    def half_life(self) -> float:
        """The first recorded step at which half of the lead over one way is lost, NaN if never."""
        lost = np.flatnonzero(self.ways_T - 1 <= (self.ways_T[0] - 1) / 2)
        return float(self.step_T[lost[0]]) if lost.size and self.ways_T[0] > 1.05 else float("nan")


@dataclass(frozen=True, slots=True)
class RoutesAlive:
    """P2: how many right ways stay in use. `by_n` for ways that always or mostly succeed, the other sweeps at 16 "
    "ways, `noted`: the field's numbers."""

    by_n: Sequence[Alive]
    by_group: Sequence[Alive]
    by_rate: Sequence[Alive]
    by_beta: Sequence[Alive]
    noted: Sequence[Alive]

    def account(self) -> Account:
        sure = [a for a in self.by_n if a.success_rate == 1]
        unsure = [a for a in self.by_n if a.success_rate < 1]
        first = {a.group: a for a in self.by_group if a.success_rate < 1}
        rows = []
        for what, runs in (
            ("ways shown n", self.by_n),
            ("group size G", self.by_group),
            ("learning rate", self.by_rate),
            ("KL beta", self.by_beta),
        ):
            for a in runs:
                value = {"ways shown n": a.shown, "group size G": a.group, "learning rate": a.rate, "KL beta": a.beta}[
                    what
                ]
                half = "never" if np.isnan(a.half_life) else f"{a.half_life:.0f}"
                if a.ways_T[0] <= 1.2:
                    half = "-"
                rows.append(
                    [
                        f"{what} = {value:g}",
                        f"{a.success_rate:g}",
                        f"{a.ways_T[0]:.1f}",
                        f"{a.ways_T[-1]:.1f}",
                        half,
                        f"{a.success:.3f}",
                    ]
                )
        for a in self.noted:
            rows.append(
                [
                    f"8 ways, start {a.start:g}, G = {a.group}, rate 1, 1,500 steps",
                    "1",
                    f"{a.ways_T[0]:.1f}",
                    f"{a.ways_T[-1]:.1f}",
                    "",
                    f"{a.success:.3f}",
                ]
            )
        named = {n: next(a for a in unsure if a.shown == n) for n in (4, 16)}
        came_out = (
            f"Ways that always succeed: of 16 equal ways {sure[-1].ways_T[-1]:.1f} are left after {STEPS:,} steps of "
            f"GRPO at G = 16. Success nears 1 ({sure[-1].success:.3f}), and groups without a wrong sample teach "
            f"nothing. Ways that succeed in {unsure[-1].success_rate:g} of cases: groups never stop having signal, "
            f"and {named[16].ways_T[-1]:.1f} of 16 ways, {named[4].ways_T[-1]:.1f} of 4 are left. Of the lead over "
            f"one way {', '.join(f'{100 * a.kept:.0f}' for a in unsure[1:])} % is left for n = 2, 4, 8, 16. The ways "
            "shown are equally right and equally common, so for them this is chance alone. Larger groups slow it: "
            f"at G = 4, 16, 64 there are {first[4].ways_T[-1]:.1f}, {first[16].ways_T[-1]:.1f} and "
            f"{first[64].ways_T[-1]:.1f} left. A rate of {self.by_rate[-1].rate:g} instead of "
            f"{self.by_rate[1].rate:g} leaves {self.by_rate[-1].ways_T[-1]:.1f}; KL to the mid-trained model at beta "
            f"{self.by_beta[-1].beta:g} leaves {self.by_beta[-1].ways_T[-1]:.1f}. With n = 1 there is one way before "
            "and after."
        )
        return Account(
            "P2. How long several right ways stay alive",
            "16 right ways and one wrong. Mid-training puts half of the mass on n of the right ways, evenly (1 % of "
            f"it on the others). GRPO, G = 16, learning rate 0.2, no KL, {REPLICAS} runs, unless the row says "
            "otherwise. Half-life: the step at which half of the lead over one way is lost.",
            "A policy that was shown many ways has large steps available, so it should keep or mix them; a policy "
            "that was shown one cannot.",
            came_out,
            "Many ways at the start last longer: more of their lead over one way is left. But RL does not prefer "
            "them: among equally right ways it is a random walk. Four things slow the walk: a lack of signal "
            "(success near 1), less noise (large groups, a small rate), KL, and a small probability of each way. "
            "The last is the paper's own formula (1/N)(1 − 1/N), read the other way round: with many ways each step "
            "is *smaller*, and that protects them.",
            ["setting", "success of a way", "effective ways, start", "at the end", "half-life", "success at the end"],
            rows,
            [
                Panel(
                    f"ways that {'always succeed' if rate == 1 else f'succeed in {rate:g} of cases'}",
                    "GRPO steps",
                    "effective number of right ways",
                    [
                        Curve(f"n = {a.shown}", i, a.step_T, a.ways_T.tolist(), a.low_T.tolist(), a.high_T.tolist())
                        for i, a in enumerate(runs)
                    ],
                )
                for rate, runs in ((1, sure), (unsure[0].success_rate, unsure))
            ]
            + [
                Panel(
                    f"group size, 16 ways that succeed in {first[16].success_rate:g}",
                    "GRPO steps",
                    "effective number of right ways",
                    [
                        Curve(f"G = {a.group}", 5 + i, a.step_T, a.ways_T.tolist(), a.low_T.tolist(), a.high_T.tolist())
                        for i, a in enumerate(first.values())
                    ],
                )
            ],
        )


def _alive(
    shown: int,
    success_rate: float,
    trainer: Trainer,
    seed: int,
    *,
    start: float = 0.5,
    right: int = RIGHT,
    steps: int = STEPS,
) -> Alive:
    law = start_with(shown, start, right)
    record = list(range(0, steps + 1, steps // 20))
    q = np.array([*np.full(right, success_rate), 0.0])
    runs = simulate(
        ways(right + 1), np.log(law)[None], q, trainer, record, replicas=REPLICAS, seed=seed, reference_C=law
    )
    alive = effective_ways(runs.pi_TRC[:, :, :right])
    low, high = np.quantile(alive, [0.1, 0.9], axis=1)
    return Alive(
        shown,
        success_rate,
        trainer.group,
        trainer.rate,
        trainer.beta,
        start,
        record,
        alive.mean(1),
        low,
        high,
        float(runs.success_TR[-1].mean()),
    )


def routes_alive(seed: int = 0) -> RoutesAlive:
    """Run P2 (seconds)."""
    base = Trainer("grpo", group=16, rate=0.2)
    return RoutesAlive(
        [_alive(n, q, base, seed) for q in (1.0, 0.7) for n in (1, 2, 4, 8, 16)],
        [_alive(16, q, replace(base, group=g), seed) for q in (1.0, 0.7) for g in (4, 16, 64)],
        [_alive(16, 0.7, replace(base, rate=r), seed) for r in (0.05, 0.2, 0.8)],
        [_alive(16, 0.7, replace(base, beta=b), seed) for b in (0.0, 0.01, 0.1)],
        [
            _alive(8, 1.0, Trainer("grpo", group=g, rate=1.0), seed, start=p0, right=8, steps=1500)
            for p0 in (0.5, 0.05)
            for g in (4, 16, 64)
        ],
    )


@dataclass(frozen=True, slots=True)
class WrongWays:
    """P7: n wrong ways shown in SFT. Times to 90 % with their mass fixed; right mass after SFT and RL time where SFT
    grows with n;
    success after RL where the shown ways later succeed with rate q.
    """

    n_N: Sequence[int]
    time_fixed_N: Array
    right_grown_N: Array
    time_grown_N: Array
    right_matched_N: Array
    time_matched_N: Array
    time_without: float
    later_L: Array
    budget_B: Sequence[float]
    after_BL: Array
    after_without_B: Array

    @property
    def break_even_B(self) -> Array:
        """For each RL budget, the later success q of the shown ways from which on SFT and RL end above RL alone."""
        out = []
        for alone, after_L in zip(self.after_without_B, self.after_BL, strict=True):
            i = int(np.flatnonzero(after_L < alone)[-1])  # the last point below RL alone; above it up to q = 1
            low, high = after_L[i : i + 2] if i + 1 < after_L.size else (float("nan"), float("nan"))
            out.append(self.later_L[i] + (alone - low) / (high - low) * (self.later_L[1] - self.later_L[0]))
        return np.array(out)

    def account(self) -> Account:
        n = list(self.n_N)
        ratio = self.time_fixed_N / self.time_fixed_N[0]
        even = ", ".join(f"{q:.2f}" for q in self.break_even_B)
        budgets = ", ".join(f"{b:g}" for b in self.budget_B)
        rows = [
            [
                f"{k}",
                f"{ratio[i]:.3f}",
                f"{2 / (1 + 1 / k):.3f}",
                f"{self.right_matched_N[i]:.4f}",
                f"{self.time_matched_N[i]:.1f}",
                f"{self.right_grown_N[i]:.4f}",
                f"{self.time_grown_N[i]:.1f}",
            ]
            for i, k in enumerate(n)
        ]
        return Account(
            "P7. Wrong answers in many ways",
            "A base policy is right with probability 0.3. SFT shows n wrong ways, then GRPO at G = 16 (expected "
            "flow) goes on until 90 %; times are learning rate x steps. Three cases: the wrong ways' total mass is "
            "fixed at 0.7; SFT takes the same number of steps for every n; SFT steps grow with n.",
            "Variety with wrong answers should be harmful, and the more so the more ways.",
            f"With the mass fixed, the time grows by {ratio[-1]:.2f} from n = 1 to n = {n[-1]}: exactly 2 / (1 + "
            f"1/n), at most 2. With equal SFT steps the right mass after SFT is {self.right_matched_N[0]:.4f} at n = "
            f"1 and {self.right_matched_N[-1]:.4f} at n = {n[-1]}: more ways do not hurt by themselves. With steps "
            f"that grow with n it falls to {self.right_grown_N[-1]:.4f} and RL needs {self.time_grown_N[-1]:.1f} "
            f"instead of {self.time_without:.1f} without SFT. Last, 8 ways are wrong in the data but succeed later "
            "with rate q, beside a known way that succeeds with 0.9 (30 % of the mass). After RL budgets of "
            f"{budgets} the q from which on SFT pays is {even}. With the largest budget the worst q is not 0 but "
            f"{self.later_L[int(self.after_BL[-1].argmin())]:.1f}: RL leaves a way that is a little worse more "
            "slowly than one that always fails.",
            "Harm that grows with n is the harm of more SFT on wrong data, not of variety. What counts is how often "
            "the taught way succeeds afterwards, against what RL alone would have reached with the same budget. "
            "This can reconcile the paper (wrong answers harm) with studies on Countdown (wrong answers that show a "
            "procedure help): a procedure can succeed later, a wrong answer cannot. It shows no gain from variety.",
            [
                "n",
                "time to 90 %, mass fixed, over n = 1",
                "2 / (1 + 1/n)",
                "right after equal SFT",
                "RL time",
                "right after SFT that grows with n",
                "RL time ",
            ],
            rows,
            [
                Panel(
                    "RL time until 90 % right",
                    "wrong ways shown n",
                    "learning rate x steps",
                    [
                        Curve("mass of wrong ways fixed", 0, n, self.time_fixed_N.tolist()),
                        Curve("equal SFT steps", 1, n, self.time_matched_N.tolist()),
                        Curve("SFT steps grow with n", 2, n, self.time_grown_N.tolist()),
                        Curve("RL without SFT", 3, n, [self.time_without] * len(n), thin=True),
                    ],
                    log_x=True,
                    log_y=True,
                ),
                Panel(
                    "8 ways, success q later (thin: RL without SFT)",
                    "success q of the shown ways later",
                    "success after RL, %",
                    [
                        Curve(f"RL budget {b:g}", 4 + i, self.later_L.tolist(), self.after_BL[i].tolist())
                        for i, b in enumerate(self.budget_B)
                    ]
                    + [
                        Curve(
                            "",
                            4 + i,
                            self.later_L.tolist(),
                            [float(self.after_without_B[i])] * self.later_L.size,
                            thin=True,
                        )
                        for i, b in enumerate(self.budget_B)
                    ],
                    percent=True,
                ),
            ],
        )


SFT_TIME = 1.0
RL_BUDGETS = (1.0, 3.0, 10.0)
BASE = 0.3
SEEN_BEFORE = 0.05
"""The mass that each base policy has on all ways that SFT will show."""


def sft(theta_K: Array, target_K: Array, time: float) -> Array:
    """Return the logits after SFT on solutions drawn from `target_K`: `d theta / dt = target - pi`, for a time."""
    if time == 0:
        return theta_K
    solved = solve_ivp(lambda _t, y: target_K - softmax(y), (0, time), theta_K, rtol=1e-9, atol=1e-11, method="LSODA")
    return np.asarray(solved.y[:, -1])


def _time_to(law: Array, q: Array, target: float) -> float:
    """Return the time of GRPO's flow until success reaches target (linear between points 0.25 % apart in time)."""
    trainer = Trainer("grpo", group=16)
    span = 4.0
    while True:
        times = np.concatenate([[0.0], np.geomspace(span * 1e-3, span, 2800)])
        curve = flow(ways(law.size), np.log(law)[None], q, trainer, times)
        if curve.success_T[-1] >= target:
            return float(np.interp(target, curve.success_T, curve.time_T))
        span *= 4


def wrong_ways(seed: int = 0) -> WrongWays:
    """Run P7 (no chance in it: flows only)."""
    ns = (1, 2, 4, 8, 16, 32, 64)
    fixed: list[float] = []
    grown: tuple[list[float], list[float]] = ([], [])
    matched: tuple[list[float], list[float]] = ([], [])
    for n in ns:
        q = np.array([1.0, *np.zeros(n), 0.0])
        fixed.append(_time_to(np.array([BASE, *np.full(n, (1 - BASE) / n)]), q[:-1], 0.9))
        before = np.log([BASE, *np.full(n, SEEN_BEFORE / n), 1 - BASE - SEEN_BEFORE])
        target = np.array([0.0, *np.full(n, 1 / n), 0.0])
        for steps, (rights, times) in ((SFT_TIME * n, grown), (SFT_TIME * 8, matched)):
            law = softmax(sft(before, target, steps))
            rights.append(float(law[0]))
            times.append(_time_to(law, q, 0.9))
    without = np.array([BASE, *np.full(8, SEEN_BEFORE / 8), 1 - BASE - SEEN_BEFORE])
    later = np.linspace(0, 1, 11)
    target = np.array([0.0, *np.full(8, 1 / 8), 0.0])
    shown = softmax(sft(np.log(without), target, SFT_TIME * 8))
    after = np.array([_after(shown, rate) for rate in later]).T
    time_without = _time_to(without, np.array([1.0, *np.zeros(9)]), 0.9)
    return WrongWays(
        n_N=ns,
        time_fixed_N=np.array(fixed),
        right_grown_N=np.array(grown[0]),
        time_grown_N=np.array(grown[1]),
        right_matched_N=np.array(matched[0]),
        time_matched_N=np.array(matched[1]),
        time_without=time_without,
        later_L=later,
        budget_B=RL_BUDGETS,
        after_BL=after,
        after_without_B=_after(without, 0.0),
    )


def _after(law: Array, rate: float) -> Array:
    """Return success after each RL budget: a known way of success 0.9, eight of `rate`, the rest wrong."""
    q = np.array([0.9, *np.full(8, rate), 0.0])
    return flow(ways(10), np.log(law)[None], q, Trainer("grpo", group=16), RL_BUDGETS).success_T
