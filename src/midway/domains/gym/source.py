"""Questions of reasoning-gym: `source: gym:chain_sum`, as many as are asked for, without the Hub.

    - source: gym:chain_sum
      split: train                     # or test
      limit: 200
      seed: 0
      options: {min_terms: 2, max_digits: 3}   # the task's own settings; or level: 2, a level of its curriculum

Promises: the same split, seed and options give the same questions on every machine with the same reasoning-gym. The splits share no seed,
and no text either: a text belongs to one split for ever, whatever the seed and the options, so training on one and testing on the other
is clean by construction. Questions are made inside the sandbox.

When things go wrong: QuestionError for a task that is refused or that there is not, for a setting that the task does not take, and where
it has fewer questions than are asked for; NotInstalled with what to install.
"""

from __future__ import annotations

from collections.abc import Iterator

from midway.domains.gym import box
from midway.domains.gym.tasks import GymTask, allowed
from midway.questions.base import QuestionError
from midway.recipe.schema import SourceConfig
from midway.records import Question, content_id
from midway.registry import SourcePart, near
from midway.verifier.programs.sandbox import SandboxUnavailable
from midway.wording import plural

SPLITS = ("train", "test")
DEFAULT = 200
"""Questions where no `limit` is set."""
BATCH = 200
PER_SEED = 1_000_000
"""Seeds of reasoning-gym that one seed of a recipe may use in each split."""
DRY = 5
"""So many batches in a row with nothing new: the task has no more."""


def load(source: SourceConfig, *, data: str | None) -> Iterator[Question]:
    """Yield `source.limit` questions of a task. Raises QuestionError, NotInstalled."""
    task = allowed(source.source.partition(":")[2])
    version = box.version()
    if source.split not in SPLITS:
        raise QuestionError(f"gym: there is no split {source.split!r}; it has {', '.join(SPLITS)}")
    if not 0 <= source.seed < 2000:
        raise QuestionError(f"gym: seed {source.seed}: use 0 to 1999")
    for name, place in (("seed", "`seed:` beside `source:`"), ("size", "`limit:` beside `source:`")):
        if name in source.options:
            raise QuestionError(f"gym:{task.name}: options.{name}: write {place}")
    count = source.limit or DEFAULT
    start = (2 * source.seed + SPLITS.index(source.split)) * PER_SEED
    seen: set[str] = set()
    dry = 0
    for first in range(start, start + PER_SEED, BATCH):
        before = len(seen)
        for seed, (text, answer) in zip(range(first, first + BATCH), _make(source, task, first), strict=True):
            if text in seen or split_of(task.name, text) != source.split:
                continue
            seen.add(text)
            gold = {"task": task.name, "seed": seed, "options": dict(source.options)}
            yield Question(
                "gym", text, answer=answer, gold=gold, source=f"gym:{task.name}/{source.split}",
                name=f"{task.name}-{seed}", meta={"subject": task.module.split(".")[1], "reasoning_gym": version},
            )  # fmt: skip
            if len(seen) == count:
                return
        dry = 0 if len(seen) > before else dry + 1
        if dry == DRY:
            break
    raise QuestionError(
        f"gym:{task.name}: {plural(count, 'question is', 'questions are')} asked for, "
        f"split {source.split} has {len(seen)} with these options\n"
        "  raise its difficulty under `options`, or lower `limit`"
    )


def split_of(task: str, text: str) -> str:
    """Return the split that a text belongs to: half of all texts each."""
    return SPLITS[int(content_id("gym", task, text)[:8], 16) % 2]


def _make(source: SourceConfig, task: GymTask, first: int) -> list[tuple[str, str]]:
    try:
        return box.make(task.module, task.name, source.options, range(first, first + BATCH))
    except SandboxUnavailable as error:
        raise QuestionError(f"gym: its questions are made in the sandbox: {error}") from None
    except box.BoxError as error:
        known = box.fields(task.module, task.name)
        unknown = [name for name in source.options if name not in known]
        if unknown:
            raise QuestionError(
                f"gym:{task.name}: options.{unknown[0]}: unknown setting{near(unknown[0], list(known))}"
            ) from None
        settings = ", ".join(f"{name} {value}" for name, value in known.items())
        raise QuestionError(
            f"gym:{task.name}: cannot be made with these options: {error}\n  defaults: {settings}"
        ) from None


SOURCE = SourcePart(
    name="gym",
    summary="questions of reasoning-gym, made by a program: `gym:chain_sum` (docs/gym.md lists its tasks)",
    extra="midway[gym]",
    load=load,
    licence="Apache-2.0",
)
