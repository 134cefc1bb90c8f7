"""A language model small enough to be exact: words are drawn from the prompt's own words and from a vocabulary. And pools written by it.

It is an Engine like any other: what it generates under a prompt follows the distribution that its `logprobs` tells.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator

from midway.records import PHASES, Completion, Heuristic, Prompt, Question, Request, Sampling, content_id

VOCABULARY = [f"w{i}" for i in range(40)]
SLUGS = ("analogy", "backward", "cases", "draw", "equations", "figure")
CATALOGUE = {
    slug: Heuristic(
        slug=slug,
        title=slug.title(),
        description=" ".join(VOCABULARY[4 * i : 4 * i + 6]),
        cues=dict.fromkeys(PHASES, f"{slug} cue"),
    )
    for i, slug in enumerate(SLUGS)
}


def prompts(question: Question, heuristic: Heuristic | None) -> Prompt:
    return Prompt(text=f"{heuristic.description if heuristic else ''} {question.text}")


class TinyLM:
    """p(word | prompt) = strength * share of the prompt's words + (1 - strength) / vocabulary, each word for itself."""

    model_key = "tiny"

    def __init__(self, strength: float = 0.5) -> None:
        self.strength = strength
        self.asked = 0

    def _weights(self, prompt: Prompt) -> list[float]:
        words = [w for w in prompt.text.split() if w in VOCABULARY]
        return [self.strength * words.count(w) / len(words) + (1 - self.strength) / len(VOCABULARY) for w in VOCABULARY]

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        for request in requests:
            rng = random.Random(request.seed)
            words = rng.choices(VOCABULARY, self._weights(request.prompt), k=rng.randint(6, 14))
            yield Completion(request.id, request.question_id, request.heuristic, request.index, " ".join(words))

    def logprobs(self, items: Iterable[tuple[Prompt, str]]) -> Iterator[tuple[float, int]]:
        for prompt, text in items:
            self.asked += 1
            p = dict(zip(VOCABULARY, self._weights(prompt), strict=True))
            words = text.split()
            yield sum(math.log(p[w]) for w in words), len(words)

    def stats(self) -> dict[str, float]:
        return {}

    def close(self) -> None:
        pass


def pool(
    engine: TinyLM, questions: int, per_heuristic: int = 1, drift: float = 0.0
) -> tuple[list[tuple[Question, Completion]], list[bool]]:
    """Completions of each question and heuristic; a share `drift` of them was written under another heuristic's prompt. Second: which
    were not."""
    rng = random.Random(0)
    items, followed = [], []
    for q in range(questions):
        question = Question(domain="math", text=" ".join(rng.choices(VOCABULARY, k=6)), answer="1")
        for slug in SLUGS:
            for i in range(per_heuristic):
                drifts = rng.random() < drift
                used = rng.choice([s for s in SLUGS if s != slug]) if drifts else slug
                id_ = content_id(q, slug, i)
                request = Request(id_, prompts(question, CATALOGUE[used]), Sampling(), question.id, slug, i)
                items.append((question, next(engine.generate([request]))))
                followed.append(not drifts)
    return items, followed
