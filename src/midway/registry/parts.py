"""What a part says about itself: the engines, domains, sources, models, scorers, rewards and trainers that a recipe may name.

A part is light: its name, its settings (a pydantic model), and a function that opens it. What is heavy (torch, a client, a data set) is
imported by that function, not by the module of the part.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import BaseModel

from midway.records import Exemplar, Question, Verdict


@dataclass(frozen=True, kw_only=True)
class Part:
    """What is common to all parts. A plug-in's part is an instance of one of the classes below."""

    group: ClassVar[str]

    name: str
    """How a recipe calls it."""
    summary: str = ""
    """One line for lists."""
    extra: str = ""
    """What to install for it, such as `midway[vllm]`; empty: nothing."""
    version: str = ""
    """Change it when the part's results change: it enters the digest of every stage that uses the part."""
    origin: str = field(default="", compare=False)
    """Content hash of the plug-in file that it came from, filled in when the file is loaded; enters digests as `version` does."""

    def identity(self) -> dict[str, str]:
        """What of the part itself changes results: nothing for one that is built in."""
        return {key: value for key, value in (("version", self.version), ("file", self.origin)) if value}


@dataclass(frozen=True, kw_only=True)
class EnginePart(Part):
    """Who answers: `engine: {kind: NAME, ...}` in a recipe."""

    group: ClassVar[str] = "engines"

    config: type[BaseModel]
    """Settings (a `midway.recipe.EngineSettings`); its field `kind` is the literal NAME."""
    open: Callable[..., Any]
    """`open(config, model, *, model_path, log) -> Engine` (see `midway.engines.Engine`): `model` is the recipe's ModelConfig, `model_path`
    where the weights are."""
    identifies: tuple[str, ...] | None = None
    """Settings that change what is written, and so the digest (not ports, keys, time-outs). None: all of them."""
    by_weights: bool = False
    """What it writes depends on weights, prompt and seed alone: as the recipe's own engine it enters no digest."""
    any_weights: bool = True
    """It can serve a model that was just trained. A server or a file of completions cannot: transformers evaluates those models."""
    recorded: bool = False
    """It gives what is in a file: its own key names the completions, and it is asked for no more than it has."""
    messages: Callable[[Any], bool | None] = lambda config: None
    """Whether it takes messages, where that is known without the model's tokenizer (a server's chat endpoint); None: it is not."""
    on_ray: bool = True
    """With `--executor ray` it runs in actors all over the cluster."""
    gpus: Callable[[Any], int] = lambda config: 0
    """GPUs of one node that one engine takes where there are any; 0: none."""
    packages: tuple[str, ...] = ()
    """What must be installed to open it."""


class Row(ABC):
    """A row of a file, read by midway's names: `columns` of the recipe say which column of the file that is."""

    @abstractmethod
    def pick(self, name: str, *, what: str) -> Any:
        """Return a column that must hold something. Raises what the loader counts as a bad row."""

    @abstractmethod
    def optional(self, name: str) -> Any:
        """Return a column, None where it is missing or empty."""

    @abstractmethod
    def has(self, name: str) -> bool:
        """Whether the column is there, if only with nothing in it."""

    @abstractmethod
    def column(self, name: str) -> str:
        """Return what the file calls a column."""

    @abstractmethod
    def mapped(self, name: str) -> bool:
        """Whether the recipe says what the file calls this column."""

    @abstractmethod
    def option(self, name: str, default: Any = None) -> Any:
        """Return one of the source's `options`."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker process shall judge: `function` (`module:name`, or `FILE.py:name`) is called there with `fields`, which are JSON, and
    returns a Verdict. It is killed after `cpu_seconds` of CPU time, or `idle_limit` seconds of doing nothing (None: the pool's limits)."""

    function: str
    fields: Mapping[str, Any]
    cpu_seconds: float | None = None
    idle_limit: float | None = None


