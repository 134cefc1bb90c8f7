"""What the stages of one run work with: questions, prompts, models, engines, the verifier; each made once and only when needed.

Promises: making the materials loads questions and hashes the base model, nothing more; torch is imported by the first stage that needs it.
One engine is open at a time. `close` frees everything and may be called twice.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import polars as pl

from midway.adherence import WaysLabeller
from midway.domains import Verifier
from midway.engines import model_key, open_engine
from midway.engines.base import Engine
from midway.engines.recorded import Recorded
from midway.engines.stream import complete
from midway.heuristics import STOP_STRINGS, build_prompt, fold_system, load_catalogue
from midway.questions import load, shuffled, to_frame
from midway.recipe import (
    ArmConfig,
    BenchmarkConfig,
    EngineConfig,
    Recipe,
    RecipeError,
    RecordedEngine,
    SamplingConfig,
    SourceConfig,
    TransformersEngine,
    merge,
    near,
)
from midway.records import Heuristic, Prompt, Question, Sampling, content_id
from midway.rundir import (
    ADHERENCE,
    COMPLETIONS,
    VERDICTS,
    RunDir,
    RunError,
    StageDir,
    read_json,
    read_table,
    write_table,
)
from midway.stages.asking import Answer
from midway.stages.common import Control, Outcome
from midway.stages.evaluate import LABELLERS, labeller_of
from midway.stages.judging import Judge
from midway.stages.spread import ClusterVerifier

Work = Callable[[StageDir, Control, Outcome], None]


@dataclass(frozen=True)
class Target:
    """A model: a path or Hub id and what names its weights in the ids of completions: their hash for the base model, the digest of the
    stage that trains it for a trained one (so that a run that was killed and went on has the ids of one that was not)."""

    path: str
    key: str
    revision: str | None = None


def resolve_model(path: str, make: bool = True) -> str:
    """Return where a model is: `lab` is the small base model shipped with midway, `lab:...` another one that the lab makes,
    `tiny:FAMILY` a random one for trying out a recipe. With `make` false, raises FileNotFoundError where the lab has yet to make it.
    """
    if path == "lab" or path.startswith("lab:"):
        try:
            knobs: dict[str, Any] = dict(knob.split("=") for knob in path[4:].split(",")) if ":" in path else {}
            knobs = {name: value if name == "world" else float(value) for name, value in knobs.items()}
            return str(importlib.import_module("midway.lab.checkpoints").base_checkpoint(**knobs, make=make))
        except (ValueError, TypeError) as error:
            raise RunError(
                f"model.path {path!r}: write lab, or lab:shown=0.06 or lab:shown=0.06,slip=0.1,world=two-ways ({error})"
            ) from None
    if path.startswith("tiny:"):
        return str(importlib.import_module("midway.lab.tiny").cached_tiny(path.partition(":")[2]))
    return path


class Materials:
    """Questions, prompts, engines and the verifier of a run."""

    def __init__(self, recipe: Recipe, run: RunDir, data: str | None = None, executor: str = "local") -> None:
        if executor not in ("local", "ray"):
            raise RunError(f"--executor {executor}: write local or ray")
        self.recipe, self.run, self.executor = recipe, run, executor
        self.data = data or recipe.questions.data
        self._questions: dict[str, list[Question]] = {}
        self._engine: Engine | None = None
        self._verifier: Verifier | ClusterVerifier | None = None
        self.open_model: str | None = None
        self._open_config: EngineConfig | None = None
        self.note: Callable[[str], None] = lambda text: None

    # Questions ------------------------------------------------------------------------------------------------------

    def questions(self, name: str) -> list[Question]:
        """Return a set of questions: `train`, `rl` or `benchmark-NAME`. Raises RunError for an empty or doubled set."""
        if name not in self._questions:
            sources = self._sources(name)
            found = [q for source in sources for q in load(source, data=self.data)]
            unique = list({q.id: q for q in found}.values())
            if not unique:
                raise RunError(f"questions.{name}: there are none in {', '.join(s.source for s in sources)}")
            benchmark = sources[0]
            if isinstance(benchmark, BenchmarkConfig) and benchmark.shuffle_choices:
                unique = [shuffled(q, benchmark.seed) if q.domain == "choice" else q for q in unique]
            self._questions[name] = unique
        return self._questions[name]

    def _sources(self, name: str) -> Sequence[SourceConfig]:
        if name == "train":
            return self.recipe.questions.train
        if name == "rl":
            return self.recipe.questions.rl or self.recipe.questions.train
        return [b for b in self.recipe.benchmarks if f"benchmark-{b.name}" == name]

    def digest(self, name: str, solutions: bool = False) -> str:
        """Return a content hash of a set of questions, with `solutions` of their reference solutions too; order counts."""
        return content_id([[q.id, q.solution] if solutions else q.id for q in self.questions(name)])

    def store_questions(self) -> None:
        """Keep a copy of every set in the run directory (questions/NAME.parquet)."""
        for name in ["train", "rl", *(f"benchmark-{b.name}" for b in self.recipe.benchmarks)]:
            path = self.run.path / "questions" / f"{name}.parquet"
            if path.exists() and pl.read_parquet(path, columns=["id"])["id"].to_list() == [
                q.id for q in self.questions(name)
            ]:
                continue
            write_table(path, to_frame(self.questions(name)))

    # Prompts --------------------------------------------------------------------------------------------------------

    @cached_property
    def catalogue(self) -> dict[str, Heuristic]:
        return load_catalogue([Path(p) for p in self.recipe.prompt.heuristics])

    def heuristics_of(self, pool: str) -> list[Heuristic | None]:
        """Return the heuristics of a pool, [None] for an unguided one. Raises RecipeError for an unknown slug."""
        slugs = self.recipe.pools[pool].heuristics
        if slugs is None:
            return [None]
        if slugs == "all":
            return list(self.catalogue.values())
        for slug in slugs:
            if slug not in self.catalogue:
                raise RecipeError(
                    f"pools.{pool}.heuristics: there is no heuristic {slug!r}{near(slug, list(self.catalogue))}"
                )
        return [self.catalogue[slug] for slug in slugs]

    @cached_property
    def template(self) -> str | None:
        """The model's chat template, None where it has none or the recipe wants plain text."""
        from midway.training.trainers.trl.common import load_tokenizer

        model = self.recipe.model
        if model.chat is False:
            return None
        template = load_tokenizer(self.base.path, model.revision, model.trust_remote_code).chat_template
        if model.chat is True and not template:
            raise RunError(
                f"{model.path}: model.chat is true, but its tokenizer has no chat template; set model.chat to auto or false"
            )
        return str(template) if template else None

    @property
    def chat(self) -> bool:
        """Whether the model is talked to through a chat template."""
        return self.template is not None

    def prompt(self, question: Question, heuristic: Heuristic | None, few_shot: int = 0) -> Prompt:
        """Return the prompt: guided by a heuristic, or plain, after `few_shot` plain worked examples."""
        config = self.recipe.prompt
        prompt = build_prompt(
            question,
            heuristic,
            chat=self.chat,
            style=config.style if heuristic or config.style != "cue" else "plain",
            phases=config.phases,
            exemplars=config.exemplars if heuristic and config.style == "boxed" else few_shot or None,
            system=config.system,
        )
        # some templates (Gemma's) refuse a system message
        return fold_system(prompt) if self.template and "system" not in self.template.lower() else prompt

    def sampling(self, config: SamplingConfig) -> Sampling:
        """Return how to draw; a model that is given plain text also stops where it begins to invent the next question."""
        record = config.record()
        if self.chat or self.recipe.prompt.style != "boxed":
            return record
        return replace(record, stop=tuple(dict.fromkeys([*record.stop, *STOP_STRINGS])))

    # Models, engines, verifier --------------------------------------------------------------------------------------

    @cached_property
    def base(self) -> Target:
        model = self.recipe.model
        path = resolve_model(model.path)
        return Target(path, model_key(path, model.revision), model.revision)

    def engine_config(self, model: Target, adapter: bool = False) -> EngineConfig:
        """Return the engine that serves `model`: the recipe's for the base model. The recipe's LoRA adapter writes pools (`adapter`), it is
        not part of the model that is trained and evaluated. A trained model is not what a server serves or a file of completions holds:
        those two give way to transformers."""
        config = self.recipe.engine
        if config.kind == "vllm" and not (adapter and model == self.base):
            return config.model_copy(update={"lora": None})
        return config if model == self.base or config.kind in ("transformers", "vllm") else TransformersEngine()

    def writer_key(self, config: EngineConfig | None = None) -> str:
        """Return what names the weights that write pools: those of the base model, with the engine's LoRA adapter if it has one."""
        lora = getattr(config or self.recipe.engine, "lora", None)
        return f"{self.base.key}+{model_key(lora)}" if lora else self.base.key

    def engine(self, model: Target, adapter: bool = False) -> Engine:
        """Return the engine that serves `model`, closing another one first."""
        config = self.engine_config(model, adapter)
        if self._engine is None or (self.open_model, self._open_config) != (model.path, config):
            self.close_engine()
            self._engine = self.opened(config, model.path)
            self.open_model, self._open_config = model.path, config
        return self._engine

    def opened(self, config: EngineConfig, path: str) -> Engine:
        """Open an engine for the model at `path`: in this process, or all over the Ray cluster."""
        if self.executor == "ray" and not isinstance(config, RecordedEngine):
            from midway.engines.ray_pool import RayEngine, connect

            connect()
            return RayEngine(config, self.recipe.model, model_path=path, log=self.say)
        return open_engine(config, self.recipe.model, model_path=path, log=self.say)

    def say(self, text: str) -> None:
        """Tell the user, whichever stage is running when it is said."""
        self.note(text)

    def answer(self, model: Target, adapter: bool = False, config: EngineConfig | None = None) -> Answer:
        """Return what answers requests with `model`: the engine in this process, or engines all over a Ray cluster (then `config` may be
        another engine than the recipe's)."""
        if self.executor == "ray":
            from midway.engines.ray_pool import complete_on_ray, connect

            connect()
            self.close_engine()  # its actors have the GPUs
            return partial(
                complete_on_ray,
                config=config or self.engine_config(model, adapter),
                model=self.recipe.model,
                model_path=model.path,
                log=self.say,
            )
        return partial(complete, engine=self.engine(model, adapter))

    def close_engine(self) -> None:
        if self._engine is not None:
            self._engine.close()
        self._engine, self.open_model = None, None

    @property
    def verifier(self) -> Judge:
        """The verifier: in processes of this machine, or all over the Ray cluster."""
        if self._verifier is None:
            config = self.recipe.verify
            verifier = Verifier(config.workers, cpu_seconds=config.seconds, require_sandbox=config.require_sandbox)
            self._verifier = verifier
            if self.executor == "ray":
                from midway.engines.ray_pool import connect

                connect()
                self._verifier = ClusterVerifier(verifier, log=self.say)
        return self._verifier

    def close(self) -> None:
        self.close_engine()
        if self._verifier is not None:
            self._verifier.close()
            self._verifier = None

    # The work of each stage -----------------------------------------------------------------------------------------

    def work_generate(self, pool: str) -> Work:
        def work(stage: StageDir, control: Control, outcome: Outcome) -> None:
            from midway.stages.generate import generate, pool_requests

            config = self.recipe.pools[pool]
            questions, heuristics = self.questions("train"), self.heuristics_of(pool)
            own: Engine | None = None
            spread = self.executor == "ray" and not isinstance(config.engine, RecordedEngine)
            if config.engine and not spread:
                self.close_engine()  # one engine at a time: two do not fit on one GPU
                own = open_engine(config.engine, self.recipe.model, model_path=self.base.path, log=self.say)
            key = own.model_key if isinstance(own, Recorded) else self.writer_key(config.engine)
            there = (lambda q, slug: len(own.recorded(q, slug))) if isinstance(own, Recorded) else None
            sampling = self.sampling(config.sampling)
            requests = pool_requests(questions, heuristics, config.samples, sampling, self.prompt, key, there)
            if not len(requests):
                raise RunError(
                    f"pools.{pool}: its engine has no completions for any of the {len(questions):,} training questions"
                )
            try:
                answer = partial(complete, engine=own) if own else self.answer(self.base, True, config.engine)
                generate(stage, control, outcome, requests, answer)
            finally:
                if own:
                    own.close()

        return work

    def work_verify(self, pool: str) -> Work:
        def work(stage: StageDir, control: Control, outcome: Outcome) -> None:
            from midway.stages.verify import verify_completions

            questions = {q.id: q for q in self.questions("train")}
            completions = self.run.path / f"pools/{pool}/completions"
            verify_completions(stage, control, outcome, completions, questions, self.verifier, self.asked(pool))

        return work

    def work_score(self, pool: str) -> Work:
        def work(stage: StageDir, control: Control, outcome: Outcome) -> None:
            from midway.adherence import Scorer, open_scorer
            from midway.stages.score import score

            questions = {q.id: q for q in self.questions("train")}
            folder = self.run.path / f"pools/{pool}"
            heuristics = {h.slug: h for h in self.heuristics_of(pool) if h}
            config = self.recipe.adherence
            engine: Engine | None = None
            if config.scorer == "likelihood" or (config.scorer == "judge" and config.engine is None):
                engine = self.engine(self.base, adapter=True)
            else:
                self.close_engine()
                if config.engine is not None:
                    engine = self.opened(config.engine, self.base.path)

            def opened(state: Mapping[str, Any] | None) -> Scorer:
                return open_scorer(config, engine, self.prompt, heuristics, state=state, chat=self.chat)

            try:
                score(
                    stage,
                    control,
                    outcome,
                    folder / "completions",
                    folder / "verdicts",
                    questions,
                    opened,
                    heuristics,
                    self.asked(pool),
                )
            finally:
                if engine is not None and engine is not self._engine:
                    engine.close()

        return work

    def work_evaluate(self, index: int, model: Target) -> Work:
        def work(stage: StageDir, control: Control, outcome: Outcome) -> None:
            from midway.stages.evaluate import benchmark_requests, evaluate

            benchmark = self.recipe.benchmarks[index]
            questions = self.questions(f"benchmark-{benchmark.name}")
            requests = list(
                benchmark_requests(
                    questions,
                    lambda q: self.prompt(q, None, benchmark.few_shot),
                    benchmark.samples,
                    self.sampling(benchmark.sampling),
                    benchmark.greedy,
                    model.key,
                )
            )
            label = labeller_of(benchmark.source)
            evaluate(stage, control, outcome, questions, requests, self.answer(model), self.verifier, label)

        return work

    def labels_ways(self) -> dict[str, Heuristic]:
        """The heuristics that a labeller of evaluation samples tells apart."""
        pool = {h.slug: h for h in self.heuristics_of(self.recipe.labels_pool or "") if h}
        wanted = self.recipe.labels.heuristics
        return pool if wanted is None else {slug: pool[slug] for slug in wanted}

    @cached_property
    def labels_target(self) -> Target:
        """The model that labels evaluation samples; with an engine of its own it is not the base model's open one."""
        config = self.recipe.labels
        if config.model is None and config.engine is None:
            return self.base
        if config.model is None:
            return Target(self.base.path + " (labels)", self.base.key, self.base.revision)
        path = resolve_model(config.model.path)
        server = (config.engine or self.recipe.engine).kind == "openai"
        return Target(path, path if server else model_key(path, config.model.revision), config.model.revision)

    def labeller(self, state: Mapping[str, Any] | None) -> WaysLabeller:
        """Return the labeller that the recipe asks for; its engine stays open for the next stage."""
        from midway.adherence import open_labeller

        config, target = self.recipe.labels, self.labels_target
        own = config.engine or self.recipe.engine
        if target == self.base:
            self.engine(self.base)
        elif self._engine is None or self.open_model != target.path:
            self.close_engine()
            path = target.path if config.model else self.base.path
            self._engine = open_engine(own, config.model or self.recipe.model, model_path=path, log=self.note)
            self.open_model = target.path
        assert self._engine is not None
        chat = own.chat if own.kind == "openai" else bool(getattr(self._engine, "chat", self.chat))
        return open_labeller(config, self._engine, self.prompt, self.labels_ways(), state=state, chat=chat)

    def work_labeller(self, pool: str) -> Work:
        def work(stage: StageDir, control: Control, outcome: Outcome) -> None:
            from midway.stages.label import known_texts, prepare

            questions = {q.id: q for q in self.questions("train")}
            folder, most = self.run.path / f"pools/{pool}", self.recipe.labels.known
            known, correct = known_texts(folder, questions, list(self.labels_ways()), self.asked(pool), most)
            prepare(stage, control, outcome, self.labeller(None), known, correct)

        return work

    def work_label(self, index: int) -> Work:
        def work(stage: StageDir, control: Control, outcome: Outcome) -> None:
            from midway.stages.label import label

            questions = {q.id: q for q in self.questions(f"benchmark-{self.recipe.benchmarks[index].name}")}
            labels = self.labeller(read_json(self.run.path / "labels" / "labeller.json"))
            results = stage.path.parent / "results.parquet"
            label(stage, control, outcome, results, questions, labels, self.recipe.labels.samples)

        return work

    def work_select(self, name: str, arm: ArmConfig, seed: int, reference: StageDir | None) -> Work:
        def work(stage: StageDir, control: Control, outcome: Outcome) -> None:
            from midway.stages.select import select_solutions

            recipe = self.recipe
            leaks = (
                {b.name: self.questions(f"benchmark-{b.name}") for b in recipe.benchmarks}
                if recipe.selection.decontaminate
                else {}
            )
            select_solutions(
                stage,
                control,
                outcome,
                name,
                arm,
                recipe.selection,
                self.pool_tables,
                self.questions("train"),
                leaks,
                reference.path if reference else None,
                seed,
            )

        return work

    def asked(self, pool: str) -> set[str]:
        """Return the ids of the completions that the pool asks for now; what else is stored is of other prompts, samplings or weights."""
        return set(pl.read_parquet(self.run.path / f"pools/{pool}/completions/asked/ids.parquet")["id"].to_list())

    def pool_tables(self, pool: str) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame | None]:
        """Return completions, verdicts and (where scored) adherence of a pool, of requests that its recipe asks for."""
        folder = self.run.path / f"pools/{pool}"
        completions = read_table(folder / "completions", COMPLETIONS)
        verdicts = read_table(folder / "verdicts", VERDICTS)
        scored = folder / "adherence"
        asked = self.asked(pool)
        completions = completions.join(
            pl.DataFrame({"id": sorted(asked)}, schema={"id": pl.String}), on="id", how="semi"
        )
        return completions, verdicts, read_table(scored, ADHERENCE) if scored.exists() else None

    def work_midtrain(self, name: str, arm: ArmConfig, seed: int, reference: StageDir | None) -> Work:
        def work(stage: StageDir, control: Control, outcome: Outcome) -> None:
            from midway.stages.train import train_stage
            from midway.training.dataset import training_rows

            solutions = pl.read_parquet(stage.path.parent / "selection" / "solutions.parquet")
            questions = {q.id: q for q in self.questions("train")}
            keep = self.recipe.selection.prompt_with_heuristic
            rows = training_rows(
                solutions, questions, self.prompt, self.chat, heuristics=self.catalogue if keep else None
            )
            args = merge(self.recipe.midtrain, arm.midtrain_args)
            examples = rows.height
            if reference is not None:
                examples = pl.scan_parquet(reference.path / "solutions.parquet").select(pl.len()).collect().item()
            job = self._job("sft", stage, self.base, seed, args, f"{self.recipe.name}-{name}-{seed}-midtrain")
            job = replace(job, examples=examples)
            train_stage(stage, control, outcome, rows, job, self.recipe.launch)

        return work

    def work_rl(self, name: str, arm: ArmConfig, seed: int, model: Target) -> Work:
        def work(stage: StageDir, control: Control, outcome: Outcome) -> None:
            from midway.stages.train import train_stage
            from midway.training.dataset import MESSAGES

            questions = self.questions("rl")
            prompts = [self.prompt(q, None) for q in questions]
            column: Any = [[dict(m) for m in p.messages] for p in prompts] if self.chat else [p.text for p in prompts]
            rows = pl.DataFrame(
                {"prompt": column, "question_id": [q.id for q in questions]},
                schema={"prompt": MESSAGES if self.chat else pl.String, "question_id": pl.String},
            )
            args = merge(self.recipe.rl, arm.rl_args)
            if arm.compute_matched:
                args["max_steps"] = self._matched_steps(args, seed, control)
                outcome.result["compute_matched_steps"] = args["max_steps"]
            curve = self._curve(stage) if self.recipe.curve.every else {}
            job = self._job("grpo", stage, model, seed, args, f"{self.recipe.name}-{name}-{seed}-rl", curve)
            train_stage(stage, control, outcome, rows, job, self.recipe.launch)

        return work

    def _curve(self, stage: StageDir) -> dict[str, Any]:
        """Write the slice of each benchmark that RL is watched on, and return what the training job needs to know of them."""
        from midway.training.dataset import MESSAGES

        config, sets = self.recipe.curve, []
        for benchmark in self.recipe.benchmarks:
            questions = self.questions(f"benchmark-{benchmark.name}")[: config.questions]
            prompts = [self.prompt(q, None) for q in questions]
            shown: Any = [[dict(m) for m in p.messages] for p in prompts] if self.chat else [p.text for p in prompts]
            column = pl.Series("prompt", shown, dtype=MESSAGES if self.chat else pl.String)
            path = stage.path / "curve" / f"{benchmark.name}.parquet"
            write_table(path, to_frame(questions).with_columns(column))
            sets.append(
                {
                    "name": benchmark.name,
                    "rows": str(path),
                    "sampling": asdict(self.sampling(benchmark.sampling)),
                    "samples": config.samples,
                    "labeller": LABELLERS.get(benchmark.source),
                }
            )
        return {"every": config.every, "sets": sets}

    def _matched_steps(self, args: Mapping[str, Any], seed: int, control: Control) -> int:
        """RL steps that take as many seconds as the treatment's generation, mid-training and RL together."""
        treatment = self.recipe.treatment_arm or ""
        root = self.run.path / f"arms/{treatment}/seed-{seed}"
        rl = read_json(root / "rl" / "stage.json") or {}
        steps, seconds = rl["result"]["steps"], rl["cost"]["seconds"]
        pools = {d.pool for d in self.recipe.arms[treatment].midtrain if d.pool}
        extra = float((read_json(root / "midtrain" / "stage.json") or {})["cost"]["seconds"])
        for pool in pools:
            for kind in ("completions", "verdicts", "adherence"):
                manifest = read_json(self.run.path / f"pools/{pool}/{kind}/stage.json")
                extra += float(manifest["cost"]["seconds"]) if manifest else 0.0
        more = math.ceil(extra / (seconds / steps))
        control.note(f"compute-matched: {extra:.0f} s of generation and mid-training buy {more} further RL steps")
        return int(steps) + more

    def _job(
        self,
        kind: str,
        stage: StageDir,
        model: Target,
        seed: int,
        args: Mapping[str, Any],
        run_name: str,
        curve: dict[str, Any] | None = None,
    ) -> Any:
        from midway.training.jobs import Job

        recipe = self.recipe
        return Job(
            kind=kind,
            model=model.path,
            revision=model.revision,
            dtype=recipe.model.dtype,
            trust_remote_code=recipe.model.trust_remote_code,
            rows=str(stage.path / "rows.parquet"),
            out=str(stage.path),
            seed=seed,
            args=dict(args),
            lora=recipe.lora,
            report_to=recipe.report_to,
            run_name=run_name,
            stop=[] if self.chat or recipe.prompt.style != "boxed" else list(STOP_STRINGS),
            questions=str(self.run.path / "questions" / "rl.parquet") if kind == "grpo" else None,
            verify={
                "workers": recipe.verify.workers,
                "cpu_seconds": recipe.verify.seconds,
                "require_sandbox": recipe.verify.require_sandbox,
            },
            curve=curve or {},
        )
