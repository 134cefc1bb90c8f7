"""The tables about the ways that samples use, and about what the labels of ways are worth.

Promises: as `tables`; a corrected rate stands beside the rate as labelled, never in its place.
"""

from __future__ import annotations

from dataclasses import astuple

from midway.report.phrases import interval, p_value, percent, points
from midway.report.tables import PHASE, Table
from midway.results import Interval, Labeller, Results


def ways_tables(results: Results) -> list[Table]:
    """Return the tables that have rows; none where nothing was labelled."""
    if not results.ways.composition:
        return []
    tables = [
        _composition_table(results),
        _shares_table(results),
        _labels_table(results),
        _length_table(results),
        _correctness_table(results),
    ]
    return [table for table in tables if table.rows]


def _by_labeller(results: Results) -> bool:
    """Are the labels those of a labeller with a measured error, not of a program?"""
    return any(row.labeller for row in results.ways.composition)


def _composition_table(results: Results) -> Table:
    titles, ways = results.titles, results.ways
    mix = {(m.benchmark, m.arm, m.phase): m for m in ways.mix}
    rows: list[list[str]] = []
    strong: list[int] = []
    corrected = _by_labeller(results)
    for r in ways.composition:
        m = mix[r.benchmark, r.arm, r.phase]
        if r.arm == results.treatment:
            strong.append(len(rows))
        row = [
            r.benchmark,
            titles[r.arm],
            PHASE[r.phase],
            interval(r.rate),
            "n/a" if m.effective_ways is None else f"{m.effective_ways:.2f}",
            "n/a" if r.mean_tokens is None else f"{r.mean_tokens:.0f}",
            "" if m.moved is None else f"{points(m.moved)}",
            f"{m.labelled:,}",
        ]
        if corrected:
            row.insert(4, _undone(r.corrected, r.labeller))
        rows.append(row)
    head = [
        "benchmark",
        "arm",
        "phase",
        "two or more ways",
        "effective ways",
        "tokens",
        "moved by RL",
        "labelled samples",
    ]
    note = "Share of labelled samples that compose two or more ways (in the lab: besides splitting into parts), in percent; "
    note += "effective ways is exp(entropy) of the mix; "
    note += "moved by RL is how much of the mix RL turned to other ways (total variation, percent)."
    if corrected:
        head.insert(4, "corrected for labeller error")
        note += " The corrected column undoes the labeller's measured error and carries its uncertainty."
        note += " " + " ".join(_labelled_by(e) for e in ways.labellers)
        note += " That these texts are like the samples is an assumption."
    title = "Composition: solutions that use two or more ways"
    return Table("composition", title, note, head, rows, strong)


def _length_table(results: Results) -> Table:
    titles, corrected = results.titles, _by_labeller(results)
    rows = [
        [
            r.benchmark,
            titles[r.against],
            interval(r.unmatched, sign=True),
            interval(r.matched, sign=True),
            *([interval(r.corrected, sign=True) if r.corrected else "n/a"] if corrected else []),
            p_value(r.matched.p),
            percent(r.used),
        ]
        for r in results.ways.length_matched
    ]
    head = ["benchmark", "against", "difference", "at equal length"]
    return Table(
        id="length-matched",
        title="Composition of the treatment against other arms, as it is and at equal length",
        note="In points. Longer solutions show more ways whatever taught them; the matched column compares "
        "only samples of about the same length (twenty bins). “Used” is the share of samples with a partner.",
        head=[*head, *(["corrected for labeller error"] if corrected else []), "p", "used"],
        rows=rows,
    )


def _correctness_table(results: Results) -> Table:
    titles = results.titles
    return Table(
        id="composed-correct",
        title="Are composed solutions right more often?",
        note="Final models. pass@1 in percent of composed and of single-way samples; the matched "
        "difference compares them on the same question and at about the same length.",
        head=["benchmark", "arm", "composed", "single", "matched difference", "used"],
        rows=[
            [
                r.benchmark,
                titles[r.arm],
                points(r.composed),
                points(r.single),
                interval(r.matched, sign=True),
                percent(r.used),
            ]
            for r in results.ways.correctness
        ],
    )


def _undone(corrected: Interval | None, labeller: Labeller | None) -> str:
    if corrected:
        return interval(corrected)
    return "these labels cannot tell" if labeller and labeller.positives else "not measured"


def _labelled_by(labeller: Labeller) -> str:
    """Return who labelled and how often that is wrong."""
    name = labeller.name or "an unnamed labeller"
    hits, positives, rejections, negatives = astuple(labeller.counts)
    if not positives or not negatives or hits is None or rejections is None:
        return f"Labels by {name}, whose error was not measured."
    kinds, easy, hard = "", labeller.whole, labeller.halves
    if easy and hard:
        kinds = f" ({easy.hits} of {easy.positives} whole ones, {hard.hits} of {hard.positives} halves)"
    return (
        f"Labels by {name}: on texts of known truth it found two ways in {hits:,} of "
        f"{positives:,} that had them{kinds} and in {negatives - rejections:,} of {negatives:,} that did not."
    )


def _shares_table(results: Results) -> Table:
    """Final models only: the share of samples that use each way, corrected where the labeller's error for the way is known."""
    titles = results.titles
    final = {(s.benchmark, s.arm, s.phase) for s in results.scores if s.final}
    here = [r for r in results.ways.shares if (r.benchmark, r.arm, r.phase) in final]
    ways = sorted({r.way for r in here})
    known = any(r.corrected for r in here)
    cells = {(r.benchmark, r.arm, r.way): interval(r.corrected or r.rate) for r in here}
    rows: list[list[str]] = []
    strong: list[int] = []
    for benchmark, arm in dict.fromkeys((r.benchmark, r.arm) for r in here):
        if arm == results.treatment:
            strong.append(len(rows))
        rows.append([benchmark, titles[arm], *[cells.get((benchmark, arm, w), "n/a") for w in ways]])
    note = "Final models, percent of labelled samples; a sample with two ways counts for both."
    if known:
        note += " Corrected for the labeller's measured error on each way, where its labels can tell the way at all."
    return Table("ways-used", "How often each way is used", note, ["benchmark", "arm", *ways], rows, strong)


def _labels_table(results: Results) -> Table:
    titles = results.titles
    rows = [
        [
            r.benchmark,
            titles[r.arm],
            PHASE[r.phase],
            percent(r.same / r.samples) if r.samples else "n/a",
            percent((r.hits + r.negatives - r.rejections) / r.samples) if r.samples else "n/a",
            percent(r.positives / r.samples) if r.samples else "n/a",
            f"{r.hits:,} of {r.positives:,}",
            f"{r.negatives - r.rejections:,} of {r.negatives:,}",
            f"{r.samples:,}",
        ]
        for r in results.ways.program
    ]
    return Table(
        id="labels",
        title="The labels against a program that knows",
        note="Where a program can label the same samples. Two or more ways: as labelled, and in truth; found: of those with two ways; "
        "false alarms: of those without.",
        head=[
            "benchmark",
            "arm",
            "phase",
            "same ways",
            "labelled two",
            "truly two",
            "found",
            "false alarms",
            "samples",
        ],
        rows=rows,
    )
