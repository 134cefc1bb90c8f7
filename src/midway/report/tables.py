"""The tables of the report, the same for HTML and Markdown.

Promises: pure functions of the results; every cell is text; a number that is not there is `n/a`, never 0, and 0 where it is 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from midway.report.phrases import at_floor, call, interval, p_value, percent, points, repeats
from midway.results import ArmSummary, Benchmark, Results, Score, Vendi
from midway.rundir.layout import AFTER_RL, BASE, BEFORE_RL
from midway.wording import plural


@dataclass(frozen=True, slots=True)
class Table:
    id: str
    title: str
    note: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    strong: Sequence[int] = ()
    """Rows that are printed bold: the treatment."""


PHASE = {BASE: "base", BEFORE_RL: "before RL", AFTER_RL: "after RL"}
"""A phase in words."""
NO_SAMPLES, NOT_MEASURED = "no samples", "not measured"
ONE_SEED = " With one seed an interval is over questions only: no variation between training runs is in it."


def score_tables(results: Results) -> list[Table]:
    """Return one table per benchmark, every arm in every phase, also the arms that have nothing."""
    out: list[Table] = []
    steps = any(s.steps_right is not None for s in results.scores)
    for bench in results.benchmarks:
        rows: list[list[str]] = []
        strong: list[int] = []
        if bench.absent:
            rows.append(["every arm", "n/a", NOT_MEASURED, *["n/a"] * (8 + steps)])
        for arm in () if bench.absent else results.arms:
            scores = [s for s in results.scores if s.arm == arm.name and s.benchmark == bench.name]
            scores.sort(key=lambda s: list(PHASE).index(s.phase))
            if not any(s.final for s in scores):
                row = [arm.title, "final", NO_SAMPLES, *["n/a"] * (8 + steps)]
                scores_rows = [_score(arm, s, steps) for s in scores]
                rows += [*scores_rows, row]
                continue
            for s in scores:
                if arm.name == results.treatment and s.final:
                    strong.append(len(rows))
                rows.append(_score(arm, s, steps))
        out.append(
            Table(
                id=f"scores-{len(out)}",
                title=_set_title(results, bench),
                note=""
                if out
                else "pass@1 and majority in percent with 95 % intervals. Unjudged and missing samples are left out of "
                "every rate, never counted as wrong. “No answer” is a share of judged samples: wrong in form."
                + (ONE_SEED if any(len(s.seeds) == 1 for s in results.scores) else ""),
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


def _set_title(results: Results, bench: Benchmark) -> str:
    """Return what a set is, with chance beside it, and whether it is at floor."""
    if bench.absent:
        return f"{bench.name}: not measured, its questions could not be had ({bench.absent})"
    title = f"{bench.name}: {plural(bench.questions, 'question')}, {plural(bench.samples, 'sample')} each"
    if bench.chance is not None:
        title += f"; chance {percent(bench.chance)}"
    floor = at_floor(results, bench.name)
    return f"{title}; at floor ({floor})" if floor else title


def _score(arm: ArmSummary, s: Score, steps: bool) -> list[str]:
    seeds = ", ".join(map(str, s.seeds)) if s.seeds else "fixed"
    return [
        arm.title,
        PHASE[s.phase],
        interval(s.pass_at_1) if s.pass_at_1.value is not None else "nothing judged",
        interval(s.majority) if s.majority else "n/a",
        percent(s.no_answer),
        percent(s.truncated),
        *([percent(s.steps_right)] if steps else []),
        f"{s.unjudged:,}",
        f"{s.missing:,}",
        "n/a" if s.mean_tokens is None else f"{s.mean_tokens:.0f}",
        f"{s.pass_at_1.questions:,}",
        seeds,
    ]


def greedy_table(results: Results) -> Table:
    titles = results.titles
    rows: list[list[str]] = []
    strong: list[int] = []
    for g in results.greedy:
        if g.arm == results.treatment and g.final:
            strong.append(len(rows))
        other = g.treatment_minus_this
        rows.append(
            [
                g.benchmark,
                titles[g.arm],
                PHASE[g.phase],
                interval(g.accuracy) if g.accuracy.value is not None else "nothing judged",
                "" if other is None else interval(other, sign=True),
                percent(g.no_answer),
                percent(g.truncated),
                f"{g.unjudged:,}",
                f"{g.missing:,}",
                "n/a" if g.mean_tokens is None else f"{g.mean_tokens:.0f}",
                f"{g.accuracy.questions:,}",
                ", ".join(map(str, g.seeds)) if g.seeds else "fixed",
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


def difference_table(results: Results) -> Table:
    titles = results.titles
    words = {"higher": "higher", "lower": "lower", "open": "not shown"}
    rows = [
        [
            r.benchmark,
            titles[r.against],
            interval(r.difference, sign=True),
            p_value(r.difference.p),
            p_value(r.p_holm),
            words[call(r)],
            p_value(r.p_questions),
            p_value(r.p_seeds),
            f"{r.difference.questions:,}",
            _seeds(r.difference.seeds),
            r.difference.over,
        ]
        for r in results.differences
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
    title = f"“{titles[results.treatment]}” minus every other arm" if results.treatment else "Differences"
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


def gain_table(results: Results) -> Table:
    titles = results.titles
    rows: list[list[str]] = []
    strong: list[int] = []
    for r in results.gains:
        if r.arm == results.treatment:
            strong.append(len(rows))
        other = r.treatment_minus_this
        rows.append(
            [
                r.benchmark,
                titles[r.arm],
                points(r.before),
                points(r.after),
                interval(r.gain, sign=True),
                p_value(r.p_holm),
                "" if other is None else interval(other, sign=True),
                _seeds(r.gain.seeds),
            ]
        )
    return Table(
        id="gains",
        title="What RL added: after minus before, in points of pass@1",
        note="Paired on questions and seeds. The last but one column answers: did RL gain more from the treatment's "
        "starting point than from this one?"
        + (ONE_SEED if any(r.gain.over == "questions" for r in results.gains) else ""),
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


def coverage_table(results: Results) -> Table:
    titles = results.titles
    rows = [
        [
            r.benchmark,
            titles[r.arm],
            _one(r.won),
            _one(r.lost),
            f"{r.questions:,}",
            "n/a" if r.samples is None else f"{r.samples:.0f}",
        ]
        for r in results.coverage
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


def _vendi(value: Vendi | None) -> str:
    return "n/a" if value is None else f"{value.score:.1f} of {value.of:.1f}"


def _count(value: float | None, asked: bool) -> str:
    """Return a number; 0 where the arm was not to have any, `n/a` where it was and none is known."""
    return f"{value:,.0f}" if value is not None else "n/a" if asked else "0"


def _of(repeated: Mapping[str, float], arm: ArmSummary) -> str:
    return percent(repeated[arm.name] / arm.solutions) if arm.solutions else ""


def arms_table(results: Results) -> Table:
    repeated = {a.name: 0.0 for a in results.arms} | repeats(results)
    rows: list[list[str]] = []
    strong: list[int] = []
    for a in results.arms:
        if a.name == results.treatment:
            strong.append(len(rows))
        role = {results.treatment: "treatment", results.control: "main control"}.get(a.name, "")
        rows.append(
            [
                a.title,
                a.name,
                role,
                _count(a.solutions, a.midtrained),
                _count(None if a.solutions is None else a.solutions - repeated[a.name], a.midtrained),
                _of(repeated, a),
                "" if a.ways is None else f"{a.ways:.1f}",
                "" if a.vendi is None else _vendi(a.vendi),
                "yes" if a.rl else "no",
                _count(a.rl_steps, a.rl),
            ]
        )
    head = ["arm", "name", "role", "solutions", "different texts", "repeats"]
    head += ["effective ways", "unlike texts a question", "RL", "RL steps"]
    if any(a.rl_note for a in results.arms):
        head.append("how RL was done")
        rows = [[*row, a.rl_note or ""] for row, a in zip(rows, results.arms, strict=True)]
    return Table(
        id="arms",
        title="Arms",
        note="Solutions: rows of mid-training, mean over seeds; repeats: the share of them that repeat another one word for word. "
        "Effective ways: exp(entropy) of their heuristics. Unlike texts a question (Vendi score): the solutions of one question count as "
        "this many texts that have no words in common, of how many there are (words and pairs of words; mean over up to 100 "
        "questions of one seed).",
        head=head,
        rows=rows,
        strong=strong,
    )


def engines_table(results: Results) -> Table:
    """What was asked of the engines and what came of it."""
    rows = []
    for a in results.answers:
        worst = sorted(a.by_heuristic.items(), key=lambda pair: -pair[1])[:3] if len(a.by_heuristic) > 1 else []
        rows.append(
            [
                a.name,
                f"{a.completions:,}",
                f"{a.failed:,}",
                f"{a.prompt_tokens:,.0f}",
                percent(a.cached_tokens / a.prompt_tokens if a.prompt_tokens else None),
                f"{a.completion_tokens:,.0f}",
                f"{a.completion_tokens / a.seconds:,.0f}" if a.seconds else "n/a",
                percent(a.cut / a.completions if a.completions else None),
                ", ".join(f"{name} {percent(share)}" for name, share in worst if share) or "none",
            ]
        )
    return Table(
        id="answers",
        title="What the engines did",
        note="Failed: requests without an answer after all attempts, asked again by the next command. From cache: share of the "
        "prompt tokens whose keys and values were there already. Tokens per second of the whole stage, with loading and, for "
        "evaluations, judging. Cut: completions that ended at max_tokens; the three heuristics with most of them.",
        head=["what", "completions", "failed", "tokens in", "from cache", "tokens out", "tokens/s", "cut", "cut most"],
        rows=rows,
    )


def funnel_table(results: Results) -> Table:
    """What was left of the samples after each step of selection."""
    steps = list(dict.fromkeys(s.step for f in results.funnel for s in f.steps))
    rows = [
        [results.titles[f.arm], *[f"{counts[s]:,.0f}" if s in counts else "" for s in steps]]
        for f, counts in ((f, {s.step: s.count for s in f.steps}) for f in results.funnel)
    ]
    return Table(
        id="funnel",
        title="From samples to solutions",
        note="What was left after each step of selection, mean over seeds; repeated: rows added again to reach the same size.",
        head=["arm", *steps],
        rows=rows,
    )
