"""Judge completions: shared by verification of pools and evaluation.

Failed requests have no completion and so no verdict. A completion cut at its token limit is judged as it stands: right if its final
answer is there, else `truncated`, which is not `wrong-answer`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from midway.records import Finish, Question
from midway.rundir import COMPLETIONS, VERDICTS, ShardWriter, Stopped, read_table, recover, stored_ids
from midway.stages.base import Output
from midway.workbench import Judge


def judge_completions(
    out: Output, folder: Path, *, completions: Path, questions: Mapping[str, Question], verifier: Judge, ids: set[str]
) -> None:
    """Judge what `folder` has no verdict for yet, of `completions` with an id in `ids`. Raises Stopped when asked to."""
    recover(folder, VERDICTS)
    done = stored_ids(folder)
    table = read_table(completions, COMPLETIONS, ["id", "question_id", "text", "finish"])
    rows = [
        row
        for row in table.iter_rows(named=True)
        if row["id"] not in done and row["finish"] != Finish.ERROR and row["id"] in ids
    ]
    counts: Counter[str] = Counter()
    items = ((questions[r["question_id"]], r["text"], r["finish"] == Finish.LENGTH) for r in rows)
    with ShardWriter(folder, VERDICTS) as writer:
        batch = []
        for n, (row, verdict) in enumerate(zip(rows, verifier.verify_batch(items), strict=True), start=1):
            counts[verdict.judgement] += 1
            counts[f"reason: {verdict.reason}"] += 1
            batch.append(
                {
                    "id": row["id"],
                    "judgement": str(verdict.judgement),
                    "extracted": verdict.extracted,
                    "reason": verdict.reason,
                }
            )
            if len(batch) >= 256 or n == len(rows):
                writer.write(batch)
                batch = []
                out.progress(n, len(rows), f"{counts['correct']} correct")
                if out.stop() and n < len(rows):
                    raise Stopped
    out.result["new_verdicts"] = dict(counts)
