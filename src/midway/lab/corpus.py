"""The base corpus: documents in which ways of working are shown when asked for, and hardly ever when not.

Promises: no torch; deterministic from (config, seed). A document is (messages, completion text); the unprompted ones
are
mostly a bare, noisy answer, except where the default way (carrying out forwards) applies. Composite problems are in no
document: what the base model does with them is its own invention.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace

from midway.lab.ways import FORWARD, WAYS, apply, misapply, solvable, solve, tempting
from midway.lab.world import LEVELS, OOD, SINGLES, WorldConfig, draw, guided_messages, plain_messages
from midway.records import Message, Question

Document = tuple[list[Message], str]


@dataclass(frozen=True, slots=True)
class CorpusConfig:
    """The knobs of the base model: what its pre-training documents look like."""

    world: WorldConfig = field(default_factory=WorldConfig)
    prompted: float = 0.6
    """Share of documents whose prompt names a way."""
    default_worked: float = 0.9
    """Of the unprompted forward chains, the share that is worked out; the rest is answered at once."""
    shown: float = 0.0
    """Peakedness knob: of the other unprompted documents, the share that shows a fitting way. 0 is the most peaked."""
    misfit: float = 0.06
    """Of the prompted documents, the share whose way does not fit: a futile attempt, mostly wrong."""
    slip: float = 0.04
    """Noise: probability that a computed result in a worked solution is off."""
    direct_right: float = 0.08
    """Of the bare answers, the share that is right."""
    direct_tempting: float = 0.5
    """Of the bare answers, the share that gives the tempting wrong number; the rest is a number out of the blue."""
    ood: float = 0.12
    """Share of documents that come in the clothes of the out-of-distribution families."""

    def digest(self) -> str:
        """Hash of every knob, to name what was made from it."""
        return hashlib.blake2b(json.dumps(asdict(self), sort_keys=True).encode(), digest_size=8).hexdigest()


def direct(question: Question, rng: random.Random, config: CorpusConfig) -> str:
    """A bare answer: right now and then, mostly the tempting number or one out of the blue."""
    u = rng.random()
    if u < config.direct_right:
        return f"#### {question.answer}"
    if u < config.direct_right + config.direct_tempting:
        return f"#### {max(0, apply(*tempting(question)[-1]))}"
    return f"#### {rng.randint(1, 40)}"


def document(question: Question, rng: random.Random, config: CorpusConfig) -> Document:
    """Write one document about `question`."""
    fits: list[str] = list(question.meta["ways"])
    if rng.random() < config.prompted:
        if rng.random() < config.misfit:
            way = rng.choice([way for way in WAYS if way not in solvable(question)])
            return guided_messages(question, way), misapply(question, way)
        way = rng.choice(fits)
        return guided_messages(question, way), solve(question, way, rng, config.slip)
    shown = config.default_worked if fits == [FORWARD] else config.shown
    if rng.random() < shown:
        return plain_messages(question), solve(question, rng.choice(fits), rng, config.slip)
    return plain_messages(question), direct(question, rng, config)


def worked(config: CorpusConfig) -> CorpusConfig:
    """The corpus of the early lessons: every document works its problem out, without slips.

    It does not depend on the knobs of unprompted documents, so checkpoints along these share the early lessons.
    """
    return replace(CorpusConfig(world=config.world, ood=config.ood), prompted=1.0, misfit=0.0, slip=0.0)


def sums(config: CorpusConfig, seed: int) -> Iterator[Document]:
    """The corpus of the first lesson: the sums that solutions are made of, a few at a time."""
    rng = random.Random(f"midway.lab/sums/{seed}")
    while True:
        found: list[str] = []
        while len(found) < 4:
            question = draw(
                rng, rng.choice(config.world.families or SINGLES), rng.choice(LEVELS), "corpus", config.world
            )
            text = solve(question, rng.choice(solvable(question)), rng)
            found += [s for s in text.split(". ") if s.count(" = ") == 1 and "x" not in s]
        found = rng.sample(found, 4)
        asked = ", ".join(s.split(" = ")[0] for s in found)
        yield [{"role": "user", "content": f"Compute {asked}."}], ". ".join(found) + "."


def documents(config: CorpusConfig, seed: int, levels: Sequence[int] = LEVELS) -> Iterator[Document]:
    """Yield documents without end."""
    rng = random.Random(f"midway.lab/corpus/{seed}")
    while True:
        families = OOD if rng.random() < config.ood else config.world.families or SINGLES
        question = draw(rng, rng.choice(families), rng.choice(levels), "corpus", config.world)
        yield document(question, rng, config)


def lexicon() -> list[str]:
    """Every text piece that the world can write, for the tokenizer: problems, cues, solutions, futile attempts."""
    from midway.lab.world import FAMILIES, UNIVERSAL

    rng = random.Random("midway.lab/lexicon")
    config = WorldConfig(fits=UNIVERSAL, doubling=True)
    texts: list[str] = ["Compute 1 + 1, 2 + 2."]
    for family in FAMILIES:
        for level in LEVELS:
            for _ in range(60):
                question = draw(rng, family, level, "corpus", config)
                for way in solvable(question):
                    texts.append(solve(question, way, rng))
                texts.append(question.text)
                for way in WAYS:
                    texts += [str(guided_messages(question, way)[0]["content"]), misapply(question, way)]
    return texts
