"""From what a run directory holds to results: scores, differences, gains, coverage. `ways` and `training` have the other parts.

Promises: no file is touched here; every number of the report is in the results; what cannot be computed is None, with the reason in
`problems`. Estimates carry their interval, the number of questions and what the interval covers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from midway.evidence import (
    difference,
    difference_of_gains,
    effective_number,
    gain,
    holm,
    label_permutation,
    mean,
    pass_at_k,
    sign_flip,
)
from midway.results.contents import Contents
from midway.results.numbers import estimate, number, over_questions, over_seeds, pass1, shape
from midway.results.samples import Evaluation
from midway.results.training import cost, curves, funnels, replays, rl_steps, work_of_engines
from midway.results.types import (
    ArmSummary,
    Benchmark,
    Coverage,
    Difference,
    Estimate,
    Gain,
    GreedyScore,
    PassAtK,
    Results,
    Score,
)
from midway.results.ways import ways_of

Array = NDArray[np.float64]


def compute(run: Contents) -> Results:
    """Return all results of a run."""
    return Results(
        name=run.name,
        created=run.created,
        digest=run.digest,
        versions=run.versions,
        treatment=run.treatment,
        control=run.control,
        seeds=run.seeds,
        arms=tuple(_summary(run, name) for name in run.arms),
        benchmarks=tuple(
            Benchmark(b, len(run.questions[b]), run.expected.get(b, 0), run.chance.get(b), run.absent.get(b))
            for b in run.benchmarks
        ),
        scores=tuple(_score(run, ev) for ev in run.evaluations.values()),
        greedy=tuple(_greedy(run, ev, ev.greedy) for ev in run.evaluations.values() if ev.greedy),
        differences=tuple(_differences(run)),
        gains=tuple(_gains(run)),
        pass_at_k=tuple(_pass_at_k(run)),
        coverage=tuple(_coverage(run)),
        ways=ways_of(run),
        funnel=tuple(funnels(run)),
        curves=tuple(curves(run)),
        cost=tuple(cost(run)),
        answers=tuple(work_of_engines(run)),
        problems=tuple(run.problems),
        alarms=tuple(run.alarms),
        replay=tuple(replays(run)),
        forecast=run.forecast,
        title=run.title or None,
        recipe=run.recipe_text or None,
    )


def _summary(run: Contents, name: str) -> ArmSummary:
    arm = run.arms[name]
    kept = [counts for (of, _), counts in run.solutions.items() if of == name]
    texts = [n for (of, _), n in run.distinct.items() if of == name]
    merged: dict[str, int] = {}
    for counts in kept:
        for heuristic, n in counts.items():
            merged[heuristic] = merged.get(heuristic, 0) + n
    return ArmSummary(
        name=name,
        title=arm.title,
        midtrained=arm.midtrained,
        rl=arm.rl,
        solutions=sum(merged.values()) / len(kept) if kept else None,
        ways=number(effective_number(list(merged.values()))) if kept else None,
        vendi=run.vendi.get(name),
        rl_steps=rl_steps(run, name),
        rl_note=arm.rl_note or None,
        distinct=sum(texts) / len(texts) if texts else None,
        pools=arm.pools,
    )


def _score(run: Contents, ev: Evaluation) -> Score:
    judged, rows = float(ev.judged.sum()), float(ev.rows.sum())
    expected = run.expected.get(ev.benchmark, 0) * len(run.questions[ev.benchmark]) * len(ev.seeds)
    return Score(
        benchmark=ev.benchmark,
        arm=ev.arm,
        phase=ev.phase,
        final=ev.phase == run.arms[ev.arm].final_phase,
        seeds=() if ev.fixed else ev.seeds,
        pass_at_1=estimate(mean(pass1(ev))),
        majority=estimate(mean(shape(ev, ev.majority))) if np.isfinite(ev.majority).any() else None,
        samples=int(rows),
        judged=int(judged),
        unjudged=int(ev.unjudged.sum()),
        missing=max(0, expected - int(rows)),
        no_answer=_share(ev.no_answer, judged),
        truncated=_share(ev.truncated, rows),
        mean_tokens=_share(ev.tokens, rows),
        steps_right=_share(ev.steps_right, float(ev.steps_known.sum())),
    )


def _share(counts: Array, of: float) -> float | None:
    return number(float(counts.sum() / of)) if of else None


def _greedy(run: Contents, ev: Evaluation, once: Evaluation) -> GreedyScore:
    """Return accuracy of greedy samples and the treatment's difference, apart from everything that is drawn."""
    judged, rows = float(once.judged.sum()), float(once.rows.sum())
    final = ev.phase == run.arms[ev.arm].final_phase
    treated = run.final(ev.benchmark, run.treatment)
    against = None
    if final and ev.arm != run.treatment and treated is not None and treated.greedy is not None:
        against = estimate(difference(pass1(treated.greedy), pass1(once)))
    return GreedyScore(
        benchmark=ev.benchmark,
        arm=ev.arm,
        phase=ev.phase,
        final=final,
        seeds=() if once.fixed else once.seeds,
        accuracy=estimate(mean(pass1(once))),
        treatment_minus_this=against,
        samples=int(rows),
        judged=int(judged),
        unjudged=int(once.unjudged.sum()),
        missing=max(0, len(run.questions[ev.benchmark]) * len(ev.seeds) - int(rows)),
        no_answer=_share(once.no_answer, judged),
        truncated=_share(once.truncated, rows),
        mean_tokens=_share(once.tokens, rows),
    )


