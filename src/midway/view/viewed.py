"""A run as the viewer sees it: what was counted is kept until its tables change.

Promises: safe to share between threads; a run that is still going on shows what it has now. When things go wrong: RunError, which the page
shows as a sentence.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from midway.questions.table import of_record
from midway.records import Question, UserError
from midway.registry import near
from midway.results import Run, open_run
from midway.results.edge import as_dict, read_dict
from midway.results.scans import (
    Evaluated,
    Stamp,
    agreed_wrong,
    collected,
    counts_by_question,
    pool_paths,
    sample_paths,
    scan_pool,
    stamp,
)
from midway.rundir import QUESTIONS, RunError, Schema, layout, scan_file
from midway.rundir.layout import Layout

T = TypeVar("T")
FRESH = 1.0
"""Seconds for which what is in the directory counts as known."""
LEVELS = ("$.meta.level", "$.meta.difficulty")
SUBJECTS = ("$.meta.subject", "$.meta.family", "$.meta.type", "$.meta.category")
"""Where a question's record says how hard it is and what it is about, the first that is there."""


class BadRequest(UserError, ValueError):
    """A link that cannot be shown: the message says which part of it."""


class Nothing(UserError):
    """A screen that this run has nothing for (yet): the message says why. No mistake of anybody's."""


