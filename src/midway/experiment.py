"""An experiment: a recipe becomes a graph of stages; what arms and seeds share is in it once.

Promises
- Every stage's digest is known before anything runs: it is made of the stage's own part of the recipe and of the digests of what it
  reads. So a changed recipe is refused before a second is spent, and what is complete is skipped.
- An arm has no code of its own. Controls are derived from the treatment: the same questions, as many solutions, as many optimizer steps,
  the same RL budget.
- A failed arm does not stop the others; the experiment ends with a list of what failed and the report says so.

When things go wrong: RunError with what, where and what to type next. `Stopped` when the user asked to stop.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from midway.materials import Materials, Target
from midway.recipe import ArmConfig, Recipe, merge
from midway.records import content_id
from midway.rundir import RunDir, RunError, StageDir, now, read_json, write_bytes, write_json
from midway.stages.common import Control, Outcome, Stopped, recorded, versions

BASE = "base"


@dataclass
class Step:
    """One stage of the graph and how it is done."""

    stage: StageDir
    work: Callable[[StageDir, Control, Outcome], None]
    needs: list[Step] = field(default_factory=list)
    model: Target | None = None
    """The model whose engine the step uses; the engine stays open from one step to the next with the same model."""

    @property
    def rel(self) -> str:
        return self.stage.rel


@dataclass
class Failure:
    rel: str
    error: str


class Experiment:
    """The graph of a recipe over a run directory."""

    def __init__(self, recipe: Recipe, run: RunDir, materials: Materials) -> None:
        self.recipe, self.run, self.materials = recipe, run, materials
        self.steps: dict[str, Step] = {}
        self._build()

    # The graph ------------------------------------------------------------------------------------------------------

    def _add(
        self,
        rel: str,
        kind: str,
        config: Mapping[str, Any],
        work: Callable[[StageDir, Control, Outcome], None],
        needs: list[Step],
        model: Target | None = None,
    ) -> Step:
        if rel not in self.steps:
            stage = self.run.stage(rel, kind, config, {n.rel: n.stage.digest for n in needs})
            self.steps[rel] = Step(stage, work, needs, model)
        return self.steps[rel]

    def _build(self) -> None:
        recipe = self.recipe
        for name in self._pools_used():
            self._pool(name)
        for benchmark in range(len(recipe.benchmarks)):
            self._evaluation(
                benchmark, BASE, self.materials.base, f"arms/base/seed-0/evaluations/{self._bench(benchmark)}/base", []
            )
        order = [a for a in recipe.arms if a != recipe.treatment_arm]
        if recipe.treatment_arm:
            order.insert(0, recipe.treatment_arm)
        order.sort(key=lambda a: recipe.arms[a].compute_matched)
        for seed in recipe.seeds:
            for name in order:
                self._arm(name, recipe.arms[name], seed)
        if recipe.labels.by != "program":
            self._labels()

    def _labels(self) -> None:
        """Label all evaluations, last, so that the labelling model is loaded once."""
        recipe, pool = self.recipe, self.recipe.labels_pool or ""
        config = recipe.labels
        engine = config.engine.model_dump(mode="json") if config.engine else None
        prepared = self._add(
            "labels",
            "labeller",
            {
                "labels": config.model_dump(mode="json", exclude={"engine", "model", "samples"}),
                "engine": engine
                and {k: v for k, v in engine.items() if k in ("kind", "model", "path", "columns", "lora")},
                "ways": {slug: content_id(asdict(h)) for slug, h in self.materials.labels_ways().items()},
                "prompt": recipe.prompt.model_dump(mode="json"),
                "model": self.model_config(self.materials.labels_target),
            },
            self.materials.work_labeller(pool),
            [self.steps[f"pools/{pool}/{part}"] for part in ("completions", "verdicts")],
            self.materials.labels_target,
        )
        places = {b.name: index for index, b in enumerate(recipe.benchmarks)}
        for step in [s for s in self.steps.values() if s.stage.kind == "evaluate"]:
            index = places[step.rel.split("/")[-2]]
            work = self.materials.work_label(index)
            needs, target = [step, prepared], self.materials.labels_target
            self._add(f"{step.rel}/labels", "label", {"samples": config.samples}, work, needs, target)

    def _bench(self, index: int) -> str:
        return self.recipe.benchmarks[index].name

    def _pools_used(self) -> list[str]:
        used = {d.pool for arm in self.recipe.arms.values() for d in arm.midtrain if d.pool}
        if self.recipe.labels.by != "program":
            used.add(self.recipe.labels_pool or "")
        return [name for name in self.recipe.pools if name in used]

    def _pool(self, name: str) -> None:
        recipe, pool = self.recipe, self.recipe.pools[name]
        adapter = getattr(pool.engine or recipe.engine, "lora", None)
        config = {
            "pool": pool.model_dump(mode="json", exclude={"engine"}),
            "engine": pool.engine.model_dump(mode="json", include={"kind", "model", "path", "columns", "lora"})
            if pool.engine
            else None,
            "lora": self.materials.writer_key(pool.engine) if adapter else None,
            "prompt": recipe.prompt.model_dump(mode="json"),
            "heuristics": {h.slug: content_id(asdict(h)) for h in self.materials.heuristics_of(name) if h},
            "model": self.model_config(self.materials.base),
            "questions": self.materials.digest("train"),
        }
        generated = self._add(
            f"pools/{name}/completions", "generate", config, self.materials.work_generate(name), [], self.materials.base
        )
        judged = self._add(
            f"pools/{name}/verdicts",
            "verify",
            self._verify_config(),
            self.materials.work_verify(name),
            [generated],
        )
        if recipe.adherence.scorer != "none" and pool.heuristics:
            self._add(
                f"pools/{name}/adherence",
                "score",
                recipe.adherence.model_dump(mode="json"),
                self.materials.work_score(name),
                [generated, judged],
                self.materials.base,
            )

    def model_config(self, model: Target) -> dict[str, Any]:
        """What of a model changes what it writes."""
        return {"key": model.key, "chat": self.recipe.model.chat, "dtype": self.recipe.model.dtype}

    def _verify_config(self) -> dict[str, Any]:
        return {"seconds": self.recipe.verify.seconds, "require_sandbox": self.recipe.verify.require_sandbox}

    def _pool_steps(self, name: str) -> list[Step]:
        return [self.steps[rel] for rel in self.steps if rel.startswith(f"pools/{name}/")]

    def _evaluation(self, index: int, label: str, model: Target, rel: str, needs: list[Step]) -> Step:
        benchmark = self.recipe.benchmarks[index]
        config = {
            "benchmark": benchmark.model_dump(mode="json"),
            "questions": self.materials.digest(f"benchmark-{benchmark.name}"),
            "prompt": {"style": self.recipe.prompt.style, "system": self.recipe.prompt.system},
            "model": self.model_config(model),
            "verify": self._verify_config(),
        }
        return self._add(rel, "evaluate", config, self.materials.work_evaluate(index, model), needs, model)

    def _arm(self, name: str, arm: ArmConfig, seed: int) -> None:
        recipe = self.recipe
        root = f"arms/{name}/seed-{seed}"
        model, needs = self.materials.base, list[Step]()
        if arm.midtrain:
            treatment = recipe.treatment_arm
            matched = name != treatment and treatment is not None
            reference = self.steps.get(f"arms/{treatment}/seed-{seed}/selection") if matched else None
            pools = [s for d in arm.midtrain if d.pool for s in self._pool_steps(d.pool)]
            selection = self._add(
                f"{root}/selection",
                "select",
                {
                    "data": [d.model_dump(mode="json") for d in arm.midtrain],
                    "selection": recipe.selection.model_dump(mode="json"),
                    "questions": self.materials.digest("train", solutions=True),
                    "benchmarks": {b.name: self.materials.digest(f"benchmark-{b.name}") for b in recipe.benchmarks}
                    if recipe.selection.decontaminate
                    else {},
                    "seed": seed,
                },
                self.materials.work_select(name, arm, seed, reference.stage if reference else None),
                [*pools, *([reference] if reference else [])],
            )
            trained = self._add(
                f"{root}/midtrain",
                "midtrain",
                {
                    "args": merge(recipe.midtrain, arm.midtrain_args),
                    "lora": recipe.lora,
                    "model": self.model_config(model),
                    "prompt": {"style": recipe.prompt.style, "system": recipe.prompt.system},
                    "seed": seed,
                },
                self.materials.work_midtrain(name, arm, seed, reference.stage if reference else None),
                [selection, *([reference] if reference else [])],
            )
            model, needs = Target(str(self.run.path / root / "midtrain" / "model"), trained.stage.digest), [trained]
            for index in range(len(recipe.benchmarks)):
                self._evaluation(index, name, model, f"{root}/evaluations/{self._bench(index)}/before-rl", needs)
        if not arm.rl:
            return
        if arm.compute_matched:
            needs = [*needs, *self._treatment_costs(seed)]
        tuned = self._add(
            f"{root}/rl",
            "rl",
            {
                "args": merge(recipe.rl, arm.rl_args),
                "lora": recipe.lora,
                "model": self.model_config(model),
                "verify": self._verify_config(),
                "questions": self.materials.digest("rl"),
                "prompt": {"style": recipe.prompt.style, "system": recipe.prompt.system},
                "curve": recipe.curve.model_dump(mode="json"),
                "compute_matched": recipe.treatment_arm if arm.compute_matched else None,
                "seed": seed,
            },
            self.materials.work_rl(name, arm, seed, model),
            needs,
        )
        final = Target(str(self.run.path / root / "rl" / "model"), tuned.stage.digest)
        for index in range(len(recipe.benchmarks)):
            self._evaluation(index, name, final, f"{root}/evaluations/{self._bench(index)}/after-rl", [tuned])

    def _treatment_costs(self, seed: int) -> list[Step]:
        treatment = self.recipe.treatment_arm
        arm = self.recipe.arms[treatment or ""]
        pools = [s for d in arm.midtrain if d.pool for s in self._pool_steps(d.pool)]
        return [
            *pools,
            self.steps[f"arms/{treatment}/seed-{seed}/midtrain"],
            self.steps[f"arms/{treatment}/seed-{seed}/rl"],
        ]

    # Running --------------------------------------------------------------------------------------------------------

    def pending(self, only: str | None = None) -> list[Step]:
        """Return the steps that are not complete, in order; with `only`, those of one kind and what they need."""
        wanted = set(self.steps)
        if only is not None:
            wanted = set()
            todo = [step for step in self.steps.values() if step.stage.kind == only]
            while todo:
                step = todo.pop()
                if step.rel not in wanted:
                    wanted.add(step.rel)
                    todo += step.needs
        return [step for rel, step in self.steps.items() if rel in wanted and not step.stage.complete]

    def refuse_changes(self, except_: set[str] = frozenset()) -> None:  # type: ignore[assignment]
        """Raise RunError if a stored stage, other than those in `except_`, was made with another configuration, naming the difference and
        the ways out."""
        changed = {
            rel: lines for rel, step in self.steps.items() if rel not in except_ and (lines := step.stage.changes())
        }
        if not changed:
            return
        roots = {
            rel: lines for rel, lines in changed.items() if not any(n.rel in changed for n in self.steps[rel].needs)
        }
        text = [f"{self.run.path} was made with another recipe:"]
        for rel, lines in roots.items():
            text += [f"  {rel}:"] + [f"    {line}" for line in lines]
        if len(changed) > len(roots):
            text.append(f"  and with them {len(changed) - len(roots)} stages that build on these")
        first = next(iter(roots))
        text += [
            "three ways out:",
            "  a new run:      add name=NEW (nothing here is touched)",
            f"  do it again:    add --clean {first} (its results and all that build on them are taken back; completions that are",
            "                  still asked for are kept)",
            "  keep this run:  leave the change out",
        ]
        raise RunError("\n".join(text))

    def clean(self, chosen: set[str]) -> list[str]:
        """Take back stages, as `closure` gives them; return the paths of those that were there."""
        return [cleaned for rel in self.steps if rel in chosen for cleaned in self.run.clean(rel)]

    def closure(self, target: str) -> set[str]:
        """Return the stages named by a path, a path's beginning or a kind, and all that build on them.

        Raises RunError when nothing matches.
        """
        chosen = {
            rel
            for rel, s in self.steps.items()
            if rel == target or rel.startswith(f"{target}/") or s.stage.kind == target
        }
        if not chosen:
            kinds = sorted({s.stage.kind for s in self.steps.values()})
            raise RunError(
                f"--clean {target}: no such stage; give a path such as {next(iter(self.steps))}, or one of {', '.join(kinds)}"
            )
        for rel, step in self.steps.items():  # needs come before those who need them
            if any(n.rel in chosen for n in step.needs):
                chosen.add(rel)
        return chosen

    def execute(
        self, control_of: Callable[[Step, int, int], Control], stop: Callable[[], bool], only: str | None = None
    ) -> list[Failure]:
        """Run what is pending, in order; return what failed. Raises Stopped when asked to stop."""
        failures: list[Failure] = []
        failed: set[str] = set()
        pending = self.pending(only)
        try:
            for number, step in enumerate(pending, start=1):
                if stop():
                    raise Stopped
                broken = [n.rel for n in step.needs if n.rel in failed]
                if broken:
                    failed.add(step.rel)
                    continue
                if step.model is None or step.model.path != self.materials.open_model:
                    self.materials.close_engine()
                control = control_of(step, number, len(pending))
                self.materials.note = control.note
                try:
                    with recorded(step.stage) as outcome:
                        step.work(step.stage, control, outcome)
                except Stopped:
                    raise
                except Exception as error:
                    if step.stage.kind != "label" and step.rel.startswith(("pools/", "arms/base/")):
                        raise  # every arm needs it
                    failed.add(step.rel)
                    failures.append(Failure(step.rel, f"{type(error).__name__}: {error}"))
                    control.note(f"{step.rel} failed: {type(error).__name__}: {error}")
                    if not isinstance(error, RunError):
                        self.run.log("traceback", stage=step.rel, error=_traceback(error))
        finally:
            self.materials.close()
        return failures

    def share_base(self) -> None:
        """Note for every arm without mid-training that its state before RL is the base model's."""
        for name, arm in self.recipe.arms.items():
            if arm.midtrain or not arm.rl:
                continue
            for seed in self.recipe.seeds:
                for benchmark in self.recipe.benchmarks:
                    path = self.run.path / f"arms/{name}/seed-{seed}/evaluations/{benchmark.name}/before-rl/shared.json"
                    value = {"path": f"arms/base/seed-0/evaluations/{benchmark.name}/base"}
                    if read_json(path) != value:
                        write_json(path, value)

    def store_recipe(self, source: str | None) -> None:
        """Write resolved.json (and the recipe as given), unless they say so already."""
        path = self.run.path / "resolved.json"
        value = {
            "name": self.recipe.name,
            "recipe": {
                **self.recipe.model_dump(mode="json"),
                "treatment": self.recipe.treatment_arm,
                "control": self.recipe.control_arm,
            },
            "digest": self.recipe.digest(),
        }
        old = read_json(path) or {}
        if {k: old.get(k) for k in value} != json.loads(json.dumps(value)):
            write_json(path, {**value, "versions": versions(), "created": old.get("created") or now()})
        if source is not None and (
            not (self.run.path / "recipe.yaml").exists() or old.get("digest") != value["digest"]
        ):
            write_bytes(self.run.path / "recipe.yaml", source.encode())


def _traceback(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error))


@contextmanager
def opened(
    recipe: Recipe, out: Path | None = None, data: str | None = None, executor: str = "local"
) -> Iterator[Experiment]:
    """Own the run directory of a recipe and yield its experiment, with questions loaded and the graph built."""
    run = RunDir(out or Path("runs") / recipe.name)
    with run.owned():
        materials = Materials(recipe, run, data, executor)
        try:
            yield Experiment(recipe, run, materials)
        finally:
            materials.close()


def run_path(name: str | Path) -> Path:
    """Return the directory of a run given by path or by name under runs/. Raises RunError when there is none."""
    for path in (Path(name), Path("runs") / name):
        if (path / "resolved.json").exists():
            return path
    known = sorted(p.parent.name for p in Path("runs").glob("*/resolved.json"))
    raise RunError(
        f"{name}: no run there"
        + (f"; runs here: {', '.join(known)}" if known else "; start one with `midway run RECIPE`")
    )
