"""`build_report(run_dir)`: read, compute, write report.html, report.md and results.json.

Promises: reads files only, never torch; writes each file whole (temporary file, then rename), so that a page is never
half there; a run with failed arms, missing seeds or empty benchmarks renders and says so. Raises RunError when the
directory is no run.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from midway.records import content_id
from midway.report.page import appendix_of, html_page, markdown_page
from midway.results import Contents, Results, dumps, joined, open_run, read_results
from midway.results.load import read_contents
from midway.results.scores import compute
from midway.rundir import RunDir, read_json, write_bytes, write_json
from midway.rundir.layout import Layout


@dataclass(frozen=True, slots=True)
class ReportPaths:
    """The files of a report."""

    html: Path
    markdown: Path
    results: Path

    @classmethod
    def below(cls, folder: Path) -> ReportPaths:
        return cls(folder / "report.html", folder / "report.md", folder / "results.json")


def build_report(
    run_dir: Path, *, treatment: str | None = None, control: str | None = None, out: Path | None = None
) -> ReportPaths:
    """Write the report of one run and return where: into its `report` folder, or `out`. See the module's first lines.

    `treatment` and `control` (names of arms) ask about another pair of arms than the recipe's; then `out` is `report-TREATMENT` if left
    out. Raises ValueError for an arm that the run does not have.
    """
    run_dir = Path(run_dir)
    contents, files = read_contents(run_dir), Layout(run_dir)
    asked = {"--treatment": treatment, "--control": control}
    for option, arm in asked.items():
        if arm is not None and arm not in contents.arms:
            raise ValueError(f"{option} {arm}: {run_dir} has no such arm; it has {', '.join(contents.arms)}")
    contents = replace(contents, treatment=treatment or contents.treatment, control=control or contents.control)
    given = [word for option, arm in asked.items() if arm for word in (option, arm)]
    name = f"runs/{run_dir.name}"
    resolved = Layout(Path(name)).resolved
    commands = [
        *([typed] if (typed := (read_json(files.resolved) or {}).get("command")) else []),
        f"midway run {resolved} --out {name}-again",
        shlex.join(["midway", "report", name, *given]),
    ]
    return _write(contents, out or (files.report_of(contents.treatment) if given else files.report), commands)


def build_run_report(run: RunDir) -> bool:
    """Write the report of a run unless it is up to date; return whether it was written."""
    made_from = {"digest": report_digest(run)}
    if read_json(run.files.report_digest) == made_from:
        return False
    build_report(run.path)
    write_json(run.files.report_digest, made_from)
    return True


def report_digest(run: RunDir) -> str:
    """Content hash of everything a report is made from: the recipe and the manifests of all stages."""
    resolved = (read_json(run.files.resolved) or {}).get("digest")
    stages = {rel: [m.get("digest"), m.get("state"), m.get("finished")] for rel, m in run.stages().items()}
    return content_id("report", resolved, stages)


def build_comparison(run_dirs: Sequence[Path], out: Path) -> ReportPaths:
    """Write one report over the arms of several runs; the first run's treatment is compared with every other arm.

    Arms are named `RUN: ARM`. Arms are paired on questions by id, so that only questions that both have count.
    Raises ValueError for fewer than two runs or two runs of the same name, RunError for a directory that is no run.
    """
    return _write(_joined(run_dirs), out, [f"midway compare {' '.join(f'runs/{Path(d).name}' for d in run_dirs)}"])


def compared(run_dirs: Sequence[Path]) -> Results:
    """Return the results that `build_comparison` writes a report of. Raises as that does."""
    return compute(_joined(run_dirs))


def _joined(run_dirs: Sequence[Path]) -> Contents:
    if len(run_dirs) < 2:
        raise ValueError("compare needs at least two run directories: midway compare runs/A runs/B")
    runs = [read_contents(open_run(folder).path) for folder in run_dirs]
    if len({run.name for run in runs}) < len(runs):
        raise ValueError(f"the runs must have different names; these are {', '.join(run.name for run in runs)}")
    _refuse_strangers(runs)
    return joined(runs)


def _refuse_strangers(runs: Sequence[Contents]) -> None:
    """Raise ValueError where runs cannot be compared: they share no question of a benchmark, or start from different models."""
    first, *others = runs
    for other in others:
        if any(set(first.questions.get(b, ())) & set(other.questions.get(b, ())) for b in other.benchmarks):
            continue
        sets = "\n".join(f"  {run.name}: {', '.join(run.benchmarks) or 'no benchmark'}" for run in runs)
        raise ValueError(
            f"{first.name} and {other.name} share no benchmark question, so nothing can be compared:\n{sets}"
        )
    models = {run.name: found for run in runs if (found := _model(run))}
    if len(set(models.values())) > 1:
        listed = "\n".join(f"  {name}: {model}" for name, model in models.items())
        raise ValueError(f"these runs start from different models, so a difference would be the models':\n{listed}")


def _model(run: Contents) -> str:
    """Return the base model of a run, with its revision; empty where the run does not say."""
    model = json.loads(run.recipe_json).get("model") if run.recipe_json else None
    if not isinstance(model, dict):
        return ""
    return "@".join(str(model[key]) for key in ("path", "revision") if model.get(key))


def _write(contents: Contents, out: Path, commands: Sequence[str]) -> ReportPaths:
    return _pages(replace(compute(contents), commands=tuple(commands)), contents, out)


def redraw_report(file: Path, out: Path | None = None) -> ReportPaths:
    """Write the page of a results.json again, without its run, beside it or into `out`; no number is computed anew.

    Raises RunError for a file that is not there, is damaged or is of another version.
    """
    return _pages(read_results(file), None, out or file.parent)


def _pages(results: Results, contents: Contents | None, out: Path) -> ReportPaths:
    paths, appendix = ReportPaths.below(out), appendix_of(results, contents)
    write_bytes(paths.results, dumps(results).encode())
    write_bytes(paths.markdown, markdown_page(results, appendix).encode())
    write_bytes(paths.html, html_page(results, appendix).encode())
    return paths
