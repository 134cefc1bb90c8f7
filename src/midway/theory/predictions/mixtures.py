"""P3 and P4: when RL composes ways within one chain, and where hybrids come from before RL.

Promises: frozen results with their own account; a run repeats with the same seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from midway.theory.account import Account, Curve, Panel
from midway.theory.predictions.routes import effective_ways
from midway.theory.space import Space, chains, is_hybrid, logits_after_sft, success_with_synergy
from midway.theory.training import Trainer, flow, simulate

Array = NDArray[np.float64]

SYNERGIES = (-0.3, -0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2, 0.3)
REPLICAS = 300
RECORD = (0, 25, 50, 100, 200, 300, 400, 600, 800)
TRAINER = Trainer("grpo", group=16, rate=0.1)


@dataclass(frozen=True, slots=True)
class Composition:
    """P3: hybrids against synergy, for pure ways of equal success (first row of the arrays) and of success 0.6 and
    0.4 (second).

    share_VST: mean share of hybrids over runs, se_VS its standard error at the end; chains_VS: effective number of
    chains within a run at the end; one_VS: share of runs in which one chain has at least 90 % of the mass; gain_VS:
    success at the end minus at the start.
    """

    pure: Sequence[Sequence[float]]
    synergy_S: Sequence[float]
    step_T: Sequence[int]
    share_VST: Array
    se_VS: Array
    chains_VS: Array
    one_VS: Array
    gain_VS: Array

    def threshold(self, version: int) -> float:
        """The synergy at which the share of hybrids at the end equals that at the start, by linear interpolation."""
        moved = self.share_VST[version, :, -1] - self.share_VST[version, :, 0]
        above = int(np.flatnonzero(moved > 0)[0])
        x, y = self.synergy_S[above - 1 : above + 1], moved[above - 1 : above + 1]
        return float(x[0] - y[0] * (x[1] - x[0]) / (y[1] - y[0]))

    def account(self) -> Account:
        zero = list(self.synergy_S).index(0.0)
        rows = [
            [
                f"{s:+.2f}".replace("-", "−"),
                *(
                    cell
                    for v in range(2)
                    for cell in (
                        f"{100 * self.share_VST[v, i, -1]:.1f} ± {100 * self.se_VS[v, i]:.1f}",
                        f"{self.chains_VS[v, i]:.2f}",
                        f"{100 * self.gain_VS[v, i]:+.1f}".replace("-", "−"),
                    )
                ),
            ]
            for i, s in enumerate(self.synergy_S)
        ]
        return Account(
            "P3. Composition rises only if mixtures succeed more often",
            "Chains of two parts, two ways at each, without memory. A pure chain succeeds with 0.5 (first case), or "
            "with 0.6 and 0.4 (second case); a hybrid with the mean of its parts plus the synergy s. All branches "
            f"start even, so half of the chains are hybrids. GRPO, G = 16, rate 0.1, {RECORD[-1]} steps, {REPLICAS} "
            "runs.",
            "Spread at the branches lets RL combine ways, so the share of composed chains should rise.",
            f"With s = 0 the mean share of hybrids is {100 * self.share_VST[0, zero, -1]:.1f} ± "
            f"{100 * self.se_VS[0, zero]:.1f} % after RL (50 before). Meanwhile the mass gathers on fewer chains "
            f"({self.chains_VS[0, zero]:.2f} of 4). With s = +0.3 it is {100 * self.share_VST[0, -1, -1]:.1f} %, on "
            f"{self.chains_VS[0, -1]:.2f} chains; in {100 * self.one_VS[0, -1]:.0f} % of runs one hybrid has 90 % of "
            f"the mass or more. With s = −0.3 it is {100 * self.share_VST[0, 0, -1]:.1f} %. The share stays where it "
            f"was at s = {self.threshold(0):.3f} for equal pure ways and at s = {self.threshold(1):.3f} for unequal "
            "ones. There a hybrid equals the best pure way at 0.1; from an even start it needs more, because the "
            "better way gains at both branches first.",
            "A rise of composition under RL is evidence that mixtures succeed more often, and no evidence that "
            "spread alone makes RL combine. The bar is not the group's mean but the neighbouring chains, in the end "
            "the best pure way. Composition within chains rises as variety across chains falls.",
            [
                "s",
                "hybrids after RL, equal, %",
                "chains in use",
                "gain, points",
                "hybrids after RL, unequal, %",
                "chains in use ",
                "gain, points ",
            ],
            rows,
            [
                Panel(
                    "hybrids against synergy",
                    "synergy s",
                    "share of hybrids after RL, %",
                    [
                        Curve("pure ways equal", 0, self.synergy_S, self.share_VST[0, :, -1].tolist()),
                        Curve("pure ways 0.6 and 0.4", 1, self.synergy_S, self.share_VST[1, :, -1].tolist()),
                        Curve("before RL", 5, self.synergy_S, self.share_VST[0, :, 0].tolist(), thin=True),
                    ],
                    percent=True,
                ),
                Panel(
                    "pure ways equal, over RL",
                    "GRPO steps",
                    "share of hybrids, %",
                    [
                        Curve(
                            f"s = {s:+g}".replace("-", "−") if s else "s = 0",
                            2 + i,
                            self.step_T,
                            self.share_VST[0, list(self.synergy_S).index(s)].tolist(),
                        )
                        for i, s in enumerate((-0.2, 0.0, 0.1, 0.3))
                    ],
                    percent=True,
                ),
                Panel(
                    "variety across chains",
                    "synergy s",
                    "effective number of chains after RL",
                    [
                        Curve("pure ways equal", 0, self.synergy_S, self.chains_VS[0].tolist()),
                        Curve("pure ways 0.6 and 0.4", 1, self.synergy_S, self.chains_VS[1].tolist()),
                    ],
                ),
            ],
        )


def composition(seed: int = 0) -> Composition:
    """Run P3 (seconds)."""
    space = chains(2, 2)
    hybrid = is_hybrid(space)
    pures = ((0.5, 0.5), (0.6, 0.4))
    start = np.zeros(space.shape)
    share, error, used, one, gain = [], [], [], [], []
    for pure in pures:
        for s in SYNERGIES:
            runs = simulate(
                space, start, success_with_synergy(space, pure, s), TRAINER, RECORD, replicas=REPLICAS, seed=seed
            )
            mixed = runs.pi_TRC[:, :, hybrid].sum(-1)
            share.append(mixed.mean(1))
            error.append(mixed[-1].std(ddof=1) / np.sqrt(REPLICAS))
            used.append(effective_ways(runs.pi_TRC[-1]).mean())
            one.append((runs.pi_TRC[-1].max(-1) >= 0.9).mean())
            gain.append((runs.success_TR[-1] - runs.success_TR[0]).mean())
    shape = (2, len(SYNERGIES))
    return Composition(
        pures,
        SYNERGIES,
        RECORD,
        np.array(share).reshape(*shape, -1),
        *(np.array(x).reshape(shape) for x in (error, used, one, gain)),
    )


@dataclass(frozen=True, slots=True)
class Origin:
    """P4: hybrids before RL, and how long RL needs to bring them to one half, for a policy without memory and for
    leaks L of one with memory.

    before_K: without memory, for ways_K equal ways. before_L, time_L: with memory; times are learning rate x steps of
    the flow, simulated_L from the mean of simulated runs (NaN where they end before). alone_T: simulated share
    without memory at time_T, alone_flow at its end.
    """

    ways_K: Sequence[int]
    before_K: Array
    leak_L: Sequence[float]
    before_L: Array
    time_L: Array
    simulated_L: Array
    alone_before: float
    alone_flow: float
    time_T: Array
    alone_T: Array
    curve_LU: Array
    time_U: Array

    @property
    def power(self) -> float:
        """The slope of log time against log share before RL."""
        return float(np.polyfit(np.log(self.before_L), np.log(self.time_L), 1)[0])

    def account(self) -> Account:
        rows = [["without memory", f"{100 * self.alone_before:.1f}", "-", "-"]]
        rows += [
            [
                f"with memory, leak {leak:g}",
                f"{100 * self.before_L[i]:.1f}",
                f"{self.time_L[i]:.0f}",
                "not yet at the end" if np.isnan(self.simulated_L[i]) else f"{self.simulated_L[i]:.0f}",
            ]
            for i, leak in enumerate(self.leak_L)
        ]
        return Account(
            "P4. Hybrids that no training example shows",
            "SFT shows pure chains only: four ways, with shares 28, 26, 24 and 22 %. Chains of two parts. Without "
            "memory the second part does not know the way of the first; with memory it does, and has seen only 'go "
            "on in the same way', apart from a small leak. Then GRPO (G = 16, rate 0.1) with synergy s = +0.3 on "
            "chains of success 0.5.",
            "Hybrids appear at the product of the masses at the branches, although SFT had none, and RL amplifies "
            "them.",
            f"Without memory this is exact: {100 * self.alone_before:.1f} % hybrids before RL, 1 minus the sum of "
            f"squared shares. The expected flow then stays at {100 * self.alone_flow:.0f} %: both parts have the "
            f"same shares, and an even mix is a saddle. Chance leaves it: {100 * self.alone_T[-1]:.0f} % at time "
            f"{self.time_T[-1]:.0f}, simulated. With memory the share before RL is the leak, whatever the product "
            f"says. RL brings hybrids to one half at time {', '.join(f'{t:.0f}' for t in self.time_L)} for leaks of "
            f"{', '.join(f'{x:g}' for x in self.leak_L)}: as the share to the power "
            f"{self.power:.2f}. Simulated runs are somewhat faster: chance helps to leave the rare side.".replace(
                "power -", "power −"
            ),
            "The claim holds for a model whose text does not say which way it has begun. A model that reads its own "
            "first part has that memory; then hybrids are rare, and RL finds them as slowly as any rare thing. The "
            "share of hybrids before RL, measured at branch points, tells the two cases apart.",
            ["policy", "hybrids before RL, %", "time to one half (flow)", "simulated"],
            rows,
            [
                Panel(
                    "before RL, pure chains shown in equal shares",
                    "number of ways",
                    "share of hybrids, %",
                    [
                        Curve("without memory", 0, list(self.ways_K), self.before_K.tolist()),
                        *(
                            Curve(
                                f"memory, leak {leak:g}",
                                1 + i,
                                list(self.ways_K),
                                [float(self.before_L[i])] * len(self.ways_K),
                            )
                            for i, leak in enumerate(self.leak_L)
                        ),
                    ],
                    log_x=True,
                    percent=True,
                ),
                Panel(
                    "under RL, s = +0.3 (without memory: simulated)",
                    "learning rate x steps",
                    "share of hybrids, %",
                    [
                        Curve("without memory", 0, self.time_T.tolist(), self.alone_T.tolist()),
                        *(
                            Curve(f"memory, leak {leak:g}", 1 + i, self.time_U.tolist(), self.curve_LU[i].tolist())
                            for i, leak in enumerate(self.leak_L)
                        ),
                    ],
                    log_x=True,
                    percent=True,
                    x_ticks=(1, 10, 100, 1000),
                ),
            ],
        )


def _hybrids(space: Space, pi: Array) -> Array:
    return np.asarray(pi[..., is_hybrid(space)].sum(-1))


def _first(times: Array, values: Array, target: float = 0.5) -> float:
    """Return when `values`, below target at first, reach it, linear between times; NaN if never."""
    reached = np.flatnonzero(values >= target)
    if not reached.size:
        return float("nan")
    i = reached[0]
    return float(np.interp(target, values[i - 1 : i + 1], times[i - 1 : i + 1])) if i else float(times[0])


SHARES = (0.28, 0.26, 0.24, 0.22)
LEAKS = (0.3, 0.1, 0.03, 0.01, 0.003)


def origin(seed: int = 0) -> Origin:
    """Run P4 (seconds)."""
    counts = (2, 3, 4, 6, 8, 16)
    pairs = [(chains(2, k), np.full(k, 1 / k)) for k in counts]
    before_K = [float(_hybrids(space, space.probability(logits_after_sft(space, even, 0.5)))) for space, even in pairs]
    fine = np.concatenate([[0.0], np.geomspace(1, 4000, 480)])
    record = sorted({0, *(int(x) for x in np.geomspace(10, 2000, 120))})
    at = np.array(record) * TRAINER.rate

    def both(leak: float | None) -> tuple[Array, Array]:
        """Return the share of hybrids of the flow at `fine` and the mean of simulated runs at `record`."""
        space = chains(2, 4, memory=leak is not None)
        q = success_with_synergy(space, np.full(4, 0.5), 0.3)
        theta = logits_after_sft(space, SHARES, leak or 0.5)
        runs = simulate(space, theta, q, TRAINER, record, replicas=100, seed=seed)
        return _hybrids(space, flow(space, theta, q, TRAINER, fine).pi_TC), _hybrids(space, runs.pi_TRC).mean(1)

    alone_flow, alone = both(None)
    found = [both(leak) for leak in LEAKS]
    curve = np.array([mixed for mixed, _ in found])
    return Origin(
        counts,
        np.array(before_K),
        LEAKS,
        curve[:, 0],
        np.array([_first(fine, mixed) for mixed, _ in found]),
        np.array([_first(at, mean) for _, mean in found]),
        float(alone_flow[0]),
        float(alone_flow[-1]),
        at[1::8],
        alone[1::8],
        curve[:, 1::12],
        fine[1::12],
    )
