"""Reading a run directory into `Contents`: what is there, and in words what is not.

Promises: reads only, imports no torch; of texts it reads only kept solutions. What is absent, failed or unreadable becomes a `Problem`, and
the rest is still loaded; only a directory that is no run raises RunError. Samples that are missing or unjudged are counted, never
taken as wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from midway.evidence import vendi_score_of_texts
from midway.results.alarms import alarms_of
from midway.results.contents import Arm, Contents, Metrics
from midway.results.directory import (
    Benchmarks,
    chance_of,
    question_ids,
    read_arms,
    read_benchmarks,
    read_stages,
    source_of,
)
from midway.results.edge import as_dict, asked_of, forecast_of, labeller_of, read_dict, read_numbers
from midway.results.samples import Cell, Evaluation, read_cell, stack
from midway.results.types import Labeller, Problem, Vendi
from midway.rundir import RunError, layout
from midway.rundir.layout import Layout

VENDI_QUESTIONS = 100
"""Questions whose solutions are compared for the Vendi score of an arm."""


def read_contents(path: Path) -> Contents:
    """Return the run at `path`. Raises RunError when there is neither a recipe nor an `arms` folder."""
    files = Layout(Path(path))
    if not files.is_run():
        raise RunError(
            f"{path} is not a run directory: it has no resolved.json and no arms folder; "
            "give the directory that `midway run` wrote, such as runs/NAME"
        )
    resolved = read_dict(files.resolved) or {}
    recipe = as_dict(resolved.get("recipe"))
    asked, problems = asked_of(recipe), list[Problem]()
    arms = read_arms(files, asked, problems)
    treatment, control = asked.treatment, asked.control
    if treatment and treatment not in arms:
        what = "is named as the treatment but does not exist"
        problems.append(Problem(f"arm {treatment}", what, "There is no verdict."))
        treatment = ""
    if control not in arms:
        control = next((arm.name for arm in arms.values() if arm.rl and not arm.midtrained), "")
    benchmarks = read_benchmarks(files, asked)
    stages = read_stages(files, problems)
    evaluations, questions, expected = _evaluations(files, arms, benchmarks, problems)
    solutions, distinct, vendi, funnels = _selections(files, arms, problems)
    contents = Contents(
        name=str(resolved.get("name") or files.root.name),
        created=resolved.get("created"),
        digest=resolved.get("digest"),
        versions=as_dict(resolved.get("versions")),
        recipe_text=files.recipe.read_text(encoding="utf-8") if files.recipe.is_file() else "",
        recipe_json=json.dumps(recipe, indent=1, ensure_ascii=False) if recipe else "",
        treatment=treatment,
        control=control,
        seeds=asked.seeds,
        arms=arms,
        benchmarks=benchmarks.names,
        questions=questions,
        expected=expected,
        evaluations=evaluations,
        stages=stages,
        metrics=_metrics(files, arms),
        funnels=funnels,
        solutions=solutions,
        vendi=vendi,
        problems=(),
        alarms=alarms_of(files, arms, asked),
        title=str(recipe.get("title") or ""),
        distinct=distinct,
        chance={b: share for b in benchmarks.names if (share := chance_of(files, b)) is not None},
        absent={b: str(why) for b, why in as_dict(resolved.get("absent")).items() if b in benchmarks.names},
        forecast=forecast_of(read_dict(files.forecast()), resolved.get("digest")),
    )
    return replace(contents, problems=(*problems, *_missing(contents)))


# Evaluations --------------------------------------------------------------------------------------------------------------

Key = tuple[str, str, str]
"""(benchmark, arm, phase)"""


def _evaluations(
    files: Layout, arms: Mapping[str, Arm], benchmarks: Benchmarks, problems: list[Problem]
) -> tuple[dict[Key, Evaluation], dict[str, list[str]], dict[str, int]]:
    """Return the evaluations; for each benchmark the ids of its questions, sorted, and how many samples of each were asked for."""
    labelling = as_dict((read_dict(files.manifest(layout.LABELLER)) or {}).get("result"))
    labeller = labeller_of(as_dict(labelling.get("labeller")))
    evaluations: dict[Key, Evaluation] = {}
    questions: dict[str, list[str]] = {}
    expected = dict(benchmarks.expected)
    for benchmark in benchmarks.names:
        places = _places(files, arms.values(), benchmarks.folders.get(benchmark), problems)
        cells = _cells(files, places, problems, labeller)
        places = {key: kept for key, at in places.items() if (kept := {s: r for s, r in at.items() if r in cells})}
        listed = question_ids(files, benchmark, problems)
        ids = sorted(set(listed).union(*(cell.table["question_id"].to_list() for cell in cells.values())))
        questions[benchmark] = ids
        if benchmark not in expected:
            asked = [cell.asked for cell in cells.values() if cell.asked]
            most = [int(cell.table["rows"].max() or 0) for cell in cells.values()]  # type: ignore[arg-type]
            expected[benchmark] = max(asked or most or [0])
        index = pl.DataFrame(
            {"question_id": ids, "q": np.arange(len(ids))}, schema={"question_id": pl.String, "q": pl.Int64}
        )
        for (arm, phase), at in places.items():
            # all seeds start from one model, such as the base: it is one fixed model, not one per seed
            fixed = arms[arm].fixed
            shared = len(set(at.values())) == 1 and (fixed or len(at) > 1 or all(map(_is_base, at.values())))
            seeds = tuple(at)[:1] if shared else tuple(at)
            evaluations[benchmark, arm, phase] = stack(
                (benchmark, arm, phase),
                seeds=seeds,
                fixed=shared or fixed,
                cells=[cells[at[seed]] for seed in seeds],
                index=index,
            )
    return evaluations, questions, expected


def _places(
    files: Layout, arms: Iterable[Arm], folder: str | None, problems: list[Problem]
) -> dict[tuple[str, str], dict[int, str]]:
    """Return for each arm and phase the evaluation of each seed on one benchmark: its own, or the base model's that it points to."""
    found: dict[tuple[str, str], dict[int, str]] = {}
    for arm in arms if folder else ():
        for phase in layout.PHASES:
            for seed in arm.seeds:
                if rel := source_of(files, layout.evaluation(arm.name, seed, str(folder), phase), problems):
                    found.setdefault((arm.name, phase), {})[seed] = rel
    return found


