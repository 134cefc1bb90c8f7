"""The question sets of a run: `train`, `rl`, and one for each benchmark; each loaded once."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from midway import registry
from midway.questions import load, shuffled, to_frame
from midway.recipe import BenchmarkConfig, Recipe, SourceConfig
from midway.records import Question, content_id
from midway.rundir import RunError, layout, write_table
from midway.rundir.layout import Layout

TRAIN, RL = "train", "rl"


class QuestionSets:
    """Questions by the name of their set. `data` is a folder that is looked in before the Hub."""

    def __init__(self, recipe: Recipe, data: str | None = None) -> None:
        self.recipe, self.data = recipe, data or recipe.questions.data
        self._loaded: dict[str, list[Question]] = {}

    @property
    def names(self) -> list[str]:
        """Every set of the recipe."""
        return [TRAIN, RL, *(layout.benchmark_set(b.name) for b in self.recipe.benchmarks)]

    def get(self, name: str) -> list[Question]:
        """Return a set of questions. Raises RunError for an empty one, QuestionError for one that cannot be loaded."""
        if name == RL and not self.recipe.questions.rl:
            return self.get(TRAIN)
        if name not in self._loaded:
            sources = self._sources(name)
            found = [q for source in sources for q in load(source, data=self.data)]
            unique = list({q.id: q for q in found}.values())
            if not unique:
                raise RunError(f"questions.{name}: there are none in {', '.join(s.source for s in sources)}")
            benchmark = sources[0]
            if isinstance(benchmark, BenchmarkConfig) and benchmark.shuffle_choices:
                unique = [shuffled(q, benchmark.seed) for q in unique]
            self._loaded[name] = unique
        return self._loaded[name]

    def benchmark(self, name: str) -> list[Question]:
        """Return the questions of a benchmark."""
        return self.get(layout.benchmark_set(name))

    def by_id(self, name: str) -> dict[str, Question]:
        """Return a set of questions by id."""
        return {q.id: q for q in self.get(name)}

    def digest(self, name: str, *, solutions: bool = False) -> str:
        """Return a content hash of a set, with `solutions` of the reference solutions too; order counts."""
        return content_id([[q.id, q.solution] if solutions else q.id for q in self.get(name)])

    def domains(self, name: str) -> dict[str, dict[str, str]]:
        """Return the domains of a set that are not built in, with what of each enters digests."""
        used = dict.fromkeys(q.domain for q in self.get(name))
        return {domain: identity for domain in used if (identity := registry.domain(domain).identity())}

    def store(self, files: Layout) -> None:
        """Keep a copy of every set in the run directory, unless it is there."""
        for name in self.names:
            path = files.questions(name)
            ids = [q.id for q in self.get(name)]
            if not path.exists() or pl.read_parquet(path, columns=["id"])["id"].to_list() != ids:
                write_table(path, to_frame(self.get(name)))

    def _sources(self, name: str) -> Sequence[SourceConfig]:
        if name == TRAIN:
            return self.recipe.questions.train
        if name == RL:
            return self.recipe.questions.rl or []
        return [b for b in self.recipe.benchmarks if layout.benchmark_set(b.name) == name]


def labelled_by(source: str) -> str | None:
    """Return `module:function` of the program that labels answers to a source's questions with the ways they use, if there is one."""
    name = source.partition(":")[0]
    part = registry.find("sources", name) if registry.has("sources", name) else None
    return part.label or None if part else None
