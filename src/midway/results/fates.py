"""What became of each completion of a pool in a selection: kept, or the step of the funnel that dropped it, and why.

Promises: pure functions on frames; the steps are those of `selection.STEPS`, in that order, and summed up they give the stored funnel. What
selection wrote down (`removed.parquet`) is taken from there; the rest follows from the verdict, the length and the recipe's thresholds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from midway.records import UNGUIDED, Finish, Judgement

KEPT = "kept"
NO_PLACE = "beyond the number that is kept of a question, or of a heuristic"


def fates(
    completions: pl.DataFrame,
    solutions: pl.DataFrame,
    removed: pl.DataFrame,
    *,
    selection: Mapping[str, Any],
    strategy: str = "best",
) -> pl.DataFrame:
    """Return the completions with `fate` (`kept`, or the step that it did not pass), `why` and `other` (the completion that it copies).

    completions: `results.scans.scan_pool`. solutions: SOLUTIONS of one arm and seed. removed: REMOVED of the same. selection: the recipe's
    section, as stored. A completion without a verdict yet has the fate `not judged yet`.
    """
    ids = pl.DataFrame({"id": solutions["completion_id"].unique()}, schema={"id": pl.String})
    dropped = removed.filter(pl.col("completion_id") != "").unique("completion_id", keep="first")
    dropped = dropped.select(id="completion_id", step="step", reason_of="reason", other="other")
    leaked = removed.filter((pl.col("step") == "not leaked") & (pl.col("completion_id") == ""))
    leaked = leaked.unique("question_id", keep="first").select(
        "question_id", leak=pl.col("reason") + ": " + pl.col("other")
    )
    frame = completions.join(dropped, on="id", how="left", maintain_order="left")
    frame = frame.join(leaked, on="question_id", how="left", maintain_order="left")
    frame = frame.join(ids.with_columns(taken=True), on="id", how="left", maintain_order="left")
    longest, shortest = selection.get("max_tokens"), selection.get("min_tokens") or 1
    length = (
        pl.when(pl.col("completion_tokens") > 0)
        .then(pl.col("completion_tokens"))
        .otherwise(pl.col("text").str.count_matches(r"\S+"))
        .cast(pl.Int64)
    )
    wanted = Judgement.WRONG if strategy == "wrong-but-diverse" else Judgement.CORRECT
    least = selection.get("min_adherence") if strategy not in ("random", "reference") else None
    low = (
        (pl.col("adherence") < least).fill_null(True) & (pl.col("heuristic") != UNGUIDED)
        if least is not None
        else pl.lit(False)
    )
    noted = pl.col("step").fill_null("")
    blank = pl.col("text").str.strip_chars() == ""
    too_long = (length > longest) if longest is not None else pl.lit(False)
    steps: list[tuple[str, pl.Expr, pl.Expr]] = [
        ("generated", pl.col("finish") == Finish.ERROR, pl.col("error")),
        ("finished", pl.col("finish") == Finish.LENGTH, pl.lit("cut off at max_tokens")),
        ("finished", pl.col("finish") != Finish.STOP, pl.lit("did not end by itself: ") + pl.col("finish")),
        ("finished", blank, pl.lit("nothing was written")),
        ("finished", length < shortest, pl.lit(f"shorter than {shortest} tokens")),
        ("finished", too_long, pl.lit(f"longer than {longest} tokens")),
        ("not judged yet", pl.col("judgement").is_null(), pl.lit("")),
        (str(wanted), pl.col("judgement") != wanted, pl.lit("")),
        ("accepted", noted == "accepted", pl.col("reason_of")),
        ("consistent", noted == "consistent", pl.col("reason_of")),
        ("adherent", low, pl.format("adherence {} is below " + str(least), pl.col("adherence").round(3))),
        ("not a copy", noted == "not a copy", pl.lit("near-copy of a solution that ranks above it")),
        ("not leaked", pl.col("leak").is_not_null(), pl.col("leak")),
        (KEPT, pl.col("taken").fill_null(False), pl.lit("")),
        ("not taken", noted == "kept", pl.col("reason_of")),
    ]
    fate, why = pl.lit("not taken"), pl.lit(NO_PLACE)
    for name, fell, reason in reversed(steps):
        fell = fell.fill_null(False)
        fate = pl.when(fell).then(pl.lit(name)).otherwise(fate)
        why = pl.when(fell).then(reason).otherwise(why)
    return frame.with_columns(fate=fate, why=why, other=pl.col("other").fill_null("")).drop(
        "step", "reason_of", "leak", "taken"
    )
