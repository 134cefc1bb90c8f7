"""What a recipe may say: pydantic models, each field documented by the text below it. Imports no torch.

Promises: unknown fields are errors, also inside `midtrain` and `rl`, whose fields are the trainer's, and inside the settings of a plug-in's
parts; a recipe dumps to JSON and back unchanged; references between sections (arms to pools, treatment to arms) are checked here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator, model_validator

from midway import registry
from midway.recipe.base_model import missing_model
from midway.recipe.forecast import ForecastConfig, asked_forecast
from midway.recipe.replay import ReplayConfig, check_replay, split_midtrain
from midway.recipe.rounds import RoundsConfig
from midway.recipe.section import EngineSettings, Section, find_part, part_settings
from midway.recipe.training import FilterConfig, RewardConfig, TrainingConfig, reward_list
from midway.recipe.until import UntilConfig, check_until
from midway.records import Sampling, content_id
from midway.registry import near


class ModelConfig(Section):
    path: str = "lab"
    """A Hub id, a local directory, a .gguf file or a named model (`midway list models`). Needed, except for the lab's own questions, and
    where nothing is trained or evaluated and a server or a file writes the solutions."""
    revision: str | None = None
    """Branch, tag or commit on the Hub."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number format for loading; `auto` takes the checkpoint's own."""
    chat: bool | Literal["auto"] = "auto"
    """Use the tokenizer's chat template; `auto`: if it has one."""
    trust_remote_code: bool = False


class SamplingConfig(Section):
    temperature: float = Field(1.0, ge=0)
    """0 is greedy."""
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=0)
    """0 is off."""
    min_p: float = Field(0.0, ge=0, lt=1)
    max_tokens: int = Field(512, ge=1)
    """Tokens a completion may have; a longer one is cut and counted as truncated."""
    stop: list[str] = []
    """Strings at which a completion ends (left out of the text)."""

    def record(self) -> Sampling:
        return Sampling(**{**self.model_dump(), "stop": tuple(self.stop)})


class SourceConfig(Section):
    source: str
    """A known set (`gsm8k`, `math`, `lab`, ...; see `midway list sources`), a source of a plug-in, a Hub id (`org/name`), or a local
    .jsonl/.parquet/.csv file."""
    split: str = "train"
    subset: str | None = None
    """Configuration of a Hub data set (`main` for openai/gsm8k)."""
    revision: str | None = None
    domain: str | None = None
    """math, code, choice, text, python, or one of a plug-in. Needed for a file or Hub set midway does not know; known sets have one."""
    columns: dict[str, str] = {}
    """Where things are: midway's name -> the file's column (`question: problem`)."""
    limit: int | None = Field(None, ge=1)
    """Take this many, drawn with `seed`; all if left out."""
    seed: int = 0
    options: dict[str, Any] = {}
    """Further options of a source (for `lab`: families, levels) or of a domain (for `math`: gold; `text`: match; `python`: judge)."""

    @field_validator("domain")
    @classmethod
    def _domain(cls, value: str | None) -> str | None:
        if value is not None:
            find_part("domains", value)
        return value

    @model_validator(mode="after")
    def _options(self) -> SourceConfig:
        name = self.source.partition(":")[0]
        if registry.has("sources", name) and (part := registry.find("sources", name)).config is not None:
            part_settings(part.config, self.options)
        return self


class QuestionsConfig(Section):
    train: list[SourceConfig] = Field(default_factory=lambda: [SourceConfig(source="lab", limit=200)])
    """Questions whose solutions become mid-training data."""
    rl: list[SourceConfig] | None = None
    """Questions for RL; those of `train` if left out."""
    rl_filter: FilterConfig | None = None
    """Leave out RL questions that the base model always or never solves; none is left out if not set."""
    data: str | None = None
    """A local folder with benchmark files, looked in before the Hub."""