def _differences(run: Contents) -> list[Difference]:
    """Treatment against every other arm, on every benchmark, at the end of both; Holm over each benchmark's rows."""
    rows: list[Difference] = []
    for benchmark in run.benchmarks:
        treated = run.final(benchmark, run.treatment)
        others = [run.final(benchmark, name) for name in run.arms if name != run.treatment]
        here = [_difference(treated, other) for other in others if treated and other]
        rows += _corrected(here, [row.difference for row in here])
    return rows


def _difference(a: Evaluation, b: Evaluation) -> Difference:
    y_a, y_b = pass1(a), pass1(b)
    flip = sign_flip(over_seeds(y_a) - over_seeds(y_b))
    several = not a.fixed and not b.fixed and len(a.seeds) > 1 and len(b.seeds) > 1
    return Difference(
        benchmark=a.benchmark,
        arm=a.arm,
        against=b.arm,
        difference=estimate(difference(y_a, y_b)),
        p_questions=number(flip.p),
        p_questions_exact=flip.exact,
        p_seeds=number(label_permutation(over_questions(y_a), over_questions(y_b)).p) if several else None,
        p_holm=None,
    )


Row = TypeVar("Row", Difference, Gain)


def _corrected(family: Sequence[Row], of: Sequence[Estimate]) -> list[Row]:
    """Return the rows of one benchmark with Holm's p-value for each."""
    if not family:
        return []
    adjusted = holm([np.nan if e.p is None else e.p for e in of])
    return [replace(row, p_holm=number(float(p))) for row, p in zip(family, adjusted, strict=True)]


def _pair(run: Contents, benchmark: str, arm: str) -> tuple[Array, Array] | None:
    """Return pass@1 after and before RL of the seeds that have both."""
    after, before = run.final(benchmark, arm), run.before(benchmark, arm)
    if after is None or before is None or not run.arms[arm].rl or after.fixed:
        return None
    ya, yb = pass_at_k(after.judged, after.correct, 1), pass_at_k(before.judged, before.correct, 1)
    if before.fixed:
        return ya, yb[0]
    both = [s for s in after.seeds if s in before.seeds]
    if not both:
        return None
    return ya[[after.seeds.index(s) for s in both]], yb[[before.seeds.index(s) for s in both]]


def _gains(run: Contents) -> list[Gain]:
    rows: list[Gain] = []
    for benchmark in run.benchmarks:
        treated = _pair(run, benchmark, run.treatment)
        here: list[Gain] = []
        for arm in run.arms:
            pair = _pair(run, benchmark, arm)
            if pair is None:
                continue
            against = None
            if treated is not None and arm != run.treatment:
                against = estimate(difference_of_gains(*treated, *pair), 2.0)
            here.append(
                Gain(
                    benchmark=benchmark,
                    arm=arm,
                    before=number(float(np.nanmean(over_seeds(pair[1])))),
                    after=number(float(np.nanmean(over_seeds(pair[0])))),
                    gain=estimate(gain(*pair)),
                    treatment_minus_this=against,
                    p_holm=None,
                )
            )
        rows += _corrected(here, [row.gain for row in here])
    return rows


def _ks(ev: Evaluation) -> list[int]:
    """Return 1, 2, 4, ... and the largest k that nine of ten questions have enough judged samples for."""
    judged = ev.judged[ev.judged > 0]
    most = int(np.quantile(judged, 0.1)) if judged.size else 0
    ks = [2**i for i in range(20) if 2**i <= most]
    return [*ks, most] if most and most not in ks else ks


def _pass_at_k(run: Contents) -> list[PassAtK]:
    rows = []
    for ev in run.evaluations.values():
        for k in _ks(ev):
            e = mean(shape(ev, pass_at_k(ev.judged, ev.correct, k)))
            rows.append(PassAtK(ev.benchmark, ev.arm, ev.phase, k, estimate(e)))
    return rows


def _coverage(run: Contents) -> list[Coverage]:
    """Questions solved at least once by an arm and never by the base model, and the other way round, at equal k."""
    rows = []
    base = next((a for a in run.arms.values() if a.fixed), None)
    for benchmark in run.benchmarks:
        b = run.final(benchmark, base.name) if base else None
        if b is None:
            continue
        for arm in run.arms:
            a = run.final(benchmark, arm)
            if a is None or arm == b.arm:
                continue
            # both get the same number of samples of a question: the smaller of the two, per seed
            n = np.minimum(a.judged, b.judged)
            ok = n > 0
            k = np.maximum(n, 1)
            pa = pass_at_k(a.judged, a.correct, k)
            pb = pass_at_k(np.broadcast_to(b.judged, a.judged.shape), b.correct, k)
            with np.errstate(invalid="ignore"):
                won = np.where(ok, pa * (1 - pb), 0.0).sum(axis=1)
                lost = np.where(ok, pb * (1 - pa), 0.0).sum(axis=1)
            rows.append(
                Coverage(
                    benchmark=benchmark,
                    arm=arm,
                    samples=number(float(np.median(n[ok]))) if ok.any() else None,
                    won=number(float(won.mean())),
                    lost=number(float(lost.mean())),
                    questions=int(ok.any(axis=0).sum()),
                )
            )
    return rows
