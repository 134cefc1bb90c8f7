"""The typed results of a run: what every table, figure and sentence of the report is made from, and what results.json is the dump of.

Promises: frozen values; no file is touched. A number that cannot be had is None, never 0; shares are between 0 and 1,
differences of them between -1 and 1. Rows that are about one evaluation begin with `benchmark`, `arm` and `phase` (`base`, `before-rl`,
`after-rl`); of an arm's phases the one with `final` is its final model. The order of the fields is the order of the keys in results.json; a
field whose key there is another has that as metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

OMITTED = {"omit": True}
"""Metadata of a field that is left out of the dump where it is None, or an empty list."""
SPREAD = {"spread": True}
"""Metadata of a mapping whose keys stand beside the other fields in the dump."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A number with its 95 % interval."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Estimate(Interval):
    """A number with its interval and what both rest on: `evidence.Estimate` with None for what is not known."""

    se: float | None
    df: float | None
    p: float | None
    """Two-sided, of the value being 0; None for a mean."""
    questions: int
    seeds: tuple[int, ...]
    """Number of seeds of each arm; 0 for a fixed model."""
    over: str
    """What the interval covers: questions, or questions and seeds."""


# Who took part ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Vendi:
    """How many different texts (`score`) the solutions of one question amount to, of how many (`of`)."""

    score: float
    of: float


@dataclass(frozen=True, slots=True)
class ArmSummary:
    """An arm and what it was trained on."""

    name: str
    title: str
    midtrained: bool
    rl: bool
    solutions: float | None
    """Solutions kept for mid-training, mean over seeds."""
    ways: float | None
    """Effective number of heuristics among them, exp(entropy)."""
    vendi: Vendi | None
    rl_steps: int | None
    rl_note: str | None = field(default=None, metadata=OMITTED)
    """What of its RL is not the default, in words: another reward, what becomes of cut-off completions, a filter of questions."""
    distinct: float | None = field(default=None, metadata=OMITTED)
    """Different texts among the solutions (of one question, exactly alike counts once), mean over seeds; None: not counted."""
    pools: tuple[str, ...] = field(default=(), metadata=OMITTED)
    """Pools that it was mid-trained on."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    name: str
    questions: int
    """Also those that no arm answered."""
    samples: int
    """Samples of each question that were asked for."""
    chance: float | None = field(default=None, metadata=OMITTED)
    """pass@1 of guessing among a question's options, mean over the questions; None where there are no options to guess among."""
    absent: str | None = field(default=None, metadata=OMITTED)
    """Why nothing was measured: the recipe calls it optional, and its questions could not be had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What was forecast before the run (`probe/forecast.json`), in the units of the results: differences of shares."""

    arms: Mapping[str, Interval]
    """Each arm's gain over the base model."""
    lead: Interval | None
    """The treatment's final pass@1 minus the control's."""
    level: float
    """Of the intervals."""
    text: str
    made_at: str
    same_recipe: bool | None
    """Was it made of this very recipe? None: not known."""
    pre_registered: bool = True
    """Was it made before anything was trained?"""


# How right ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One arm in one phase on one benchmark. Every rate leaves unjudged and missing samples out."""

    benchmark: str
    arm: str
    phase: str
    final: bool
    seeds: tuple[int, ...]
    """Seeds by number; empty for a fixed model."""
    pass_at_1: Estimate
    majority: Estimate | None
    """The most frequent of all answers of a question is right; None where no answers were kept."""
    samples: int
    judged: int
    unjudged: int
    missing: int
    no_answer: float | None
    """Share of judged samples without an answer in a form that can be read: wrong in form."""
    truncated: float | None
    mean_tokens: float | None
    steps_right: float | None
    """Share of the correct samples, of those whose steps were checked, in which every step is right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GreedyScore:
    """As `Score`, of the greedy samples, which are in nothing that is drawn."""

    benchmark: str
    arm: str
    phase: str
    final: bool
    seeds: tuple[int, ...]
    accuracy: Estimate
    treatment_minus_this: Estimate | None
    samples: int
    judged: int
    unjudged: int
    missing: int
    no_answer: float | None
    truncated: float | None
    mean_tokens: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The treatment's final pass@1 minus another arm's, paired on questions."""

    benchmark: str
    arm: str
    """The treatment."""
    against: str
    difference: Estimate
    p_questions: float | None
    """Sign-flip test over questions, for these trained models."""
    p_questions_exact: bool
    p_seeds: float | None
    """Permutation of training runs; None where an arm has fewer than two."""
    p_holm: float | None
    """`difference.p` corrected over all rows of the benchmark (Holm)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """What RL added to one arm: pass@1 after minus before, paired on questions and seeds."""

    benchmark: str
    arm: str
    before: float | None
    after: float | None
    gain: Estimate
    treatment_minus_this: Estimate | None
    """The treatment's gain minus this one."""
    p_holm: float | None