@dataclass(frozen=True, kw_only=True)
class DomainPart(Part, ABC):
    """A kind of question: its columns, how it is shown, what form the answer is asked for, how it is judged, how a gold is checked.

    A domain of your own is a subclass of `midway.domains.Domain` with at least `gold` and `judge`, and one instance of it.
    """

    group: ClassVar[str] = "domains"

    columns: tuple[str, ...] = ("answer",)
    """Midway's names of the columns of a question set that this domain reads, besides those that every domain has."""
    required: str = "`question`, `answer`"
    """The columns in words, for the page about files of one's own."""
    options: tuple[str, ...] = ()
    """`options` of a source that this domain reads."""
    answer_form: str = ""
    """The sentence that asks for the final answer in the form that the verifier prefers."""
    section: str = ""
    """Another name of this domain's exemplars in heuristic files, as older files have it."""
    double_text: bool = True
    """Whether two questions with one text and two golds are worth a note."""

    # Reading --------------------------------------------------------------------------------------------------------

    @abstractmethod
    def gold(self, row: Row) -> dict[str, Any]:
        """Return the fields of a Question that hold its gold (`answer`, `choices` and `answer_index`, `tests`, or `gold`: anything that
        JSON can say). Raises RowError for a row without a usable gold."""

    def bad_option(self, options: Mapping[str, Any]) -> str:
        """Return what is wrong with the values of this domain's `options`; empty if nothing is."""
        return ""

    def text(self, row: Row, question: str) -> str:
        """Return the text of a question, of its column `question` and others."""
        return question

    @abstractmethod
    def of_columns(self, columns: Mapping[str, Any]) -> Question:
        """Return the question of a row that names its columns as midway does (`midway verify`, reward functions).

        Raises KeyError, TypeError or ValueError for a row that describes none.
        """

    def claims(self, columns: Mapping[str, Any]) -> bool:
        """Whether a row that does not name its domain is of this one. The built-in domains are asked first."""
        return False

    # Showing --------------------------------------------------------------------------------------------------------

    def show(self, question: Question) -> str:
        """Return the question as the model reads it, without any instruction on the form of the answer."""
        return question.text.strip()

    def show_short(self, question: Question) -> str:
        """Return the question for prompts without instructions (styles `plain` and `cue`)."""
        return question.text

    def exemplar_question(self, exemplar: Exemplar) -> str:
        """Return a worked example's question as it is shown."""
        return exemplar.question

    def check_exemplar(self, exemplar: Exemplar) -> str:
        """Return what is wrong with a worked example's form, as `solution must end with ...`; empty if nothing is."""
        return ""

    def example_columns(self, exemplar: Exemplar) -> Mapping[str, Any] | None:
        """Return a worked example as the columns of a question, so that its solution can be judged; None where it cannot be."""
        return {"question": exemplar.question, "answer": exemplar.answer} if self.columns[:1] == ("answer",) else None

    def exemplars(self, there: Sequence[Exemplar], wanted: int) -> tuple[Exemplar, ...]:
        """Choose the worked examples that are shown, of those that a heuristic has: the easiest."""
        return tuple(sorted(there, key=lambda exemplar: exemplar.difficulty)[:wanted])

    def probes(self) -> tuple[Question, ...]:
        """Return questions that show every wording of a prompt of this domain: its version is a hash of theirs."""
        return (Question(domain=self.name, text="?", answer="?"),)

    # Judging --------------------------------------------------------------------------------------------------------

    @abstractmethod
    def judge(self, question: Question, text: str, *, truncated: bool, require_sandbox: bool) -> Verdict | Task:
        """Return the verdict, where it is cheap and bounded for any text; else the task for a worker that can be killed."""

    def explain(self, question: Question, text: str, *, truncated: bool) -> Iterator[str]:
        """Yield, line by line, how a text was read and why the verdict is what it is (`midway verify --explain`). Runs no program."""
        yield from ()

    def golds(self, question: Question) -> Iterator[tuple[str, str]]:
        """Yield (`answer` or `solution`, text) that must be judged correct, for the check of a question set before money is spent."""
        if question.solution:
            yield "solution", question.solution

    def must_fail(self, question: Question) -> Iterator[tuple[str, str]]:
        """Yield (what it is, text) of texts that no sound gold lets pass, such as a program that does nothing."""
        yield from ()

    def no_gold(self) -> str:
        """Return the reason that is given where `golds` yields an empty text."""
        return "no gold"

    def gold_text(self, question: Question) -> str:
        """Return the gold as text, for other frameworks' data sets."""
        return question.answer or ""


@dataclass(frozen=True, kw_only=True)
class SourcePart(Part):
    """Where questions come from: `source: NAME` or `source: NAME:REST` in a recipe."""

    group: ClassVar[str] = "sources"

    load: Callable[..., Any]
    """`load(source, *, data) -> Loaded`: `source` is the recipe's SourceConfig, `data` a folder that is looked in first."""
    config: type[BaseModel] | None = None
    """What `options` may hold; None: the source checks them itself."""
    label: str = ""
    """`module:function` that labels an answer with the ways it uses, where a program can tell."""
    licence: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelPart(Part):
    """A model known by name: `model: {path: NAME}` or `NAME:REST`."""

    group: ClassVar[str] = "models"

    find: Callable[..., str]
    """`find(rest, *, make) -> directory`; with `make` false it raises FileNotFoundError where the model has yet to be made or fetched."""
    cost: Callable[[str], str] = lambda rest: ""
    """What making or fetching it costs, in words, for `midway check`."""


