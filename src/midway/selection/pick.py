"""The choice itself: the funnel from what was asked to what is kept, question by question, then what concerns all questions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from midway.recipe.schema import DataConfig, SelectionConfig
from midway.records import UNGUIDED
from midway.rundir import REMOVED, SOLUTIONS, Schema, tables
from midway.selection.choose import Similarity, places
from midway.selection.consistent import faults
from midway.selection.leaks import KINDS, find_leaks
from midway.selection.text import stable_hash
from midway.wording import plural

STEPS = (
    "asked",
    "generated",
    "finished",
    "correct",
    "accepted",
    "consistent",
    "adherent",
    "not a copy",
    "not leaked",
    "kept",
    "repeated",
)
"""Steps of the funnel. `correct` is `wrong` for wrong-but-diverse. `repeated` counts further examples, not fewer."""
CHUNK = 600_000
"""Completions worked on at a time."""
REFERENCE = "reference"
"""The `heuristic` and `source` of a reference solution."""

FUNNEL: Schema = {name: kind for name, kind in tables.FUNNEL.items() if name != "pool"}
"""One pool's funnel."""


@dataclass(frozen=True)
class Selection:
    """What was kept and why.

    - `solutions`: as `run.SOLUTIONS`, by question and order of choice; `source` is the pool, or `reference`.
    - `funnel`: step (of STEPS), heuristic, level (of the question, empty if it has none), count.
    - `removed`: completion_id (empty for a whole question), question_id, step, reason, other: the completion that it copies, or the
      benchmark and its question.
    - `notes`: sentences about what the reader must not miss: shortages, repeats, caps that could not be met.
    """

    solutions: pl.DataFrame
    funnel: pl.DataFrame
    removed: pl.DataFrame
    notes: tuple[str, ...] = ()


