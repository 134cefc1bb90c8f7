"""The tables of the report, the same for HTML and Markdown.

Promises: pure functions of the results dict; every cell is text; a number that is not there is `n/a`, never 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from midway.report.words import call, interval, p_value, points

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    id: str
    title: str
    note: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    strong: Sequence[int] = ()
    """Rows that are printed bold: the treatment."""


PHASE = {"base": "base", "before-rl": "before RL", "after-rl": "after RL"}
NO_SAMPLES = "no samples"
ONE_SEED = " With one seed an interval is over questions only: no variation between training runs is in it."


def score_tables(results: Json) -> list[Table]:
    """Return one table per benchmark, every arm in every phase, also the arms that have nothing."""
    out: list[Table] = []
    steps = any(s["steps_right"] is not None for s in results["scores"])
    for bench in results["benchmarks"]:
        rows: list[list[str]] = []
        strong: list[int] = []
        for arm in results["arms"]:
            scores = [s for s in results["scores"] if s["arm"] == arm["name"] and s["benchmark"] == bench["name"]]
            scores.sort(key=lambda s: list(PHASE).index(s["phase"]))
            if not any(s["final"] for s in scores):
                row = [arm["title"], "final", NO_SAMPLES, *["n/a"] * (8 + steps)]
                scores_rows = [_score(arm, s, steps) for s in scores]
                rows += [*scores_rows, row]
                continue
            for s in scores:
                if arm["name"] == results["treatment"] and s["final"]:
                    strong.append(len(rows))
                rows.append(_score(arm, s, steps))
        out.append(
            Table(
                id=f"scores-{len(out)}",
                title=f"{bench['name']}: {bench['questions']:,} questions, {bench['samples']} samples each",
                note=""
                if out
                else "pass@1 and majority in percent with 95 % intervals. Unjudged and missing samples are left out of "
                "every rate, never counted as wrong. “No answer” is a share of judged samples: wrong in form."
                + (ONE_SEED if any(len(s["seeds"]) == 1 for s in results["scores"]) else ""),
                head=[
                    "arm",
                    "phase",
                    "pass@1",
                    "majority of all",
                    "no answer",
                    "truncated",
                    *(["right for the right reason"] if steps else []),
                    "unjudged",
                    "missing",
                    "tokens",
                    "questions",
                    "seeds",
                ],
                rows=rows,
                strong=strong,
            )
        )
    return out


def _score(arm: Json, s: Json, steps: bool) -> list[str]:
    seeds = ", ".join(map(str, s["seeds"])) if s["seeds"] else "fixed"
    return [
        arm["title"],
        PHASE[s["phase"]],
        interval(s["pass_at_1"]) if s["pass_at_1"]["value"] is not None else "nothing judged",
        interval(s["majority"]) if s["majority"] else "n/a",
        percent(s["no_answer"]),
        percent(s["truncated"]),
        *([percent(s["steps_right"])] if steps else []),
        f"{s['unjudged']:,}",
        f"{s['missing']:,}",
        "n/a" if s["mean_tokens"] is None else f"{s['mean_tokens']:.0f}",
        f"{s['pass_at_1']['questions']:,}",
        seeds,
    ]


def greedy_table(results: Json) -> Table:
    titles = {a["name"]: a["title"] for a in results["arms"]}
    rows: list[list[str]] = []
    strong: list[int] = []
    for g in results["greedy"]:
        if g["arm"] == results["treatment"] and g["final"]:
            strong.append(len(rows))
        other = g["treatment_minus_this"]
        rows.append(
            [
                g["benchmark"],
                titles[g["arm"]],
                PHASE[g["phase"]],
                interval(g["accuracy"]) if g["accuracy"]["value"] is not None else "nothing judged",
                "" if other is None else interval(other, sign=True),
                percent(g["no_answer"]),
                percent(g["truncated"]),
                f"{g['unjudged']:,}",
                f"{g['missing']:,}",
                "n/a" if g["mean_tokens"] is None else f"{g['mean_tokens']:.0f}",
                f"{g['accuracy']['questions']:,}",
                ", ".join(map(str, g["seeds"])) if g["seeds"] else "fixed",
            ]
        )
    head = ["benchmark", "arm", "phase", "greedy accuracy", "treatment minus this", "no answer", "truncated"]
    return Table(
        id="greedy",
        title="Greedy decoding: one answer a question, at temperature 0",
        note="In percent, with 95 % intervals. Apart from the drawn samples: greedy answers are in no pass@k, majority or verdict. The "
        "differences are not corrected for their number.",
        head=[*head, "unjudged", "missing", "tokens", "questions", "seeds"],
        rows=rows,
        strong=strong,
    )


def percent(share: float | None) -> str:
    return "n/a" if share is None else f"{points(share)} %"


def difference_table(results: Json) -> Table:
    titles = {a["name"]: a["title"] for a in results["arms"]}
    words = {"higher": "higher", "lower": "lower", "open": "not shown"}
    rows = [
        [
            r["benchmark"],
            titles[r["against"]],
            interval(r["difference"], sign=True),
            p_value(r["difference"]["p"]),
            p_value(r["p_holm"]),
            words[call(r)],
            p_value(r["p_questions"]),
            p_value(r["p_seeds"]),
            f"{r['difference']['questions']:,}",
            _seeds(r["difference"]["seeds"]),
            r["difference"]["over"],
        ]
        for r in results["differences"]
    ]
    head = [
        "benchmark",
        "against",
        "difference",
        "p",
        "p (Holm)",
        "treatment is",
        "p (questions)",
        "p (seeds)",
        "questions",
        "seeds",
        "interval over",
    ]
    over = {row[-1] for row in rows}
    if len(over) == 1:
        rows, head = [row[:-1] for row in rows], head[:-1]
    title = f"“{titles[results['treatment']]}” minus every other arm" if results["treatment"] else "Differences"
    return Table(
        id="differences",
        title=f"{title}, in points of pass@1",
        note="Paired on questions. p (Holm) is corrected over all rows of a benchmark. p (questions) is the sign-flip "
        "test for these trained models (exact where every question has as many samples), p (seeds) the exact "
        "permutation of training runs: with 3 against 3 it cannot be below 0.100."
        + (ONE_SEED if "questions" in over else "")
        + (f" All intervals are over {over.pop()}." if len(over) == 1 else ""),
        head=head,
        rows=rows,
    )


def _seeds(seeds: Sequence[int]) -> str:
    return " vs ".join(str(s) if s else "fixed" for s in seeds)


def gain_table(results: Json) -> Table:
    titles = {a["name"]: a["title"] for a in results["arms"]}
    rows: list[list[str]] = []
    strong: list[int] = []
    for r in results["gains"]:
        if r["arm"] == results["treatment"]:
            strong.append(len(rows))
        other = r["treatment_minus_this"]
        rows.append(
            [
                r["benchmark"],
                titles[r["arm"]],
                points(r["before"]),
                points(r["after"]),
                interval(r["gain"], sign=True),
                p_value(r["p_holm"]),
                "" if other is None else interval(other, sign=True),
                _seeds(r["gain"]["seeds"]),
            ]
        )
    return Table(
        id="gains",
        title="What RL added: after minus before, in points of pass@1",
        note="Paired on questions and seeds. The last but one column answers: did RL gain more from the treatment's "
        "starting point than from this one?"
        + (ONE_SEED if any(r["gain"]["over"] == "questions" for r in results["gains"]) else ""),
        head=[
            "benchmark",
            "arm",
            "before RL",
            "after RL",
            "RL gain",
            "p (Holm)",
            "treatment's gain minus this",
            "seeds",
        ],
        rows=rows,
        strong=strong,
    )


def coverage_table(results: Json) -> Table:
    titles = {a["name"]: a["title"] for a in results["arms"]}
    rows = [
        [
            r["benchmark"],
            titles[r["arm"]],
            _one(r["won"]),
            _one(r["lost"]),
            f"{r['questions']:,}",
            "n/a" if r["samples"] is None else f"{r['samples']:.0f}",
        ]
        for r in results["coverage"]
    ]
    return Table(
        id="coverage",
        title="Coverage kept or lost against the base model",
        note="Expected number of questions solved at least once by the arm and never by the base, and the reverse, at "
        "the same number of samples of each question. Mean over seeds. Sampling luck alone makes both positive.",
        head=["benchmark", "arm", "won", "lost", "of questions", "at samples"],
        rows=rows,
    )


def _one(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.1f}"


def ways_tables(results: Json) -> list[Table]:
    titles = {a["name"]: a["title"] for a in results["arms"]}
    ways = results["ways"]
    if not ways["composition"]:
        return []
    mix = {(m["benchmark"], m["arm"], m["phase"]): m for m in ways["mix"]}
    rows: list[list[str]] = []
    strong: list[int] = []
    corrected = any(r["labeller"] for r in ways["composition"])
    for r in ways["composition"]:
        m = mix[r["benchmark"], r["arm"], r["phase"]]
        if r["arm"] == results["treatment"]:
            strong.append(len(rows))
        row = [
            r["benchmark"],
            titles[r["arm"]],
            PHASE[r["phase"]],
            interval(r["rate"]),
            "n/a" if m["effective_ways"] is None else f"{m['effective_ways']:.2f}",
            "n/a" if r["mean_tokens"] is None else f"{r['mean_tokens']:.0f}",
            "" if m["moved"] is None else f"{points(m['moved'])}",
            f"{m['labelled']:,}",
        ]
        if corrected:
            row.insert(4, _undone(r["corrected"], r["labeller"]))
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
        note += " " + " ".join(_labelled_by(e) for e in ways["labellers"])
        note += " That these texts are like the samples is an assumption."
    out = [Table("composition", "Composition: solutions that use two or more ways", note, head, rows, strong)]
    out += [t for t in (_shares_table(results), _labels_table(results)) if t.rows]
    if ways["length_matched"]:
        out.append(
            Table(
                id="length-matched",
                title="Composition of the treatment against other arms, as it is and at equal length",
                note="In points. Longer solutions show more ways whatever taught them; the matched column compares "
                "only samples of about the same length (twenty bins). “Used” is the share of samples with a partner.",
                head=[
                    "benchmark",
                    "against",
                    "difference",
                    "at equal length",
                    *(["corrected for labeller error"] if corrected else []),
                    "p",
                    "used",
                ],
                rows=[
                    [
                        r["benchmark"],
                        titles[r["against"]],
                        interval(r["unmatched"], sign=True),
                        interval(r["matched"], sign=True),
                        *([interval(r["corrected"], sign=True) if r["corrected"] else "n/a"] if corrected else []),
                        p_value(r["matched"]["p"]),
                        percent(r["used"]),
                    ]
                    for r in ways["length_matched"]
                ],
            )
        )
    if ways["correctness"]:
        out.append(
            Table(
                id="composed-correct",
                title="Are composed solutions right more often?",
                note="Final models. pass@1 in percent of composed and of single-way samples; the matched "
                "difference compares them on the same question and at about the same length.",
                head=["benchmark", "arm", "composed", "single", "matched difference", "used"],
                rows=[
                    [
                        r["benchmark"],
                        titles[r["arm"]],
                        points(r["composed"]),
                        points(r["single"]),
                        interval(r["matched"], sign=True),
                        percent(r["used"]),
                    ]
                    for r in ways["correctness"]
                ],
            )
        )
    return out


def _undone(corrected: Json | None, labeller: Json | None) -> str:
    if corrected:
        return interval(corrected)
    return "these labels cannot tell" if labeller and labeller.get("positives") else "not measured"


def _labelled_by(error: Json) -> str:
    """Return who labelled and how often that is wrong."""
    hits, positives, rejections, negatives = (error.get(k) for k in ("hits", "positives", "rejections", "negatives"))
    if not positives or not negatives or hits is None or rejections is None:
        return f"Labels by {error.get('name', 'an unnamed labeller')}, whose error was not measured."
    kinds = ""
    if isinstance(error.get("whole"), dict) and isinstance(error.get("halves"), dict):
        easy, hard = error["whole"], error["halves"]
        kinds = f" ({easy['hits']} of {easy['positives']} whole ones, {hard['hits']} of {hard['positives']} halves)"
    return (
        f"Labels by {error.get('name', 'an unnamed labeller')}: on texts of known truth it found two ways in {hits:,} of "
        f"{positives:,} that had them{kinds} and in {negatives - rejections:,} of {negatives:,} that did not."
    )


def _shares_table(results: Json) -> Table:
    """Final models only: the share of samples that use each way, corrected where the labeller's error for the way is known."""
    titles = {a["name"]: a["title"] for a in results["arms"]}
    final = {(s["benchmark"], s["arm"], s["phase"]) for s in results["scores"] if s["final"]}
    here = [r for r in results["ways"]["shares"] if (r["benchmark"], r["arm"], r["phase"]) in final]
    ways = sorted({r["way"] for r in here})
    known = any(r["corrected"] for r in here)
    cells = {(r["benchmark"], r["arm"], r["way"]): interval(r["corrected"] or r["rate"]) for r in here}
    rows: list[list[str]] = []
    strong: list[int] = []
    for benchmark, arm in dict.fromkeys((r["benchmark"], r["arm"]) for r in here):
        if arm == results["treatment"]:
            strong.append(len(rows))
        rows.append([benchmark, titles[arm], *[cells.get((benchmark, arm, w), "n/a") for w in ways]])
    note = "Final models, percent of labelled samples; a sample with two ways counts for both."
    if known:
        note += " Corrected for the labeller's measured error on each way, where its labels can tell the way at all."
    return Table("ways-used", "How often each way is used", note, ["benchmark", "arm", *ways], rows, strong)