class PromptConfig(Section):
    added: ClassVar[frozenset[str]] = frozenset({"chat_template_kwargs"})

    style: Literal["boxed", "plain", "cue"] = "boxed"
    r"""`boxed`: question plus the instruction to put the final answer in \boxed{}; `plain`: the question alone; `cue`: like plain, and a
    guided prompt is one short sentence before the question (for small models with short contexts)."""
    phases: bool = True
    """Show Pólya's four phases as headings in guided prompts."""
    exemplars: int = Field(1, ge=0, le=3)
    """Worked examples in a guided prompt."""
    system: str | None = None
    """A system message for chat models."""
    chat_template_kwargs: dict[str, Any] = {}
    """What the chat template is given besides the messages, such as `{enable_thinking: false}` for Qwen3."""
    heuristics: list[str] = []
    """Folders with heuristics of your own."""


def engine_settings(value: Any) -> Any:
    """Return the settings of an engine, of the class that the part named by `kind` brings. Raises ValueError for an unknown kind."""
    if isinstance(value, Section):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f"write `kind:` and its settings, not a {type(value).__name__}")
    if "kind" not in value:
        raise ValueError(f"name the engine: kind: {' or '.join(registry.names('engines'))}")
    part = find_part("engines", value["kind"])
    return part_settings(part.config, value)


EngineConfig = SerializeAsAny[Annotated[EngineSettings, BeforeValidator(engine_settings)]]
"""The settings of an engine: a class of the part that `kind` names."""


class PoolConfig(Section):
    added: ClassVar[frozenset[str]] = frozenset({"prompts", "until"})

    heuristics: list[str] | Literal["all"] | None = None
    """Slugs to guide by, `all`, or nothing for an unguided pool."""
    samples: int = Field(4, ge=1)
    """Completions for each question and heuristic (for each question if unguided)."""
    sampling: SamplingConfig = SamplingConfig()
    engine: EngineConfig | None = None
    """Another engine than the recipe's, such as `recorded`."""
    prompts: str | None = None
    """Ask these instead of the training questions: a file of {prompt} or {messages} rows. What is answered is not verified; an arm may mix
    it in as replay (`{pool: NAME, share: 0.2}`)."""

    until: RoundsConfig | None = None
    """Draw more samples of questions that lack right solutions, so that arms can be matched in distinct texts."""

    @model_validator(mode="after")
    def _prompts_are_plain(self) -> PoolConfig:
        if self.until and self.until.samples < self.samples:
            raise ValueError(
                f"until.samples {self.until.samples} is below samples {self.samples}: it is the most that is drawn"
            )
        if self.until and self.prompts:
            raise ValueError("answers to `prompts` of its own are not verified, so a pool of them takes no `until`")
        if self.prompts and self.heuristics:
            raise ValueError("a pool with `prompts` of its own takes no heuristics")
        return self


class AdherenceConfig(Section):
    added: ClassVar[frozenset[str]] = frozenset({"options"})

    scorer: str = "none"
    """How well a solution follows its heuristic: likelihood, reward-model, judge, or one of a plug-in; `none` takes the shortest correct
    one."""
    rivals: int = Field(4, ge=1)
    """likelihood: how many other heuristics' prompts to compare with."""
    model: str | None = None
    """reward-model: a sequence-classification checkpoint."""
    engine: EngineConfig | None = None
    """judge: who judges; the recipe's engine if left out."""
    repeats: int = Field(2, ge=1)
    """judge: how often each completion is judged (positions swapped)."""
    options: dict[str, Any] = {}
    """Settings of a scorer of a plug-in."""

    @model_validator(mode="after")
    def _known(self) -> AdherenceConfig:
        if self.scorer != "none":
            part_settings(find_part("scorers", self.scorer).config, self.options)
        return self


