"""From a loaded run to the numbers of the report: one plain dict, which is results.json, and which every table and
figure reads.

Promises: no file is touched here; every number on the page is in this dict; what cannot be computed is None and the
reason is in `problems`. Estimates carry their interval, the number of questions and what the interval covers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
from midway.report.answers import answers
from midway.report.values import as_json, number, shape
from midway.report.ways import ways_of
from midway.results.load import Run
from midway.results.samples import Evaluation

Array = NDArray[np.float64]
Json = dict[str, Any]


def compute(run: Run) -> Json:
    """Return all results of a run as a JSON-able dict."""
    results: Json = {
        "schema": 1,
        "name": run.name,
        "created": run.resolved.get("created"),
        "digest": run.resolved.get("digest"),
        "versions": run.resolved.get("versions") or {},
        "treatment": run.treatment,
        "control": run.control,
        "seeds": list(run.seeds),
        "level": 0.95,
        "arms": [
            {
                "name": a.name,
                "title": a.title,
                "midtrained": a.midtrained,
                "rl": a.rl,
                "solutions": _solutions(run, a.name)[0],
                "ways": _solutions(run, a.name)[1],
                "vendi": run.vendi.get(a.name),
                "rl_steps": _rl_steps(run, a.name),
            }
            for a in run.arms.values()
        ],
        "benchmarks": [
            {"name": b, "questions": len(run.questions[b]), "samples": run.expected.get(b, 0)} for b in run.benchmarks
        ],
        "scores": _scores(run),
        "greedy": _greedy(run),
        "differences": _differences(run),
        "gains": _gains(run),
        "pass_at_k": _pass_at_k(run),
        "coverage": _coverage(run),
        "ways": ways_of(run),
        "funnel": _funnel(run),
        "curves": _curves(run),
        "cost": _cost(run),
        "answers": answers(run),
        "problems": [{"where": p.where, "what": p.what, "so": p.so} for p in run.problems],
    }
    return results


def pass1(ev: Evaluation) -> Array:
    """Return pass@1 per seed and question, (S, Q), or (Q,) for a fixed model; NaN where nothing was judged."""
    y = pass_at_k(ev.judged, ev.correct, 1)
    return np.asarray(y[0] if ev.fixed else y)


def _scores(run: Run) -> list[Json]:
    rows = []
    for (benchmark, arm, phase), ev in run.evaluations.items():
        judged, rows_n = float(ev.judged.sum()), float(ev.rows.sum())
        expected = run.expected.get(benchmark, 0) * len(run.questions[benchmark]) * len(ev.seeds)
        with np.errstate(invalid="ignore", divide="ignore"):
            share = {
                "no_answer": number(float(ev.no_answer.sum() / judged)) if judged else None,
                "truncated": number(float(ev.truncated.sum() / rows_n)) if rows_n else None,
                "mean_tokens": number(float(ev.tokens.sum() / rows_n)) if rows_n else None,
                "steps_right": number(float(ev.steps_right.sum() / ev.steps_known.sum())),
            }
        majority = ev.majority
        whole = np.isfinite(majority).any()
        rows.append(
            {
                "benchmark": benchmark,
                "arm": arm,
                "phase": phase,
                "final": phase == run.arms[arm].final_phase,
                "seeds": [] if ev.fixed else list(ev.seeds),
                "pass_at_1": as_json(mean(pass1(ev))),
                "majority": as_json(mean(shape(ev, majority))) if whole else None,
                "samples": int(rows_n),
                "judged": int(judged),
                "unjudged": int(ev.unjudged.sum()),
                "missing": max(0, expected - int(rows_n)),
                **share,
            }
        )
    return rows


def _greedy(run: Run) -> list[Json]:
    """Return accuracy of greedy samples and the treatment's difference, apart from everything that is drawn."""
    rows: list[Json] = []
    for (benchmark, arm, phase), ev in run.evaluations.items():
        once = ev.greedy
        if once is None:
            continue
        judged, count = float(once.judged.sum()), float(once.rows.sum())
        final, treated = (
            phase == run.arms[arm].final_phase,
            run.final(benchmark, run.treatment) if run.treatment else None,
        )
        against = None
        if final and arm != run.treatment and treated is not None and treated.greedy is not None:
            against = as_json(difference(pass1(treated.greedy), pass1(once)))
        rows.append(
            {
                "benchmark": benchmark,
                "arm": arm,
                "phase": phase,
                "final": final,
                "seeds": [] if once.fixed else list(once.seeds),
                "accuracy": as_json(mean(pass1(once))),
                "treatment_minus_this": against,
                "samples": int(count),
                "judged": int(judged),
                "unjudged": int(once.unjudged.sum()),
                "missing": max(0, len(run.questions[benchmark]) * len(ev.seeds) - int(count)),
                "no_answer": number(float(once.no_answer.sum() / judged)) if judged else None,
                "truncated": number(float(once.truncated.sum() / count)) if count else None,
                "mean_tokens": number(float(once.tokens.sum() / count)) if count else None,
            }
        )
    return rows


