"""Reading a run directory: everything the report knows about files is in this module.

Promises: reads only, imports no torch; of texts it reads only kept solutions. What is absent, failed or unreadable
becomes an entry of `Run.problems`, in words, and the rest is still loaded; only a directory that is no run raises
FileNotFoundError. Samples that are missing or unjudged are counted, never taken as wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from midway.evidence import vendi_score_of_texts
from midway.results.samples import Cell, Evaluation, Problem, as_dict, read_cell, read_dict, stack
from midway.rundir import layout
from midway.rundir.layout import Layout

Array = NDArray[np.float64]
PHASES = ("base", "before-rl", "after-rl")


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage.json."""

    where: str
    name: str
    state: str
    cost: dict[str, float]
    config: dict[str, Any]
    versions: dict[str, Any]
    error: str
    started: str
    finished: str
    result: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Arm:
    name: str
    title: str
    midtrained: bool
    rl: bool
    fixed: bool
    """True for the base model: nothing was trained, so there are no seeds."""
    seeds: tuple[int, ...]
    """Seeds that were asked for."""
    pools: tuple[str, ...]
    run: str = ""

    @property
    def final_phase(self) -> str:
        return "base" if self.fixed else ("after-rl" if self.rl else "before-rl")


@dataclass(slots=True)
class Run:
    path: Path
    name: str
    recipe: dict[str, Any]
    resolved: dict[str, Any]
    recipe_text: str
    treatment: str
    control: str
    seeds: tuple[int, ...]
    arms: dict[str, Arm]
    benchmarks: list[str]
    folders: dict[str, str] = field(default_factory=dict)
    """Folder of each benchmark below `evaluations`, as a relative path."""
    questions: dict[str, list[str]] = field(default_factory=dict)
    expected: dict[str, int] = field(default_factory=dict)
    """Samples per question that were asked for, per benchmark."""
    evaluations: dict[tuple[str, str, str], Evaluation] = field(default_factory=dict)
    stages: list[Stage] = field(default_factory=list)
    metrics: dict[tuple[str, int, str], list[dict[str, Any]]] = field(default_factory=dict)
    """(arm, seed, `midtrain` or `rl`) -> rows of metrics.jsonl."""
    funnels: dict[tuple[str, int], pl.DataFrame] = field(default_factory=dict)
    solutions: dict[tuple[str, int], dict[str, int]] = field(default_factory=dict)
    """(arm, seed) -> number of kept solutions per heuristic."""
    vendi: dict[str, dict[str, float]] = field(default_factory=dict)
    """arm -> Vendi score of the solutions of one question, and of how many solutions; means over some questions."""
    problems: list[Problem] = field(default_factory=list)

    def final(self, benchmark: str, arm: str) -> Evaluation | None:
        return self.evaluations.get((benchmark, arm, self.arms[arm].final_phase))

    def before(self, benchmark: str, arm: str) -> Evaluation | None:
        return self.evaluations.get((benchmark, arm, "before-rl"))


def load_run(path: Path) -> Run:
    """Return the run at `path`. Raises FileNotFoundError when there is neither a recipe nor an `arms` folder."""
    path = Path(path)
    resolved = read_dict(path / "resolved.json") or {}
    if not resolved and not (path / "arms").is_dir():
        raise FileNotFoundError(
            f"{path} is not a run directory: it has no resolved.json and no arms folder. "
            "Give the directory that `midway run` wrote, such as runs/NAME."
        )
    recipe = resolved.get("recipe") or {}
    text = path / "recipe.yaml"
    run = Run(
        path=path,
        name=str(resolved.get("name") or path.name),
        recipe=recipe,
        resolved=resolved,
        recipe_text=text.read_text(encoding="utf-8") if text.is_file() else "",
        treatment=str(recipe.get("treatment") or ""),
        control=str(recipe.get("control") or ""),
        seeds=tuple(int(s) for s in recipe.get("seeds") or ()),
        arms={},
        benchmarks=[],
    )
    _arms(run)
    _benchmarks(run)
    _stages(run)
    _evaluations(run)
    for arm in run.arms.values():
        for seed in arm.seeds:
            _training(run, arm, seed)
    _missing(run)
    return run


def _plain(name: str) -> str:
    """Return a benchmark's name without regard to how `/` was written in a file name: gsm8k/test or gsm8k_test."""
    return re.sub(r"[/_-]+", "-", name)


