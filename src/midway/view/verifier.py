"""Is the verifier wrong anywhere? Samples that it could not judge, found no answer in, or guessed at, those that were cut off or are
longest, and those whose wrong answer most others give too.

`of` says where to look: `benchmark:NAME` (all arms), `pool:NAME`, `rollouts:ARM`. How a text was read is said by the code that judges it,
in a process of its own with a deadline; a program in a text is read, never run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from midway.records import Question
from midway.results.scans import (
    CUT,
    JUDGED,
    NO_ANSWER_FOUND,
    UNJUDGED,
    collected,
    pool_paths,
    sample_paths,
    scan_pool,
    scan_rollouts,
    scan_samples,
)
from midway.rundir import layout
from midway.view.question import row_of
from midway.view.reading import asked, readings
from midway.view.shared import labeller_of, page_of, pieces, titles
from midway.view.viewed import BadRequest, Params, Viewed, only

NOT_STORED = "the question of this sample is not stored in the run"
GUESSES = ("number", "math", "bare")
"""Rules that take an answer from a text that does not say what its answer is."""
GUESSED = JUDGED & pl.any_horizontal(
    pl.col("reason").fill_null("").str.contains(rf"(^|:){rule}(:|$)") for rule in GUESSES
)
KINDS: Mapping[str, tuple[str, str]] = {
    "unjudged": ("unjudged", "the verifier could not judge: deadline, crash, unusable gold"),
    "no-answer": ("no answer", "no final answer was found in the text; it counts as wrong"),
    "agreed": (
        "same wrong answer",
        "questions of which most samples, of all arms, give one and the same wrong answer; one sample of each",
    ),
    "guessed": ("guessed", "the text does not say what its answer is: its last number or formula was taken"),
    "cut-off": ("cut off", "cut off at the token limit"),
    "longest": ("longest", "all samples, the longest first"),
    "wrong": ("wrong", "all that were judged wrong"),
}
COLUMNS = ("id", "question_id", "index", "finish", "completion_tokens", "judgement", "extracted", "reason")
TESTS: Mapping[str, pl.Expr] = {
    "unjudged": UNJUDGED,
    "no-answer": NO_ANSWER_FOUND,
    "agreed": pl.col("judgement") == "wrong",
    "guessed": GUESSED,
    "cut-off": CUT,
    "longest": pl.lit(True),
    "wrong": pl.col("judgement") == "wrong",
}
SIZE, MOST = 25, 500
"""Samples on a page, and at most."""
TEXTS = ("id", "question_id", "judgement", "extracted", "reason", "finish", "where")
LISTED = {**dict.fromkeys(TEXTS, pl.String), "index": pl.Int32, "completion_tokens": pl.Int32}


@dataclass(frozen=True)
class Place:
    """Where samples are looked for: a name for people, its questions, and a scan for each part with the part's key."""

    of: str
    questions: str
    parts: Mapping[str, pl.LazyFrame]
    paths: Sequence[Path]
    """The tables, whose change makes counts anew."""
    once: bool = False
    """Is every row stored once? Of a table that several wrote, one may come twice."""

    def each(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Return rows without texts, each once."""
        return rows if self.once else rows.unique("id", keep="any")


def places(viewed: Viewed) -> list[str]:
    """Return every `of` that this run has."""
    run = viewed.run
    rolled = [a for a in run.arms if any(_rolled(viewed, a, s) for s in run.arms[a].seeds)]
    return [
        *(f"benchmark:{b}" for b in run.benchmarks),
        *(f"pool:{p}" for p in run.pools),
        *(f"rollouts:{a}" for a in rolled),
    ]


def _rolled(viewed: Viewed, arm: str, seed: int) -> bool:
    return viewed.files.rollouts(layout.rl(arm, seed)).is_dir()


def place_of(viewed: Viewed, params: Params) -> Place:
    """Return where a link looks. Raises BadRequest for a place that is none."""
    of = params.among("of", places(viewed))
    kind, _, name = of.partition(":")
    if kind == "pool":
        return Place(of, "train", {of: scan_pool(viewed.files, name)}, pool_paths(viewed.files, name))
    if kind == "rollouts":
        seeds = [s for s in viewed.run.arms[name].seeds if _rolled(viewed, name, s)]
        finish = pl.when(pl.col("cut_off")).then(pl.lit("length")).otherwise(pl.lit("stop"))
        scans = {
            f"{name}.rl.{s}": scan_rollouts(viewed.files, name, s).with_columns(
                finish=finish, completion_tokens=pl.col("tokens"), logprob=pl.lit(None, pl.Float64)
            )
            for s in seeds
        }
        folders = [viewed.files.rollouts(layout.rl(name, s)) for s in seeds]
        return Place(of, "rl" if viewed.question_file("rl") else "train", scans, folders)
    rels: dict[str, str] = {}
    for ev in viewed.evaluations(name):
        rels.setdefault(ev.rel, ev.key)
    paths = [path for rel in rels for path in sample_paths(viewed.files, rel)]
    return Place(of, name, {key: scan_samples(viewed.files, rel) for rel, key in rels.items()}, paths, once=True)


def verifier(viewed: Viewed, params: Params) -> dict[str, Any]:
    """Return a page of samples of one kind, with how many there are of each kind."""
    place = place_of(viewed, params)
    kind = params.among("show", list(KINDS), "unjudged")
    agreed = _agreed(viewed, place)
    counts = viewed.kept(("kinds", place.of), place.paths, lambda: _counts(place, agreed))
    test, words, id_ = TESTS[kind], params.text("q"), params.text("question")
    if words:
        test = test & pl.col("text").str.contains(words, literal=True)
    if id_:
        test = test & (pl.col("question_id") == id_)
    if kind == "agreed":
        some = agreed["question_id"].implode()
        test = test & pl.col("question_id").is_in(some)
    long = kind in ("longest", "cut-off")
    by, falling = (["completion_tokens", "id"], [True, False]) if long else (["question_id", "where", "id"], False)
    size = max(1, params.number("size", SIZE, MOST))
    if words or id_ or kind == "agreed":
        found = collected(_listed(place, test)).join(agreed, on=["question_id", "extracted"], how="left")
        if kind == "agreed":
            found = found.filter(pl.col("same").is_not_null()).sort("question_id", "where", "id")
            found = found if id_ else found.unique("question_id", keep="first")  # one stands for all that say the same
        offset, size, page = page_of(Params({"size": str(size), **params.values}), found.height)
        listed = found.sort(by, descending=falling, nulls_last=True).slice(offset, size)
    else:
        offset, size, page = page_of(Params({"size": str(size), **params.values}), counts[kind])
        ordered = _listed(place, test).sort(by, descending=falling, nulls_last=True)
        listed = collected(ordered.slice(offset, size)).join(agreed, on=["question_id", "extracted"], how="left")
        listed = listed.sort(by, descending=falling, nulls_last=True)
    return {
        **page,
        "of": place.of,
        "places": places(viewed),
        "show": kind,
        "kinds": [{"name": n, "title": t, "says": says, "count": counts[n]} for n, (t, says) in KINDS.items()],
        "rows": _with_texts(viewed, place, listed),
        "titles": titles(viewed, []),
    }


def _listed(place: Place, test: pl.Expr) -> pl.LazyFrame:
    """Scan the samples that pass a test, without their texts."""
    parts = [
        place.each(scan.filter(test.fill_null(False)).select(*COLUMNS, where=pl.lit(key)))
        for key, scan in place.parts.items()
    ]
    return pl.concat(parts) if parts else pl.LazyFrame(schema=LISTED)


def _counts(place: Place, agreed: pl.DataFrame) -> dict[str, int]:
    """Return how many samples there are of each kind."""
    sums = {name: test.fill_null(False).sum() for name, test in TESTS.items() if name not in ("agreed", "longest")}
    parts = [place.each(scan.select(COLUMNS)).select(**sums, longest=pl.len()) for scan in place.parts.values()]
    found = collected(pl.concat(parts).sum()).to_dicts()[0] if parts else dict.fromkeys(KINDS, 0)
    return {**{name: int(count or 0) for name, count in found.items()}, "agreed": agreed.height}


def _agreed(viewed: Viewed, place: Place) -> pl.DataFrame:
    none = pl.DataFrame(schema={"question_id": pl.String, "extracted": pl.String, "same": pl.Int64, "judged": pl.Int64})
    return viewed.agreed(place.questions) if place.of.startswith("benchmark:") else none


def _with_texts(viewed: Viewed, place: Place, listed: pl.DataFrame) -> list[dict[str, Any]]:
    """Return listed samples with their texts: only the parts that they are in are read, and of those only their rows."""
    texts: dict[tuple[str, str], dict[str, Any]] = {}
    for (where,), part in listed.partition_by("where", as_dict=True).items():
        wanted = place.parts[str(where)].filter(pl.col("id").is_in(part["id"].to_list()))
        for row in collected(wanted).iter_rows(named=True):
            texts[str(where), row["id"]] = row
    questions: dict[str, Question | None] = {}
    out = []
    for row in listed.iter_rows(named=True):
        full = texts[row["where"], row["id"]]
        if row["question_id"] not in questions:
            questions[row["question_id"]] = viewed.question(place.questions, row["question_id"])
        found = questions[row["question_id"]]
        label = labeller_of(viewed, found.source) if found else None
        out.append(
            {
                **{n: row.get(n) for n in (*LISTED, "same", "judged")},
                "gold": _gold(found),
                "name": (found.name if found else "") or row["question_id"][:12],
                "pieces": pieces(full["text"] or "", row, found, label),
            }
        )
    return out


def _gold(found: Question | None) -> str | None:
    if found is None:
        return None
    if found.answer_index is not None and found.choices:
        return f"({chr(65 + found.answer_index)}) {found.choices[found.answer_index]}"
    return found.answer if found.answer is not None else ("tests" if found.tests else str(found.gold))


def find_sample(viewed: Viewed, params: Params) -> tuple[dict[str, Any], str, Question | None]:
    """Return a sample by `of`, `where` and `id`, with the name of its place and its question."""
    place = place_of(viewed, params)
    parts = dict(place.parts)
    for ev in viewed.evaluations(place.questions) if place.of.startswith("benchmark:") else ():
        parts.setdefault(
            ev.key, scan_samples(viewed.files, ev.rel)
        )  # one that points to the base model's has a name of its own
    where = params.among("where", list(parts))
    rows = collected(parts[where].filter(pl.col("id") == params.text("id"))).to_dicts()
    row = only(rows[:1], f"sample {params.text('id')} of {place.of}")
    return row, f"{place.of} {where}", viewed.question(place.questions, row["question_id"])


def bug(viewed: Viewed, params: Params) -> dict[str, Any]:
    """Return a sample as a row for a bug report: `midway verify FILE` judges it again; `verdict` is what the run's verdict was."""
    row, where, found = find_sample(viewed, params)
    if found is None:
        raise BadRequest("the question of this sample is not stored in the run, so nobody could judge it again")
    return {"row": json.dumps(row_of(viewed.name, where, row, found)), "file": f"{viewed.name}-{row['id'][:12]}.jsonl"}


def reading(viewed: Viewed, params: Params) -> dict[str, Any]:
    """Return how the verifier read a sample, line by line."""
    row, _, found = find_sample(viewed, params)
    if found is None:
        return {"lines": [NOT_STORED]}
    return {"lines": readings([asked(found, row)])[0]}


def all_readings(viewed: Viewed, samples: Sequence[Params]) -> list[list[str]]:
    """Return the same for many samples, in one process."""
    every = [find_sample(viewed, params) for params in samples]
    known = iter(readings([asked(found, row) for row, _, found in every if found is not None]))
    return [[NOT_STORED] if found is None else next(known) for _, _, found in every]
