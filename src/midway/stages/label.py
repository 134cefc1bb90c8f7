"""Label: which ways do evaluation samples use, by a labeller that is no program? Two stages, for `labels.by: likelihood` or `judge`.

`prepare` fits the labeller on completions of a guided pool and measures its error there (`labels/`: `labeller.json` is what it learnt,
`result.labeller` its error). `label` labels the stored samples of one evaluation (`evaluations/B/PHASE/labels/`), a row a sample, so that
one that was killed goes on; the same labeller serves all arms. Where a program labelled the samples too, `result.program` says how far
the two agree. Texts that got no label (unreadable reply, failed request) have no row: they are asked for again when the stage goes on.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from midway import registry
from midway.adherence import WaysLabeller, compared, measure, open_labeller
from midway.adherence.ways import BATCH, Known, steps
from midway.engines import engine_identity
from midway.recipe import LabelsConfig, PromptConfig
from midway.records import Finish, Heuristic, Judgement, Question, content_id
from midway.rundir import (
    COMPLETIONS,
    LABELS,
    VERDICTS,
    RunError,
    ShardWriter,
    layout,
    read_json,
    read_table,
    recover,
    write_json,
)
from midway.rundir.layout import Layout
from midway.stages.base import Output, Stage
from midway.stages.pools import asked
from midway.wording import plural
from midway.workbench import TRAIN, Lease, Workbench
from midway.workbench.prompts import chat_template

ENOUGH = 100
"""Correct guided completions that are enough to leave out the others."""
TOLERATED = 0.2
"""Share of texts that may stay without a label in a stage that counts as complete."""


def known_texts(
    files: Layout, pool: str, *, questions: Mapping[str, Question], slugs: Sequence[str], most: int
) -> tuple[list[Known], bool]:
    """Return up to `most` guided completions with at least one step, and whether they are all correct ones.

    Correct ones are those that models are mid-trained on, and the most like what trained models write; where there are fewer than ENOUGH
    of them, or of one heuristic only, all completions serve. Whole questions in random order, one of each heuristic.
    """
    columns = ["id", "question_id", "heuristic", "text", "finish"]
    rows, ids = read_table(files.stage(layout.completions(pool)), COMPLETIONS, columns), asked(files, pool)
    verdicts = read_table(files.stage(layout.verdicts(pool)), VERDICTS, ["id", "judgement"])
    rows = rows.join(verdicts, on="id", how="left").sort("id")
    every, right = dict[str, dict[str, Known]](), dict[str, dict[str, Known]]()
    for row in rows.iter_rows(named=True):
        if row["id"] in ids and row["heuristic"] in slugs and row["finish"] != Finish.ERROR and steps(row["text"]):
            question = questions[row["question_id"]]
            for of in [every, *([right] if row["judgement"] == Judgement.CORRECT else [])]:
                of.setdefault(question.id, {}).setdefault(row["heuristic"], (question, row["text"], row["heuristic"]))
    sets = [known for texts in right.values() for known in texts.values()]
    correct = len(sets) >= ENOUGH and len({slug for _, _, slug in sets}) > 1
    chosen = right if correct else every
    order = sorted(chosen)
    random.Random(0).shuffle(order)
    return [known for id_ in order for known in chosen[id_].values()][:most], correct


@dataclass(frozen=True, eq=False, kw_only=True)
class FitLabeller(Stage):
    """Fit the labeller on a guided pool and measure its error."""

    kind: ClassVar[str] = "labeller"

    pool: str
    config: LabelsConfig
    ways: Mapping[str, Heuristic]
    prompt: PromptConfig
    lease: Lease

    def identity(self) -> Mapping[str, Any]:
        model = self.lease.model
        return {
            "labels": self.config.identity(exclude=["engine", "model", "samples"]),
            "engine": engine_identity(self.config.engine) if self.config.engine else None,
            "ways": {slug: content_id(asdict(h)) for slug, h in self.ways.items()},
            "prompt": self.prompt.identity(),
            "model": {"key": self.lease.weights.key, "chat": model.chat, "dtype": model.dtype},
            **registry.find("scorers", self.config.by).identity(),
        }

    @property
    def engine(self) -> Lease | None:
        return self.lease

    def run(self, bench: Workbench, out: Output) -> None:
        """Raises RunError when fewer than two heuristics have completions with steps."""
        known, correct = known_texts(
            out.files,
            self.pool,
            questions=bench.questions.by_id(TRAIN),
            slugs=list(self.ways),
            most=self.config.known,
        )
        labeller = open_for(bench, self.config, self.lease, ways=self.ways, state=None)
        prepare(out, labeller, known, correct)


@dataclass(frozen=True, eq=False, kw_only=True)
class Label(Stage):
    """Label the samples of one evaluation with the labeller that was fitted."""

    kind: ClassVar[str] = "label"

    benchmark: str
    evaluation: Stage
    config: LabelsConfig
    ways: Mapping[str, Heuristic]
    lease: Lease

    def identity(self) -> Mapping[str, Any]:
        return {"samples": self.config.samples}

    @property
    def engine(self) -> Lease | None:
        return self.lease

    def run(self, bench: Workbench, out: Output) -> None:
        questions = {q.id: q for q in bench.questions.benchmark(self.benchmark)}
        labeller = open_for(bench, self.config, self.lease, ways=self.ways, state=read_json(out.files.labeller()))
        label(
            out,
            out.files.evaluated(self.evaluation.rel),
            questions=questions,
            labeller=labeller,
            samples=self.config.samples,
        )


def open_for(
    bench: Workbench,
    config: LabelsConfig,
    lease: Lease,
    *,
    ways: Mapping[str, Heuristic],
    state: Mapping[str, Any] | None,
) -> WaysLabeller:
    """Open the labeller that the recipe asks for; its engine stays open for the next stage."""
    chat = getattr(lease.config, "chat", None)  # an engine that says itself whether it takes messages
    if chat is None:
        chat = chat_template(lease.model, lease.weights) is not None
    return open_labeller(config, bench.engines.open(lease), bench.prompts.build, ways, state=state, chat=bool(chat))


def prepare(out: Output, labeller: WaysLabeller, known: Sequence[Known], correct: bool) -> None:
    """Fit and measure the labeller. Raises RunError when fewer than two heuristics have completions with steps."""
    counts = {slug: sum(own == slug for _, _, own in known) for _, _, slug in known}
    if len(counts) < 2:
        raise RunError(
            f"{out.rel}: the guided pool holds completions with steps for {plural(len(counts), 'heuristic')}: "
            f"it takes two to tell ways apart; "
            "look at the completions, or set `labels.by: program`"
        )
    labeller.fit(known)
    error = {**measure(labeller, known), "correct": correct}
    write_json(out.files.labeller(), labeller.state())
    out.result["labeller"] = error
    out.result["known"] = counts
    out.note(sentence(error))
    if error["negatives"] + error["positives"] < (1 - TOLERATED) * (
        error["unlabelled"] + error["negatives"] + error["positives"]
    ):
        raise RunError(f"{out.rel}: {error['unlabelled']} texts got no label: {labeller.state()}")


def sentence(error: Mapping[str, Any]) -> str:
    """Return the measured error in words."""
    hits, positives, rejections, negatives = (error[k] for k in ("hits", "positives", "rejections", "negatives"))
    told = (
        f"labels by {error['name']}: found two ways in {hits} of {positives} texts of two, "
        f"and in {negatives - rejections} of {negatives} of one"
    )
    if positives and negatives and hits / positives + rejections / negatives > 1.1:
        return told
    return f"WARNING: {told}: these labels say next to nothing about composition"


def label(
    out: Output, results: Path, *, questions: Mapping[str, Question], labeller: WaysLabeller, samples: int | None
) -> None:
    """Label the samples of `results` that have no label yet, at most `samples` of each question."""
    recover(out.path, LABELS)
    held = read_table(out.path, LABELS)
    rows = pl.read_parquet(results, columns=["id", "question_id", "index", "text", "finish", "ways"])
    rows = rows.filter(pl.col("finish") != Finish.ERROR)
    if samples is not None:
        rows = rows.sort("question_id", "index").filter(pl.int_range(pl.len()).over("question_id") < samples)
    todo = rows.join(held.select("id"), on="id", how="anti").select("id", "question_id", "text").rows()
    done = 0
    with ShardWriter(out.path, LABELS) as writer:
        for batch in (todo[start : start + BATCH] for start in range(0, len(todo), BATCH)):
            found = labeller.label((questions[q], text) for _, q, text in batch)
            ways = [(row[0], w) for row, w in zip(batch, found, strict=True) if w is not None]
            writer.write({"id": id_, "ways": w} for id_, w in ways)
            done += len(batch)
            out.progress(done, len(todo), "")
            if done < len(todo):
                out.go_on()
    held = read_table(out.path, LABELS)
    joined = rows.join(held.rename({"ways": "label"}), on="id", how="left")
    without = joined["label"].null_count()
    out.result |= {"asked": rows.height, "labelled": rows.height - without, "unlabelled": without}
    if joined["ways"].null_count() < joined.height:
        out.result["program"] = compared(joined["label"].to_list(), joined["ways"].to_list())
    if without > TOLERATED * rows.height:
        raise RunError(
            f"{out.rel}: {without} of {plural(rows.height, 'sample')} got no label: {labeller.state()}; what has one is kept"
        )
