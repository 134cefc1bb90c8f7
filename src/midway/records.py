"""The nouns of midway: frozen, typed records that every room shares.

Promises: no torch, no I/O, no dependency outside the standard library. A record never changes once made, and its id is a
hash of its content, so that the same question, asked in another run or on another machine, has the same id.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any

Domain = str
"""The name of a domain, such as `math`: what there is, `midway.registry` knows."""


class UserError(Exception):
    """What the person at the keyboard can mend: the message says what, where and what to type next. Every room's own error is one."""


Message = Mapping[str, str]
"""One chat message: `{"role": "system" | "user" | "assistant", "content": ...}`."""

UNGUIDED = "unguided"
"""The value of `heuristic` for a completion that was asked for without any heuristic."""


def content_id(*parts: Any) -> str:
    """Return a 128-bit hex id of JSON-serialisable `parts`; equal content gives equal ids on every machine.

    Raises TypeError when a part is not JSON-serialisable.
    """
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def seed_of(id_: str) -> int:
    """Return a sampling seed in [0, 2**31) derived from an id, so that a sample keeps its seed when others are added."""
    return int(hashlib.blake2b(id_.encode(), digest_size=8).hexdigest(), 16) % 2**31


@dataclass(frozen=True, slots=True)
class CodeTests:
    """How a program is judged. Exactly one of `test`, `test_list`, `io` or `inputs` is set.

    - HumanEval: `prompt` (signature and docstring), `entry_point`, `test` (source that defines `check(candidate)`).
    - MBPP: `test_list` (assert statements), `setup` (source run before them).
    - stdin/stdout: `io`, pairs of (input, expected output).
    - EvalPlus: `entry_point`, `inputs` (one argument list per call), `reference` (program whose results are expected),
      `atol` (absolute tolerance for floats).
    """

    prompt: str = ""
    entry_point: str = ""
    test: str = ""
    test_list: tuple[str, ...] = ()
    setup: str = ""
    io: tuple[tuple[str, str], ...] = ()
    inputs: tuple[Any, ...] = ()
    reference: str = ""
    atol: float = 0.0


@dataclass(frozen=True, slots=True)
class Question:
    """A question whose answer can be checked by a program.

    `text` is what the model is asked (for `choice` without the options, which are in `choices`; for a narrative the
    story comes first). The gold is `answer` for math, `answer_index` for choice, `tests` for code, `gold` for any other domain.
    """

    domain: Domain
    text: str
    answer: str | None = None
    choices: tuple[str, ...] = ()
    answer_index: int | None = None
    tests: CodeTests | None = None
    gold: Any = None
    """The gold of any other domain: anything that JSON can say."""
    solution: str | None = None
    """A reference solution in words (math), or the canonical program (code), if there is one."""
    source: str = ""
    """Where it came from, such as `gsm8k/train`."""
    name: str = ""
    """The id it had there, such as `gsm8k-train-00017`; only shown, never used as a key."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """Anything else, JSON-serialisable: `level`, `subject`, `tolerance` ..."""
    id: str = ""
    """Content hash of domain, text, gold and choices; filled in when left empty."""

    def __post_init__(self) -> None:
        if not self.domain:
            raise ValueError("a question needs a domain, such as math")
        if not self.id:
            tests = asdict(self.tests) if self.tests else None
            gold = [self.answer, self.answer_index, tests, *([] if self.gold is None else [self.gold])]
            object.__setattr__(self, "id", content_id("question", self.domain, self.text, gold, list(self.choices)))


def shuffled(question: Question, seed: int = 0) -> Question:
    """Return the question with its choices in another order, which depends on `seed` and the question's id alone.

    `meta["order"]` records it: entry k is the published index of the choice now at place k, also when the question was
    shuffled before. `meta["unshuffled"]` is the id of the question as published; the new order has an id of its own. A
    question without choices comes back as it is.
    """
    if not question.choices:
        return question
    order = list(range(len(question.choices)))
    random.Random(content_id("shuffle", seed, question.id)).shuffle(order)
    before = question.meta["order"] if "unshuffled" in question.meta else range(len(order))
    index = question.answer_index
    return replace(
        question,
        choices=tuple(question.choices[k] for k in order),
        answer_index=None if index is None else order.index(index),
        meta={"unshuffled": question.id, **question.meta, "order": [before[k] for k in order]},
        id="",
    )


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A worked example that truly uses its heuristic. `answer` is in the form that `verify` takes for the domain."""

    question: str
    solution: str
    answer: str
    difficulty: int = 1


