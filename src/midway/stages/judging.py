"""Judge completions: shared by verification of pools and evaluation.

Failed requests have no completion and so no verdict. A completion cut at its token limit is judged as it stands: right if its final
answer is there, else `truncated`, which is not `wrong-answer`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from midway.domains import Item
from midway.records import Finish, Question, Verdict
from midway.rundir import COMPLETIONS, VERDICTS, ShardWriter, read_table, recover, stored_ids
from midway.stages.common import Control, Outcome, Stopped


class Judge(Protocol):
    """Gives a verdict on each item, in order: `verify.Verifier`, or its counterpart on a cluster (`spread.ClusterVerifier`)."""

    def verify_batch(self, items: Iterable[Item]) -> Iterator[Verdict]: ...


def judge(
    folder: Path,
    control: Control,
    outcome: Outcome,
    completions: Path,
    questions: Mapping[str, Question],
    verifier: Judge,
    ids: set[str] | None = None,
) -> None:
    """Judge what `folder` has no verdict for yet; only completions with an id in `ids` if given. Raises Stopped when asked to."""
    recover(folder, VERDICTS)
    done = stored_ids(folder)
    table = read_table(completions, COMPLETIONS, ["id", "question_id", "text", "finish"])
    rows = [
        row
        for row in table.iter_rows(named=True)
        if row["id"] not in done and row["finish"] != Finish.ERROR and (ids is None or row["id"] in ids)
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
                control.progress(n, len(rows), f"{counts['correct']} correct")
                if control.stop() and n < len(rows):
                    raise Stopped
    outcome.result["new_verdicts"] = dict(counts)