def select(
    completions: pl.DataFrame | pl.LazyFrame,
    verdicts: pl.DataFrame | pl.LazyFrame,
    adherence: pl.DataFrame | pl.LazyFrame | None,
    questions: pl.DataFrame,
    config: SelectionConfig,
    data: DataConfig,
    *,
    seed: int,
    benchmarks: pl.DataFrame | None = None,
    match: pl.DataFrame | None = None,
    chunk: int = CHUNK,
) -> Selection:
    """Choose the solutions of one mid-training source.

    `completions`, `verdicts` and `adherence` are as in `run.COMPLETIONS`, `run.VERDICTS` and `run.ADHERENCE`; lazy scans are read in
    chunks of questions. `questions` has `id` and `text`, may have `level` (or `difficulty`), and has `solution` for the strategy
    `reference` (which looks at nothing else). `benchmarks` has `name` and `text`. `match` has `question_id` and `count`: the number of
    solutions that the treatment keeps.

    How each strategy ranks a question's completions, best first:
    - `best`: correct; highest adherence first (without scores, the shortest first); at most `per_heuristic` of a heuristic.
    - `one-heuristic`: the same with one heuristic (the one with most correct completions) and no cap on it.
    - `wrong-but-diverse`: the same as `best` with wrong instead of correct. Unjudged ones are neither.
    - `random`: correct, in random order; neither adherence nor diversity is looked at.
    - `reference`: the questions' own solutions, one each.
    Near-copies of a better-ranked solution and leaked questions fall in all of them. Then, up to n of a question: with `diversity` the
    best and then the least similar to those taken, else by rank.
    """
    questions = _questions(questions)
    rng = f"{seed}:{data.strategy}:{data.pool or ''}"
    notes: list[str] = []
    leaks = _leaks(questions, benchmarks, config)
    if data.strategy == REFERENCE:
        completions = _references(questions)
        verdicts, adherence = completions.select("id", judgement=pl.lit("correct")), None
    reasons = config.accept is not None or config.consistent
    tables = _Tables(completions, verdicts, adherence, set(questions["id"].to_list()), reasons=reasons)
    if data.strategy == "one-heuristic":
        only = data.heuristic or tables.most_correct(rng)
        tables = tables.of_heuristic(only)
        notes.append(f"one-heuristic: {only}" + ("" if data.heuristic else " (it has the most correct completions)"))

    limits = dict(match.select("question_id", "count").iter_rows()) if match is not None else {}
    per_question = data.per_question or config.per_question
    steps, removed, candidates = [], [], []
    for part in tables.chunks(chunk):
        one = _chunk(part, questions, leaks, config, data, rng, per_question, limits)
        steps.append(one[0])
        removed.append(one[1])
        # what lies beyond n is of use only to a matched arm
        candidates.append(one[2] if match is not None else one[2].filter(pl.col("place") < per_question))
    pool = _concat(candidates, CANDIDATES).sort("question_id", "place")
    if data.questions is not None:
        drawn = sorted(pool["question_id"].unique().to_list(), key=lambda q: stable_hash(q, _seed(rng, "questions")))[
            : data.questions
        ]
        pool = pool.filter(pl.col("question_id").is_in(drawn))
        if len(drawn) < data.questions:
            notes.append(
                f"only {plural(len(drawn), 'question has', 'questions have')} a solution to keep, {data.questions} were asked for"
            )
    if match is not None:
        kept, repeats = _matched(pool, match, rng, notes)
    else:
        repeats = pool.clear()
        kept, dropped = _balanced(pool, config, data, rng, notes)
        removed.append(dropped)
    if kept.is_empty():
        notes.append("nothing is kept: see the funnel for where the completions fall")
    steps += [_count(kept, "kept"), _count(repeats, "repeated")]
    judged = "wrong" if data.strategy == "wrong-but-diverse" else "correct"
    funnel = _funnel(_concat(steps, FUNNEL), judged, steps_of(config))
    rows = pl.concat([kept, repeats]).sort("question_id", "place", maintain_order=True)
    return Selection(
        solutions=tables.with_text(rows, data.pool or REFERENCE),
        funnel=funnel,
        removed=_concat(removed, REMOVED).unique().sort("question_id", "step", "completion_id"),
        notes=tuple(notes),
    )


CANDIDATES: Schema = {
    "question_id": pl.String,
    "heuristic": pl.String,
    "level": pl.String,
    "id": pl.String,
    "score": pl.Float64,
    "place": pl.Int64,
}
"""What survives the funnel of a chunk; `place` is its place, from 0, in the order of taking within its question."""


