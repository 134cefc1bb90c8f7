"""What a run shows of itself on the terminal: the summary of its report, the list of its stages.

Promises: reads the run directory, writes nothing. A run without a report yet, or a name that is no run, is a RunError.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from midway.results import Results, StageRecord


def summary(run: Path) -> str:
    """Return the verdict and, for each benchmark, every arm with its pass@1 in points, from the report's results."""
    from midway.report import ReportPaths
    from midway.report.phrases import plural
    from midway.report.words import verdict
    from midway.results import read_results
    from midway.rundir.layout import Layout

    results = read_results(ReportPaths.below(Layout(run).report).results)
    words = verdict(results)
    lines = ["", words.headline, *[f"  {text}" for text in words.sentences]]
    for benchmark in results.benchmarks:
        rows = [("arm", "before RL", "after RL [95 % interval]", "treatment minus this")]
        rows += [_arm_row(results, benchmark.name, arm.name) for arm in results.arms]
        widths = [max(len(row[n]) for row in rows) for n in range(4)]
        asked = f"{benchmark.questions} questions x {benchmark.samples} samples"
        lines += ["", f"{benchmark.name}: pass@1 in points, {asked}"]
        lines += [
            "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
    if results.problems:
        lines += ["", f"{plural(len(results.problems), 'thing is', 'things are')} missing; the report lists what"]
    return "\n".join([*lines, ""])


def _arm_row(results: Results, benchmark: str, arm: str) -> tuple[str, str, str, str]:
    from midway.report.words import interval
    from midway.rundir.layout import AFTER_RL, BASE, BEFORE_RL

    scores = {s.phase: s for s in results.scores if (s.arm, s.benchmark) == (arm, benchmark)}
    before, after = scores.get(BASE) or scores.get(BEFORE_RL), scores.get(AFTER_RL)
    against = next((d for d in results.differences if (d.benchmark, d.against) == (benchmark, arm)), None)
    return (
        arm + (" *" if arm == results.treatment else ""),
        interval(before.pass_at_1) if before else "-",
        interval(after.pass_at_1) if after else "-",
        interval(against.difference, sign=True) if against else "-",
    )


SHOWN = (
    "failed",
    "rescued",
    "prefix_hit_rate",
    "solutions",
    "kept",
    "steps",
    "kept_step",
    "samples",
    "accuracy",
    "greedy_accuracy",
    "unjudged",
)
"""What `status` shows of a stage's result, where it is there and not 0."""


def show_status(run: str) -> None:
    """Print one line for each stage of a run, and the alarms of its RL."""
    from midway.results import open_run

    opened = open_run(run)
    for stage in opened.stages:
        typer.echo(f"{stage.state:<12}{stage.rel:<64}{', '.join(_done(stage))}")
        if stage.error:
            typer.echo(f"            {stage.error}")
    for alarm in opened.alarms:
        typer.echo(f"alarm: {alarm.arm}, seed {alarm.seed}: {alarm.what}\n       {alarm.advice}")
        if alarm.read:
            typer.echo(f"       rollouts to read: {', '.join(alarm.read)}")
    sys.stdout.flush()


def _done(stage: StageRecord) -> list[str]:
    """Return what a stage cost and made, in words."""
    from midway.cli.console import duration

    cost, result = stage.cost, stage.result
    parts = [duration(cost["seconds"])] if "seconds" in cost else []
    tokens = int(cost.get("completion_tokens", 0))
    if tokens:
        read, cached = int(cost.get("prompt_tokens", 0)), int(cost.get("cached_tokens", 0))
        parts.append(f"{tokens:,} tokens out, {read:,} in, {cached:,} cached")
        parts.append(f"{tokens / max(cost.get('seconds', 0.0), 1e-9):,.0f} tokens/s")
    if cut := result.get("finish", {}).get("length"):
        worst, share = max(result["truncation"].items(), key=lambda pair: pair[1])
        parts.append(
            f"{cut:,} cut at max_tokens" + (f" ({worst} {share:.0%})" if len(result["truncation"]) > 1 else "")
        )
    for key in SHOWN:
        if value := result.get(key):
            parts.append(f"{key.replace('_', ' ')} {value:.3g}" if isinstance(value, float) else f"{key} {value}")
    return parts