@dataclass(frozen=True, slots=True)
class PassAtK:
    benchmark: str
    arm: str
    phase: str
    k: int
    estimate: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Expected number of questions solved at least once by the arm and never by the base model (`won`), and the reverse (`lost`)."""

    benchmark: str
    arm: str
    samples: float | None
    """Samples of a question that both got, in the middle."""
    won: float | None
    lost: float | None
    questions: int


# Which ways ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """`hits`: how many of `positives` were found."""

    hits: int
    positives: int


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """How labels did on texts of known truth: `hits` of `positives` found, `rejections` of `negatives` left alone; None: not counted."""

    hits: int | None
    positives: int | None
    rejections: int | None
    negatives: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Labeller:
    """Who labelled the ways of samples, and its measured error on "uses two or more ways"; None: not measured."""

    name: str | None = field(default=None, metadata=OMITTED)
    hits: int | None = field(default=None, metadata=OMITTED)
    positives: int | None = field(default=None, metadata=OMITTED)
    whole: Found | None = field(default=None, metadata=OMITTED)
    """The easy positives: two whole solutions, one after the other."""
    halves: Found | None = field(default=None, metadata=OMITTED)
    rejections: int | None = field(default=None, metadata=OMITTED)
    negatives: int | None = field(default=None, metadata=OMITTED)
    ways: Mapping[str, LabelCounts] | None = field(default=None, metadata=OMITTED)
    """The same for each way: "uses this way"."""
    unlabelled: int | None = field(default=None, metadata=OMITTED)
    correct: bool | None = field(default=None, metadata=OMITTED)
    """Were all texts of known truth correct solutions?"""

    @property
    def counts(self) -> LabelCounts:
        return LabelCounts(self.hits, self.positives, self.rejections, self.negatives)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """How often each way was used, over the labelled samples of all seeds; a sample with two ways counts for both."""

    benchmark: str
    arm: str
    phase: str
    counts: Mapping[str, int]
    labelled: int
    """Labelled samples."""
    entropy: float | None
    """In nats."""
    effective_ways: float | None
    """exp(entropy)."""
    moved: float | None
    """Total variation between the mixes before and after RL; None but after RL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The share of labelled samples that use a way."""

    benchmark: str
    arm: str
    phase: str
    way: str
    rate: Estimate
    corrected: Interval | None
    """With the labeller's measured error undone, and its uncertainty in the interval; None where that cannot be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """The share of labelled samples that use two or more ways."""

    benchmark: str
    arm: str
    phase: str
    rate: Estimate
    corrected: Interval | None
    mean_tokens: float | None
    labeller: Labeller | None
    """None for a program, whose labels are the truth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthMatched:
    """The treatment's rate of composed samples minus another arm's: as it is, and among samples of about the same length."""

    benchmark: str
    against: str
    unmatched: Estimate
    matched: Estimate
    corrected: Interval | None
    used: float
    """Share of samples with a partner of their length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correctness:
    """pass@1 of an arm's composed and single-way samples, and the difference on the same questions at about the same length."""

    benchmark: str
    arm: str
    composed: float | None
    single: float | None
    matched: Estimate
    used: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Labels against those of a program, where both are there: of `samples`, `same` have exactly the same ways; and on "two or more"
    `hits` of `positives`, `rejections` of `negatives`."""

    benchmark: str
    arm: str
    phase: str
    samples: int
    same: int
    hits: int
    positives: int
    rejections: int
    negatives: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """Everything about the ways that samples use; empty lists where nothing was labelled."""

    mix: tuple[Mix, ...] = ()
    shares: tuple[Share, ...] = ()
    composition: tuple[Composition, ...] = ()
    length_matched: tuple[LengthMatched, ...] = ()
    correctness: tuple[Correctness, ...] = ()
    labellers: tuple[Labeller, ...] = ()
    """Every labeller with a measured error, once."""
    program: tuple[Agreement, ...] = ()


# How it went --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FunnelStep:
    step: str
    count: float


@dataclass(frozen=True, slots=True)
class FunnelOfHeuristic:
    heuristic: str
    steps: Mapping[str, float] = field(metadata=SPREAD)


@dataclass(frozen=True, slots=True)
class Funnel:
    """Completions left after each step of selection, mean over the seeds of an arm."""

    arm: str
    steps: tuple[FunnelStep, ...]
    by_heuristic: tuple[FunnelOfHeuristic, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One quantity along the RL of one arm and seed; three lists of one length."""

    arm: str
    seed: int
    key: str
    """As in metrics.jsonl: `reward`, `entropy`, `eval/BENCHMARK/pass@1`, `ways/BENCHMARK/WAY` ..."""
    step: tuple[float, ...]
    tokens: tuple[float | None, ...]
    """Tokens so far, with those of the arm's pools and of mid-training."""
    value: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one part of the run cost, all seeds together; a pool that several arms share is in it once."""

    owner: str
    """The name of an arm, `pool NAME`, or `run`."""
    part: str
    seconds: float
    tokens: float
    """Read and written."""
    memory: float
    """At the peak, MB; 0: not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What one arm and seed replayed in mid-training, and what became of rows that were held out."""

    arm: str
    seed: int
    sources: tuple[str, ...]
    """Files and pools."""
    rows: int
    """Replayed."""
    asked: int
    """Rows that the shares ask for; more than `rows` where the sources had too few."""
    share: float
    """Of all rows that the arm was mid-trained on."""
    held_out: int
    """Rows that were not trained on."""
    tokens: int | None = None
    """Tokens of their answers, over which the losses are means."""
    before: float | None = None
    """Mean negative log-likelihood of a token of their answers before mid-training, in nats; None: not measured."""
    after: float | None = None
    """The same after mid-training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineWork:
    """What was asked of the engines for a pool, or for the evaluations of an arm, and what came of it."""

    name: str
    seconds: float
    """Of the whole stages."""
    by_heuristic: Mapping[str, float]
    """Of a pool: for each heuristic the share of completions that were cut off at max_tokens."""
    completions: int
    failed: int
    """Requests without an answer after all attempts."""
    rescued: int
    cut: int
    """Completions cut off at max_tokens."""
    prompt_tokens: float
    cached_tokens: float
    completion_tokens: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmAlarm:
    """An alarm in the RL of one arm and seed: `evidence.alarms.Alarm`, and what to read."""

    arm: str
    seed: int
    name: str
    what: str
    value: float
    threshold: float
    first: int
    last: int
    advice: str
    read: tuple[str, ...] = ()
    """Ids of rollouts that show it, of `rollouts(arm)`."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that the reader must know: where it is, what happened, what follows from it."""

    where: str
    what: str
    effect: str = field(metadata={"key": "so"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All that is known from a run."""

    schema: int = 1
    name: str
    created: str | None
    digest: str | None
    """Of the recipe."""
    versions: Mapping[str, str]
    treatment: str
    """The arm in question; empty where the run names none."""
    control: str
    """The arm that it is compared with first."""
    seeds: tuple[int, ...]
    level: float = 0.95
    """Of every interval."""
    arms: tuple[ArmSummary, ...]
    benchmarks: tuple[Benchmark, ...]
    scores: tuple[Score, ...]
    greedy: tuple[GreedyScore, ...]
    differences: tuple[Difference, ...]
    gains: tuple[Gain, ...]
    pass_at_k: tuple[PassAtK, ...]
    coverage: tuple[Coverage, ...]
    ways: Ways
    funnel: tuple[Funnel, ...]
    curves: tuple[Curve, ...]
    cost: tuple[Cost, ...]
    answers: tuple[EngineWork, ...]
    problems: tuple[Problem, ...]
    """What is missing or failed; none of it is counted as wrong."""
    alarms: tuple[ArmAlarm, ...] = field(default=(), metadata=OMITTED)
    """What went wrong in RL, by its log; none for runs of fewer than eight steps."""
    replay: tuple[Replay, ...] = field(default=(), metadata=OMITTED)
    """What was replayed in mid-training, and the loss on held-out rows before and after."""
    forecast: Forecast | None = field(default=None, metadata=OMITTED)
    """None where none was made."""
    title: str | None = field(default=None, metadata=OMITTED)
    """What the run is about, in the recipe's words."""
    recipe: str | None = field(default=None, metadata=OMITTED)
    """The recipe as it was given."""
    commands: tuple[str, ...] = ()
    """What to type to get these results again."""

    @property
    def titles(self) -> dict[str, str]:
        """The title of each arm by its name."""
        return {arm.name: arm.title for arm in self.arms}
