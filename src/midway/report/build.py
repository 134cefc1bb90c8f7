"""`build_report(run_dir)`: read, compute, write report.html, report.md and results.json.

Promises: reads files only, never torch; writes each file whole (temporary file, then rename), so that a page is never
half there; a run with failed arms, missing seeds or empty benchmarks renders and says so. Raises RunError when the
directory is no run.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from midway.report.page import html_page, markdown_page
from midway.results import Contents, dumps, joined
from midway.results.load import read_contents
from midway.results.scores import compute
from midway.rundir import write_bytes
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
    commands = [f"midway run {Layout(Path(name)).recipe}", shlex.join(["midway", "report", name, *given])]
    return _write(contents, out or (files.report_of(contents.treatment) if given else files.report), commands)


def build_comparison(run_dirs: Sequence[Path], out: Path) -> ReportPaths:
    """Write one report over the arms of several runs; the first run's treatment is compared with every other arm.

    Arms are named `RUN: ARM`. Arms are paired on questions by id, so that only questions that both have count.
    Raises ValueError for fewer than two runs or two runs of the same name.
    """
    if len(run_dirs) < 2:
        raise ValueError("compare needs at least two run directories: midway compare runs/A runs/B")
    runs = [read_contents(Path(folder)) for folder in run_dirs]
    if len({run.name for run in runs}) < len(runs):
        raise ValueError(f"the runs must have different names; these are {', '.join(run.name for run in runs)}")
    return _write(joined(runs), out, [f"midway compare {' '.join(f'runs/{Path(d).name}' for d in run_dirs)}"])


def _write(contents: Contents, out: Path, commands: Sequence[str]) -> ReportPaths:
    results = replace(compute(contents), commands=tuple(commands))
    paths = ReportPaths.below(out)
    write_bytes(paths.results, dumps(results).encode())
    write_bytes(paths.markdown, markdown_page(results, contents).encode())
    write_bytes(paths.html, html_page(results, contents).encode())
    return paths
