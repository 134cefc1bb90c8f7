"""The charts of rows that a run has: differences, training data, what RL added, cost, samples. `curves` has the lines.

Promises: pure functions of the results; arms keep their colour from chart to chart; a chart without data is None; of series that are zero
throughout a sentence is made instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from midway.report.figures import Figure, short
from midway.report.phrases import (
    at_floor,
    base_rate,
    call,
    duration,
    interval,
    listed,
    percent,
    plural,
    points,
    repeats,
)
from midway.report.rows import Moved, Paired, Parts, moved, paired, parted
from midway.report.words import Controls, controls, main_benchmark, spent
from midway.results import Cost, Difference, Interval, Results, Score


def styles_of(results: Results) -> dict[str, int]:
    """Return each arm's colour: the treatment is always the first, the main control the second."""
    first = [results.treatment, results.control]
    names = [a.name for a in results.arms]
    order = [n for n in first if n in names] + [n for n in names if n not in first]
    return {n: i for i, n in enumerate(order)}


def nan(value: float | None) -> float:
    return float("nan") if value is None else value


def lead_chart(results: Results) -> Figure | None:
    """The one chart that carries the answer: the treatment minus every other arm on the main benchmark."""
    main = main_benchmark(results)
    if main is None:
        return None
    found, titles = controls(results), results.titles
    here = {r.against: r for r in results.differences if r.benchmark == main and r.difference.value is not None}
    rows = [_paired(results, here[name], found) for name in _order(results, found) if name in here]
    drawing = paired(
        rows,
        x_label=f"points of pass@1 on {main}, 95 % intervals",
        sides=("treatment worse", "treatment better"),
        describe="; ".join(f"{r.label} {r.text}" for r in rows),
    )
    return Figure(
        id="fig-differences",
        title=f"“{titles[results.treatment]}” minus the other arms",
        caption="Final models, paired on questions. Hollow: no difference is shown after correction for all comparisons.",
        panels=[(main, drawing)],
        head=["against", "difference [95 %], points", "what it is"],
        rows=[[r.label.removeprefix("minus "), r.text, r.note] for r in rows],
    )


def _order(results: Results, found: Controls) -> list[str]:
    """Return the arms as a reader needs them: the main control, controls for variety, the others, the base model."""
    matched = [r.against for r in found.matched]
    rest = [a.name for a in results.arms if a.midtrained or a.rl] + [a.name for a in results.arms]
    return list(dict.fromkeys([results.control, *matched, *rest]))


def _paired(results: Results, row: Difference, found: Controls) -> Paired:
    notes = ["main control"] if row.against == results.control else []
    if row.against in {r.against for r in found.matched}:
        rows = next(a.solutions or 0.0 for a in results.arms if a.name == row.against)
        again = f", {repeats(results)[row.against] / rows:.0%} repeats".replace("%", " %")
        notes.append(f"equal size{again if row.against in found.repeating else ''}")
    d = row.difference
    return Paired(
        label=f"minus {results.titles[row.against]}",
        value=100 * nan(d.value),
        low=100 * nan(d.low),
        high=100 * nan(d.high),
        style=styles_of(results)[row.against],
        text=interval(d, sign=True),
        shown=call(row) != "open",
        main=row.against == results.control,
        note=", ".join(notes),
        view=view(benchmark=row.benchmark, arm=row.arm, control=row.against),
    )


def view(screen: str = "questions", **state: str | int) -> str:
    """Return a screen of the viewer in a state: the part of its link after the run's name (docs/view.md)."""
    return f"{screen}?{urlencode(state)}"