class _Tables:
    """The three input tables, read a chunk of questions at a time."""

    def __init__(
        self,
        completions: pl.DataFrame | pl.LazyFrame,
        verdicts: pl.DataFrame | pl.LazyFrame,
        adherence: pl.DataFrame | pl.LazyFrame | None,
        known: set[str],
        *,
        reasons: bool = False,
    ) -> None:
        self.completions = completions.lazy()
        self.reasons = reasons
        there = verdicts.lazy().collect_schema().names() if reasons else []
        more = [pl.col(n) if n in there else pl.lit(None, pl.String).alias(n) for n in ("reason", "extracted")]
        self.verdicts = verdicts.lazy().select("id", "judgement", *(more if reasons else []))
        self.adherence = None
        if adherence is not None:
            scorers = adherence.lazy().select(pl.col("scorer").unique()).collect(engine="streaming")["scorer"].to_list()
            if len(scorers) > 1:
                raise ValueError(
                    f"adherence holds scores of several scorers ({', '.join(sorted(scorers))}): give those of one"
                )
            self.adherence = adherence.lazy().select("id", "score")
        self.known = known

    def of_heuristic(self, slug: str) -> _Tables:
        mine = self.completions.filter(pl.col("heuristic") == slug)
        other = _Tables(mine, self.verdicts, None, self.known, reasons=self.reasons)
        other.adherence = self.adherence
        return other

    def most_correct(self, rng: str) -> str:
        right = self.verdicts.filter(pl.col("judgement") == "correct").select("id")
        counts = (
            self.completions.select("id", "heuristic")
            .join(right, on="id", how="semi")
            .unique("id")
            .group_by("heuristic")
            .len()
            .collect(engine="streaming")
        )
        if counts.is_empty():
            raise ValueError(
                "one-heuristic: no completion of the pool is correct, so name the heuristic (`heuristic: SLUG`)"
            )
        ranked = sorted(counts.iter_rows(), key=lambda row: (-row[1], stable_hash(row[0], _seed(rng, "heuristic"))))
        return str(ranked[0][0])

    def chunks(self, size: int) -> Iterator[pl.DataFrame]:
        """Yield frames with all completions of some questions: id, question_id, heuristic, text, finish, tokens, judgement, score."""
        rows = int(self.completions.select(pl.len()).collect(engine="streaming").item())
        parts = max(1, math.ceil(rows / size))
        names = self.completions.collect_schema().names()
        wanted = [pl.col(n) for n in ("id", "question_id", "heuristic", "text", "finish")]
        wanted.append(
            pl.col("completion_tokens") if "completion_tokens" in names else pl.lit(0).alias("completion_tokens")
        )
        for part in range(parts):
            frame = self.completions.select(wanted)
            if parts > 1:
                frame = frame.filter(pl.col("question_id").hash(0) % parts == part)
            chunk = frame.collect(engine="streaming").unique("id")
            strangers = chunk.filter(~pl.col("question_id").is_in(list(self.known)))["question_id"].unique()
            if len(strangers):
                raise ValueError(
                    f"completions of {plural(len(strangers), 'question')} not in `questions`, such as {min(strangers)}"
                )
            ids = chunk.select("id").lazy()
            judged = self.verdicts.join(ids, on="id", how="semi").collect(engine="streaming").unique("id")
            chunk = chunk.join(judged, on="id", how="left")
            if self.adherence is None:
                chunk = chunk.with_columns(score=pl.lit(None, pl.Float64))
            else:
                scored = self.adherence.join(ids, on="id", how="semi").collect(engine="streaming").unique("id")
                chunk = chunk.join(scored.with_columns(pl.col("score").fill_nan(None)), on="id", how="left")
            yield chunk

    def with_text(self, rows: pl.DataFrame, source: str) -> pl.DataFrame:
        """Return kept rows as SOLUTIONS, in their order."""
        texts = (
            self.completions.select("id", "text")
            .join(rows.select("id").unique().lazy(), on="id", how="semi")
            .collect(engine="streaming")
            .unique("id")
        )
        reference = pl.col("heuristic") == REFERENCE
        frame = rows.join(texts, on="id", how="left", maintain_order="left").with_columns(
            source=pl.lit(source),
            completion_id=pl.when(reference).then(pl.lit("")).otherwise(pl.col("id")),
            adherence=pl.col("score"),
        )
        return frame.select(pl.col(name).cast(kind) for name, kind in SOLUTIONS.items())


def _seed(*parts: str) -> int:
    return stable_hash("\0".join(parts))


def _concat(frames: list[pl.DataFrame], schema: Schema) -> pl.DataFrame:
    columns = [pl.col(name).cast(kind) for name, kind in schema.items()]
    return pl.concat([pl.DataFrame(schema=dict(schema)), *(f.select(columns) for f in frames)])


def _questions(questions: pl.DataFrame) -> pl.DataFrame:
    """Return id, text, level, solution, each question once."""
    names = questions.columns
    level = next((n for n in ("level", "difficulty") if n in names), None)
    return (
        questions.select(
            "id",
            "text",
            level=(pl.col(level).cast(pl.String).fill_null("") if level else pl.lit("")),
            solution=(pl.col("solution") if "solution" in names else pl.lit(None, pl.String)),
        )
        .unique("id")
        .sort("id")
    )


