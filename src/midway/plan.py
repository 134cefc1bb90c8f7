"""A recipe becomes the ordered list of its stages; what arms and seeds share is in it once.

Promises
- Every stage's digest is known before anything runs. Making a plan loads question files and hashes the base model's weights; it opens no
  engine and imports no torch.
- An arm has no code of its own. Controls are derived from the treatment: the same questions, as many solutions, as many optimizer steps,
  the same RL budget.

When things go wrong: what cannot be loaded raises QuestionError, EngineError (a model that is not there) or RecipeError.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from midway import registry
from midway.recipe import ArmConfig, PoolConfig, Recipe
from midway.records import UserError
from midway.registry import near
from midway.rundir import layout
from midway.rundir.layout import AFTER_RL, BASE, BASE_ARM, BEFORE_RL
from midway.stages.base import Stage, rl_sampling
from midway.stages.evaluate import Evaluate, EvaluateBase
from midway.stages.filter import FilterQuestions
from midway.stages.forecast import TRAINING, forecast_stage
from midway.stages.generate import Generate
from midway.stages.label import FitLabeller, Label
from midway.stages.midtrain import MidTrain
from midway.stages.rl import ReinforcementLearning, Treatment
from midway.stages.score import Score
from midway.stages.select import Select
from midway.stages.verify import Verify
from midway.workbench import RL, TRAIN, Lease, Weights, Workbench
from midway.workbench.engines import adapter_of

S = TypeVar("S", bound=Stage)


class PlanError(UserError, ValueError):
    """What is asked of a plan is not in it; the message says what is."""


@dataclass
class Plan:
    """The stages of a recipe by path, each after those that it needs."""

    recipe: Recipe
    stages: dict[str, Stage] = field(default_factory=dict)
    shared: dict[str, str] = field(default_factory=dict)
    """Evaluation before RL of an arm that starts from the base model -> the base model's evaluation."""

    def chosen(self, arm: str | None = None, seed: int | None = None, until: str | None = None) -> list[Stage]:
        """Return the stages that an arm (`base`: the base model's evaluations), a seed and a kind of stage ask for, with what they need;
        all of them if nothing is given. An arm has the pools that it is trained on. Raises PlanError for what is not there."""
        self._refuse(arm, seed, until)
        part = self._in_order([s for s in self.stages.values() if self._asked(s, arm, seed)])
        if until is None:
            return part
        wanted = [s for s in part if s.kind == until]
        if not wanted:
            kinds = ", ".join(dict.fromkeys(s.kind for s in part))
            raise PlanError(f"--until {until}: what --arm and --seed choose has no such stage; it has {kinds}")
        return self._in_order(wanted)

    def _in_order(self, wanted: Sequence[Stage]) -> list[Stage]:
        """Return stages and what they need, in the plan's order. A forecast comes before any training, whichever part is asked for."""
        needed = list(with_needs(wanted))
        paths = {s.rel for s in needed}
        if any(s.kind in TRAINING for s in needed):
            paths.add(layout.PROBE)
        return [s for rel, s in self.stages.items() if rel in paths]

    def _asked(self, stage: Stage, arm: str | None, seed: int | None) -> bool:
        if arm is None and seed is None:
            return True
        mine = (arm is None or stage.arm == arm) and (seed is None or stage.seed == seed or stage.arm == BASE_ARM)
        return mine or (stage.rel in self.shared.values() and self._shares(arm, seed))

    def _shares(self, arm: str | None, seed: int | None) -> bool:
        """Whether the state before RL of what is asked for is the base model's."""
        places = [layout.place(rel) for rel in self.shared]
        return any((arm is None or p.arm == arm) and (seed is None or p.seed == seed) for p in places)

    def _refuse(self, arm: str | None, seed: int | None, until: str | None) -> None:
        arms = [*self.recipe.arms, BASE_ARM]
        if arm is not None and arm not in arms:
            raise PlanError(f"--arm {arm}: the recipe has no such arm{near(arm, arms)}")
        if seed is not None and seed not in self.recipe.seeds:
            raise PlanError(f"--seed {seed}: the recipe's seeds are {', '.join(map(str, self.recipe.seeds))}")
        kinds = list(dict.fromkeys(s.kind for s in self.stages.values()))
        if until is not None and until not in kinds:
            raise PlanError(f"--until {until}: the recipe has no such stage; it has {', '.join(kinds)}")

    def closure(self, target: str) -> set[str]:
        """Return the paths of the stages named by a path, a path's beginning or a kind, and of all that build on them.

        Raises PlanError when nothing matches.
        """
        chosen = {
            rel
            for rel, stage in self.stages.items()
            if rel == target or rel.startswith(f"{target}/") or stage.kind == target
        }
        if not chosen:
            kinds = sorted({s.kind for s in self.stages.values()})
            raise PlanError(
                f"--clean {target}: no such stage; give a path such as {next(iter(self.stages))}, or one of {', '.join(kinds)}"
            )
        for rel, stage in self.stages.items():  # needs come before those who need them
            if any(need.rel in chosen for need in stage.needs):
                chosen.add(rel)
        return chosen


