"""What a run shows of itself on the terminal: the report that is kept up to date, its summary, the list of stages.

Promises: reads the run directory and writes nothing but `report/`. A run without a report yet, or a name that is no run, is a RunError.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from midway.rundir import RunDir


def report_digest(run: RunDir) -> str:
    """Content hash of everything a report is made from: the manifests of all stages."""
    from midway.records import content_id
    from midway.rundir import read_json

    resolved = (read_json(run.path / "resolved.json") or {}).get("digest")
    stages = {rel: [m.get("digest"), m.get("state"), m.get("finished")] for rel, m in run.stages().items()}
    return content_id("report", resolved, stages)


def build_run_report(run: RunDir) -> bool:
    """Write the report unless it is up to date; return whether it was written."""
    from midway.report import build_report
    from midway.rundir import read_json, write_json

    digest = report_digest(run)
    mark = run.path / "report" / "digest.json"
    if read_json(mark) == {"digest": digest}:
        return False
    build_report(run.path)
    write_json(mark, {"digest": digest})
    return True


def summary(run: Path) -> str:
    """Return the verdict and, for each benchmark, every arm with its pass@1 in points, from the report's results."""
    from midway.report.words import interval, verdict
    from midway.rundir import read_json

    results = read_json(run / "report" / "results.json")
    words = verdict(results)
    lines = ["", words["headline"], *[f"  {text}" for text in words["sentences"]]]
    against = {(d["benchmark"], d["against"]): d for d in results["differences"]}
    for benchmark in results["benchmarks"]:
        name = benchmark["name"]
        rows = [("arm", "before RL", "after RL [95 % interval]", "treatment minus this")]
        for arm in results["arms"]:
            scores = {s["phase"]: s for s in results["scores"] if s["arm"] == arm["name"] and s["benchmark"] == name}
            before = scores.get("base") or scores.get("before-rl")
            after = scores.get("after-rl")
            difference = against.get((name, arm["name"]))
            rows.append(
                (
                    arm["name"] + (" *" if arm["name"] == results["treatment"] else ""),
                    interval(before["pass_at_1"]) if before else "-",
                    interval(after["pass_at_1"]) if after else "-",
                    interval(difference["difference"], sign=True) if difference else "-",
                )
            )
        widths = [max(len(row[n]) for row in rows) for n in range(4)]
        lines += ["", f"{name}: pass@1 in points, {benchmark['questions']} questions x {benchmark['samples']} samples"]
        lines += [
            "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
    if results["problems"]:
        lines += ["", f"{len(results['problems'])} things are missing; the report lists them"]
    return "\n".join([*lines, ""])


def show_status(run: str) -> None:
    """Print one line for each stage of a run."""
    from midway.cli.console import duration
    from midway.rundir import RunDir, find_run

    path = find_run(run)
    for rel, manifest in RunDir(path).stages().items():
        cost, result = manifest.get("cost", {}), manifest.get("result", {})
        parts = [duration(cost["seconds"])] if "seconds" in cost else []
        tokens = int(cost.get("completion_tokens", 0))
        if tokens:
            parts.append(
                f"{tokens:,} tokens out, {int(cost.get('prompt_tokens', 0)):,} in, {int(cost.get('cached_tokens', 0)):,} cached"
            )
            parts.append(f"{tokens / max(cost.get('seconds', 0.0), 1e-9):,.0f} tokens/s")
        if cut := result.get("finish", {}).get("length"):
            worst, share = max(result["truncation"].items(), key=lambda pair: pair[1])
            parts.append(
                f"{cut:,} cut at max_tokens" + (f" ({worst} {share:.0%})" if len(result["truncation"]) > 1 else "")
            )
        for key in (
            "failed",
            "rescued",
            "prefix_hit_rate",
            "solutions",
            "steps",
            "samples",
            "accuracy",
            "greedy_accuracy",
            "unjudged",
        ):
            if result.get(key):
                value = result[key]
                parts.append(f"{key.replace('_', ' ')} {value:.3g}" if isinstance(value, float) else f"{key} {value}")
        typer.echo(f"{manifest.get('state', '?'):<12}{rel:<64}{', '.join(parts)}")
        if manifest.get("error"):
            typer.echo(f"            {manifest['error']}")
    sys.stdout.flush()
