"""`build_report(run_dir)`: read, compute, write report.html, report.md and results.json.

Promises: reads files only, never torch; writes each file whole (temporary file, then rename), so that a page is never
half there; a run with failed arms, missing seeds or empty benchmarks renders and says so. Raises FileNotFoundError when
the directory is no run.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from midway.report.compute import compute
from midway.report.page import html_page, markdown_page
from midway.results.load import Run, load_run
from midway.results.samples import spread


@dataclass(frozen=True, slots=True)
class ReportPaths:
    html: Path
    markdown: Path
    results: Path


def build_report(
    run_dir: Path, *, treatment: str | None = None, control: str | None = None, out: Path | None = None
) -> ReportPaths:
    """Write the report of one run and return where: into its `report` folder, or `out`. See the module's first lines.

    `treatment` and `control` (names of arms) ask about another pair of arms than the recipe's; then `out` is `report-TREATMENT` if left
    out. Raises ValueError for an arm that the run does not have.
    """
    run_dir = Path(run_dir)
    run = load_run(run_dir)
    asked = {"--treatment": treatment, "--control": control}
    for option, arm in asked.items():
        if arm is not None and arm not in run.arms:
            raise ValueError(f"{option} {arm}: {run_dir} has no such arm; it has {', '.join(run.arms)}")
    run.treatment, run.control = treatment or run.treatment, control or run.control
    given = [word for option, arm in asked.items() if arm for word in (option, arm)]
    return _write(run, out or run_dir / (f"report-{run.treatment}" if given else "report"), [run_dir], given)


def build_comparison(run_dirs: Sequence[Path], out: Path) -> ReportPaths:
    """Write one report over the arms of several runs; the first run's treatment is compared with every other arm.

    Arms are named `RUN: ARM`. Arms are paired on questions by id, so that only questions that both have count.
    Raises ValueError for fewer than two runs or two runs of the same name.
    """
    if len(run_dirs) < 2:
        raise ValueError("compare needs at least two run directories: midway compare runs/A runs/B")
    runs = [load_run(Path(d)) for d in run_dirs]
    if len({r.name for r in runs}) < len(runs):
        raise ValueError(f"the runs must have different names; these are {', '.join(r.name for r in runs)}")
    return _write(join(runs), out, [Path(d) for d in run_dirs])


def join(runs: Sequence[Run]) -> Run:
    """Return one run that holds the arms of all of them."""
    first = runs[0]
    joined = Run(
        path=first.path,
        name=" + ".join(r.name for r in runs),
        recipe={},
        resolved={"created": first.resolved.get("created"), "versions": first.resolved.get("versions")},
        recipe_text="\n---\n".join(r.recipe_text for r in runs),
        treatment=f"{first.name}: {first.treatment}" if first.treatment else "",
        control="",
        seeds=tuple(sorted({s for r in runs for s in r.seeds})),
        arms={},
        benchmarks=list(dict.fromkeys(b for r in runs for b in r.benchmarks)),
    )
    second = runs[1]
    joined.control = f"{second.name}: {second.treatment}" if second.treatment else ""
    for benchmark in joined.benchmarks:
        ids = sorted({q for r in runs for q in r.questions.get(benchmark, [])})
        joined.questions[benchmark] = ids
        joined.expected[benchmark] = max(r.expected.get(benchmark, 0) for r in runs)
        place = {q: i for i, q in enumerate(ids)}
        for run in runs:
            columns = np.array([place[q] for q in run.questions.get(benchmark, [])], int)
            for (b, arm, phase), ev in run.evaluations.items():
                if b != benchmark:
                    continue
                key = f"{run.name}: {arm}"
                joined.evaluations[b, key, phase] = spread(ev, columns, len(ids), key)
    for run in runs:
        for name, arm_ in run.arms.items():
            key = f"{run.name}: {name}"
            pools = tuple(f"{run.name}: {p}" for p in arm_.pools)
            joined.arms[key] = replace(arm_, name=key, title=f"{run.name}: {arm_.title}", pools=pools)
        joined.metrics |= {(f"{run.name}: {a}", s, p): rows for (a, s, p), rows in run.metrics.items()}
        joined.funnels |= {(f"{run.name}: {a}", s): f for (a, s), f in run.funnels.items()}
        joined.solutions |= {(f"{run.name}: {a}", s): c for (a, s), c in run.solutions.items()}
        joined.vendi |= {f"{run.name}: {a}": v for a, v in run.vendi.items()}
        joined.problems += [replace(p, where=f"{run.name}: {p.where}") for p in run.problems]
        for stage in run.stages:
            parts = stage.where.split("/")
            if len(parts) > 1:
                parts[1] = f"{run.name}: {parts[1]}"
            joined.stages.append(replace(stage, where="/".join(parts)))
    return joined


def _write(run: Run, out: Path, run_dirs: Sequence[Path], options: Sequence[str] = ()) -> ReportPaths:
    results = compute(run)
    results["commands"] = _commands(run_dirs, options)
    out.mkdir(parents=True, exist_ok=True)
    paths = ReportPaths(out / "report.html", out / "report.md", out / "results.json")
    _atomic(paths.results, json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    _atomic(paths.markdown, markdown_page(results, run))
    _atomic(paths.html, html_page(results, run))
    return paths


def _commands(run_dirs: Sequence[Path], options: Sequence[str]) -> list[str]:
    names = [d.name for d in run_dirs]
    if len(names) == 1:
        return [
            f"midway run runs/{names[0]}/recipe.yaml",
            shlex.join(["midway", "report", f"runs/{names[0]}", *options]),
        ]
    return [f"midway compare {' '.join('runs/' + n for n in names)}"]


def _atomic(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
