"""Verify: is each completion of a pool right? Reads completions, calls the verifier, writes `verdicts/` (see `judging`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from midway.records import Question
from midway.rundir import StageDir
from midway.stages.common import Control, Outcome
from midway.stages.judging import Judge, judge


def verify_completions(
    stage: StageDir,
    control: Control,
    outcome: Outcome,
    completions: Path,
    questions: Mapping[str, Question],
    verifier: Judge,
    ids: set[str],
) -> None:
    """Judge every completion of a pool, of those in `ids`, that is not judged yet."""
    judge(stage.path, control, outcome, completions, questions, verifier, ids)
