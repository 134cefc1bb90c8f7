"""Decontamination: which training questions stand in a benchmark.

Promises: three tests, each named in the result.
- `exact`: the same words and numbers, whatever the case and punctuation.
- `template`: the same once numbers are masked, for questions with at least TEMPLATE_WORDS words besides the numbers (shorter ones, such
  as `What is # + #?`, are the same without being leaked).
- `ngram`: a run of N words in common (13 by default), as in Brown et al. 2020, appendix C: runs that stand in more than COMMON of the
  questions at hand are phrases (`where m and n are relatively prime positive integers`), not leaks.
Every hit names the benchmark and the question in it. A question shorter than N words can only be found by `exact` and `template`.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import polars as pl

from midway.selection.text import Shingled, mask_numbers, shingles, tokens, words

KINDS = ("exact", "template", "ngram")
TEMPLATE_WORDS = 8
COMMON = 10
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
            runs = [_long_enough(words(frame["text"]), ngram) for frame in (questions, benchmarks)]
            found = _shared(runs[0], runs[1], ngram, COMMON)
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


def _shared(left: pl.Series, right: pl.Series, width: int, common: int | None = None) -> npt.NDArray[np.int64]:
    """Return for each left list the first right list that shares a shingle with it, or -1; shingles of more than `common` left lists
    do not count."""
    one, two = shingles(left, width), shingles(right, width)
    values, first = np.unique(two.values, return_index=True)
    owner = _documents(two)[first]
    out = np.full(len(one), len(two), dtype=np.int64)
    if len(values):
        at = np.minimum(np.searchsorted(values, one.values), len(values) - 1)
        match = values[at] == one.values
        documents, at = _documents(one)[match], at[match]
        if common is not None:
            lists = np.unique(np.stack([at, documents]), axis=1)[0]  # a list counts once for a shingle
            rare = np.bincount(lists, minlength=len(values))[at] <= common
            documents, at = documents[rare], at[rare]
        np.minimum.at(out, documents, owner[at])
    out[out == len(two)] = -1
    return out


def _documents(shingled: Shingled) -> npt.NDArray[np.int64]:
    return np.repeat(np.arange(len(shingled)), shingled.starts[1:] - shingled.starts[:-1])
