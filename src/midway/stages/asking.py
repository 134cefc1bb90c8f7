"""Ask an engine for what a directory lacks: shared by generation and evaluation.

Requests that failed for good are kept in `failures/`; a few are tolerated and counted, more than TOLERATED of them end the stage, and
the same command asks for them again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from midway.engines.stream import Progress, StreamReport
from midway.records import Request
from midway.run import RunError, Stage
from midway.stages.common import Control, Outcome, Stopped

TOLERATED = 0.01
"""Share of a stage's requests that may have failed in a stage that counts as complete."""


class Answer(Protocol):
    """Stores an answer to every request that a folder does not hold: `engines.stream.complete` with an engine, or its Ray counterpart."""

    def __call__(
        self,
        requests: Iterable[Request],
        *,
        folder: Path,
        progress: Callable[[Progress], None] | None,
        stop: Callable[[], bool] | None,
    ) -> StreamReport: ...


def ask(
    stage: Stage, control: Control, outcome: Outcome, requests: Iterable[Request], answer: Answer, folder: str
) -> StreamReport:
    """Ask for what `stage.path / folder` lacks and note what it cost.

    Raises Stopped when asked to stop, RunError when more than TOLERATED of the requests failed.
    """

    def progress(p: Progress) -> None:
        failed = f", {p.failed} failed" if p.failed else ""
        control.progress(p.held + p.done + p.failed, p.total or 0, f"{p.tokens_per_second:,.0f} tokens/s{failed}")

    report = answer(requests, folder=stage.path / folder, progress=progress, stop=control.stop)
    told = report.as_dict()
    outcome.cost.update({key: value for key, value in report.cost().items() if key != "seconds"})
    outcome.result.update({key: told[key] for key in REPORTED})
    if report.held:
        control.note(f"{report.held:,} were there already, {report.done:,} are new")
    if report.unasked:
        control.note(
            f"{report.unasked:,} stored completions are of other prompts, samplings or weights; they stay, unused"
        )
    if report.stopped:
        raise Stopped
    if report.failed > TOLERATED * report.asked:
        reasons = "; ".join(f"{reason} ({count}x)" for reason, count in report.failures.most_common(3))
        raise RunError(
            f"{stage.rel}: {report.failed:,} of {report.asked:,} requests failed: {reasons}\n"
            "  what succeeded is kept: mend the cause and type the same command again, it asks for the failed ones"
        )
    return report


REPORTED = (
    "asked",
    "held",
    "unasked",
    "done",
    "failed",
    "finish",
    "failures",
    "by_heuristic",
    "prefix_hit_rate",
    "tokens_per_second",
    "truncation",
)
"""What of a StreamReport goes into stage.json."""