PHASES = ("understand", "plan", "carry_out", "look_back")
PHASE_TITLES = {
    "understand": "Understand",
    "plan": "Plan",
    "carry_out": "Carry out",
    "look_back": "Look back",
}


@dataclass(frozen=True, slots=True)
class Heuristic:
    """One heuristic of Pólya's *How to Solve It*: what to look for in each of the four phases, and worked exemplars.

    `cues` has one entry for each of PHASES. `exemplars` is keyed by domain.
    """

    slug: str
    title: str
    description: str
    cues: Mapping[str, str]
    fits: str = ""
    fits_not: str = ""
    exemplars: Mapping[str, tuple[Exemplar, ...]] = field(default_factory=dict)
    short_cue: str = ""
    """One short sentence, such as `Work backward.`, for models too small for a longer prompt."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a completion is drawn. `temperature` 0 is greedy. `top_k` 0 and `min_p` 0 are off."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    max_tokens: int = 512
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model sees: `messages` for a model with a chat template, else plain `text`. One of the two is set.

    `shared` is the length, in leading messages or characters, that is the same for every question of the same heuristic:
    engines may compute it once.
    """

    messages: tuple[Message, ...] = ()
    text: str = ""
    shared: int = 0
    template: Mapping[str, Any] = field(default_factory=dict)
    """What the chat template is given besides the messages."""

    def key(self) -> str:
        """Content hash of what the model sees."""
        more = [dict(self.template)] if self.template else []
        return content_id([dict(m) for m in self.messages], self.text, *more)


@dataclass(frozen=True, slots=True)
class Request:
    """One sample that is asked of an engine; `id` is the id of the completion it will become."""

    id: str
    prompt: Prompt
    sampling: Sampling
    question_id: str
    heuristic: str = UNGUIDED
    index: int = 0
    """Sample number of this (question, heuristic), from 0."""
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seed(self) -> int:
        return seed_of(self.id)


def completion_id(
    question_id: str, heuristic: str, prompt_version: str, model: str, sampling: Sampling, index: int
) -> str:
    """Return the id of sample `index`: a hash of everything that can change what is written.

    `prompt_version` names the wording of the prompt (or hashes the prompt itself), `model` the exact weights
    (Hub id and revision, or a hash of a local directory).
    """
    return content_id("completion", question_id, heuristic, prompt_version, model, _fields(sampling), index)


@lru_cache(maxsize=256)
def _fields(sampling: Sampling) -> dict[str, Any]:
    return asdict(sampling)  # slow, and asked for with every completion


class Finish(StrEnum):
    """Why a completion ended."""

    STOP = "stop"
    LENGTH = "length"
    ERROR = "error"
    """The engine gave up; `Completion.error` says why. Retried when the stage is run again."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model wrote for one request. Token counts are tokens of the engine's tokenizer."""

    id: str
    question_id: str
    heuristic: str
    index: int
    text: str
    finish: Finish = Finish.STOP
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    logprob: float | None = None
    """Sum of the log-probabilities (nats) of the generated tokens, where the engine tells."""
    error: str = ""


class Judgement(StrEnum):
    CORRECT = "correct"
    WRONG = "wrong"
    UNJUDGED = "unjudged"
    """Could not be judged (deadline, crash of the verifier, unusable gold): never a silent zero."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Is it right? `reason` says which rule decided, or why not:
    math and choice: `no-answer`, `truncated`, `wrong-answer`, ...; any domain: `deadline`, `verifier-crash` ..."""

    judgement: Judgement
    extracted: str | None = None
    reason: str = ""

    @property
    def correct(self) -> bool:
        return self.judgement is Judgement.CORRECT

    def score(self) -> float | None:
        """1.0 for correct, 0.0 for wrong, None for unjudged."""
        return None if self.judgement is Judgement.UNJUDGED else float(self.correct)


@dataclass(frozen=True, slots=True)
class Adherence:
    """How well a completion follows its heuristic: higher is better; `scorer` says on which scale. None: it could not be told."""

    completion_id: str
    score: float | None
    scorer: str