def _references(questions: pl.DataFrame) -> pl.DataFrame:
    return questions.filter(pl.col("solution").is_not_null() & (pl.col("solution") != "")).select(
        id=pl.col("id"),
        question_id=pl.col("id"),
        heuristic=pl.lit(REFERENCE),
        text=pl.col("solution"),
        finish=pl.lit("stop"),
    )


def _leaks(questions: pl.DataFrame, benchmarks: pl.DataFrame | None, config: SelectionConfig) -> pl.DataFrame:
    kinds = KINDS if config.decontaminate is True else (config.decontaminate or ())
    return find_leaks(questions, benchmarks if kinds else None, ngram=config.ngram, kinds=kinds)


def _count(frame: pl.DataFrame, step: str) -> pl.DataFrame:
    return (
        frame.group_by("heuristic", "level")
        .agg(count=pl.len().cast(pl.Int64))
        .with_columns(step=pl.lit(step))
        .select(*FUNNEL)
    )


def steps_of(config: SelectionConfig) -> tuple[str, ...]:
    """Return the steps of STEPS that a selection takes: `accepted` and `consistent` only where they are asked for."""
    left_out = {
        name
        for name, asked in (("accepted", config.accept is not None), ("consistent", config.consistent))
        if not asked
    }
    return tuple(step for step in STEPS if step not in left_out)


