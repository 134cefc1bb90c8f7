"""What a run shows of itself on the terminal: the summary of its report, the list of its stages.

Promises: reads the run directory, writes nothing. A run without a report yet, or a name that is no run, is a RunError.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from midway.cli.saying import wrapped
from midway.wording import plural

if TYPE_CHECKING:
    from midway.results import Results, StageRecord
    from midway.results.progress import StageState


def summary(run: Path) -> str:
    """Return the verdict and, for each benchmark, every arm with its pass@1 in points, from the report's results."""
    from midway.report import ReportPaths
    from midway.report.phrases import plural
    from midway.report.words import verdict
    from midway.results import read_results
    from midway.rundir.layout import Layout

    results = read_results(ReportPaths.below(Layout(run).report).results)
    words = verdict(results)
    lines = ["", wrapped(words.headline), *[wrapped(text, "  ") for text in words.sentences]]
    for benchmark in results.benchmarks:
        if benchmark.absent:
            lines += ["", wrapped(f"{benchmark.name}: not measured: {benchmark.absent}")]
            continue
        rows = [("arm", "before RL", "after RL [95 % interval]", "treatment minus this")]
        rows += [_arm_row(results, benchmark.name, arm.name) for arm in results.arms]
        widths = [max(len(row[n]) for row in rows) for n in range(4)]
        asked = f"{plural(benchmark.questions, 'question')} x {plural(benchmark.samples, 'sample')}"
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
    """Print how far a run is: a line of totals, a line for each stage in the order in which they are done, what went wrong, alarms."""
    from midway.cli.console import duration
    from midway.results import open_run
    from midway.results.directory import headline
    from midway.results.progress import WAITING, state_of
    from midway.rundir import COMPLETE

    opened = open_run(run)
    state = state_of(opened)
    spent = f"{duration(state.seconds)}, {_short(state.tokens)} tokens written"
    typer.echo(f"{opened.path}: {state.state}, {state.complete} of {state.total} stages, {spent}")
    width = min(58, max((len(stage.rel) for stage in state.stages), default=0))
    typer.echo(f"{'state':<12} {'stage':<{width}} {'time':>7} {'tokens':>6}")
    for stage in state.stages:
        if stage.state == WAITING:
            continue
        said = _done(stage.record) if stage.record and stage.state == COMPLETE else _going(stage)
        cost = f"{duration(stage.seconds):>7} {_short(stage.tokens) if stage.tokens else '':>6}"
        typer.echo(f"{stage.state:<12} {stage.rel:<{width}} {cost}  {', '.join(said)}".rstrip())
        if stage.error.strip():
            typer.echo(f"{'':<12} {headline(stage.error)}")
    if waiting := [stage for stage in state.stages if stage.state == WAITING]:
        typer.echo(f"{WAITING:<12} {plural(len(waiting), 'stage')}: {', '.join(_counted([s.kind for s in waiting]))}")
    for alarm in opened.alarms:
        typer.echo(f"alarm: {alarm.arm}, seed {alarm.seed}: {alarm.what}\n       {alarm.advice}")
        if alarm.read:
            typer.echo(f"       rollouts to read: {', '.join(alarm.read)}")
    sys.stdout.flush()


def _counted(kinds: list[str]) -> list[str]:
    return [f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)]


def _short(number: float) -> str:
    """Return a count in few characters: 18k, 2.3M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= size:
            return f"{number / (1e3 if letter == 'k' else size):.3g}{letter}"
    return f"{number:.0f}"


def _going(stage: StageState) -> list[str]:
    """Return how far a stage is that is at work, or that was when it ended."""
    from midway.cli.console import duration

    parts = []
    if stage.done is not None:
        of = f" of {stage.total:,} ({stage.done / stage.total:.0%})" if stage.total else ""
        parts.append(f"{stage.done:,}{of}")
    if stage.rate:
        parts.append(f"{stage.rate:.3g}/s")
    if stage.left is not None:
        parts.append(f"{duration(stage.left)} left")
    return [*parts, *([stage.note] if stage.note else [])]


def _done(stage: StageRecord) -> list[str]:
    """Return what a stage made, in words."""
    cost, result = stage.cost, stage.result
    parts = []
    if tokens := int(cost.get("completion_tokens", 0)):
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
