"""What can a model do before anything is trained? A few samples of each question, unguided and by each heuristic, in one table.

A probe is a run like others (pools and verdicts, no arm), so it is stored, goes on after a kill, and its samples may be read with
`midway.open_run`. The measures are pure functions of its tables.

When things go wrong: what the run raises. A question set or heuristic without a single judged sample has NaN, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from midway.evidence import Estimate, mean
from midway.recipe import Recipe
from midway.records import UNGUIDED, Finish, Judgement
from midway.results import Run

PLAIN, GUIDED = "unguided", "guided"
"""The pools of a probe."""
ALL = "all sets"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a probe asks: `questions` are sources as a recipe has them."""

    model: Mapping[str, Any]
    questions: Sequence[Mapping[str, Any]]
    heuristics: Sequence[str]
    samples: int = 8
    """Unguided samples of a question."""
    guided_samples: int = 2
    """Samples of a question and heuristic."""
    sampling: Mapping[str, Any]
    engine: Mapping[str, Any] | None = None
    prompt: Mapping[str, Any] | None = None
    name: str = "probe"

    def recipe(self) -> Recipe:
        """Return the recipe of the probe's run. Raises pydantic's ValidationError for settings that no recipe takes."""
        pools: dict[str, Any] = {PLAIN: {"samples": self.samples, "sampling": dict(self.sampling)}}
        if self.heuristics and self.guided_samples:
            pools[GUIDED] = {
                "heuristics": list(self.heuristics),
                "samples": self.guided_samples,
                "sampling": dict(self.sampling),
            }
        return Recipe.model_validate(
            {
                "name": self.name,
                "title": f"What {self.model.get('path')} can do before anything is trained",
                "model": dict(self.model),
                "questions": {"train": [dict(source) for source in self.questions]},
                "prompt": dict(self.prompt or {}),
                "pools": pools,
                "arms": {},
                **({"engine": dict(self.engine)} if self.engine else {}),
            }
        )


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one way does on one question set."""

    questions: str
    """The question set."""
    way: str
    """`unguided`, a heuristic's slug, or `all heuristics`."""
    asked: int
    """Questions."""
    samples: int
    """Judged samples."""
    right: Estimate
    """Share of judged samples that are right, with an interval over questions."""
    solved: int
    """Questions with at least one right sample."""
    cut: float
    """Share of all samples that were cut off at max_tokens."""
    unjudged: int
    tokens: float
    """Mean tokens of a sample."""

    @property
    def tokens_a_right_one(self) -> float:
        """Tokens that a right sample costs; infinite where none was right."""
        return self.tokens / self.right.value if self.right.value else float("inf")


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Which questions unguided and guided samples solve, at the number of samples that was drawn of each."""

    questions: str
    both: int
    only_guided: int
    only_unguided: int
    neither: int


@dataclass(frozen=True, kw_only=True)
class Probed:
    """The result of a probe."""

    rows: tuple[Row, ...]
    reach: tuple[Reach, ...]


def measure(run: Run) -> Probed:
    """Return the table of a probe's run."""
    return measured(samples_of(run), run.questions("train"))


def samples_of(run: Run) -> pl.DataFrame:
    """Return the samples of a probe's run, unguided and guided ones, with their verdicts."""
    return pl.concat([run.completions(pool) for pool in (PLAIN, GUIDED) if pool in run.pools], how="diagonal_relaxed")


def measured(samples: pl.DataFrame, questions: pl.DataFrame) -> Probed:
    """Return the table of samples with verdicts. `questions`: a table with `id` and `source`, the question set."""
    sets = questions.select(question_id="id", set=pl.col("source"))
    frame = samples.join(sets, on="question_id").sort("question_id", "id")
    names = sets["set"].unique(maintain_order=True).to_list()
    groups = [(name, frame.filter(pl.col("set") == name)) for name in names]
    if len(names) > 1:
        groups.append((ALL, frame))
    rows: list[Row] = []
    for name, part in groups:
        ways = part["heuristic"].unique().sort().to_list()
        slugs = [UNGUIDED, *(way for way in ways if way != UNGUIDED)]
        rows += [_row(name, way, part.filter(pl.col("heuristic") == way)) for way in slugs]
        if len(slugs) > 2:
            rows.append(_row(name, "all heuristics", part.filter(pl.col("heuristic") != UNGUIDED)))
    return Probed(rows=tuple(rows), reach=tuple(_reach(name, part) for name, part in groups))


def _row(name: str, way: str, frame: pl.DataFrame) -> Row:
    judged = frame.filter(pl.col("judgement").is_in([Judgement.CORRECT, Judgement.WRONG]))
    by_question = (
        judged.group_by("question_id", maintain_order=True)
        .agg(right=(pl.col("judgement") == Judgement.CORRECT).mean())
        .sort("question_id")
    )
    right_Q = by_question["right"].to_numpy().astype(float)
    return Row(
        questions=name,
        way=way,
        asked=frame["question_id"].n_unique(),
        samples=judged.height,
        right=mean(right_Q[None, :] if right_Q.size else np.full((1, 1), np.nan)),
        solved=int((right_Q > 0).sum()),
        cut=float((frame["finish"] == Finish.LENGTH).mean() or 0.0),  # type: ignore[arg-type]
        unjudged=frame.height - judged.height,
        tokens=float(frame["completion_tokens"].mean() or 0.0),  # type: ignore[arg-type]
    )


def _reach(name: str, frame: pl.DataFrame) -> Reach:
    solved = frame.filter(pl.col("judgement") == Judgement.CORRECT)
    plain = set(solved.filter(pl.col("heuristic") == UNGUIDED)["question_id"])
    guided = set(solved.filter(pl.col("heuristic") != UNGUIDED)["question_id"])
    every = set(frame["question_id"])
    return Reach(
        questions=name,
        both=len(plain & guided),
        only_guided=len(guided - plain),
        only_unguided=len(plain - guided),
        neither=len(every - plain - guided),
    )
