"""The questions of the report and their answers: a heading, two sentences, a chart, and the tables behind it.

Promises: pure functions of the results; a section without data is left out, or says in its sentences why there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from midway.report.charts import (
    cost_panel,
    cost_rows,
    data_chart,
    fates_chart,
    fates_say,
    forecast_chart,
    gain_panel,
    lead_cost,
    sets_chart,
)
from midway.report.curves import BAND, coverage_chart, learning_panel, more_curves, ways_chart
from midway.report.figures import Figure
from midway.report.phrases import (
    at_floor,
    base_rate,
    call,
    excludes_zero,
    interval,
    listed,
    main_benchmark,
    percent,
    plural,
    points,
)
from midway.report.tables import (
    Table,
    arms_table,
    coverage_table,
    difference_table,
    engines_table,
    funnel_table,
    gain_table,
    greedy_table,
    score_tables,
)
from midway.report.tables_ways import ways_tables
from midway.report.words import cost, variety_answer
from midway.results import Difference, Estimate, Results


@dataclass(frozen=True, slots=True)
class Section:
    """A question that a reader has."""

    id: str
    question: str
    sentences: Sequence[str]
    chart: Figure | None = None
    tables: Sequence[Table] = ()
    more: Sequence[Figure] = ()
    """Charts that are folded with the tables."""


def sections(results: Results) -> list[Section]:
    """Return the questions that the run says something about, in the order in which a reader asks them."""
    found = [
        _forecast(results),
        _variety(results),
        _rl(results),
        _cost(results),
        _coverage(results),
        _sets(results),
        _ways(results),
        _trust(results),
    ]
    return [section for section in found if section is not None]


def _full(tables: Sequence[Table]) -> list[Table]:
    return [table for table in tables if table.rows]


def _forecast(results: Results) -> Section | None:
    made = results.forecast
    if made is None:
        return None
    lead, main = made.lead, main_benchmark(results)
    level = f"{100 * made.level:.0f} %"
    came = [r for r in results.differences if (r.benchmark, r.against) == (main, results.control)]
    sentences, rows = [], []
    if lead is not None:
        text = f"Before the run a lead of {interval(lead, sign=True)} points ({level} interval) was forecast"
        outcome = came[0].difference.value if came else None
        if outcome is None:
            text += "; no outcome is there to compare it with."
        elif lead.low is not None and lead.high is not None:
            where = "inside" if lead.low <= outcome <= lead.high else "outside"
            text += f"; it came out at {interval(came[0].difference, sign=True)}, {where} that interval."
        else:
            text += f"; it came out at {interval(came[0].difference, sign=True)}."
        sentences.append(text)
        rows.append(["lead over the main control", interval(lead, sign=True), _outcome(came)])
    rates = {s.arm: s.pass_at_1.value for s in results.scores if s.benchmark == main and s.final}
    base = base_rate(results, main) if main else None
    for name, gain in made.arms.items():
        last = rates.get(name)
        got = "n/a" if last is None or base is None else points(last - base, sign=True)
        rows.append([f"“{results.titles.get(name, name)}” over the base model", interval(gain, sign=True), got])
    if not made.pre_registered:
        sentences.append("It was made when training had already begun: it is no forecast.")
    elif made.same_recipe is False:
        sentences.append("It was made of another recipe than this run's.")
    if made.text:
        sentences.append(made.text.strip())
    table = Table(
        id="forecast-table",
        title="Forecast and outcome",
        note=f"In points of pass@1. Forecast made at {made.made_at or 'a time that is not recorded'}; outcome with 95 % intervals.",
        head=["what", f"forecast [{level}]", "outcome [95 %]"],
        rows=rows,
    )
    return Section("forecast", "Was it forecast?", sentences, forecast_chart(results), [table])


def _outcome(rows: Sequence[Difference]) -> str:
    return interval(rows[0].difference, sign=True) if rows else "n/a"


def _variety(results: Results) -> Section | None:
    if not results.treatment or not any(a.midtrained for a in results.arms):
        return None
    sentences = variety_answer(results) if main_benchmark(results) else []
    tables = _full([arms_table(results), difference_table(results), funnel_table(results)])
    return Section("variety", "Was it the variety or more data?", sentences, data_chart(results), tables)


def _rl(results: Results) -> Section | None:
    panel, main = gain_panel(results), main_benchmark(results)
    title, learning, rows = learning_panel(results, "step")
    if not panel and not learning:
        return None
    sentences = []
    mine = [g for g in results.gains if (g.benchmark, g.arm) == (main, results.treatment)]
    if mine and mine[0].gain.value is not None:
        added = _shown(mine[0].gain, mine[0].p_holm)
        sentences.append(
            f"RL {added} “{results.titles[results.treatment]}” on {main}: {interval(mine[0].gain, sign=True)} points."
        )
    other = [g for g in results.gains if (g.benchmark, g.arm) == (main, results.control)]
    if other and other[0].gain.value is not None and results.control != results.treatment:
        text = f"To “{results.titles[results.control]}” it added {interval(other[0].gain, sign=True)}"
        against = other[0].treatment_minus_this
        if against is not None and against.value is not None:
            text += f"; the treatment's gain minus this is {interval(against, sign=True)}"
        sentences.append(text + ".")
    panels = [(f"before and after RL, {main}", panel)] if panel else []
    panels += [(title, learning)] if learning else []
    band = f" {BAND}" if learning and len(results.seeds) > 1 else ""
    chart = Figure(
        id="fig-rl",
        title="What RL added",
        caption=f"Numbers at the right: gain in points with its 95 % interval, paired on questions and seeds.{band}",
        panels=panels,
        head=["quantity", "arm", "RL steps", "mean over seeds", "lowest to highest seed"],
        rows=rows
        or [["gain", results.titles[g.arm], g.benchmark, interval(g.gain, sign=True), ""] for g in results.gains],
    )
    return Section("rl", "Did RL add to it?", sentences, chart, _full([gain_table(results)]), more_curves(results))


def _shown(gain: Estimate, p_holm: float | None) -> str:
    if not excludes_zero(gain) or p_holm is None or p_holm >= 0.05:
        return "is not shown to add to"
    return "added to" if (gain.value or 0.0) > 0 else "took away from"


def _cost(results: Results) -> Section | None:
    text = cost(results)
    if not text:
        return None
    panel, kinds = cost_panel(results)
    title, learning, _ = learning_panel(results, "tokens")
    panels = [("time and tokens of each arm", panel)] if panel else []
    panels += [(title, learning)] if learning else []
    dearer = lead_cost(results)
    first = text.split(" “", 1)[0]
    pools = "each arm with the pools it was mid-trained on; a pool that several arms share is in each of them"
    if not any(a.pools for a in results.arms):
        pools = "pools of solutions on lines of their own"
    chart = Figure(
        id="fig-cost",
        title="What it cost",
        caption=f"All seeds together, {pools}. In the curve equal x is about equal work: generation of the arm's pools, "
        "mid-training and RL.",
        panels=panels,
        head=["owner", "stage", "time", "tokens", "peak memory"],
        rows=cost_rows(results),
        swatches=kinds,
    )
    return Section("cost", "What did it cost?", [s for s in (first, dearer) if s], chart if panels else None)


def _coverage(results: Results) -> Section | None:
    chart, main = coverage_chart(results), main_benchmark(results)
    if chart is None:
        return None
    sentences = []
    mine = [c for c in results.coverage if (c.benchmark, c.arm) == (main, results.treatment)]
    if mine and mine[0].won is not None and mine[0].lost is not None:
        k = f"{mine[0].samples:.0f} samples" if mine[0].samples else "as many samples"
        sentences.append(
            f"Of {plural(mine[0].questions, 'question')} of {main}, at {k} each, “{results.titles[results.treatment]}” reaches "
            f"{mine[0].won:.1f} that the base model does not, and loses {mine[0].lost:.1f} that the base model reaches."
        )
        sentences.append("Sampling luck alone makes both numbers positive.")
    return Section("kept", "Is coverage kept?", sentences, chart, _full([coverage_table(results)]))


def _sets(results: Results) -> Section | None:
    tables = _full([*score_tables(results), greedy_table(results)])
    if not tables:
        return None
    floors = [f"{b.name} ({why})" for b in results.benchmarks if (why := at_floor(results, b.name))]
    rows = [r for r in results.differences if r.against == results.control and r.difference.value is not None]
    words = {"higher": "higher", "lower": "lower", "open": "not shown to differ"}
    by = {w: [r.benchmark for r in rows if call(r) == c] for c, w in words.items()}
    sentences = []
    if rows:
        parts = [f"{word} on {listed(names, 8)}" for word, names in by.items() if names]
        lead, control = results.titles[results.treatment], results.titles[results.control]
        sentences.append(f"Against “{control}”, “{lead}” is {'; '.join(parts)}.")
    if floors:
        are = "is" if len(floors) == 1 else "are"
        sentences.append(f"{listed(floors, 8)} {are} at floor: differences there say little.")
    return Section("sets", "Does it hold on every set of questions?", sentences, sets_chart(results), tables)


def _ways(results: Results) -> Section | None:
    chart, main = ways_chart(results), main_benchmark(results)
    if chart is None:
        if not results.scores:
            return None
        none = "Nothing labelled the ways of the samples, so this run cannot say which ways survive; `labels.by` in the recipe asks for it."
        return Section("ways", "Which ways survive?", [none])
    sentences = []
    mixes = {(m.arm, m.phase): m for m in results.ways.mix if m.benchmark == main}
    for arm in dict.fromkeys((results.treatment, results.control)):
        found = [m for (of, _), m in mixes.items() if of == arm and m.effective_ways is not None]
        found.sort(key=lambda m: ("base", "before-rl", "after-rl").index(m.phase))
        if found:
            moved, last = found[-1].moved, found[-1].effective_ways
            how = "" if moved is None else f"; RL turned {points(moved)} % of its mix to other ways"
            path = f"{last:.1f} effective ways"
            if len(found) > 1:
                path = f"{found[-2].effective_ways:.1f} effective ways before RL and {last:.1f} after"
            sentences.append(f"On {main} “{results.titles[arm]}” has {path}{how}.")
    return Section("ways", "Which ways survive?", sentences, chart, ways_tables(results))


def _trust(results: Results) -> Section | None:
    sentences = [fates_say(results)]
    if results.problems:
        sentences.append(
            f"{plural(len(results.problems), 'thing is', 'things are')} missing or failed, and none of it is counted as wrong."
        )
    right = [
        s for s in results.scores if s.final and s.arm == results.treatment and s.benchmark == main_benchmark(results)
    ]
    if right and right[0].steps_right is not None:
        sentences.append(
            f"Of the treatment's right samples {percent(right[0].steps_right)} are right in every step that a program checked."
        )
    return Section(
        "trust", "Can the numbers be trusted?", sentences, fates_chart(results), _full([engines_table(results)])
    )