@dataclass(frozen=True, kw_only=True)
class ScorerPart(Part):
    """How well a completion follows its heuristic: `adherence: {scorer: NAME}`."""

    group: ClassVar[str] = "scorers"

    open: Callable[..., Any]
    """`open(config, *, engine, prompts, heuristics, state, chat) -> Scorer`."""
    config: type[BaseModel] | None = None
    """What `adherence.options` may hold; None: nothing."""
    compares: bool = False
    """Whether it compares heuristics with each other, and so needs at least two: a pool guided by one has no scores then."""
    engine: str = ""
    """Whose engine it asks: `base` (the one that wrote the pool), `own` (adherence.engine, else the base's), or none."""
    label: Callable[..., Any] | None = None
    """`label(config, *, engine, prompts, heuristics, state, chat) -> WaysLabeller`, where it can label ways too (`labels.by: NAME`)."""


@dataclass(frozen=True, kw_only=True)
class RewardPart(Part):
    """What RL is rewarded with: `training: {reward: NAME}`."""

    group: ClassVar[str] = "rewards"

    open: Callable[..., Any]
    """`open(options, *, questions, verifier, stop) -> reward function in the trainer's convention (TRL's: a list of floats or None)`."""
    config: type[BaseModel] | None = None


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """How RL samples, in words that all trainers share."""

    group: int
    """Completions of a question in a step."""
    batch: int
    """Completions of a step, of one process."""
    temperature: float
    max_tokens: int
    steps: int | None
    """None: by epochs."""


def trl_sampled(args: Mapping[str, Any]) -> Sampled:
    """Return how RL samples by arguments in TRL's names, which plug-ins may use too."""
    return Sampled(
        group=int(args.get("num_generations", 8)),
        batch=int(args.get("per_device_train_batch_size", 8)) * int(args.get("gradient_accumulation_steps", 1)),
        temperature=args.get("temperature", 1.0),
        max_tokens=args.get("max_completion_length", 256),
        steps=args.get("max_steps"),
    )


@dataclass(frozen=True, kw_only=True)
class TrainerPart(Part):
    """Who trains: `training: {trainer: NAME}`."""

    group: ClassVar[str] = "trainers"

    train: Callable[..., Mapping[str, Any]]
    """`train(job, progress, stop) -> result`: runs a `training.jobs.Job`, leaves `model/` in `job.out`, returns at least `steps`."""
    check: Callable[[str, str, Mapping[str, Any]], None]
    """`check(section, where, args)`: raises ValueError for arguments of `midtrain` or `rl` that the trainer does not take."""
    check_groups: Callable[[str, Mapping[str, Any]], None] = lambda where, args: None
    """Raises ValueError where the arguments of RL do not divide into groups."""
    check_processes: Callable[[str, Mapping[str, Any], int], None] = lambda where, args, processes: None
    """The same for several processes, of which each takes the arguments' batch: for `midway check` of a `launch`."""
    packages: tuple[str, ...] = ()
    """Packages that must be there, so that a run says so before it generates anything."""
    check_recipe: Callable[[Any], None] = lambda recipe: None
    """Raises ValueError for what the trainer cannot do of a whole recipe (a `midway.recipe.Recipe`)."""
    ready: Callable[[Any], str] = lambda recipe: ""
    """Looks for what the trainer needs on this machine, before anything is spent; returns what it found, in words. Raises RunError for
    what is missing, with what to type."""
    starts: tuple[str, ...] = ()
    """Kinds of jobs (`sft`, `grpo`) that it runs in processes of its own: these are never started by the recipe's `launch`."""
    sampled: Callable[[Mapping[str, Any]], Sampled] = trl_sampled
    """How RL samples, read from its arguments."""
    algorithm: Callable[[Mapping[str, Any]], str] = lambda args: "the trainer's algorithm"
    """What its arguments of RL stand for, in a few words: `GRPO`."""
    set_steps: Callable[[Mapping[str, Any], int], dict[str, Any]] = lambda args, steps: {**args, "max_steps": steps}
    """Returns arguments of RL with another number of steps."""
    pace: Callable[[Any], Any] | None = None
    """`pace(training.jobs.PaceAsked) -> training.jobs.Pace`: times one small step, for `midway check --time`; None: it cannot tell."""


__all__ = [
    "DomainPart",
    "EnginePart",
    "ModelPart",
    "Part",
    "RewardPart",
    "Row",
    "Sampled",
    "ScorerPart",
    "SourcePart",
    "Task",
    "TrainerPart",
]
