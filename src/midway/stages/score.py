"""Score: how well does each correct completion follow its heuristic? Reads completions and verdicts, writes `adherence/`.

Also stores whether the scorer can tell the heuristics apart at all; selection and the report say so when it cannot.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from midway.adherence import Scorer
from midway.records import UNGUIDED, Completion, Finish, Judgement, Question
from midway.run import ADHERENCE, COMPLETIONS, VERDICTS, ShardWriter, Stage, read_table, recover, stored_ids
from midway.stages.common import Control, Outcome, Stopped


def score(
    stage: Stage,
    control: Control,
    outcome: Outcome,
    completions: Path,
    verdicts: Path,
    questions: Mapping[str, Question],
    scorer: Scorer,
) -> None:
    """Score every correct guided completion that has no score yet."""
    recover(stage.path, ADHERENCE)
    done = stored_ids(stage.path)
    judged = read_table(verdicts, VERDICTS, ["id", "judgement"])
    correct = set(judged.filter(judged["judgement"] == Judgement.CORRECT)["id"].to_list())
    rows = [
        row
        for row in read_table(completions, COMPLETIONS).iter_rows(named=True)
        if row["id"] in correct and row["id"] not in done and row["heuristic"] != UNGUIDED
    ]
    items = [(questions[row["question_id"]], Completion(**{**row, "finish": Finish(row["finish"])})) for row in rows]
    with ShardWriter(stage.path, ADHERENCE) as writer:
        for n, adherence in enumerate(scorer.score(items), start=1):
            writer.write([{"id": adherence.completion_id, "score": adherence.score, "scorer": adherence.scorer}])
            control.progress(n, len(rows), "")
            if control.stop() and n < len(rows):
                raise Stopped
    outcome.result["discrimination"] = scorer.discrimination()
