"""Scores `midway verify` on `verifier/reports.jsonl`: small cases after public bug reports, each with the verdict that is right.

    python benchmarks/reports.py DATA read|unread [--show]

Half of the rows were read while the rules were made, half never (`is_read` is the split, fixed before any row was read). `--show`
prints the rows that disagree, and only for the read half.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from midway.domains import Verifier, question_of


def is_read(name: str) -> bool:
    """Whether the row with this id is in the half that was read."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") % 2 == 0


def half(data: Path, read: bool) -> list[dict[str, Any]]:
    """The rows of one half."""
    lines = (data / "verifier" / "reports.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if is_read(str(row["id"])) is read]


def score(rows: list[dict[str, Any]]) -> list[tuple[dict[str, Any], str, str, str | None]]:
    """Every row with the judgement, the reason and the extracted answer that it gets now."""
    found = []
    with Verifier(2) as verifier:
        for row in rows:
            try:
                question = question_of(row)
            except (KeyError, TypeError, ValueError, OverflowError) as error:  # as the command: `unjudged: bad-row`
                found.append((row, "unjudged", f"bad-row: {error}", None))
                continue
            verdict = verifier.verify(question, str(row["completion"]), truncated=bool(row.get("truncated")))
            found.append((row, str(verdict.judgement), verdict.reason, verdict.extracted))
    return found


def main() -> None:
    data, read = Path(sys.argv[1]), {"read": True, "unread": False}[sys.argv[2]]
    found = score(half(data, read))
    agree = [judgement == row["expected"] for row, judgement, _, _ in found]
    paid = [row["id"] for row, judgement, _, _ in found if judgement == "correct" != row["expected"]]
    print(
        f"{sys.argv[2]} half: {sum(agree)} of {len(agree)} = {sum(agree) / len(agree):.1%}; wrong answers paid: {len(paid)}"
    )
    print(
        "  disagree, by expected and given:",
        dict(Counter((r["expected"], j) for (r, j, _, _), a in zip(found, agree, strict=True) if not a)),
    )
    if read and "--show" in sys.argv:
        for (row, judgement, reason, extracted), agrees in zip(found, agree, strict=True):
            if not agrees:
                gold = next(
                    (row[name] for name in ("answer", "choices", "test_list", "test", "tests") if name in row), None
                )
                print(f"  {row['id']}: {gold!r} {row.get('answer_index', '')} {row['completion'][-90:]!r}")
                print(f"    {judgement} {reason} ({extracted!r:.60}), expected {row['expected']}")


if __name__ == "__main__":
    main()
