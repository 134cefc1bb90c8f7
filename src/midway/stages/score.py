"""Score: how well does each correct completion follow its heuristic? Reads completions and verdicts, writes `adherence/`.

Stores beside the scores whether the scorer can tell the heuristics apart at all (`result.discrimination`), and says so loudly when it
cannot. The scorer's calibration is kept in `scorer.json`, so that a stage that goes on scores as it began.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from midway.adherence import Scorer, discrimination
from midway.records import UNGUIDED, Completion, Finish, Heuristic, Judgement, Question
from midway.rundir import (
    ADHERENCE,
    COMPLETIONS,
    VERDICTS,
    ShardWriter,
    StageDir,
    read_json,
    read_table,
    recover,
    stored_ids,
    write_json,
)
from midway.stages.common import Control, Outcome, Stopped

SAMPLE = 200
"""Completions on which the scorer is tested for telling heuristics apart."""


def score(
    stage: StageDir,
    control: Control,
    outcome: Outcome,
    completions: Path,
    verdicts: Path,
    questions: Mapping[str, Question],
    open_: Callable[[Mapping[str, Any] | None], Scorer],
    catalogue: Mapping[str, Heuristic],
    ids: set[str],
) -> None:
    """Score every correct guided completion, of those in `ids`, that has no score yet, with what `open_` gives for a stored state."""
    recover(stage.path, ADHERENCE)
    done = stored_ids(stage.path)
    judged = read_table(verdicts, VERDICTS, ["id", "judgement"])
    correct = set(judged.filter(judged["judgement"] == Judgement.CORRECT)["id"].to_list())
    rows = [
        row
        for row in read_table(completions, COMPLETIONS).sort("id").iter_rows(named=True)
        if row["id"] in correct and row["id"] in ids and row["heuristic"] != UNGUIDED
    ]
    items = [(questions[row["question_id"]], Completion(**{**row, "finish": Finish(row["finish"])})) for row in rows]
    todo = [item for item in items if item[1].id not in done]
    scorer = open_(read_json(stage.path / "scorer.json"))
    with ShardWriter(stage.path, ADHERENCE) as writer:
        for n, adherence in enumerate(scorer.score(todo), start=1):
            writer.write([{"id": adherence.completion_id, "score": adherence.score, "scorer": adherence.scorer}])
            if n == 1:
                write_json(stage.path / "scorer.json", scorer.state())
            control.progress(n, len(todo), "")
            if control.stop() and n < len(todo):
                raise Stopped
    outcome.result["scored"] = len(items)
    if len(catalogue) > 1 and items:
        sample = random.Random(0).sample(items, min(SAMPLE, len(items)))
        found = discrimination(scorer, sample, catalogue)
        outcome.result["discrimination"] = found.record()
        control.note(found.sentence())