def _sound(
    part: pl.DataFrame, config: SelectionConfig, data: DataConfig, counts: list[pl.DataFrame]
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """Return what is accepted and consistent, and what is not with the reason; adds to `counts`. Reference solutions are not looked at."""
    dropped = []
    if config.accept is not None:
        if data.strategy not in (REFERENCE, "wrong-but-diverse"):
            rule = part["reason"].fill_null("").str.split(":").list.first()
            dropped.append(
                _dropped(part.filter(~rule.is_in(config.accept)), "accepted", "answer found by: " + pl.col("reason"))
            )
            part = part.filter(rule.is_in(config.accept))
        counts.append(_count(part, "accepted"))
    if config.consistent:
        if data.strategy != REFERENCE:
            found = [faults(text, answer) for text, answer in part.select("text", "extracted").iter_rows()]
            part = part.with_columns(fault=pl.Series([f[0] if f else None for f in found], dtype=pl.String))
            dropped.append(_dropped(part.filter(pl.col("fault").is_not_null()), "consistent", pl.col("fault")))
            part = part.filter(pl.col("fault").is_null()).drop("fault")
        counts.append(_count(part, "consistent"))
    return part, dropped


def _dropped(part: pl.DataFrame, step: str, reason: pl.Expr) -> pl.DataFrame:
    """Return rows of REMOVED."""
    return part.select(
        completion_id="id", question_id="question_id", step=pl.lit(step), reason=reason, other=pl.lit("")
    )


def _funnel(counts: pl.DataFrame, judged: str, names: tuple[str, ...]) -> pl.DataFrame:
    """Return the sums in the order of STEPS, zeros included; `repeated` only where there are any."""
    steps = pl.DataFrame({"step": names[:-1], "place": range(len(names) - 1)})
    keys = counts.select("heuristic", "level").unique()
    zeros = keys.join(steps.select("step"), how="cross").with_columns(count=pl.lit(0, pl.Int64)).select(*FUNNEL)
    sums = pl.concat([counts, zeros]).group_by("step", "heuristic", "level").agg(pl.col("count").sum())
    ordered = sums.join(steps, on="step", how="left").sort("place", "heuristic", "level", nulls_last=True)
    return ordered.with_columns(pl.col("step").replace("correct", judged)).select(*FUNNEL)


def _chunk(
    part: pl.DataFrame,
    questions: pl.DataFrame,
    leaks: pl.DataFrame,
    config: SelectionConfig,
    data: DataConfig,
    rng: str,
    per_question: int,
    limits: dict[str, int],
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return funnel counts up to `not leaked`, the removed, and the CANDIDATES of some questions."""
    part = part.join(questions.select(question_id="id", level="level"), on="question_id", how="left")
    counts = [_count(part, "asked")]
    part = part.filter(pl.col("finish") != "error")
    counts.append(_count(part, "generated"))
    # recorded completions may come without a token count: take words
    part = part.with_columns(
        length=pl.when(pl.col("completion_tokens") > 0)
        .then(pl.col("completion_tokens"))
        .otherwise(pl.col("text").str.count_matches(r"\S+"))
        .cast(pl.Int64)
    )
    longest = config.max_tokens if config.max_tokens is not None else 2**62
    blank = pl.col("text").str.strip_chars() == ""
    part = part.filter((pl.col("finish") == "stop") & ~blank & pl.col("length").is_between(config.min_tokens, longest))
    counts.append(_count(part, "finished"))
    part = part.filter(pl.col("judgement") == ("wrong" if data.strategy == "wrong-but-diverse" else "correct"))
    counts.append(_count(part, "correct"))
    part, unsound = _sound(part, config, data, counts)
    if config.min_adherence is not None and data.strategy not in ("random", REFERENCE):
        guided = pl.col("heuristic") != UNGUIDED
        part = part.filter(~guided | (pl.col("score") >= config.min_adherence).fill_null(False))
    counts.append(_count(part, "adherent"))

    draw = _seed(rng, "rank")
    part = part.with_columns(draw=pl.Series([stable_hash(i, draw) for i in part["id"].to_list()], dtype=pl.Int64))
    by = ["question_id", "draw", "id"]
    falling = [False] * len(by)
    if data.strategy != "random":
        by[1:1], falling[1:1] = ["score", "length"], [True, False]
    part = part.sort(by, descending=falling, nulls_last=True)
    groups = part["question_id"].rle_id().to_numpy().astype(np.int64)
    similarity = Similarity(part["text"], threshold=config.near_copy, same_computation=config.same_computation)
    original = similarity.copies(groups)
    copied = np.flatnonzero(original >= 0)
    removed = [
        *unsound,
        part[copied].select(
            completion_id="id",
            question_id="question_id",
            step=pl.lit("not a copy"),
            reason=pl.lit("near-copy"),
            other=part["id"].gather(original[copied]),
        ),
    ]
    part = part.with_columns(row=pl.arange(len(part), eager=True), group=pl.Series(groups))[
        np.flatnonzero(original < 0)
    ]
    counts.append(_count(part, "not a copy"))
    asked_here = pl.concat([part["question_id"], removed[-1]["question_id"]]).unique()
    here = leaks.filter(pl.col("question_id").is_in(asked_here.to_list()))
    removed.append(
        here.select(
            completion_id=pl.lit(""),
            question_id="question_id",
            step=pl.lit("not leaked"),
            reason="kind",
            other=pl.col("benchmark") + ": " + pl.col("other"),
        )
    )
    part = part.join(leaks, on="question_id", how="anti", maintain_order="left")
    counts.append(_count(part, "not leaked"))

    if data.strategy in ("best", "wrong-but-diverse"):
        cap = data.per_heuristic or config.per_heuristic
        nth = pl.col("id").cum_count().over("question_id", "heuristic")
        part = part.filter((pl.col("heuristic") == UNGUIDED) | (nth <= cap))
    part = part.with_columns(place=_places(part, similarity, config, data, per_question, limits))
    return pl.concat(counts), pl.concat(removed), part.select(*CANDIDATES)


def _places(
    part: pl.DataFrame,
    similarity: Similarity,
    config: SelectionConfig,
    data: DataConfig,
    per_question: int,
    limits: dict[str, int],
) -> pl.Series:
    """Return each candidate's place in the order of taking within its question; `part` is ranked."""
    groups = part["group"].to_numpy()
    order = np.arange(len(part), dtype=np.int64)
    if config.diversity and data.strategy != "random" and len(part):
        rows = part["row"].to_numpy()
        starts = np.flatnonzero(np.concatenate([[True], groups[1:] != groups[:-1]]))
        ends = np.concatenate([starts[1:], [len(groups)]])
        asked = part["question_id"].gather(starts).to_list()
        for start, end, question in zip(starts.tolist(), ends.tolist(), asked, strict=True):
            n = limits.get(question, 0) if limits else per_question
            if 1 < n < end - start:
                taken = similarity.spread(rows[start:end], n)
                order[start:end] = start + np.searchsorted(rows[start:end], taken)
    return pl.Series(places(groups, order), dtype=pl.Int64)


def _matched(pool: pl.DataFrame, match: pl.DataFrame, rng: str, notes: list[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return (kept, repeats) with as many rows as the treatment has.

    First, question by question, as many as the treatment keeps there; then further solutions of other questions, one from each in
    turn, questions of the treatment before others; then, if distinct solutions are still short, each is repeated in turn.
    """
    wanted = int(match["count"].sum())
    counts = (
        match.select("question_id", wanted=pl.col("count").cast(pl.Int64))
        .group_by("question_id")
        .agg(pl.col("wanted").sum())
    )
    pool = pool.join(counts, on="question_id", how="left", maintain_order="left").with_columns(
        within=pl.col("place") < pl.col("wanted").fill_null(0),
        stranger=pl.col("wanted").is_null(),
        extra=pl.col("place") - pl.col("wanted").fill_null(0),
        draw=pl.Series([stable_hash(q, _seed(rng, "match")) for q in pool["question_id"].to_list()], dtype=pl.Int64),
    )
    kept = pool.filter("within")
    short = wanted - len(kept)
    if short:
        spare = pool.filter(~pl.col("within")).sort("stranger", "extra", "draw", "id").head(short)
        notes.append(
            f"{len(kept)} of {plural(wanted, 'solution')} are matched question by question, {len(spare)} come from other questions"
        )
        kept = pl.concat([kept, spare])
    short = wanted - len(kept)
    repeats = kept.clear()
    if short and len(kept):
        turns = kept.sort("place", "draw", "id")
        repeats = pl.concat([turns] * math.ceil(short / len(turns))).head(short)
        notes.append(f"only {len(kept)} distinct solutions for {plural(wanted, 'example')}: {short} are repeats")
    return kept.select(*CANDIDATES), repeats.select(*CANDIDATES)


def _balanced(
    kept: pl.DataFrame, config: SelectionConfig, data: DataConfig, rng: str, notes: list[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return (kept, removed): no heuristic with more than the share `balance`; what was taken last in its question goes first."""
    nothing = pl.DataFrame(schema=dict(REMOVED))
    counts = {h: n for h, n in kept.group_by("heuristic").len().iter_rows() if h not in (UNGUIDED, REFERENCE)}
    if config.balance is None or data.strategy not in ("best", "wrong-but-diverse") or not counts:
        return kept, nothing
    share = max(config.balance, 1 / len(counts))
    if share > config.balance:
        notes.append(
            f"balance {config.balance:g} cannot be met with {plural(len(counts), 'heuristic')}: {share:.3g} is used"
        )
    total, previous = sum(counts.values()), -1
    while total != previous:
        previous, cap = total, math.floor(share * total + 1e-9)
        total = sum(min(n, cap) for n in counts.values())
    draw = pl.Series([stable_hash(i, _seed(rng, "balance")) for i in kept["id"].to_list()], dtype=pl.Int64)
    ranked = kept.with_columns(draw=draw).sort("place", "draw", "id")
    inside = ranked.filter(pl.col("id").cum_count().over("heuristic") <= cap)
    dropped = ranked.join(inside, on="id", how="anti").select(
        completion_id="id", question_id="question_id", step=pl.lit("kept"), reason=pl.lit("balance"), other=pl.lit("")
    )
    return inside.select(*CANDIDATES).sort("question_id", "place"), dropped