def with_needs(stages: Sequence[Stage]) -> Iterator[Stage]:
    """Yield stages and everything that they need, each once."""
    seen: set[str] = set()
    todo = list(stages)
    while todo:
        stage = todo.pop()
        if stage.rel not in seen:
            seen.add(stage.rel)
            todo += stage.needs
            yield stage


def make_plan(recipe: Recipe, bench: Workbench) -> Plan:
    """Return the plan of a recipe; `bench` knows its questions, prompts and models."""
    return _Planner(recipe, bench).plan


def plain(pool: PoolConfig) -> bool:
    """Whether a pool is as many samples of each training question by the recipe's own engine, guided by nothing."""
    return not pool.heuristics and not pool.prompts and not pool.until and pool.engine is None


def scored(recipe: Recipe, heuristics: int) -> bool:
    """Return whether completions of a pool with so many heuristics are scored for adherence."""
    if recipe.adherence.scorer == "none" or not heuristics:
        return False
    return heuristics > 1 or not registry.find("scorers", recipe.adherence.scorer).compares


class _Planner:
    def __init__(self, recipe: Recipe, bench: Workbench) -> None:
        self.recipe, self.bench = recipe, bench
        self.plan = Plan(recipe)
        self.pools: dict[str, list[Stage]] = {}
        self.selections: dict[int, Select] = {}
        """The treatment's selection by seed."""
        self.treatments: dict[int, Treatment] = {}
        for name in recipe.used_pools:
            self.pools[name] = list(self._pool(name))
        if recipe.forecast is not None:
            self._add(forecast_stage(recipe, bench))  # no stage needs it: it changes no digest of theirs
        self.filters = self._filter()
        base = bench.leases.base()
        for benchmark in recipe.benchmarks:
            self._evaluation(benchmark.name, BASE, arm=BASE_ARM, seed=0, lease=base, of=EvaluateBase)
        for seed in recipe.seeds:
            for arm in self._order():
                self._arm(arm, recipe.arms[arm], seed)
        if recipe.labels.by != "program":
            self._labels()

    def _add(self, stage: S) -> S:
        self.plan.stages[stage.rel] = stage
        return stage

    def _order(self) -> list[str]:
        """The treatment first, since others are matched to it; those matched in success late, those matched in compute last."""
        names = sorted(self.recipe.arms, key=lambda name: name != self.recipe.treatment_arm)
        names = sorted(names, key=lambda name: self.recipe.arms[name].midtrain_until is not None)
        return sorted(names, key=lambda name: self.recipe.arms[name].compute_matched)

    # Pools ----------------------------------------------------------------------------------------------------------

    def _pool(self, name: str) -> Iterator[Stage]:
        recipe, bench, config = self.recipe, self.bench, self.recipe.pools[name]
        lease = bench.leases.pool(name)
        generated = self._add(
            Generate(
                rel=layout.completions(name),
                pool=name,
                config=config,
                verify=recipe.verify,
                prompt=recipe.prompt,
                heuristics=bench.prompts.heuristics(name),
                questions=bench.chats.prompts_digest(name) if config.prompts else bench.questions.digest(TRAIN),
                domains={} if config.prompts else bench.questions.domains(TRAIN),
                lease=lease,
                adapter=bench.leases.writer_key(lease) if adapter_of(lease.config) else None,
            )
        )
        yield generated
        if config.prompts:
            return
        judged = self._add(
            Verify(
                rel=layout.verdicts(name),
                needs=[generated],
                pool=name,
                config=recipe.verify,
                domains=bench.questions.domains(TRAIN),
            )
        )
        yield judged
        if scored(recipe, len(bench.prompts.guides(name))):
            yield self._add(
                Score(
                    rel=layout.adherence(name),
                    needs=[generated, judged],
                    pool=name,
                    config=recipe.adherence,
                    lease=bench.leases.judge(),
                )
            )

    def _filter(self) -> list[Stage]:
        """The stage that chooses RL questions, if the recipe asks for it and any arm does RL."""
        recipe, config = self.recipe, self.recipe.questions.rl_filter
        if config is None or not any(arm.rl for arm in recipe.arms.values()):
            return []
        trained = {q.id for q in self.bench.questions.get(TRAIN)}
        measured = all(q.id in trained for q in self.bench.questions.get(RL))
        enough = [n for n, pool in recipe.pools.items() if measured and plain(pool) and pool.samples >= config.samples]
        pool = enough[0] if enough and adapter_of(recipe.engine) is None else None
        return [
            self._add(
                FilterQuestions(
                    rel=layout.RL_FILTER,
                    needs=self.pools[pool][:2] if pool else (),
                    config=config,
                    pool=pool,
                    sampling=rl_sampling(recipe),
                    prompt=recipe.prompt,
                    verify=recipe.verify,
                    questions=self.bench.questions.digest(RL),
                    domains=self.bench.questions.domains(RL),
                    lease=self.bench.leases.base(),
                )
            )
        ]

    # Arms -----------------------------------------------------------------------------------------------------------

    def _arm(self, name: str, arm: ArmConfig, seed: int) -> None:
        start = self.bench.models.start(name)
        needs: list[Stage] = []
        pools = [stage for d in arm.midtrain if d.pool for stage in self.pools[d.pool]]
        own = [self.pools[r.pool][0] for r in arm.replay if r.pool]
        if arm.midtrain:
            trained = self._midtrained(name, seed, start, pools, own)
            start, needs = self._weights(trained), [trained]
        if start != self.bench.models.base:
            for benchmark in self.recipe.benchmarks:
                lease = self.bench.leases.trained(start)
                self._evaluation(benchmark.name, BEFORE_RL, arm=name, seed=seed, lease=lease, needs=needs)
        elif arm.rl:
            for benchmark in self.recipe.benchmarks:
                rel = layout.evaluation(name, seed, benchmark.name, BEFORE_RL)
                self.plan.shared[rel] = layout.base_evaluation(benchmark.name)
        if not arm.rl:
            return
        matched = self.treatments[seed] if arm.compute_matched else None
        tuned = self._add(
            ReinforcementLearning(
                rel=layout.rl(name, seed),
                needs=[*needs, *self.filters, *([*matched.before, matched.rl] if matched else [])],
                arm=name,
                seed=seed,
                recipe=self.recipe,
                start=start,
                questions=self.bench.questions.digest(RL),
                domains=self.bench.questions.domains(RL),
                matched_to=matched,
                filtered=bool(self.filters),
            )
        )
        if name == self.recipe.treatment_arm:
            self.treatments[seed] = Treatment(
                arm=name, before=[*pools, *(stage for stage in own if stage not in pools), *needs], rl=tuned
            )
        for benchmark in self.recipe.benchmarks:
            lease = self.bench.leases.trained(self._weights(tuned))
            self._evaluation(benchmark.name, AFTER_RL, arm=name, seed=seed, lease=lease, needs=[tuned])

    def _midtrained(
        self, name: str, seed: int, start: Weights, pools: Sequence[Stage], replayed: Sequence[Stage]
    ) -> MidTrain:
        recipe = self.recipe
        reference = self.selections.get(seed) if name != recipe.treatment_arm else None
        selection = self._add(
            Select(
                rel=layout.selection(name, seed),
                needs=[*pools, *([reference] if reference else [])],
                arm=name,
                seed=seed,
                data=recipe.arms[name].midtrain,
                config=recipe.selection,
                questions=self.bench.questions.digest(TRAIN, solutions=True),
                benchmarks=self._benchmark_digests() if recipe.selection.decontaminate else {},
                reference=reference,
            )
        )
        if name == recipe.treatment_arm:
            self.selections[seed] = selection
        until = recipe.arms[name].midtrain_until
        target = self.plan.stages[layout.evaluation(until.match, seed, until.benchmark, BEFORE_RL)] if until else None
        return self._add(
            MidTrain(
                rel=layout.midtrain(name, seed),
                needs=[selection, *([reference] if reference else []), *([target] if target else []), *replayed],
                arm=name,
                seed=seed,
                recipe=recipe,
                start=start,
                reference=reference,
                target=target,
                replay={n: self.bench.chats.digest(r) for n, r in enumerate(recipe.arms[name].replay) if r.source},
            )
        )

    def _weights(self, trained: Stage) -> Weights:
        """The model that a training stage leaves."""
        return Weights(str(self.bench.files.model(trained.rel)), trained.digest)

    def _benchmark_digests(self) -> Mapping[str, str]:
        names = [b.name for b in self.recipe.benchmarks]
        return {name: self.bench.questions.digest(layout.benchmark_set(name)) for name in names}

    def _evaluation(
        self,
        benchmark: str,
        phase: str,
        *,
        arm: str,
        seed: int,
        lease: Lease,
        needs: Sequence[Stage] = (),
        of: type[Evaluate] = Evaluate,
    ) -> None:
        recipe = self.recipe
        self._add(
            of(
                rel=layout.evaluation(arm, seed, benchmark, phase),
                needs=needs,
                arm=arm,
                seed=seed,
                benchmark=next(b for b in recipe.benchmarks if b.name == benchmark),
                prompt=recipe.prompt,
                verify=recipe.verify,
                questions=self.bench.questions.digest(layout.benchmark_set(benchmark)),
                domains=self.bench.questions.domains(layout.benchmark_set(benchmark)),
                lease=lease,
            )
        )

    # Labels ---------------------------------------------------------------------------------------------------------

    def _labels(self) -> None:
        """Label all evaluations, last, so that the labelling model is loaded once."""
        recipe, pool = self.recipe, self.recipe.labels_pool or ""
        lease, ways = self.bench.leases.labels(), self.bench.prompts.ways()
        evaluations = [s for s in self.plan.stages.values() if isinstance(s, Evaluate)]
        fitted = self._add(
            FitLabeller(
                rel=layout.LABELLER,
                needs=self.pools[pool][:2],
                pool=pool,
                config=recipe.labels,
                ways=ways,
                prompt=recipe.prompt,
                lease=lease,
            )
        )
        for evaluation in evaluations:
            self._add(
                Label(
                    rel=layout.labels(evaluation.rel),
                    needs=[evaluation, fitted],
                    arm=evaluation.arm,
                    seed=evaluation.seed,
                    benchmark=evaluation.benchmark.name,
                    evaluation=evaluation,
                    config=recipe.labels,
                    ways=ways,
                    lease=lease,
                )
            )