class LabelsConfig(Section):
    """Which ways evaluation samples use, for the approach mix and composition. The labels of all arms are the base model's (or the
    judge's), and their error is measured on completions of a guided pool."""

    by: str = "program"
    """`program`: where the benchmark comes with one (the lab), else no labels; `likelihood`: under whose heuristic's prompt are windows of
    steps most probable; `judge`: a language model lists the ways; or a scorer of a plug-in that can label."""
    pool: str | None = None
    """The guided pool on whose completions the error is measured; found if only one is used."""
    heuristics: list[str] | None = None
    """The ways to tell apart, of those of the pool; all of them if left out."""
    samples: int | None = Field(None, ge=1)
    """Label so many samples of each question; all if left out. Each costs windows x heuristics short prompts, or one judgement."""
    known: int = Field(400, ge=20)
    """Guided completions on which the labeller is fitted and its error measured."""
    window: int = Field(2, ge=1)
    """likelihood: steps (sentences, lines) in a window."""
    windows: int = Field(12, ge=1)
    """likelihood: windows of one sample at most, evenly spread."""
    threshold: float = Field(0.5, gt=0, lt=1)
    """likelihood: a window belongs to a way whose posterior reaches this."""
    model: ModelConfig | None = None
    """judge: another model than the base model. (Likelihood is of the model that wrote the pool.)"""
    engine: EngineConfig | None = None
    """Another engine than the recipe's, such as a server with a large judge."""

    @field_validator("by")
    @classmethod
    def _by(cls, value: str) -> str:
        able = [part.name for part in registry.parts("scorers") if part.label is not None]
        if value != "program" and value not in able:
            raise ValueError(f"{value!r} cannot label ways{near(value, ['program', *able])}")
        return value


class SelectionConfig(Section):
    added: ClassVar[frozenset[str]] = frozenset({"accept", "consistent"})

    per_question: int = Field(4, ge=1)
    """n: solutions kept for each question at most."""
    per_heuristic: int = Field(1, ge=1)
    """Solutions kept for each question and heuristic at most."""
    diversity: bool = True
    """Choose the n greedily by dissimilarity; else by score."""
    min_adherence: float | None = None
    min_tokens: int = Field(1, ge=0)
    max_tokens: int | None = Field(None, ge=1)
    near_copy: float = Field(0.8, gt=0, le=1)
    """Two solutions of a question with at least this Jaccard similarity are copies."""
    same_computation: bool = False
    """Two solutions with the same sequence of computations are copies (maths)."""
    balance: float | None = Field(None, gt=0, le=1)
    """No heuristic may have more than this share of the data."""
    decontaminate: bool | list[Literal["exact", "template", "ngram"]] = True
    """Drop training questions that stand in a benchmark: the same words (`exact`), the same but for the numbers (`template`), or a run of
    `ngram` words in common; a list names which tests to make (questions written by a program share templates by design)."""
    ngram: int = Field(13, ge=5)
    """Words of a run that two questions may not share."""
    accept: list[str] | None = None
    """Answer rules that count for data (`boxed`, `statement`, `hashes`, `tag`, `letter` ...: the first word of a verdict's reason); any if
    left out. A text whose answer is merely its last number may be right by luck."""
    consistent: bool = False
    """Drop solutions whose arithmetic is false, whose answer no computation gives or is not worked out, that repeat themselves, or that
    answer twice."""
    prompt_with_heuristic: bool = False
    """Keep the heuristic's prompt in the training prompt; by default it is question -> solution."""