def _differences(run: Run) -> list[Json]:
    """Treatment against every other arm, on every benchmark, at the end of both; Holm over each benchmark's rows."""
    rows: list[Json] = []
    if not run.treatment:
        return rows
    for benchmark in run.benchmarks:
        a = run.final(benchmark, run.treatment)
        for name in run.arms:
            b = run.final(benchmark, name)
            if name == run.treatment or a is None or b is None:
                continue
            ya, yb = pass1(a), pass1(b)
            e = difference(ya, yb)
            per_question = _over_seeds(ya) - _over_seeds(yb)
            flip = sign_flip(per_question)
            seeds = None
            if not a.fixed and not b.fixed and len(a.seeds) > 1 and len(b.seeds) > 1:
                seeds = label_permutation(_over_questions(ya), _over_questions(yb)).p
            row = {
                "benchmark": benchmark,
                "arm": run.treatment,
                "against": name,
                "difference": as_json(e),
                "p_questions": number(flip.p),
                "p_questions_exact": flip.exact,
                "p_seeds": None if seeds is None else number(seeds),
            }
            rows.append(row)
    _adjust(rows, "difference")
    return rows


def _adjust(rows: list[Json], key: str) -> None:
    """Add Holm's p-value to each row: one family for each benchmark."""
    for benchmark in {r["benchmark"] for r in rows}:
        family = [r for r in rows if r["benchmark"] == benchmark]
        adjusted = holm([np.nan if r[key]["p"] is None else r[key]["p"] for r in family])
        for row, p in zip(family, adjusted, strict=True):
            row["p_holm"] = number(float(p))


def _over_seeds(y: Array) -> Array:
    """Return the mean over seeds of (S, Q) or (Q,); NaN where no seed has the question."""
    z = np.atleast_2d(y)
    n = np.isfinite(z).sum(axis=0)
    return np.asarray(np.where(n > 0, np.nansum(z, axis=0) / np.maximum(n, 1), np.nan))


def _over_questions(y: Array) -> Array:
    return _over_seeds(np.atleast_2d(y).T)


def _pair(run: Run, benchmark: str, arm: str) -> tuple[Array, Array] | None:
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


def _gains(run: Run) -> list[Json]:
    rows: list[Json] = []
    for benchmark in run.benchmarks:
        treated = _pair(run, benchmark, run.treatment) if run.treatment else None
        for arm in run.arms:
            pair = _pair(run, benchmark, arm)
            if pair is None:
                continue
            against = None
            if treated is not None and arm != run.treatment:
                against = as_json(difference_of_gains(*treated, *pair), 2.0)
            rows.append(
                {
                    "benchmark": benchmark,
                    "arm": arm,
                    "before": number(float(np.nanmean(_over_seeds(pair[1])))),
                    "after": number(float(np.nanmean(_over_seeds(pair[0])))),
                    "gain": as_json(gain(*pair)),
                    "treatment_minus_this": against,
                }
            )
    _adjust(rows, "gain")
    return rows


def _ks(ev: Evaluation) -> list[int]:
    """Return 1, 2, 4, ... and the largest k that nine of ten questions have enough judged samples for."""
    judged = ev.judged[ev.judged > 0]
    most = int(np.quantile(judged, 0.1)) if judged.size else 0
    ks = [2**i for i in range(20) if 2**i <= most]
    return [*ks, most] if most and most not in ks else ks


def _pass_at_k(run: Run) -> list[Json]:
    rows = []
    for (benchmark, arm, phase), ev in run.evaluations.items():
        for k in _ks(ev):
            e = mean(shape(ev, pass_at_k(ev.judged, ev.correct, k)))
            rows.append({"benchmark": benchmark, "arm": arm, "phase": phase, "k": k, "estimate": as_json(e)})
    return rows


def _coverage(run: Run) -> list[Json]:
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
                {
                    "benchmark": benchmark,
                    "arm": arm,
                    "samples": number(float(np.median(n[ok]))) if ok.any() else None,
                    "won": number(float(won.mean())),
                    "lost": number(float(lost.mean())),
                    "questions": int(ok.any(axis=0).sum()),
                }
            )
    return rows


def _funnel(run: Run) -> list[Json]:
    """Return the number of completions left after each step of selection, mean over the seeds of an arm."""
    rows = []
    for arm in run.arms:
        frames = [f for (a, _), f in run.funnels.items() if a == arm and {"step", "count"} <= set(f.columns)]
        steps: dict[str, float] = {}
        by: dict[str, dict[str, float]] = {}
        for frame in frames:
            names = frame["step"].to_list()
            counts = frame["count"].to_list()
            heuristics = frame["heuristic"].to_list() if "heuristic" in frame.columns else ["all"] * len(names)
            for step, heuristic, count in zip(names, heuristics, counts, strict=True):
                steps[step] = steps.get(step, 0.0) + float(count) / len(frames)
                by.setdefault(str(heuristic), {}).setdefault(step, 0.0)
                by[str(heuristic)][step] += float(count) / len(frames)
        if steps:
            rows.append(
                {
                    "arm": arm,
                    "steps": [{"step": s, "count": n} for s, n in steps.items()],
                    "by_heuristic": [{"heuristic": h, **v} for h, v in sorted(by.items())],
                }
            )
    return rows


