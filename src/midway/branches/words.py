"""What was measured in a run as accounts: words, a table and a figure each, like those of the theory's predictions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from midway.branches.measure import Found, State
from midway.branches.predict import Learning
from midway.evidence import Estimate
from midway.rundir.layout import AFTER_RL, BASE, BEFORE_RL
from midway.theory.account import Account, Curve, Panel
from midway.wording import plural

WHEN = {BASE: "untrained", BEFORE_RL: "before RL", AFTER_RL: "after RL"}


def accounts(found: Found, learned: Sequence[Learning]) -> dict[str, Account]:
    """Return the accounts that there is something to say for: `entropy`, `ways`, `curves`."""
    out = {}
    if any(s.entropies for s in found.states):
        out["entropy"] = entropy_account(found)
    if any(s.mixes for s in found.states):
        out["ways"] = ways_account(found)
    if learned:
        out["curves"] = curves_account(found, learned)
    return out


def entropy_account(found: Found) -> Account:
    """Nats at branch points, a row for each model."""
    rows = []
    for state in found.states:
        e = state.entropies
        if e is not None:
            rows.append(
                (
                    _name(state),
                    _nats(e.first),
                    f"{np.exp(e.first.value):.2f}",
                    _nats(e.step),
                    _nats(e.inside),
                    f"{e.steps:.1f}",
                    f"{e.tokens:.0f}",
                )
            )
    head = ("model", "first token", "effective", "starts of steps", "within steps", "later steps", "tokens")
    panels = _drawn(
        Panel(
            title,
            "0: before RL, 1: after RL",
            "nats",
            [
                Curve(arm, n, [float(i) for i, _ in pairs], [value for _, value in pairs])
                for n, (arm, pairs) in enumerate(_phases(found, place).items())
            ],
            x_ticks=(0, 1),
        )
        for place, title in (("first", "First token"), ("step", "Starts of steps"), ("inside", "Within steps"))
    )
    return Account(
        f"Entropy at branch points: {found.run}",
        _setting(found)
        + " Nats of the whole next-token distribution at temperature 1, averaged over the tokens of a model's own answers; "
        "in brackets 95 % intervals over questions (and seeds). Effective: exp of the nats at the first token.",
        "",
        "",
        "",
        head,
        rows,
        panels,
    )


def ways_account(found: Found) -> Account:
    """Which ways are taken, and how often each succeeds, a row for each model."""
    ways = _common(found)
    rows = []
    for state in found.states:
        if not state.mixes:
            continue
        cells = []
        for way in ways:
            count = sum(m.count_W[m.ways.index(way)] for m in state.mixes.values())
            right = sum(m.right_W[m.ways.index(way)] for m in state.mixes.values())
            total = sum(m.samples for m in state.mixes.values())
            cells.append(f"{100 * count / total:.0f} % ({100 * right / count:.0f} %)" if count else "0")
        rows.append((_name(state), _points(state.success), f"{state.effective:.2f}", *cells))
    return Account(
        f"Ways: {found.run}",
        _setting(found)
        + " For each way the share of answers, and in brackets how often these are right. Effective: effective number of "
        "ways within a kind of question (exp of the entropy of their shares), averaged over kinds.",
        "",
        "",
        "",
        ("model", "right, %", "effective", *ways),
        rows,
        (),
    )


def curves_account(found: Found, learned: Sequence[Learning]) -> Account:
    """What the table predicted of each arm's RL, a row for each arm."""
    rows = [
        (
            one.title,
            f"{100 * one.measured_T[0]:.1f}",
            f"{100 * one.measured_gain:+.1f}",
            f"{100 * one.predicted_gain:+.1f}{' (fitted)' if one.fitted_on_itself else ''}"
            if np.isfinite(one.predicted_gain)
            else "no scale fits",
            f"{100 * one.change.choice:+.1f}",
            f"{100 * one.change.skill:+.1f}",
            f"{one.rate:.5f}",
            f"{100 * one.ceiling:.1f}",
            f"{one.scale:.3g}",
        )
        for one in learned
    ]
    known = [one for one in learned if np.isfinite(one.predicted_gain)]
    error = float(np.mean([abs(one.measured_gain - one.predicted_gain) for one in known])) if known else float("nan")
    none = float(np.mean([abs(one.measured_gain) for one in known])) if known else float("nan")
    curves = []
    for n, one in enumerate(learned):
        curves.append(Curve(f"{one.title}, measured", n, one.step_T, one.measured_T))
        if np.isfinite(one.predicted_gain):
            curves.append(Curve(f"{one.title}, predicted", n, one.step_T, one.predicted_T, thin=True))
    panels = _drawn([Panel("Measured, and predicted (thin)", "RL steps", "right", curves, percent=True)])
    return Account(
        f"Predicted and measured RL: {found.run}",
        f"{_setting(found)} Predicted: each kind of question has a table of the ways that the arm took before RL, with their success; one "
        "time scale, fitted on the other arms, or, where they give none, on all (fitted). Choice and skill: what the measured change is "
        "made of. All in points.",
        "",
        f"The prediction of an arm's gain is off by {100 * error:.1f} points on average; that nothing is gained, by {100 * none:.1f}.",
        "",
        ("arm", "before RL", "gain", "predicted", "choice", "skill", "rate at the start", "ceiling", "scale"),
        rows,
        panels,
    )


def _drawn(panels: Iterable[Panel]) -> list[Panel]:
    """Return the panels with something above 0 in them: there is no axis for the others."""
    return [panel for panel in panels if any(y > 0 for curve in panel.curves for y in curve.y)]


def _setting(found: Found) -> str:
    hot = "" if found.temperature == 1 else f" They were drawn at temperature {found.temperature:g}."
    return f"{plural(found.questions, 'question')} of {found.benchmark}, {plural(found.samples, 'answer')} each and seed.{hot}"


def _name(state: State) -> str:
    seeds = f", {plural(len(state.seeds), 'seed')}" if len(state.seeds) > 1 else ""
    return f"{state.title}, {WHEN[state.phase]}{seeds}"


def _phases(found: Found, place: str) -> dict[str, list[tuple[int, float]]]:
    """Return for each arm its nats before and after RL; an arm that starts from the base model begins with that."""
    out: dict[str, list[tuple[int, float]]] = {}
    for arm in dict.fromkeys(s.arm for s in found.states if s.phase != BASE):
        pair = [found.state(arm, phase) for phase in (BEFORE_RL, AFTER_RL)]
        values = [(i, getattr(s.entropies, place).value) for i, s in enumerate(pair) if s and s.entropies]
        values = [(i, v) for i, v in values if np.isfinite(v)]
        if values:
            title = next(s.title for s in found.states if s.arm == arm)
            out[title] = [(i, float(v)) for i, v in values]
    return out


def _common(found: Found, most: int = 8) -> list[str]:
    """Return the ways that are most common over all models, the most common first."""
    count: dict[str, int] = {}
    for state in found.states:
        for m in state.mixes.values():
            for way, n in zip(m.ways, m.count_W, strict=True):
                count[way] = count.get(way, 0) + n
    return sorted(count, key=lambda way: (-count[way], way))[:most]


def _nats(e: Estimate) -> str:
    if not np.isfinite(e.value):
        return "-"
    return f"{e.value:.3f}" + (f" [{e.low:.3f}, {e.high:.3f}]" if np.isfinite(e.low) else "")


def _points(e: Estimate) -> str:
    return f"{100 * e.value:.1f}" + (f" [{100 * e.low:.1f}, {100 * e.high:.1f}]" if np.isfinite(e.low) else "")