def _labels_table(results: Json) -> Table:
    titles = {a["name"]: a["title"] for a in results["arms"]}
    rows = [
        [
            r["benchmark"],
            titles[r["arm"]],
            PHASE[r["phase"]],
            percent(r["same"] / r["samples"]) if r["samples"] else "n/a",
            percent((r["hits"] + r["negatives"] - r["rejections"]) / r["samples"]) if r["samples"] else "n/a",
            percent(r["positives"] / r["samples"]) if r["samples"] else "n/a",
            f"{r['hits']:,} of {r['positives']:,}",
            f"{r['negatives'] - r['rejections']:,} of {r['negatives']:,}",
            f"{r['samples']:,}",
        ]
        for r in results["ways"]["program"]
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


def _vendi(value: Json | None) -> str:
    return "n/a" if value is None else f"{value['score']:.1f} of {value['of']:.1f}"


def arms_table(results: Json) -> Table:
    rows: list[list[str]] = []
    strong: list[int] = []
    for a in results["arms"]:
        if a["name"] == results["treatment"]:
            strong.append(len(rows))
        role = {results["treatment"]: "treatment", results["control"]: "main control"}.get(a["name"], "")
        rows.append(
            [
                a["title"],
                a["name"],
                role,
                "n/a" if a["solutions"] is None else f"{a['solutions']:,.0f}",
                "n/a" if a["ways"] is None else f"{a['ways']:.1f}",
                _vendi(a["vendi"]),
                "yes" if a["rl"] else "no",
                "n/a" if a["rl_steps"] is None else f"{a['rl_steps']:,}",
            ]
        )
    return Table(
        id="arms",
        title="Arms",
        note="Solutions: kept for mid-training, mean over seeds. Effective ways: exp(entropy) of their heuristics. "
        "Vendi score: how many different texts the solutions of one question amount to, of how many (words and pairs "
        "of words; mean over up to 100 questions of one seed).",
        head=["arm", "name", "role", "solutions", "effective ways", "Vendi score", "RL", "RL steps"],
        rows=rows,
        strong=strong,
    )