def _arms(run: Run) -> None:
    asked: dict[str, Any] = dict(run.recipe.get("arms") or {})
    on_disk = sorted(p.name for p in run.path.glob("arms/*") if p.is_dir())
    for name in on_disk:
        if name not in asked and name != "base":
            run.problems.append(Problem(f"arm {name}", "is on disk but not in the recipe", "It is shown too."))
        asked.setdefault(name, {})
    if "base" in asked:
        asked = {"base": asked["base"], **{k: v for k, v in asked.items() if k != "base"}}
    for name, spec in asked.items():
        spec = spec if isinstance(spec, dict) else {}
        folder = run.path / "arms" / name
        found = sorted(int(p.name[5:]) for p in folder.glob("seed-*") if p.name[5:].isdigit())
        known = name in (run.recipe.get("arms") or {})
        trained = {part for s in found for part in ("midtrain", "rl") if (folder / f"seed-{s}" / part).is_dir()}
        midtrained = bool(spec.get("midtrain")) if known else "midtrain" in trained
        rl = bool(spec.get("rl", True)) if known else "rl" in trained
        fixed = name == "base" or not (midtrained or rl)
        run.arms[name] = Arm(
            name=name,
            title=str(spec.get("title") or name.replace("-", " ").replace("_", " ")),
            midtrained=midtrained and not fixed,
            rl=rl and not fixed,
            fixed=fixed,
            seeds=tuple(found[:1] or (0,)) if fixed else tuple(sorted({*run.seeds, *found})),
            pools=tuple(_pools(run.path, spec.get("midtrain"))),
            run=run.name,
        )
    if run.treatment not in run.arms:
        if run.treatment:
            run.problems.append(
                Problem(f"arm {run.treatment}", "is named as the treatment but does not exist", "There is no verdict.")
            )
        run.treatment = ""
    if run.control not in run.arms:
        run.control = next((a.name for a in run.arms.values() if a.rl and not a.midtrained), "")


def _pools(path: Path, midtrain: Any) -> Iterator[str]:
    for item in midtrain if isinstance(midtrain, list) else []:
        for name in item.values() if isinstance(item, dict) else [item]:
            if isinstance(name, str) and name and (path / "pools" / name).is_dir():
                yield name


def _benchmarks(run: Run) -> None:
    for item in run.recipe.get("benchmarks") or []:
        spec = item if isinstance(item, dict) else {"name": item}
        name = str(spec.get("name"))
        run.benchmarks.append(name)
        samples = spec.get("samples") or spec.get("n")
        if isinstance(samples, int):
            run.expected[name] = samples
    names = {_plain(b): b for b in run.benchmarks}
    found = set()
    for top in run.path.glob("arms/*/seed-*/evaluations"):
        for phase in PHASES:
            found |= {p.parent.relative_to(top).as_posix() for p in top.rglob(phase) if p.is_dir()}
    for folder in sorted(found):
        name = names.get(_plain(folder), folder)
        if name not in run.benchmarks:
            run.benchmarks.append(name)
        run.folders[name] = folder


def _stages(run: Run) -> None:
    for file in sorted(run.path.rglob("stage.json")):
        data = read_dict(file)
        where = file.parent.relative_to(run.path).as_posix()
        if data is None:
            run.problems.append(Problem(where, "its stage.json cannot be read", "Its state and cost are not known."))
            continue
        cost = {k: float(v) for k, v in as_dict(data.get("cost")).items() if isinstance(v, int | float)}
        stage = Stage(
            where=where,
            name=str(data.get("stage") or file.parent.name),
            state=str(data.get("state") or "unknown"),
            cost=cost,
            config=as_dict(data.get("config")),
            versions=as_dict(data.get("versions")),
            error=str(data.get("error") or ""),
            started=str(data.get("started") or ""),
            finished=str(data.get("finished") or ""),
            result=as_dict(data.get("result")),
        )
        run.stages.append(stage)
        if stage.state != "complete":
            error = f": {stage.error.strip().splitlines()[-1]}" if stage.error.strip() else ""
            state = "failed" if stage.state == "failed" else f"is {stage.state}"
            partial = stage.state in ("running", "interrupted")
            so = "What it wrote so far is used." if partial else "What builds on it is missing."
            run.problems.append(Problem(where, f"{state}{error}", so))


def _evaluations(run: Run) -> None:
    labeller = as_dict((read_dict(run.path / "labels" / "stage.json") or {}).get("result")).get("labeller")
    cells: dict[Path, Cell] = {}
    for benchmark in run.benchmarks:
        plan: list[tuple[Arm, str, dict[int, Path]]] = []
        for arm in run.arms.values():
            for phase in PHASES:
                places = {s: d for s in arm.seeds if (d := _folder(run, arm, s, benchmark, phase)) is not None}
                for folder in places.values():
                    if folder not in cells:
                        where = folder.relative_to(run.path.resolve()).as_posix()
                        cells[folder] = read_cell(folder, where, run.problems, labeller)
                places = {s: d for s, d in places.items() if cells[d].table.height}
                if places:
                    plan.append((arm, phase, places))
        used = {folder for _, _, places in plan for folder in places.values()}
        listed = _question_ids(run, benchmark)
        ids = sorted(set(listed).union(*(cells[f].table["question_id"].to_list() for f in used)))
        run.questions[benchmark] = ids
        asked = [n for f in used if (n := cells[f].asked)]
        if benchmark not in run.expected:
            most = [int(cells[f].table["rows"].max() or 0) for f in used]  # type: ignore[arg-type]
            run.expected[benchmark] = max(asked or most or [0])
        index = pl.DataFrame(
            {"question_id": ids, "q": np.arange(len(ids))}, schema={"question_id": pl.String, "q": pl.Int64}
        )
        for arm, phase, places in plan:
            # all seeds start from one model, such as the base: it is one fixed model, not one per seed
            shared = len(set(places.values())) == 1 and (arm.fixed or len(places) > 1 or _is_base(places))
            seeds = tuple(places)[:1] if shared else tuple(places)
            parts = [cells[places[s]] for s in seeds]
            run.evaluations[benchmark, arm.name, phase] = stack(
                benchmark, arm.name, phase, seeds, shared or arm.fixed, parts, index
            )
        for folder in used:
            cells[folder].samples = None