def sets_chart(results: Results) -> Figure | None:
    """The treatment minus the main control on every set of questions, one by one; sets at floor are called so."""
    rows, table = [], []
    for bench in results.benchmarks:
        found = [r for r in results.differences if r.benchmark == bench.name and r.against == results.control]
        if not found or found[0].difference.value is None:
            continue
        row, floor = found[0], at_floor(results, bench.name)
        chance = "" if bench.chance is None else f"chance {percent(bench.chance)}"
        rows.append(
            Paired(
                label=bench.name,
                value=100 * row.difference.value if row.difference.value is not None else float("nan"),
                low=100 * nan(row.difference.low),
                high=100 * nan(row.difference.high),
                style=styles_of(results)[results.control],
                text=interval(row.difference, sign=True),
                shown=call(row) != "open",
                note=f"at floor: {floor}" if floor else chance,
                view=view(benchmark=bench.name, arm=row.arm, control=row.against),
            )
        )
        table.append([bench.name, interval(row.difference, sign=True), chance or "none", "yes" if floor else "no"])
    if len(rows) < 2:
        return None
    title = f"“{results.titles[results.treatment]}” minus “{results.titles[results.control]}”, set by set"
    return Figure(
        id="fig-sets",
        title=title,
        caption="Final models, paired on questions, 95 % intervals. Hollow: no difference is shown.",
        panels=[
            ("", paired(rows, x_label="points of pass@1", describe="; ".join(f"{r.label} {r.text}" for r in rows)))
        ],
        head=["set", "difference [95 %], points", "chance", "at floor"],
        rows=table,
    )


def forecast_chart(results: Results) -> Figure | None:
    """What was forecast (hollow) over what came out (filled): the lead, and both arms' gains over the base model."""
    made, main = results.forecast, main_benchmark(results)
    if made is None or main is None:
        return None
    rates = {s.arm: s.pass_at_1.value for s in results.scores if s.benchmark == main and s.final}
    base = base_rate(results, main)
    found = [r.difference for r in results.differences if (r.benchmark, r.against) == (main, results.control)]
    asked: list[tuple[str, Interval, Interval | None, int]] = []
    if made.lead is not None:
        asked.append(("lead over the main control", made.lead, found[0] if found else None, 0))
    for name, gain in made.arms.items():
        last, style = rates.get(name), styles_of(results).get(name, 1)
        came = None if last is None or base is None else Interval(last - base, None, None)
        asked.append((f"“{results.titles.get(name, name)}” over the base model", gain, came, style))
    rows = []
    for what, forecast, came, style in asked:
        rows.append(_ahead(f"{what}, forecast", forecast, style, shown=False))
        if came is not None and came.value is not None:
            rows.append(_ahead("came out", came, style, shown=True))
    if not any(row.shown for row in rows):
        return None
    return Figure(
        id="fig-forecast",
        title="Forecast and outcome",
        caption=f"Hollow: forecast before training, with its {100 * made.level:.0f} % interval. Filled: what came out, the lead with its "
        "95 % interval.",
        panels=[
            (main, paired(rows, x_label="points of pass@1", describe="; ".join(f"{r.label} {r.text}" for r in rows)))
        ],
        head=["what", "points"],
        rows=[[r.label, r.text] for r in rows],
    )


def _ahead(label: str, found: Interval, style: int, *, shown: bool) -> Paired:
    return Paired(
        label=label,
        value=100 * nan(found.value),
        low=100 * nan(found.low),
        high=100 * nan(found.high),
        style=style,
        text=interval(found, sign=True) if found.low is not None else points(found.value, sign=True),
        shown=shown,
    )


def data_chart(results: Results) -> Figure | None:
    """Solutions that each arm was mid-trained on: how many are different texts, how many repeat one."""
    repeated, names = repeats(results), ("different texts", "repeats")
    arms = [a for a in results.arms if a.solutions]
    rows = []
    for arm in arms:
        again = repeated[arm.name]
        text = (
            f"{arm.solutions:,.0f}"
            if round(again) <= 0
            else f"{(arm.solutions or 0) - again:,.0f} of {arm.solutions:,.0f}"
        )
        ways = "" if arm.ways is None else f" · {arm.ways:.1f} effective ways"
        parts = [(names[0], (arm.solutions or 0.0) - again), (names[1], again)]
        seen = view("solutions", arm=arm.name, seed=results.seeds[0] if results.seeds else 0)
        rows.append(Parts(label=f"{arm.title}{ways}", parts=parts, text=text, view=seen))
    if not rows:
        return None
    return Figure(
        id="fig-data",
        title="What each arm was mid-trained on",
        caption="Solutions, mean over seeds: different texts, and rows that repeat one of them to reach the same size.",
        panels=[
            ("", parted(rows, names, x_label="solutions", describe="; ".join(f"{r.label}: {r.text}" for r in rows)))
        ],
        head=["arm", "different texts", "repeats"],
        rows=[[a.title, f"{(a.solutions or 0) - repeated[a.name]:,.0f}", f"{repeated[a.name]:,.0f}"] for a in arms],
        swatches=[(name, i) for i, name in enumerate(names)],
    )