def _cells(
    files: Layout,
    places: Mapping[tuple[str, str], Mapping[int, str]],
    problems: list[Problem],
    labeller: Labeller | None,
) -> dict[str, Cell]:
    """Return the evaluations that have samples, each read once."""
    rels = dict.fromkeys(rel for at in places.values() for rel in at.values())
    cells = {rel: read_cell(files, rel, problems, labeller) for rel in rels}
    return {rel: cell for rel, cell in cells.items() if cell.table.height}


def _is_base(rel: str) -> bool:
    place = layout.place(rel)
    return layout.BASE in (place.phase, place.arm)


# Training -----------------------------------------------------------------------------------------------------------------


def _metrics(files: Layout, arms: Mapping[str, Arm]) -> dict[tuple[str, int, str], Metrics]:
    found: dict[tuple[str, int, str], Metrics] = {}
    for arm in arms.values():
        for seed in arm.seeds:
            for rel in (layout.midtrain(arm.name, seed), layout.rl(arm.name, seed)):
                if files.metrics(rel).is_file():
                    found[arm.name, seed, layout.place(rel).part] = tuple(read_numbers(files.metrics(rel)))
    return found


def _selections(
    files: Layout, arms: Mapping[str, Arm], problems: list[Problem]
) -> tuple[
    dict[tuple[str, int], dict[str, int]],
    dict[tuple[str, int], int],
    dict[str, Vendi],
    dict[tuple[str, int], pl.DataFrame],
]:
    """Return the number of kept solutions per heuristic, how many different texts they are, their Vendi score, and the funnels."""
    solutions: dict[tuple[str, int], dict[str, int]] = {}
    distinct: dict[tuple[str, int], int] = {}
    vendi: dict[str, Vendi] = {}
    funnels: dict[tuple[str, int], pl.DataFrame] = {}
    for arm, seed in ((name, seed) for name, spec in arms.items() for seed in spec.seeds):
        funnel, kept = files.funnel(arm, seed), files.solutions(arm, seed)
        if funnel.is_file():
            with _said(files, funnel, problems):
                funnels[arm, seed] = pl.read_parquet(funnel)
        if kept.is_file():
            with _said(files, kept, problems):
                counts = pl.read_parquet(kept, columns=["heuristic"])["heuristic"].value_counts().sort("heuristic")
                solutions[arm, seed] = {str(heuristic): int(count) for heuristic, count in counts.iter_rows()}
                if {"question_id", "text"} <= set(pl.read_parquet_schema(kept)):
                    distinct[arm, seed] = pl.read_parquet(kept, columns=["question_id", "text"]).n_unique()
                if arm not in vendi and (score := _vendi(kept)):
                    vendi[arm] = score
    return solutions, distinct, vendi, funnels


@contextmanager
def _said(files: Layout, file: Path, problems: list[Problem]) -> Iterator[None]:
    """Turn a table that cannot be read into a problem."""
    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as error:
        where = file.relative_to(files.root).as_posix()
        problems.append(Problem(where, f"cannot be read ({type(error).__name__})", "It is left out."))


def _vendi(file: Path) -> Vendi | None:
    columns = ["question_id", "text"]
    if not set(columns) <= set(pl.read_parquet_schema(file)):
        return None
    texts = pl.read_parquet(file, columns=columns).group_by("question_id").agg("text", n=pl.len())
    texts = texts.filter(pl.col("n") > 1).sort("question_id").head(VENDI_QUESTIONS)
    if not texts.height:
        return None
    scores = [vendi_score_of_texts(t) for t in texts["text"].to_list()]
    return Vendi(score=float(np.mean(scores)), of=float(np.mean(texts["n"].to_list())))


# What is not there --------------------------------------------------------------------------------------------------------


def _missing(run: Contents) -> Iterator[Problem]:
    """Say what should be there and is not: seeds, phases, benchmarks."""
    empty = [b for b in run.benchmarks if not any(key[0] == b for key in run.evaluations)]
    for benchmark in empty:
        why = run.absent.get(benchmark)
        what = f"was not measured, its questions could not be had: {why}" if why else "has no samples from any arm"
        yield Problem(f"benchmark {benchmark}", what, "Nothing can be said about it.")
    for arm in run.arms.values():
        lacking: dict[str, list[int]] = {}
        for benchmark in run.benchmarks:
            if benchmark in empty:
                continue
            final = run.final(benchmark, arm.name)
            have = final.seeds if final else ()
            gone = [seed for seed in arm.seeds if seed not in have]
            if gone:
                lacking[benchmark] = gone
        counted = len(run.benchmarks) - len(empty)
        alike = len(lacking) == counted and len({tuple(gone) for gone in lacking.values()}) == 1
        groups = {"every benchmark with samples": next(iter(lacking.values()))} if lacking and alike else lacking
        for benchmark, gone in groups.items():
            if len(gone) == len(arm.seeds):
                what, effect = f"has no final evaluation on {benchmark}", "The arm is in no comparison there."
            else:
                effect = "Its numbers come from the other seeds, and its intervals are wider for it."
                what = f"has no final evaluation of seed {', '.join(map(str, gone))} on {benchmark}"
            yield Problem(f"arm {arm.name}", what, effect)
