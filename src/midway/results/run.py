"""`open_run(path)`: a run directory for whoever wants to look into it from Python.

Promises: reads only, no torch; a table is read when it is asked for, the typed results are computed once. A run that is still going on, or
that failed, opens too: `results.problems` says what is missing.

When things go wrong: RunError for a directory that is no run, for a name that the run does not have (with the nearest ones), and for a file
that cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

import polars as pl

from midway.recipe import Recipe, loads_recipe
from midway.registry import near
from midway.results.contents import Arm, StageRecord
from midway.results.directory import Benchmarks, question_file, read_arms, read_benchmarks, stage_record
from midway.results.edge import Asked, as_dict, asked_of
from midway.results.frames import completions_of, rollouts_of, samples_of, solutions_of, verdicts_of
from midway.results.scans import Evaluated, evaluations_of
from midway.results.types import ArmAlarm, Results
from midway.rundir import RunError, find_run, layout, read_json
from midway.rundir.layout import Layout


def open_run(path: Path | str) -> Run:
    """Return the run in a directory, given by its path or by its name under `runs/`. Raises RunError naming the runs that are there."""
    return Run(Path(path) if Layout(Path(path)).is_run() else find_run(path))


class Run:
    """One run. Every frame has its columns listed where it is made; what was not written yet has no rows."""

    def __init__(self, path: Path) -> None:
        """`path` is the run directory itself; `open_run` also takes names."""
        self.path = path
        self.files = Layout(path)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @cached_property
    def results(self) -> Results:
        """All numbers of the report, computed from what is in the directory now."""
        from midway.results.load import read_contents  # here: they load scipy, which the tables do not need
        from midway.results.scores import compute

        return compute(read_contents(self.path))

    @cached_property
    def recipe(self) -> Recipe:
        """What was asked, with every default filled in. Raises RecipeError where this version does not know the recipe any more."""
        stored = as_dict(read_json(self.files.resolved))
        if "recipe" not in stored:
            raise RunError(f"{self.path} keeps no recipe: there is no {self.files.resolved.name}")
        return loads_recipe(as_dict(stored["recipe"]), str(self.files.resolved))

    @property
    def stages(self) -> tuple[StageRecord, ...]:
        """What each stage left about itself, in order of path: state, cost, versions, result."""
        return tuple(stage_record(rel, as_dict(read_json(file))) for rel, file in self.files.manifests())

    @cached_property
    def arms(self) -> Mapping[str, Arm]:
        """Every arm by its name, the base model first."""
        return read_arms(self.files, self._asked, [])

    @cached_property
    def pools(self) -> tuple[str, ...]:
        """Names of the pools of completions."""
        return tuple(dict.fromkeys([*self._asked.pools, *self.files.pool_names()]))

    @property
    def alarms(self) -> tuple[ArmAlarm, ...]:
        """What goes wrong in RL, by the logs that are there now; also of a run that is still going on."""
        from midway.results.alarms import alarms_of  # here: evidence loads scipy, which the tables do not need

        return alarms_of(self.files, self.arms, self._asked)

    @property
    def benchmarks(self) -> tuple[str, ...]:
        return self._benchmarks.names

    def questions(self, name: str) -> pl.DataFrame:
        """A stored question set: `train`, `rl` or `benchmark-NAME`. Columns: id, domain, text, answer, name, source, record (JSON).

        Raises RunError for a set that the run does not have.
        """
        sets = dict(self.files.question_sets())
        if name not in sets:
            raise RunError(f"{self.path}: there is no question set {name!r}{near(name, list(sets))}")
        return pl.read_parquet(sets[name])

    def completions(self, pool: str) -> pl.DataFrame:
        """What the base model wrote for a pool, a row for each completion that was asked for last.

        Columns: id, question_id, heuristic, index (of the sample), text, finish (`stop`, `length`, `error`), prompt_tokens,
        completion_tokens, cached_tokens, logprob (nats), error; judgement (`correct`, `wrong`, `unjudged`), extracted (the answer), reason;
        adherence and scorer, for completions that were scored. What is not known yet is null.
        """
        return completions_of(self.files, self._known(pool, self.pools, "pool"))

    def verdicts(self, pool: str) -> pl.DataFrame:
        """The verdicts on a pool's completions. Columns: id (the completion's), judgement, extracted, reason."""
        return verdicts_of(self.files, self._known(pool, self.pools, "pool"))

    def solutions(self, arm: str, *, seed: int | None = None) -> pl.DataFrame:
        """What an arm was mid-trained on, in one seed or all.

        Columns: seed, question_id, heuristic, text, source (the pool, or `reference`), completion_id (empty for a reference solution),
        adherence.
        """
        return solutions_of(self.files, self._known(arm, self.arms, "arm"), self._seeds(arm, seed))

    def rollouts(self, arm: str, seed: int | None = None) -> pl.DataFrame:
        """What RL of an arm sampled, in one seed or all, in the order in which it did.

        Columns: seed, id, step (the first that learns from it, as in metrics.jsonl), question_id, group and index (within the step, within
        the group), text, judgement (`correct`, `wrong`, `unjudged`), extracted (the answer), reason, reward (null: left out), rewards (each
        that was added up: name, value), advantage, tokens, cut_off (at max_completion_length).
        """
        return rollouts_of(self.files, self._known(arm, self.arms, "arm"), self._seeds(arm, seed))

    def samples(
        self,
        benchmark: str,
        arm: str,
        *,
        phase: str | None = None,
        seed: int | None = None,
        greedy: bool = False,
    ) -> pl.DataFrame:
        """What a model answered to a benchmark: the arm's final model, or the one before RL (`phase="before-rl"`); drawn or greedy.

        Columns: benchmark, arm, phase, seed; then as in `completions` from id to reason, heuristic being `sampled` or `greedy`; ways,
        composed and steps_right where a program could tell; labels, the ways by the run's labeller. An arm without mid-training has the
        base model's samples before RL, once, with the base model's seed.
        """
        at = self.arms[self._known(arm, self.arms, "arm")]
        name = self._known(benchmark, self.benchmarks, "benchmark")
        phase = self._known(phase, layout.PHASES, "phase") if phase is not None else at.final_phase
        folder = self._benchmarks.folders.get(name, name)
        rels = [layout.evaluation(arm, s, folder, phase) for s in self._seeds(arm, seed)]
        return samples_of(self.files, rels, greedy=greedy).with_columns(benchmark=pl.lit(name))

    @property
    def evaluations(self) -> list[Evaluated]:
        """Every evaluation that has a directory: whose it is, and where its samples are."""
        return evaluations_of(self.files, list(self.arms.values()), self._benchmarks)

    @property
    def asked(self) -> Asked:
        """What the reader knows of the recipe; also of one that this version cannot validate any more."""
        return self._asked

    def question_file(self, benchmark: str) -> Path | None:
        """Return the table of a benchmark's questions, None where the run keeps none."""
        return question_file(self.files, benchmark)

    @cached_property
    def _asked(self) -> Asked:
        return asked_of(as_dict(as_dict(read_json(self.files.resolved)).get("recipe")))

    @cached_property
    def _benchmarks(self) -> Benchmarks:
        return read_benchmarks(self.files, self._asked)

    def _seeds(self, arm: str, seed: int | None) -> tuple[int, ...]:
        seeds = self.arms[arm].seeds
        if seed is None:
            return seeds
        if seed not in seeds:
            raise RunError(f"{self.path}: arm {arm} has no seed {seed}; it has {', '.join(map(str, seeds))}")
        return (seed,)

    def _known(self, name: str, known: Iterable[str], what: str) -> str:
        names = list(known)
        if name not in names:
            raise RunError(f"{self.path}: there is no {what} {name!r}{near(name, names)}")
        return name