class DataConfig(Section):
    """One source of mid-training data of an arm."""

    pool: str | None = None
    """Name of a pool."""
    strategy: Literal["best", "random", "one-heuristic", "wrong-but-diverse", "reference"] = "best"
    """best: correct, adherent, diverse (for an unguided pool: rejection sampling); reference: the reference solutions."""
    heuristic: str | None = None
    """one-heuristic: which; the one with most correct completions if left out."""
    per_question: int | None = Field(None, ge=1)
    """n for this arm; the selection's if left out."""
    per_heuristic: int | None = Field(None, ge=1)
    """Solutions for each question and heuristic; the selection's if left out."""
    questions: int | None = Field(None, ge=1)
    """Use only this many questions (fixed-budget arms)."""
    match: bool | None = None
    """Take just as many solutions, question by question where possible, as the treatment arm; by default every arm but the treatment does
    unless it sets `per_question` or `questions`."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"pool": value} if isinstance(value, str) else value

    @property
    def matched(self) -> bool:
        """Whether as many solutions are taken as the treatment has."""
        return self.match if self.match is not None else self.per_question is None and self.questions is None

    @model_validator(mode="after")
    def _complete(self) -> DataConfig:
        if self.strategy == "reference" and self.pool:
            raise ValueError("strategy `reference` takes the questions' own solutions: leave `pool` out")
        if self.strategy != "reference" and not self.pool:
            raise ValueError("name a pool (`pool: guided`), or set `strategy: reference`")
        return self


class ArmConfig(Section):
    checkpoint: str | None = None
    """Start from this model of your own (a directory or Hub id) instead of the base model."""
    midtrain: list[DataConfig] = []
    """What to fine-tune on before RL; nothing for RL only. An entry with a `share` is replay: `{source: chat.jsonl, share: 0.2}`."""
    replay: list[ReplayConfig] = []
    """Rows that keep what the model could, mixed into mid-training; also written among `midtrain`."""
    rl: bool = True
    """Whether RL follows."""
    compute_matched: bool = False
    """Give RL the seconds, as further steps, that the treatment spent on generation and mid-training."""
    midtrain_args: dict[str, Any] = {}
    """Arguments of mid-training that differ for this arm."""
    midtrain_until: UntilConfig | None = None
    """End mid-training as soon as the arm is as good before RL as another one."""
    rl_args: dict[str, Any] = {}
    """Arguments of RL that differ for this arm."""
    reward: str | list[RewardConfig] | None = None
    """What RL of this arm is rewarded with, where that differs from `training.reward`."""
    title: str | None = None
    """How the report calls it."""

    @model_validator(mode="before")
    @classmethod
    def _replay(cls, value: Any) -> Any:
        return split_midtrain(value)

    @model_validator(mode="after")
    def _known(self) -> ArmConfig:
        if self.reward is not None:
            reward_list(self.reward)
        return self


def _arm(value: Any) -> Any:
    """An arm may be written as the bare list of its mid-training sources."""
    return {"midtrain": value} if isinstance(value, list) else value


class BenchmarkConfig(SourceConfig):
    split: str = "test"
    name: str = ""
    """Name in tables; the source's if left out."""
    samples: int = Field(4, ge=1)
    """Completions for each question: pass@k is known for k up to this."""
    sampling: SamplingConfig = SamplingConfig()
    greedy: bool = False
    """One greedy completion for each question besides."""
    few_shot: int = Field(0, ge=0, le=3)
    """Plain worked examples (midway's own, of no heuristic and no benchmark) before the question."""
    shuffle_choices: bool = True
    optional: bool = Field(False, exclude_if=lambda value: not value)
    """Leave it out where its questions cannot be had (no Hub, no such file); the report says `not measured`."""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {"source": value}
        if isinstance(value, Mapping) and not value.get("name") and isinstance(value.get("source"), str):
            stem = Path(value["source"]).name.split(".")[0]
            value = {**value, "name": stem}
        return value

    @field_validator("name")
    @classmethod
    def _safe(cls, value: str) -> str:
        return _safe_name("benchmark", value)

    def identity(self, *, exclude: Sequence[str] = ()) -> dict[str, Any]:
        return super().identity(exclude=("optional", *exclude))


class CurveConfig(Section):
    every: int = Field(0, ge=0)
    """Evaluate every so many RL steps on a slice of the benchmarks; 0 is never."""
    questions: int = Field(64, ge=1)
    """Questions of each benchmark in the slice."""
    samples: int = Field(1, ge=1)


class VerifyConfig(Section):
    workers: int | None = Field(None, ge=1)
    """Verifier processes; the number of cores if left out."""
    seconds: float = Field(5.0, gt=0)
    """CPU seconds for one answer."""
    require_sandbox: bool = False
    """Refuse to run programs without a real sandbox."""


