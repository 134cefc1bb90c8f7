"""Ask an engine for what a directory lacks: shared by generation and evaluation.

Requests that failed for good are kept in `failures/`; a few are tolerated and counted, more than TOLERATED of them end the stage, and
the same command asks for them again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from midway.engines.base import EngineError
from midway.engines.stream import Progress, StreamReport
from midway.records import Finish, Request
from midway.rundir import COMPLETIONS, RunError, Stopped, read_table
from midway.stages.base import Output
from midway.wording import plural
from midway.workbench import Answer

TOLERATED = 0.01
"""Share of a stage's requests that may have failed in a stage that counts as complete."""


def ask(out: Output, requests: Iterable[Request], answer: Answer, folder: str) -> StreamReport:
    """Ask for what `out.path / folder` lacks and note what it cost.

    Raises Stopped when asked to stop, RunError when more than TOLERATED of the requests failed.
    """

    def progress(p: Progress) -> None:
        failed = f", {p.failed} failed" if p.failed else ""
        pace = f"nothing finished for {p.quiet:.0f} s" if p.quiet else f"{p.tokens_per_second:,.0f} tokens/s"
        out.progress(p.held + p.done + p.failed, p.total or 0, f"{pace}{failed}")

    place = out.path / folder
    before = out.spent
    report: StreamReport | None = None
    try:
        report = answer(requests, folder=place, progress=progress, stop=out.stop)
    except EngineError as error:
        report = error.report if isinstance(error.report, StreamReport) else None
        raise
    finally:
        if report is not None:
            out.cost.update(_cost(report, place, before))
            told = report.as_dict()
            out.result.update({key: told[key] for key in REPORTED})
    out.result.update(account(place, set(ids(requests)), report))
    if report.deaths:
        out.note(f"{report.deaths:,} engine actors died; {report.rescued:,} of their completions were stored already")
    if report.held:
        out.note(f"{report.held:,} were there already, {report.done:,} are new")
    if report.unasked:
        out.note(f"{report.unasked:,} stored completions are of other prompts, samplings or weights; they stay, unused")
    if report.stopped:
        raise Stopped
    if report.failed > TOLERATED * report.asked:
        reasons = "; ".join(f"{reason} ({count}x)" for reason, count in report.failures.most_common(3))
        raise RunError(
            f"{out.rel}: {report.failed:,} of {plural(report.asked, 'request')} failed: {reasons}\n"
            "  what succeeded is kept: put the cause right and type the same command again: it asks for the failed ones alone"
        )
    return report


REPORTED = ("asked", "held", "unasked", "done", "rescued", "deaths", "failed", "failures", "tokens_per_second")
"""What of a StreamReport goes into stage.json: of the last attempt. What is in the table, whoever wrote it, is counted by `account`."""
TOKENS = ("prompt_tokens", "completion_tokens", "cached_tokens")


def ids(requests: Iterable[Request]) -> list[str]:
    """Return the ids of requests that were read once already."""
    return getattr(requests, "ids", None) or [request.id for request in requests]


def account(folder: Path, asked: set[str], latest: StreamReport) -> dict[str, Any]:
    """Return token counts, finish reasons and the share cut at max_tokens, by heuristic, of the stored completions that are asked for, and
    of the requests that the latest attempt could not get answered."""
    table = read_table(folder, COMPLETIONS, ["id", "heuristic", "finish", *TOKENS])
    table = table.join(pl.DataFrame({"id": list(asked)}, schema={"id": pl.String}), on="id", how="semi")
    report = StreamReport()
    counts = list(table.group_by("heuristic", "finish").len().sort("heuristic", "finish").iter_rows())
    counts += [(name, Finish.ERROR, found[Finish.ERROR]) for name, found in latest.by_heuristic.items()]
    for heuristic, finish, count in counts:
        if count:
            report.finish[str(finish)] += count
            report.by_heuristic.setdefault(heuristic, Counter())[str(finish)] += count
    for key in TOKENS:
        setattr(report, key, int(table[key].sum()))
    told = report.as_dict()
    return {key: told[key] for key in ("finish", "by_heuristic", "truncation", "prefix_hit_rate", *TOKENS)}


def _cost(report: StreamReport, folder: Path, before: Mapping[str, float]) -> dict[str, float]:
    """Return the tokens that this attempt adds to those that the manifest has: its own, and those of attempts that were killed before they
    could tell, which are known from what they stored."""
    new = report.cost()
    stored = read_table(folder, COMPLETIONS, list(TOKENS)) if folder.exists() else pl.DataFrame()
    cost = {}
    for key in TOKENS:
        untold = float(stored[key].sum()) - before.get(key, 0.0) - new[key] if stored.height else 0.0
        cost[key] = new[key] + max(0.0, untold)
    return cost