class Viewed:
    """One run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = Layout(path)
        self._kept: dict[Any, tuple[Stamp, Any]] = {}
        self._locks: dict[Any, threading.Lock] = {}
        self._lock = threading.Lock()
        self._run: tuple[float, Run] | None = None

    @property
    def name(self) -> str:
        return self.path.resolve().name

    @property
    def run(self) -> Run:
        """The run as it is now, at most FRESH seconds old."""
        with self._lock:
            if self._run is None or time.monotonic() - self._run[0] > FRESH:
                self._run = (time.monotonic(), open_run(self.path))
            return self._run[1]

    @property
    def recipe(self) -> Mapping[str, Any]:
        """The recipe as it is stored, every default filled in."""
        return as_dict((read_dict(self.files.resolved) or {}).get("recipe"))

    def kept(self, key: Any, paths: Sequence[Path], make: Callable[[], T]) -> T:
        """Return what `make` gave when the tables at `paths` were as they are now; one thread makes it, others wait."""
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            now = stamp(*paths)
            if key not in self._kept or self._kept[key][0] != now:
                self._kept[key] = (now, make())
            value: T = self._kept[key][1]
            return value

    # Questions --------------------------------------------------------------------------------------------------------

    def questions(self, of: str) -> pl.DataFrame:
        """Return a set of questions: `train`, `rl` or a benchmark's. Columns: id, domain, text, answer, name, subject, level.

        A run that keeps no such set has none, and its questions are known by their ids alone.
        """
        file = self.question_file(of)
        if file is None:
            kinds = ("id", "domain", "text", "answer", "name", "subject", "level")
            return pl.DataFrame(schema=dict.fromkeys(kinds, pl.String))
        return self.kept(("questions", of), [file], lambda: collected(_known(scan_file(file, QUESTIONS))))

    def question_file(self, of: str) -> Path | None:
        """Return the table of a set of questions, None where there is none."""
        if of in layout.TRAINING_SETS:
            file = self.files.questions(of)
            return file if file.is_file() else None
        return self.run.question_file(of)

    def question(self, of: str, id_: str) -> Question | None:
        """Return one question, whole; None where the run does not keep it."""
        file = self.question_file(of)
        if file is None:
            return None
        found = collected(scan_file(file, QUESTIONS).filter(pl.col("id") == id_).select("record"))
        return of_record(json.loads(found["record"][0])) if found.height else None

    # Counts -----------------------------------------------------------------------------------------------------------

    def evaluations(self, benchmark: str) -> list[Evaluated]:
        return [ev for ev in self.run.evaluations if ev.benchmark == benchmark]

    def grid(self, benchmark: str) -> pl.DataFrame:
        """Return the counts of every evaluation of a benchmark by question: arm, phase, seed, then `counts_by_question`.

        An arm that is not mid-trained has the base model's samples as its state before RL, once for each of its seeds.
        """
        parts = []
        for ev in self.evaluations(benchmark):
            paths = sample_paths(self.files, ev.rel)
            counted = self.kept(("counts", ev.rel), paths, partial(counts_by_question, self.files, ev.rel))
            about = {"arm": pl.lit(ev.arm), "phase": pl.lit(ev.phase), "seed": pl.lit(ev.seed, pl.Int64)}
            parts.append(counted.with_columns(**about))
        return pl.concat(parts) if parts else pl.DataFrame(schema=GRID)

    def agreed(self, benchmark: str) -> pl.DataFrame:
        """Return `agreed_wrong` over all evaluations of a benchmark, those of the base model once."""
        rels = list(dict.fromkeys(ev.rel for ev in self.evaluations(benchmark)))
        paths = [path for rel in rels for path in sample_paths(self.files, rel)]
        return self.kept(("agreed", benchmark), paths, lambda: agreed_wrong(self.files, rels))

    def reach(self, pool: str) -> pl.DataFrame:
        """Return what a pool solved: question_id, heuristic, written, judged, right, cut, adherence (mean over the scored)."""

        def make() -> pl.DataFrame:
            rows = scan_pool(self.files, pool).select(
                "id", "question_id", "heuristic", "judgement", "finish", "adherence"
            )
            judged = pl.col("judgement").is_in(["correct", "wrong"]).fill_null(False)
            return collected(
                rows.unique("id")
                .group_by("question_id", "heuristic")
                .agg(
                    written=pl.len().cast(pl.Int64),
                    judged=judged.sum().cast(pl.Int64),
                    right=(pl.col("judgement") == "correct").fill_null(False).sum().cast(pl.Int64),
                    cut=(pl.col("finish") == "length").sum().cast(pl.Int64),
                    adherence=pl.col("adherence").mean(),
                )
                .sort("question_id", "heuristic")
            )

        return self.kept(("reach", pool), pool_paths(self.files, pool), make)


GRID: Schema = {
    "question_id": pl.String,
    **dict.fromkeys(("samples", "judged", "right", "no_answer", "cut", "tokens"), pl.Int64),
    "ways": pl.List(pl.String),
    "ways_right": pl.List(pl.String),
    "arm": pl.String,
    "phase": pl.String,
    "seed": pl.Int64,
}
"""The columns of `Viewed.grid`."""


def _known(scan: pl.LazyFrame) -> pl.LazyFrame:
    def first(paths: Sequence[str]) -> pl.Expr:
        return pl.coalesce(pl.col("record").str.json_path_match(path) for path in paths)

    return scan.select("id", "domain", "text", "answer", "name", subject=first(SUBJECTS), level=first(LEVELS))


class Runs:
    """The runs that are looked at, by name."""

    def __init__(self, paths: Sequence[Path], root: Path | None = None) -> None:
        """`paths`: run directories. `root`: a folder whose runs are all shown, also those that begin later."""
        self.root = root
        self._lock = threading.Lock()
        self._runs: dict[str, Viewed] = {}
        for path in paths:
            self._add(path)

    def _add(self, path: Path) -> None:
        viewed = Viewed(path)
        name, number = viewed.name, 2
        while name in self._runs and self._runs[name].path.resolve() != path.resolve():
            name, number = f"{viewed.name}-{number}", number + 1
        self._runs.setdefault(name, viewed)

    def all(self) -> dict[str, Viewed]:
        """Return the runs by name, those that were added to the folder meanwhile too."""
        with self._lock:
            known = {viewed.path.resolve() for viewed in self._runs.values()}
            for path in sorted(self.root.glob("*")) if self.root else ():
                if path.resolve() not in known and Layout(path).resolved.is_file():
                    self._add(path)
            return dict(self._runs)

    def get(self, name: str) -> Viewed:
        """Return a run by name. Raises BadRequest naming those that are there."""
        runs = self.all()
        if name not in runs:
            raise BadRequest(f"there is no run {name!r} here{near(name, list(runs))}")
        return runs[name]


class Params:
    """What a link asks for, read with types. Raises BadRequest for what cannot be read."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = values

    def text(self, name: str, default: str = "") -> str:
        return self.values.get(name) or default

    def number(self, name: str, default: int, most: int = 10**9) -> int:
        value = self.values.get(name) or str(default)
        if not value.lstrip("-").isdigit():
            raise BadRequest(f"{name}={value}: a whole number is needed")
        return max(0, min(int(value), most))

    def among(self, name: str, known: Sequence[str], default: str = "") -> str:
        """Return a value that must be one of `known`; empty or left out: `default`, or the first."""
        value = self.values.get(name) or default or (known[0] if known else "")
        if value and value not in known:
            raise BadRequest(f"{name}={value}: there is none{near(value, list(known))}")
        return value

    def list(self, name: str) -> list[str]:
        return [part for part in self.values.get(name, "").split(",") if part]


def only(rows: Sequence[T], what: str) -> T:
    """Return the one row there is. Raises RunError where there is none."""
    if not rows:
        raise RunError(f"{what} is not in this run")
    return rows[0]
