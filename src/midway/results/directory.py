"""What is where in a run directory: its arms, benchmarks, stages, and which evaluation stands for which.

Promises: reads stage.json files and names of directories, no table but the ids of questions; imports neither torch nor scipy. Runs of older
versions, whose benchmark folders and question sets have other names, are read alike. What is wrong becomes a `Problem`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from midway.results.contents import Arm, StageRecord
from midway.results.edge import Asked, AskedArm, as_dict, in_words, read_dict
from midway.results.types import Problem
from midway.rundir import COMPLETE, FAILED, INTERRUPTED, RUNNING, layout
from midway.rundir.layout import Layout


@dataclass(frozen=True, slots=True)
class Benchmarks:
    """What is evaluated: the recipe's benchmarks in its order, then others that are on disk."""

    names: tuple[str, ...]
    expected: Mapping[str, int]
    folders: Mapping[str, str]
    """Folder of each benchmark below `evaluations`: its name, in older runs written a little differently."""


def headline(error: str) -> str:
    """Return the line of a stage's error that names its cause: the first, or the last one of a traceback; empty for no error."""
    lines = error.strip().splitlines()
    if not lines:
        return ""
    return lines[-1] if lines[0].startswith("Traceback") else lines[0]


def read_arms(files: Layout, asked: Asked, problems: list[Problem]) -> dict[str, Arm]:
    """Return the arms of the recipe and those that are only on disk, the base model first."""
    others = [name for name in files.arm_names() if name not in asked.arms]
    for name in others:
        if name != layout.BASE_ARM:
            problems.append(Problem(f"arm {name}", "is on disk but not in the recipe", "It is shown too."))
    specs = {**asked.arms, **{name: _on_disk(files, name) for name in others}}
    names = sorted(specs, key=lambda name: name != layout.BASE_ARM)
    return {name: _arm(files, name, specs[name], asked.seeds) for name in names}


def _on_disk(files: Layout, name: str) -> AskedArm:
    """Return an arm that the recipe does not have, as what its directory holds."""
    seeds = files.seeds(name)
    return AskedArm(
        title=in_words(name),
        midtrained=any(files.stage(layout.midtrain(name, seed)).is_dir() for seed in seeds),
        rl=any(files.stage(layout.rl(name, seed)).is_dir() for seed in seeds),
        pools=(),
    )


def _arm(files: Layout, name: str, spec: AskedArm, seeds: tuple[int, ...]) -> Arm:
    found = files.seeds(name)
    fixed = name == layout.BASE_ARM or not (spec.midtrained or spec.rl)
    return Arm(
        name=name,
        title=spec.title,
        midtrained=spec.midtrained and not fixed,
        rl=spec.rl and not fixed,
        fixed=fixed,
        checkpoint=spec.checkpoint,
        seeds=tuple(found[:1] or (0,)) if fixed else tuple(sorted({*seeds, *found})),
        rl_note=spec.rl_note,
        pools=tuple(pool for pool in spec.pools if pool in files.pool_names()),
    )


def read_benchmarks(files: Layout, asked: Asked) -> Benchmarks:
    """Return what is evaluated, and in which folder each benchmark is: of older runs, in one of a name written differently."""
    names = list(asked.benchmarks)
    known = {_plain(name): name for name in names}
    folders: dict[str, str] = {}
    for folder in sorted({layout.place(rel).benchmark for rel in files.evaluations()}):
        name = folder if folder in names else known.get(_plain(folder), folder)
        if name not in names:
            names.append(name)
        if folders.get(name) != name:
            folders[name] = folder
    return Benchmarks(tuple(names), asked.samples, folders)


def read_stages(files: Layout, problems: list[Problem]) -> list[StageRecord]:
    """Return the records of all stages, in order of path; those that are not complete are problems."""
    stages = []
    for rel, file in files.manifests():
        data = read_dict(file)
        if data is None:
            problems.append(Problem(rel, "its stage.json cannot be read", "Its state and cost are not known."))
            continue
        stage = stage_record(rel, data)
        stages.append(stage)
        if stage.state != COMPLETE:
            error = f": {headline(stage.error)}" if stage.error.strip() else ""
            state = "failed" if stage.state == FAILED else f"is {stage.state}"
            partial = stage.state in (RUNNING, INTERRUPTED)
            effect = "What it wrote so far is used." if partial else "What builds on it is missing."
            problems.append(Problem(rel, f"{state}{error}", effect))
    return stages


def stage_record(rel: str, data: Mapping[str, Any]) -> StageRecord:
    """Return the record in a stage.json."""
    return StageRecord(
        rel=rel,
        place=layout.place(rel),
        kind=str(data.get("stage") or layout.place(rel).part),
        state=str(data.get("state") or "unknown"),
        cost={k: float(v) for k, v in as_dict(data.get("cost")).items() if isinstance(v, int | float)},
        config=as_dict(data.get("config")),
        versions=as_dict(data.get("versions")),
        error=str(data.get("error") or ""),
        started=str(data.get("started") or ""),
        finished=str(data.get("finished") or ""),
        result=as_dict(data.get("result")),
    )


def source_of(files: Layout, rel: str, problems: list[Problem]) -> str | None:
    """Return where the samples of an evaluation are: there, or where its shared.json points to; None where there is neither."""
    link = read_dict(files.shared(rel)) if files.shared(rel).is_file() else None
    if link is None:
        return rel if files.stage(rel).is_dir() else None
    root, own = files.root.resolve(), files.stage(rel).resolve()
    for start in (root, own):
        target = (start / str(link.get("path", ""))).resolve()
        if target != own and target.is_dir() and target.is_relative_to(root):
            return target.relative_to(root).as_posix()
    what = f"points to {link.get('path')!r}, which does not exist"
    problems.append(Problem(rel, what, "It counts as not evaluated."))
    return None


def question_ids(files: Layout, benchmark: str, problems: list[Problem]) -> list[str]:
    """Return the ids of the benchmark's question set, if the run keeps one; none otherwise."""
    file = question_file(files, benchmark)
    if file is None:
        return []
    try:
        return pl.read_parquet(file, columns=["id"])["id"].to_list()
    except (pl.exceptions.PolarsError, OSError) as error:
        where, effect = file.relative_to(files.root).as_posix(), "Questions that nobody answered are not counted."
        problems.append(Problem(where, f"cannot be read ({type(error).__name__})", effect))
        return []


def question_file(files: Layout, benchmark: str) -> Path | None:
    """Return the benchmark's question set, None where the run keeps none. Old runs named it by the benchmark alone."""
    file = files.questions(layout.benchmark_set(benchmark))
    if file.is_file():
        return file
    names = (_plain(layout.benchmark_set(benchmark)), _plain(benchmark))
    others = (f for name, f in files.question_sets() if name not in layout.TRAINING_SETS and _plain(name) in names)
    return next(others, None)


def chance_of(files: Layout, benchmark: str) -> float | None:
    """Return pass@1 of guessing among the options of the benchmark's questions, their mean; None where a question has no options."""
    file = files.questions(layout.benchmark_set(benchmark))
    try:
        records = pl.read_parquet(file, columns=["record"])["record"].to_list()
        options = [len(json.loads(record).get("choices") or ()) for record in records]
    except (pl.exceptions.PolarsError, OSError, ValueError, TypeError, AttributeError):
        return None
    return sum(1 / n for n in options) / len(options) if options and all(options) else None


def _plain(name: str) -> str:
    """Return a benchmark's name without regard to how `/` was written in a file name: gsm8k/test or gsm8k_test."""
    return re.sub(r"[/_-]+", "-", name)
