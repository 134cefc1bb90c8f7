"""Decontamination: which training questions stand in a benchmark.

Promises: three tests, each named in the result. `exact`: the same tokens. `ngram`: any run of N tokens in common (13 by default,
as in Brown et al. 2020, appendix C). `template`: the same tokens once numbers are masked, for questions with at least
TEMPLATE_WORDS words besides the numbers (shorter ones, such as `What is # + #?`, are the same without being leaked). Every hit
names the benchmark and the question in it. A question shorter than N tokens can only be found by `exact` and `template`.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import polars as pl

from midway.selection.text import Shingled, mask_numbers, shingles, tokens

KINDS = ("exact", "template", "ngram")
TEMPLATE_WORDS = 8
LEAKS = {"question_id": pl.String, "kind": pl.String, "benchmark": pl.String, "other": pl.String}


def find_leaks(
    questions: pl.DataFrame, benchmarks: pl.DataFrame | None, *, ngram: int = 13, kinds: Collection[str] = KINDS
) -> pl.DataFrame:
    """Return the leaked questions: question_id, kind (the strictest that hit), benchmark, other (start of the benchmark question).

    `questions` has `id` and `text`, `benchmarks` `name` (of the benchmark) and `text`. Raises ValueError for an unknown kind.
    """
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise ValueError(f"decontamination knows {', '.join(KINDS)}, not {', '.join(unknown)}")
    if benchmarks is None or benchmarks.is_empty() or questions.is_empty():
        return pl.DataFrame(schema=LEAKS)
    benchmarks = benchmarks.sort("name", "text")
    ours, theirs = tokens(questions["text"]), tokens(benchmarks["text"])
    hit = np.full(len(questions), -1, dtype=np.int64)
    kind = np.full(len(questions), "", dtype=object)
    for name in (k for k in KINDS if k in kinds):
        if name == "ngram":
            found = _shared(_long_enough(ours, ngram), _long_enough(theirs, ngram), ngram)
        else:
            left, right = (ours, theirs) if name == "exact" else (_templates(ours), _templates(theirs))
            found = _shared(_whole(left), _whole(right), 1)
        new = (hit < 0) & (found >= 0)
        hit[new], kind[new] = found[new], name
    rows = np.flatnonzero(hit >= 0)
    return pl.DataFrame(
        {
            "question_id": questions["id"].gather(rows),
            "kind": pl.Series(kind[rows].tolist(), dtype=pl.String),
            "benchmark": benchmarks["name"].gather(hit[rows]),
            "other": benchmarks["text"].gather(hit[rows]).str.slice(0, 200),
        },
        schema=LEAKS,
    ).sort("question_id")


def _whole(lists: pl.Series) -> pl.Series:
    """Each token list as one token (or none when it is empty)."""
    frame = pl.DataFrame({"t": lists})
    joined = pl.col("t").list.join(" ")
    return frame.select(
        pl.when(joined.str.len_bytes() > 0).then(pl.concat_list(joined)).otherwise(pl.lit([], pl.List(pl.String)))
    )["t"]


def _templates(lists: pl.Series) -> pl.Series:
    masked = pl.DataFrame({"t": mask_numbers(lists)})
    words = pl.col("t").list.eval(pl.element().filter(pl.element().str.contains(r"^\p{L}"))).list.len()
    return masked.select(pl.when(words >= TEMPLATE_WORDS).then("t").otherwise(pl.lit([], pl.List(pl.String))))["t"]


def _long_enough(lists: pl.Series, n: int) -> pl.Series:
    frame = pl.DataFrame({"t": lists})
    return frame.select(pl.when(pl.col("t").list.len() >= n).then("t").otherwise(pl.lit([], pl.List(pl.String))))["t"]


def _shared(left: pl.Series, right: pl.Series, width: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return for each left list the first right list that shares a shingle with it, or -1."""
    one, two = shingles(left, width), shingles(right, width)
    values, first = np.unique(two.values, return_index=True)
    owner = _documents(two)[first]
    out = np.full(len(one), len(two), dtype=np.int64)
    if len(values):
        at = np.minimum(np.searchsorted(values, one.values), len(values) - 1)
        match = values[at] == one.values
        np.minimum.at(out, _documents(one)[match], owner[at[match]])
    out[out == len(two)] = -1
    return out


def _documents(shingled: Shingled) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.repeat(np.arange(len(shingled)), shingled.starts[1:] - shingled.starts[:-1])
