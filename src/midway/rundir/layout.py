"""Every path of a run directory, made here and nowhere else.

A stage is known by its path below the run directory (`rel`, with `/`): `pools/guided/completions`. The functions of this module make such
paths, `place` reads one back into what it is about, and `Layout` turns both into files of one run.

    runs/NAME/
      recipe.yaml  resolved.json  log.jsonl
      questions/{train,rl,benchmark-B}.parquet
      pools/POOL/{completions,verdicts,adherence}/
      arms/ARM/seed-S/selection/{solutions,funnel,removed}.parquet
      arms/ARM/seed-S/{midtrain,rl}/{rows.parquet,job.json,metrics.jsonl,model/}
      arms/ARM/seed-S/rl/rollouts/
      arms/ARM/seed-S/evaluations/B/PHASE/{completions/,verdicts/,results.parquet,greedy/results.parquet,labels/}
      rl-filter/questions.parquet
      probe/{forecast,probe}.json
      labels/labeller.json
      report/{report.html,report.md,results.json}
      locks/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BASE_ARM = "base"
"""The arm of the base model: nothing is trained, one seed, one phase."""
BASE, BEFORE_RL, AFTER_RL = "base", "before-rl", "after-rl"
PHASES = (BASE, BEFORE_RL, AFTER_RL)
TRAINING_SETS = ("train", "rl")
"""The sets of questions that are no benchmark's."""
RL_FILTER = "rl-filter"
"""The stage that chooses RL questions."""
PROBE = "probe"
"""The stage that forecasts what mid-training will be ahead by."""
LABELLER = "labels"
"""The stage that fits the labeller of ways."""


def completions(pool: str) -> str:
    return f"pools/{pool}/completions"


def verdicts(pool: str) -> str:
    return f"pools/{pool}/verdicts"


def adherence(pool: str) -> str:
    return f"pools/{pool}/adherence"


def selection(arm: str, seed: int) -> str:
    return f"arms/{arm}/seed-{seed}/selection"


def midtrain(arm: str, seed: int) -> str:
    return f"arms/{arm}/seed-{seed}/midtrain"


def rl(arm: str, seed: int) -> str:
    return f"arms/{arm}/seed-{seed}/rl"


def evaluation(arm: str, seed: int, benchmark: str, phase: str) -> str:
    return f"arms/{arm}/seed-{seed}/evaluations/{benchmark}/{phase}"


def base_evaluation(benchmark: str) -> str:
    """The base model's evaluation, which all arms share."""
    return evaluation(BASE_ARM, 0, benchmark, BASE)


def labels(evaluation: str) -> str:
    """The labels of an evaluation's samples."""
    return f"{evaluation}/labels"


def benchmark_set(name: str) -> str:
    """The name of a benchmark's question set, beside `train` and `rl`."""
    return f"benchmark-{name}"


_PLACE = re.compile(
    r"pools/(?P<pool>[^/]+)/(?P<pool_part>completions|verdicts|adherence)"
    r"|arms/(?P<arm>[^/]+)/seed-(?P<seed>\d+)/(?:(?P<arm_part>selection|midtrain|rl)"
    r"|evaluations/(?P<benchmark>.+)/(?P<phase>base|before-rl|after-rl)(?P<labels>/labels)?)"
)


@dataclass(frozen=True, slots=True)
class Place:
    """What a stage's path is about; what does not apply is empty (seed: None)."""

    part: str
    """completions, verdicts, adherence, selection, midtrain, rl, evaluation, labels; or the path itself where it is none of these."""
    pool: str = ""
    arm: str = ""
    seed: int | None = None
    benchmark: str = ""
    phase: str = ""


def place(rel: str) -> Place:
    """Return what a stage's path is about. A path of no known form comes back as its own `part`."""
    found = _PLACE.fullmatch(rel)
    if found is None:
        return Place(rel)
    if found["pool"]:
        return Place(found["pool_part"], pool=found["pool"])
    part = found["arm_part"] or ("labels" if found["labels"] else "evaluation")
    return Place(
        part,
        arm=found["arm"],
        seed=int(found["seed"]),
        benchmark=found["benchmark"] or "",
        phase=found["phase"] or "",
    )