def _solutions(run: Run, arm: str) -> tuple[float | None, float | None]:
    """Return the mean number of mid-training solutions per seed, and the effective number of heuristics among them."""
    counts = [c for (a, _), c in run.solutions.items() if a == arm]
    if not counts:
        return None, None
    merged: dict[str, int] = {}
    for c in counts:
        for k, n in c.items():
            merged[k] = merged.get(k, 0) + n
    return sum(merged.values()) / len(counts), number(effective_number(list(merged.values())))


def _rl_steps(run: Run, arm: str) -> int | None:
    logs = [rows for (a, _, part), rows in run.metrics.items() if a == arm and part == "rl"]
    last = [int(r["step"]) for rows in logs for r in rows[-1:] if "step" in r]
    return max(last) if last else None


TRAINING_KEYS = {
    "reward": "mean reward",
    "frac_reward_zero_std": "groups without signal (all right or all wrong)",
    "entropy": "token entropy",
    "completions/mean_length": "mean completion length (tokens)",
}


def _curves(run: Run) -> list[Json]:
    """Return RL curves: one per arm, seed and quantity, with steps, RL tokens, and tokens including what came before
    RL.
    """
    out = []
    for (arm, seed, part), rows in run.metrics.items():
        if part != "rl":
            continue
        start = _tokens_before_rl(run, arm, seed)
        series: dict[str, list[tuple[float, float | None, float]]] = {}
        tokens: float | None = None
        for row in rows:
            step = row.get("step")
            if isinstance(row.get("num_tokens"), int | float):
                tokens = float(row["num_tokens"])
            if not isinstance(step, int | float):
                continue
            at = 0.0 if step == 0 and tokens is None else tokens
            for key, value in row.items():
                keep = key in TRAINING_KEYS or key.startswith(("eval/", "ways/"))
                if keep and isinstance(value, int | float) and np.isfinite(value):
                    series.setdefault(key, []).append((float(step), at, float(value)))
        for key, points in sorted(series.items()):
            thin = _thinned(points)
            out.append(
                {
                    "arm": arm,
                    "seed": seed,
                    "key": key,
                    "step": [p[0] for p in thin],
                    "tokens": [None if p[1] is None else p[1] + start for p in thin],
                    "value": [p[2] for p in thin],
                }
            )
    return out


def _thinned(
    points: Sequence[tuple[float, float | None, float]], most: int = 200
) -> list[tuple[float, float | None, float]]:
    """Return at most `most` points: means of equal runs of neighbours, so that a long log stays a small page."""
    size = -(-len(points) // most)
    if size <= 1:
        return list(points)
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(g[-1][0], g[-1][1], float(np.mean([p[2] for p in g]))) for g in groups]


def _tokens_before_rl(run: Run, arm: str, seed: int) -> float:
    """Return the tokens of an arm before RL: those generated (and read) in its pools, and those mid-trained on."""
    pools = run.arms[arm].pools
    total = 0.0
    training = f"arms/{arm}/seed-{seed}/midtrain"
    for stage in run.stages:
        if stage.where == training or any(stage.where.startswith(f"pools/{p}/") for p in pools):
            total += stage.cost.get("prompt_tokens", 0.0) + stage.cost.get("completion_tokens", 0.0)
    rows = run.metrics.get((arm, seed, "midtrain"), [])
    seen = [float(r["num_tokens"]) for r in rows if isinstance(r.get("num_tokens"), int | float)]
    if seen and not any(s.where == training and s.cost.get("prompt_tokens") for s in run.stages):
        total += max(seen)
    return total


def _cost(run: Run) -> list[Json]:
    """Return what every part cost. A pool that several arms share is one row, counted once."""
    rows: dict[str, Json] = {}
    for stage in run.stages:
        parts = stage.where.split("/")
        if parts[0] == "pools" and len(parts) >= 2:
            owner, part = f"pool {parts[1]}", stage.name
        elif parts[0] == "arms" and len(parts) >= 2:
            owner, part = parts[1], "evaluate" if stage.name != "label" and "evaluations" in parts else stage.name
        else:
            owner, part = "run", stage.name
        new = {"owner": owner, "part": part, "seconds": 0.0, "tokens": 0.0, "memory": 0.0}
        row = rows.setdefault(f"{owner}\n{part}", new)
        row["seconds"] += stage.cost.get("seconds", 0.0)
        row["tokens"] += stage.cost.get("prompt_tokens", 0.0) + stage.cost.get("completion_tokens", 0.0)
        row["memory"] = max(row["memory"], stage.cost.get("peak_memory_mb", 0.0))
    return list(rows.values())