def gain_panel(results: Results) -> str:
    """Return before and after RL of every arm on the main benchmark; empty where no arm has both."""
    main = main_benchmark(results) or (results.benchmarks[0].name if results.benchmarks else "")
    rows = [
        Moved(
            label=results.titles[g.arm],
            before=100 * nan(g.before),
            after=100 * nan(g.after),
            style=styles_of(results)[g.arm],
            text=interval(g.gain, sign=True),
            view=view(benchmark=main, arm=g.arm, sort="gain"),
        )
        for g in results.gains
        if g.benchmark == main and g.gain.value is not None
    ]
    order = list(styles_of(results).values())
    rows.sort(key=lambda row: order.index(row.style))
    if not rows:
        return ""
    label = f"pass@1 on {main}, percent: before RL (hollow), after"
    return moved(rows, x_label=label, describe="; ".join(f"{r.label} {r.text}" for r in rows))


# Cost ---------------------------------------------------------------------------------------------------------------------

KINDS: Mapping[str, str] = {
    "generate": "generating",
    "verify": "judging",
    "score": "scoring adherence",
    "filter": "filtering questions",
    "select": "selecting",
    "midtrain": "mid-training",
    "rl": "RL",
    "evaluate": "evaluating",
    "labeller": "labelling",
    "label": "labelling",
}
"""Kinds of stages in words."""


def cost_panel(results: Results) -> tuple[str, list[tuple[str, int]]]:
    """Return the time of each arm, with its pools, by kind of work, and the key of the kinds; empty where nothing was recorded.

    Results of older versions do not say which pools an arm was trained on: pools then have bars of their own.
    """
    known = any(a.pools for a in results.arms)
    owners: dict[str, list[Cost]] = {}
    for c in results.cost:
        owners.setdefault(c.owner, []).append(c)
    bars: list[tuple[str, list[Cost]]] = []
    for arm in results.arms:
        pools = [part for pool in arm.pools for part in owners.get(f"pool {pool}", ())]
        bars.append((arm.title, [*owners.get(arm.name, ()), *pools]))
    own = {a.name for a in results.arms}
    bars += [
        (owner, parts) for owner, parts in owners.items() if owner not in own and not (known and owner[:5] == "pool ")
    ]
    names = [n for n in dict.fromkeys(KINDS.values()) if any(KINDS.get(c.part, c.part) == n for c in results.cost)]
    names += sorted({c.part for c in results.cost} - set(KINDS))
    rows = []
    for title, parts in bars:
        amounts = [(n, sum(c.seconds for c in parts if KINDS.get(c.part, c.part) == n)) for n in names]
        tokens = sum(c.tokens for c in parts)
        text = f"{duration(sum(s for _, s in amounts))}, {short(tokens)} tokens"
        if parts:
            rows.append(Parts(label=title, parts=amounts, text=text))
    drawn = [n for n in names if sum(s for r in rows for name, s in r.parts if name == n) > 0]
    if not drawn:
        return "", []
    return (
        parted(
            rows,
            names,
            x_label="time of the machine",
            amount=duration,
            describe="; ".join(f"{r.label}: {r.text}" for r in rows),
        ),
        [(n, names.index(n)) for n in drawn],
    )


def cost_rows(results: Results) -> list[list[str]]:
    """Return the table of what every part cost."""
    return [
        [
            results.titles.get(c.owner, c.owner),
            KINDS.get(c.part, c.part),
            duration(c.seconds),
            f"{c.tokens:,.0f}",
            f"{c.memory:,.0f} MB" if c.memory else "not measured",
        ]
        for c in results.cost
    ]