def _safe_name(what: str, name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", name):
        raise ValueError(f"{what} {name!r}: use letters, digits, `.`, `_`, `+` and `-` only (it names a folder)")
    return name


class Recipe(Section):
    name: str = "run"
    """Name of the run: its directory is runs/NAME unless --out says otherwise."""
    title: str | None = None
    """One line about the experiment, for the report."""
    plugins: list[str] = []
    """Python files with parts of your own (engines, domains, sources, models, scorers, rewards, trainers), beside the recipe."""
    model: ModelConfig = ModelConfig()
    questions: QuestionsConfig = Field(default_factory=QuestionsConfig)
    prompt: PromptConfig = PromptConfig()
    engine: EngineConfig = Field(default_factory=lambda: engine_settings({"kind": "transformers"}))
    verify: VerifyConfig = VerifyConfig()
    pools: dict[str, PoolConfig] = {}
    """Named sets of completions that the base model writes for the training questions."""
    adherence: AdherenceConfig = AdherenceConfig()
    labels: LabelsConfig = LabelsConfig()
    """Which ways evaluation samples use, where no program can tell."""
    selection: SelectionConfig = SelectionConfig()
    forecast: Annotated[ForecastConfig | None, BeforeValidator(asked_forecast)] = None
    """Forecast what the treatment will be ahead by, from a few samples, before anything is trained: `true`, or how many samples."""
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    """Who trains, and what RL is rewarded with."""
    midtrain: dict[str, Any] = {}
    """The trainer's own arguments of mid-training: any field of TRL's SFTConfig."""
    rl: dict[str, Any] = {}
    """The trainer's own arguments of RL: any field of TRL's GRPOConfig, and `algorithm` (docs/rl.md has the names); or verl's own keys."""
    lora: dict[str, Any] | None = None
    """Fields of peft's LoraConfig: train adapters and merge them; nothing for full fine-tuning. `quantize: nf4`: base weights in 4 bits."""
    launch: list[str] = []
    """Command that starts a training process on several GPUs, such as `[accelerate, launch, --num_processes, "4"]`; in-process if empty."""
    curve: CurveConfig = CurveConfig()
    arms: dict[str, Annotated[ArmConfig, BeforeValidator(_arm)]] = {"rl-only": ArmConfig()}
    """Named paths from the base model to a final model; none where a recipe has pools alone."""
    treatment: str | None = None
    """The arm the report is about; the other arms' data are matched to it."""
    control: str | None = None
    """The arm it is compared with first; `rl-only` if there is one."""
    seeds: list[int] = [0]
    benchmarks: list[BenchmarkConfig] = []
    report_to: list[str] = []
    """Trackers: wandb, trackio, tensorboard, mlflow, ... as in transformers."""

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        return _safe_name("run name", value)

    @model_validator(mode="before")
    @classmethod
    def _only_data(cls, value: Any) -> Any:
        """A recipe with pools and without arms is about the data: no arm is made up for it."""
        return (
            {**value, "arms": {}}
            if isinstance(value, Mapping) and value.get("pools") and "arms" not in value
            else value
        )

    @model_validator(mode="before")
    @classmethod
    def _plugins(cls, value: Any) -> Any:
        """Load plug-in files first: the other sections may name what is in them."""
        files = value.get("plugins") if isinstance(value, Mapping) else None
        if isinstance(files, list) and all(isinstance(file, str) for file in files):
            try:
                registry.load_plugins(files)
            except registry.RegistryError as error:
                raise ValueError(str(error)) from None
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if problem := missing_model(self, ModelConfig.model_fields["path"].default):
            raise ValueError(problem)
        trainer = find_part("trainers", self.training.trainer)
        trainer.check("midtrain", "midtrain", self.midtrain)
        trainer.check("rl", "rl", self.rl)
        trainer.check_recipe(self)
        for name, arm in self.arms.items():
            _safe_name("arm", name)
            trainer.check("midtrain", f"arms.{name}.midtrain_args", arm.midtrain_args)
            trainer.check("rl", f"arms.{name}.rl_args", arm.rl_args)
            trainer.check("rl", f"arms.{name}: rl", {**self.rl, **arm.rl_args})
            for data in arm.midtrain:
                if data.pool and data.pool not in self.pools:
                    raise ValueError(
                        f"arms.{name}: there is no pool {data.pool!r}{near(data.pool, sorted(self.pools))}"
                    )
            if arm.compute_matched:
                model = self.arms[self.treatment_arm] if self.treatment_arm else None
                if model is None or not model.midtrain or not model.rl or self.treatment_arm == name:
                    raise ValueError(
                        f"arms.{name}: compute_matched needs a `treatment` arm with mid-training and RL to match"
                    )
            if arm.midtrain_until is not None:
                check_until(name, self.arms, [b.name for b in self.benchmarks], self.treatment_arm)
            if arm.rl and not self.launch:
                trainer.check_groups(f"arms.{name}", {**self.rl, **arm.rl_args})
        check_replay(self)
        for name in self.pools:
            _safe_name("pool", name)
        for role in ("treatment", "control"):
            arm_name = getattr(self, role)
            if arm_name is not None and arm_name not in self.arms:
                raise ValueError(f"{role}: there is no arm {arm_name!r}{near(arm_name, sorted(self.arms))}")
        if self.labels.by != "program":
            self._labels()
        if self.forecast is not None and self.forecast_pool is None:
            raise ValueError(
                "forecast: name a `treatment` arm with mid-training on a guided pool, and RL; there is none"
            )
        if len(set(self.seeds)) != len(self.seeds) or not self.seeds:
            raise ValueError("seeds: give at least one, each once")
        names = [b.name for b in self.benchmarks]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"benchmarks: two are called {name!r}; give one another `name:`")
        return self

    def _labels(self) -> None:
        name = self.labels_pool
        if name is None:
            guided = [n for n, pool in self.pools.items() if pool.heuristics]
            raise ValueError(
                f"labels.by: {self.labels.by} needs a guided pool to measure the labeller on: "
                + (
                    f"name it, `labels.pool: {guided[0]}`"
                    if guided
                    else "add one with at least two heuristics to `pools`"
                )
            )
        if name not in self.pools:
            raise ValueError(f"labels.pool: there is no pool {name!r}{near(name, sorted(self.pools))}")
        known = self.pools[name].heuristics or []
        ways = known if self.labels.heuristics is None else self.labels.heuristics
        if ways != "all" and len(set(ways)) < 2:
            raise ValueError(
                f"labels.by: {self.labels.by} needs at least two heuristics of a guided pool to tell apart"
            )
        for slug in ways if known != "all" else ():
            if slug not in known:
                raise ValueError(
                    f"labels.heuristics: pool {name!r} was not asked for {slug!r}{near(slug, list(known))}"
                )

    def rewards(self, arm: str) -> list[RewardConfig]:
        """What RL of an arm is rewarded with."""
        return reward_list(self.arms[arm].reward or self.training.reward)

    @property
    def used_pools(self) -> list[str]:
        """The pools that are generated: those that an arm, the labeller or the filter of RL questions reads; all where there is no arm."""
        if not self.arms:
            return list(self.pools)
        used = {data.pool for arm in self.arms.values() for data in arm.midtrain}
        used |= {replay.pool for arm in self.arms.values() for replay in arm.replay}
        if self.labels.by != "program":
            used.add(self.labels_pool)
        if self.questions.rl_filter is not None:
            used |= {name for name, pool in self.pools.items() if not pool.heuristics and not pool.prompts}
        return [name for name in self.pools if name in used]

    @property
    def labels_pool(self) -> str | None:
        """The pool on which the labeller is measured: as named, else the only guided one that an arm uses, else the only guided one."""
        if self.labels.pool:
            return self.labels.pool
        guided = [name for name, pool in self.pools.items() if pool.heuristics]
        used = [name for name in guided if any(d.pool == name for arm in self.arms.values() for d in arm.midtrain)]
        for names in (used, guided):
            if len(names) == 1:
                return names[0]
        return None

    @property
    def treatment_arm(self) -> str | None:
        """The treatment: as named, else the only arm with mid-training on a guided pool."""
        if self.treatment:
            return self.treatment
        guided = [
            name
            for name, arm in self.arms.items()
            if any(d.strategy == "best" and d.pool and self.pools[d.pool].heuristics for d in arm.midtrain)
        ]
        return guided[0] if len(guided) == 1 else None

    @property
    def forecast_pool(self) -> str | None:
        """The guided pool of the treatment, whose heuristics a forecast asks for; None where there is none, or no RL."""
        arm = self.arms[self.treatment_arm] if self.treatment_arm else None
        named = [d.pool for d in arm.midtrain if d.pool and self.pools[d.pool].heuristics] if arm and arm.rl else []
        return named[0] if named else None

    @property
    def control_arm(self) -> str | None:
        return self.control or ("rl-only" if "rl-only" in self.arms else None)

    def digest(self) -> str:
        """Content hash of the resolved recipe, without optional benchmarks: it is the same wherever they can be had."""
        out = self.model_dump(mode="json")
        out["benchmarks"] = [b for b in out["benchmarks"] if not b.get("optional")]
        return content_id("recipe", out)