def rel_of(place: Place) -> str:
    """Return the path of a stage: `rel_of(place(rel)) == rel`."""
    if place.pool:
        return f"pools/{place.pool}/{place.part}"
    if not place.arm or place.seed is None:
        return place.part
    if not place.phase:
        return f"arms/{place.arm}/seed-{place.seed}/{place.part}"
    rel = evaluation(place.arm, place.seed, place.benchmark, place.phase)
    return labels(rel) if place.part == "labels" else rel


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of one run directory."""

    root: Path

    def is_run(self) -> bool:
        """Is there a run, or what is left of one?"""
        return self.resolved.is_file() or self.arms.is_dir()

    def stage(self, rel: str) -> Path:
        return self.root / rel

    def manifest(self, rel: str) -> Path:
        return self.root / rel / "stage.json"

    def progress(self, rel: str) -> Path:
        """How far a stage is: {"done", "total", "note", "first", "began", "time"}, written every few seconds while it runs."""
        return self.root / rel / "progress.json"

    def manifests(self) -> Iterator[tuple[str, Path]]:
        """Every stage.json with its stage's path, in order of path."""
        for file in sorted(self.root.rglob("stage.json")):
            yield file.parent.relative_to(self.root).as_posix(), file

    def evaluations(self) -> Iterator[str]:
        """Every evaluation that has a directory, in order of path; also one that only points to the base model's."""
        folders = [f for phase in PHASES for f in self.arms.glob(f"*/seed-*/evaluations/**/{phase}") if f.is_dir()]
        for rel in sorted(folder.relative_to(self.root).as_posix() for folder in folders):
            if place(rel).part == "evaluation":
                yield rel

    def arm_names(self) -> list[str]:
        """Arms that have a directory."""
        return sorted(folder.name for folder in self.arms.glob("*") if folder.is_dir())

    def seeds(self, arm: str) -> list[int]:
        """Seeds of an arm that have a directory."""
        numbers = [folder.name.removeprefix("seed-") for folder in (self.arms / arm).glob("seed-*")]
        return sorted(int(number) for number in numbers if number.isdigit())

    def pool_names(self) -> list[str]:
        """Pools that have a directory."""
        return sorted(folder.name for folder in (self.root / "pools").glob("*") if folder.is_dir())

    def question_sets(self) -> Iterator[tuple[str, Path]]:
        """Every stored set of questions with its name, as `questions` takes it."""
        top = self.root / "questions"
        for file in sorted(top.rglob("*.parquet")):
            yield file.relative_to(top).with_suffix("").as_posix(), file

    @property
    def resolved(self) -> Path:
        return self.root / "resolved.json"

    @property
    def recipe(self) -> Path:
        return self.root / "recipe.yaml"

    @property
    def log(self) -> Path:
        return self.root / "log.jsonl"

    @property
    def report(self) -> Path:
        return self.root / "report"

    @property
    def report_digest(self) -> Path:
        """What the report was made from when it was written last."""
        return self.report / "digest.json"

    def report_of(self, treatment: str) -> Path:
        """The report that sees the run from another arm."""
        return self.root / f"report-{treatment}"

    @property
    def arms(self) -> Path:
        return self.root / "arms"

    def lock(self, rel: str) -> Path:
        """The file that a process locks while it works on a stage."""
        return self.root / "locks" / f"{rel.replace('/', '__')}.lock"

    def questions(self, name: str) -> Path:
        """A set of questions: `train`, `rl` or `benchmark_set(NAME)`."""
        return self.root / "questions" / f"{name}.parquet"

    def asked(self, pool: str) -> Path:
        """Ids of the completions that the pool asked for last."""
        return self.root / completions(pool) / "asked" / "ids.parquet"

    def prompts(self, pool: str) -> Path:
        """What a pool with prompts of its own asked, as a set of questions without gold answers."""
        return self.root / completions(pool) / "asked" / "prompts.parquet"

    def solutions(self, arm: str, seed: int) -> Path:
        return self.root / selection(arm, seed) / "solutions.parquet"

    def funnel(self, arm: str, seed: int) -> Path:
        return self.root / selection(arm, seed) / "funnel.parquet"

    def removed(self, arm: str, seed: int) -> Path:
        return self.root / selection(arm, seed) / "removed.parquet"

    def model(self, rel: str) -> Path:
        """The model that a training stage leaves."""
        return self.root / rel / "model"

    def metrics(self, rel: str) -> Path:
        return self.root / rel / "metrics.jsonl"

    def filtered(self) -> Path:
        """How often the base model solved each RL question, and whether RL asks it."""
        return self.root / RL_FILTER / "questions.parquet"

    def forecast(self) -> Path:
        """What mid-training was expected to be ahead by, before it was trained."""
        return self.root / PROBE / "forecast.json"

    def probe_counts(self) -> Path:
        """What the forecast's samples counted."""
        return self.root / PROBE / "probe.json"

    def rollouts(self, rel: str) -> Path:
        """The completions that an RL stage sampled: a table directory."""
        return self.root / rel / "rollouts"

    def evaluated(self, rel: str) -> Path:
        """The samples of an evaluation, a row each."""
        return self.root / rel / "results.parquet"

    def greedy(self, rel: str) -> Path:
        """The greedy samples of an evaluation, apart from the drawn ones."""
        return self.root / rel / "greedy" / "results.parquet"

    def shared(self, rel: str) -> Path:
        """Where it stands that an arm's state before RL is the base model's evaluation: {"path": rel of that}."""
        return self.root / rel / "shared.json"

    def labeller(self) -> Path:
        """What the labeller of ways learnt."""
        return self.root / LABELLER / "labeller.json"

    def export(self, arm: str, seed: int, form: str) -> Path:
        return self.root / "exports" / f"{arm}-seed-{seed}-{form}"