def lead_cost(results: Results) -> str:
    """Return how much dearer the treatment was than the main control; empty where that is not known."""
    mine, other = spent(results, results.treatment), spent(results, results.control)
    if not (mine[0] and other[0] and any(a.pools for a in results.arms)):
        return ""
    ratio = f"{mine[0] / other[0]:.1f} times the time"
    if mine[1] and other[1]:
        ratio += f" and {mine[1] / other[1]:.1f} times the tokens"
    titles = results.titles
    return f"“{titles[results.treatment]}”, with its pools, took {ratio} of “{titles[results.control]}”."


# What became of the samples -----------------------------------------------------------------------------------------------

FATES = ("right", "wrong", "no answer to be read", "not judged", "missing")
DRAWN = 1.0
"""Percent of samples without a verdict on an answer from which on a set is drawn."""


def fates_chart(results: Results) -> Figure | None:
    """What became of the samples of every final model; drawn where a model lost one in a hundred, else a sentence (`fates_say`)."""
    finals = [s for s in results.scores if s.final]
    panels, table = [], []
    for bench in results.benchmarks:
        rows = []
        for s in (s for s in finals if s.benchmark == bench.name):
            counts = _fates(s)
            total = sum(counts) or 1.0
            lost = sum(counts[2:]) / total
            cut = f", {percent(s.truncated)} cut off" if s.truncated else ""
            text = f"{percent(lost)} without a verdict on an answer{cut}"
            parts = [(name, 100 * n / total) for name, n in zip(FATES, counts, strict=True)]
            seen = view(benchmark=bench.name, arm=s.arm, filter="no-answer")
            rows.append(Parts(label=results.titles[s.arm], parts=parts, text=text, view=seen))
            table.append([bench.name, results.titles[s.arm], *[f"{n:,.0f}" for n in counts], percent(s.truncated)])
        if rows and any(name in FATES[2:] and share >= DRAWN for r in rows for name, share in r.parts):
            what = f"samples on {bench.name}"
            drawn = parted(
                rows, FATES, x_label="percent of samples", whole=100.0, amount="{:.1f} %".format, describe=what
            )
            panels.append((bench.name, drawn))
    if not table:
        return None
    return Figure(
        id="fig-fates",
        title="What became of the samples",
        caption="Final models, all seeds. Not judged and missing samples are in no rate, never counted as wrong.",
        panels=panels,
        head=["benchmark", "arm", *FATES, "cut off"],
        rows=table,
        swatches=[(name, i) for i, name in enumerate(FATES)],
    )


def _fates(s: Score) -> tuple[float, float, float, float, float]:
    """Return how many samples were right, wrong, without an answer, not judged, missing."""
    right = s.judged * (s.pass_at_1.value or 0.0)
    unread = s.judged * (s.no_answer or 0.0)
    return right, max(0.0, s.judged - right - unread), unread, float(s.unjudged), float(s.missing)


def fates_say(results: Results) -> str:
    """Return what became of the samples, in a sentence."""
    finals = [s for s in results.scores if s.final]
    samples = sum(s.samples for s in finals)
    if not samples:
        return "No final model has samples."
    lost = {
        ("was not judged", "were not judged"): sum(s.unjudged for s in finals),
        ("is missing", "are missing"): sum(s.missing for s in finals),
        ("has no answer that can be read", "have no answer that can be read"): sum(
            s.judged * (s.no_answer or 0.0) for s in finals
        ),
        ("was cut off at max_tokens", "were cut off at max_tokens"): sum(
            s.samples * (s.truncated or 0.0) for s in finals
        ),
    }
    some = [plural(n, *what) for what, n in lost.items() if round(n)]
    if not some:
        return f"All {samples:,} samples of the final models were finished, have an answer that can be read, and were judged."
    return f"Of {plural(samples, 'sample')} of the final models {listed(some)}; what is not judged or missing is in no rate."
