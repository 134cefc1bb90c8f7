"""Adherence by a judge: a language model, through any engine, rates how far a solution follows its approach, beside a rival approach.

Promises: each completion is judged `repeats` times. Each judgement shows two approaches, the own and a rival, and asks for a rating from 0
to 4 of each in one fixed form (`A=3 B=1`); every second judgement swaps their places, so that a preference for a place averages out and is
measured. The score is the mean own rating divided by 4. A reply in another form is no rating: it is counted, and a completion without
any rating has the score None, never 0. `state()` tells how consistent the judge was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from midway.adherence.base import Comparison, Item, own, rivals_of
from midway.engines.base import Engine
from midway.records import Adherence, Completion, Finish, Heuristic, Prompt, Question, Request, Sampling, content_id

TOP = 4
RUBRIC = """\
You judge how a solution goes about a problem. It does not matter whether the solution is right, long or well written.

Rate two approaches from 0 to 4, each for itself:
0: no trace of it.
1: it is named, or a step resembles it, but nothing depends on it.
2: it is used for a part of the solution.
3: it shapes most of the solution.
4: it is what solves the problem; take it away and nothing is left.

### Problem
{question}

### Solution
{solution}

### Approach A
{a}

### Approach B
{b}

### Rating
Answer with one line and nothing else, in this form: A=<0 to 4> B=<0 to 4>"""
_REPLY = re.compile(r"\bA\s*=\s*([0-4])(?![\d.])[\s,;]*B\s*=\s*([0-4])(?![\d.])")
WINDOW = 256
"""Completions that are compared together."""
SAMPLING = Sampling(temperature=0.0, max_tokens=512)


@dataclass(frozen=True)
class _Judgement:
    completion: Completion
    slugs: tuple[str, str]
    """The heuristics at A and B."""


class JudgeScorer:
    """An LLM with a rubric; see the module. `chat` is whether the judge's engine takes messages."""

    name = "judge"

    def __init__(
        self, engine: Engine, catalogue: Mapping[str, Heuristic], *, repeats: int = 2, chat: bool = True
    ) -> None:
        if len(catalogue) < 2:
            raise ValueError(
                f"the judge compares with a rival approach: give at least two heuristics, not {len(catalogue)}"
            )
        self.engine, self.catalogue, self.repeats, self.chat = engine, catalogue, repeats, chat
        self._counts = {"judgements": 0, "unreadable": 0, "failed": 0, "pairs": 0, "equal": 0}
        self._difference = 0.0
        self._places = [0.0, 0.0, 0]

    def state(self) -> dict[str, Any]:
        """Return counts of what this scorer did: `consistency` is the share of completions whose own rating was the same in both
        places, `difference` the mean absolute difference of the two (in rating steps), `place_bias` the mean rating at A minus at B."""
        pairs, (a, b, n) = self._counts["pairs"], self._places
        return {
            **self._counts,
            "consistency": self._counts["equal"] / pairs if pairs else None,
            "difference": self._difference / pairs if pairs else None,
            "place_bias": (a - b) / n if n else None,
        }

    def score(self, items: Iterable[Item]) -> Iterator[Adherence]:
        """Yield scores from 0 to 1 in the order in which the judge finishes a completion."""
        jobs = ((q, c, own(c, self.catalogue).slug, pair) for q, c in items for pair in self._pairs(q, c))
        ratings: dict[str, list[int | None]] = {}
        for judgement, pair in self._judge(jobs):
            slug = judgement.completion.heuristic
            mine = ratings.setdefault(judgement.completion.id, [])
            mine.append(None if pair is None else pair[judgement.slugs.index(slug)])
            if len(mine) == self.repeats:
                del ratings[judgement.completion.id]
                known = [r for r in mine if r is not None]
                if len(known) >= 2:
                    self._counts["pairs"] += 1
                    self._counts["equal"] += known[0] == known[1]
                    self._difference += abs(known[0] - known[1])
                score = sum(known) / len(known) / TOP if known else None
                yield Adherence(judgement.completion.id, score, self.name)

    def compare(self, items: Iterable[Comparison]) -> Iterator[list[float | None]]:
        """Yield each heuristic's mean rating (0 to 4): the first of the list beside each of the others, in both places."""
        stream = iter(items)
        while window := list(islice(stream, WINDOW)):
            seen: dict[tuple[str, str], list[int]] = {}
            jobs = (
                (q, c, slugs[0], pair)
                for q, c, slugs in window
                for other in slugs[1:]
                for pair in ((slugs[0], other), (other, slugs[0]))
            )
            for judgement, ratings in self._judge(jobs):
                for slug, rating in zip(judgement.slugs, ratings or (), strict=False):
                    seen.setdefault((judgement.completion.id, slug), []).append(rating)
            for _, completion, slugs in window:
                given = [seen.get((completion.id, slug), []) for slug in slugs]
                yield [sum(g) / len(g) if g else None for g in given]

    def _pairs(self, question: Question, completion: Completion) -> Iterator[tuple[str, str]]:
        rivals = rivals_of(question.id, completion.heuristic, self.catalogue, (self.repeats + 1) // 2)
        for repeat in range(self.repeats):
            pair = (completion.heuristic, rivals[repeat // 2 % len(rivals)])
            # which place comes first is drawn, so that a single judgement is not always for the first place
            swap = (repeat + int(content_id(completion.id), 16)) % 2
            yield (pair[1], pair[0]) if swap else pair

    def _judge(
        self, jobs: Iterable[tuple[Question, Completion, str, tuple[str, str]]]
    ) -> Iterator[tuple[_Judgement, tuple[int, int] | None]]:
        """Yield each judgement with its two ratings, or None for a reply that is not in the form."""
        waiting: dict[str, list[_Judgement]] = {}

        def requests() -> Iterator[Request]:
            for index, (question, completion, slug, pair) in enumerate(jobs):
                id_ = content_id("judge", self.engine.model_key, RUBRIC, completion.id, *pair, index)
                waiting.setdefault(id_, []).append(_Judgement(completion, pair))
                yield Request(id_, self._prompt(question, completion, pair), SAMPLING, question.id, slug, 0)

        for reply in self.engine.generate(requests()):
            judgement = waiting.pop(reply.id)[0]
            self._counts["judgements"] += 1
            self._counts["failed"] += reply.finish is Finish.ERROR
            found = [] if reply.finish is Finish.ERROR else _REPLY.findall(reply.text)
            # a reply that was cut has said its last word only if it never said another
            if not found or (reply.finish is Finish.LENGTH and len(set(found)) > 1):
                self._counts["unreadable"] += 1
                yield judgement, None
                continue
            a, b = (int(r) for r in found[-1])
            self._places = [self._places[0] + a, self._places[1] + b, self._places[2] + 1]
            yield judgement, (a, b)

    def _prompt(self, question: Question, completion: Completion, pair: tuple[str, str]) -> Prompt:
        a, b = (f"{self.catalogue[s].title}. {self.catalogue[s].description}" for s in pair)
        asked = "\n".join([question.text, *(f"({chr(65 + i)}) {c}" for i, c in enumerate(question.choices))])
        text = RUBRIC.format(question=asked, solution=completion.text, a=a, b=b)
        return Prompt(messages=({"role": "user", "content": text},)) if self.chat else Prompt(text=f"{text}\n\n")
