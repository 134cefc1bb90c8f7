"""Judges programs against tests, in a sandbox."""

from __future__ import annotations

from typing import Any

from midway.records import Judgement, Question, Verdict


def task(question: Question, text: str, truncated: bool, **limits: Any) -> Verdict | dict[str, Any]:
    """Not there yet."""
    return Verdict(Judgement.UNJUDGED, None, "code-not-supported-yet")


def judge_task(task: dict[str, Any]) -> Verdict:
    """Not there yet."""
    return Verdict(Judgement.UNJUDGED, None, "code-not-supported-yet")