def _is_base(places: dict[int, Path]) -> bool:
    return all("base" in p.parts for p in places.values())


def _folder(run: Run, arm: Arm, seed: int, benchmark: str, phase: str) -> Path | None:
    if benchmark not in run.folders:
        return None
    folder = run.path / "arms" / arm.name / f"seed-{seed}" / "evaluations" / run.folders[benchmark] / phase
    link = read_dict(folder / "shared.json") if (folder / "shared.json").is_file() else None
    if link is not None:
        for start in (run.path, folder):
            target = (start / str(link.get("path", ""))).resolve()
            if target != folder and target.is_dir():
                return target
        run.problems.append(
            Problem(
                folder.relative_to(run.path).as_posix(),
                f"points to {link.get('path')!r}, which does not exist",
                "It counts as not evaluated.",
            )
        )
        return None
    return folder.resolve() if folder.is_dir() else None


def _question_ids(run: Run, benchmark: str) -> list[str]:
    """Return the ids of the benchmark's question set, if the run keeps one; none otherwise. Old runs named it by the benchmark alone."""
    files = Layout(run.path)
    usual = files.questions(layout.benchmark_set(benchmark))
    wanted = (_plain(layout.benchmark_set(benchmark)), _plain(benchmark))
    others = [file for name, file in files.question_sets() if name not in ("train", "rl") and _plain(name) in wanted]
    for file in [usual] if usual.is_file() else others:
        return pl.read_parquet(file, columns=["id"])["id"].to_list()
    return []


def _training(run: Run, arm: Arm, seed: int) -> None:
    folder = run.path / "arms" / arm.name / f"seed-{seed}"
    for part in ("midtrain", "rl"):
        file = folder / part / "metrics.jsonl"
        if file.is_file():
            run.metrics[arm.name, seed, part] = list(_lines(file))
    for name in ("funnel", "solutions"):
        file = folder / "selection" / f"{name}.parquet"
        if not file.is_file():
            continue
        try:
            if name == "funnel":
                run.funnels[arm.name, seed] = pl.read_parquet(file)
            else:
                kept = pl.read_parquet(file, columns=["heuristic"])["heuristic"].value_counts().sort("heuristic")
                run.solutions[arm.name, seed] = {str(k): int(n) for k, n in kept.iter_rows()}
                if arm.name not in run.vendi:
                    _vendi(run, arm.name, file)
        except (pl.exceptions.PolarsError, OSError) as error:
            where = file.relative_to(run.path).as_posix()
            run.problems.append(Problem(where, f"cannot be read ({type(error).__name__})", "It is left out."))


def _vendi(run: Run, arm: str, file: Path, most: int = 100) -> None:
    columns = ["question_id", "text"]
    if not set(columns) <= set(pl.read_parquet_schema(file)):
        return
    texts = pl.read_parquet(file, columns=columns).group_by("question_id").agg("text", n=pl.len())
    texts = texts.filter(pl.col("n") > 1).sort("question_id").head(most)
    if texts.height:
        scores = [vendi_score_of_texts(t) for t in texts["text"].to_list()]
        run.vendi[arm] = {"score": float(np.mean(scores)), "of": float(np.mean(texts["n"].to_list()))}


def _missing(run: Run) -> None:
    """Say what should be there and is not: seeds, phases, benchmarks."""
    empty = [b for b in run.benchmarks if not any(k[0] == b for k in run.evaluations)]
    for benchmark in empty:
        so = "Nothing can be said about it."
        run.problems.append(Problem(f"benchmark {benchmark}", "has no samples from any arm", so))
    for arm in run.arms.values():
        lacking: dict[str, list[int]] = {}
        for benchmark in run.benchmarks:
            if benchmark in empty:
                continue
            final = run.final(benchmark, arm.name)
            have = final.seeds if final else ()
            gone = [s for s in arm.seeds if s not in have]
            if gone:
                lacking[benchmark] = gone
        counted = len(run.benchmarks) - len(empty)
        alike = len(lacking) == counted and len({tuple(v) for v in lacking.values()}) == 1
        groups = {"every benchmark with samples": next(iter(lacking.values()))} if lacking and alike else lacking
        for benchmark, gone in groups.items():
            if len(gone) == len(arm.seeds):
                so = "The arm is in no comparison there."
                run.problems.append(Problem(f"arm {arm.name}", f"has no final evaluation on {benchmark}", so))
            else:
                so = "Its numbers come from the other seeds, and its intervals are wider for it."
                what = f"has no final evaluation of seed {', '.join(map(str, gone))} on {benchmark}"
                run.problems.append(Problem(f"arm {arm.name}", what, so))


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a JSON-lines file; a last line that was cut off while being written is left out."""
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict):
                yield row
