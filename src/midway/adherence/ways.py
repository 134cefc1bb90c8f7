"""Which ways does a text use, and how often is that wrong? For samples that no program can label.

- `likelihood`: the text is cut into windows of a few steps (sentences, lines). Each window is taken by itself and gets a posterior over the
  heuristics, from its mean log-probability under each heuristic's prompt (the conditional logit of `likelihood`, fitted on windows of
  completions whose heuristic is known, because it was asked for). A way is used when some window's posterior reaches `threshold`.
- `judge`: a language model is shown all ways, numbered, and lists those that the text uses.

A labeller's error is measured (`measure`) where the truth is known: completions of a guided pool were asked for one way; two of the same
question make a text of two ways, one after the other (all there is of both: the easy case) or the first half of one and the second half
of the other (the hard case). The likelihood is fitted on one half of the questions and measured on the other.

Assumptions: a guided completion uses the way that it was asked for and no other (where models drift, the labeller looks worse than it is),
and errors on such texts are like those on evaluation samples (nothing here can check that). When things go wrong: a reply of a judge that
is in no known form, or a failed request, is None, never an empty list. Importing this loads no torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

import numpy as np

from midway.adherence.likelihood import calibrate, logits, posterior
from midway.engines.base import Engine
from midway.records import Finish, Heuristic, Prompt, Question, Request, Sampling, content_id

Text = tuple[Question, str]
Known = tuple[Question, str, str]
"""A question, a text, and the slug of the one heuristic that it was asked for."""

BATCH = 64
"""Texts that are labelled together."""
_CUT = re.compile(r"\n+|(?<=[.!?])\s+")
_ANSWER = re.compile(r"####|\\boxed\b|^\W*(the )?(final )?answer\b", re.IGNORECASE)
_LISTED = re.compile(r"\bUSED\s*[:=]\s*(none|\d+(?:\s*(?:,|and)\s*\d+)*)", re.IGNORECASE)
SAMPLING = Sampling(temperature=0.0, max_tokens=512)
RUBRIC = """\
You read how a solution goes about a problem. It does not matter whether the solution is right, long or well written.

Which of these approaches does it use? An approach is used when a part of the solution depends on it; being named is not enough. Most
solutions use one.

{ways}

### Problem
{question}

### Solution
{solution}

### Approaches used
Answer with one line and nothing else, the numbers of the approaches that are used, in this form: USED: 3 or USED: 2, 5 or USED: none"""


class WaysLabeller(Protocol):
    """Says which of its heuristics a text uses."""

    name: str

    def fit(self, known: Sequence[Known]) -> None:
        """Learn from texts of known heuristic what there is to learn."""
        ...

    def label(self, items: Iterable[Text]) -> Iterator[list[str] | None]:
        """Yield, in order, the slugs that each text uses, [] for none of them, None where it could not be told."""
        ...

    def state(self) -> dict[str, Any]:
        """Return what was learnt and counted, JSON-serialisable; a labeller made with it labels alike."""
        ...


def steps(text: str) -> list[str]:
    """Return the steps of a solution, its sentences and lines, without those that only state the answer or hold no letter or digit."""
    found = (step.strip() for step in _CUT.split(text))
    return [step for step in found if any(c.isalnum() for c in step) and not _ANSWER.search(step)]


def windows(text: str, size: int, most: int) -> list[str]:
    """Return runs of `size` steps, each beginning one step after the last; of more than `most`, that many evenly spread ones."""
    parts = steps(text)
    joint = "\n" if "\n" in text.strip() else " "
    starts = range(max(1, len(parts) - size + 1)) if parts else range(0)
    if len(starts) > most:
        starts = [round(i) for i in np.linspace(0, len(starts) - 1, most)]  # type: ignore[assignment]
    return [joint.join(parts[i : i + size]) for i in starts]


class LikelihoodWays:
    """Labels by the posterior of windows; see the module. `engine` and `prompts` are those that wrote the guided completions."""

    name = "likelihood"

    def __init__(
        self,
        engine: Engine,
        prompts: Callable[[Question, Heuristic | None], Prompt],
        catalogue: Mapping[str, Heuristic],
        *,
        size: int = 2,
        most: int = 12,
        threshold: float = 0.5,
        calibration: Mapping[str, Any] | None = None,
    ) -> None:
        if len(catalogue) < 2:
            raise ValueError(f"labels by likelihood need at least two heuristics to tell apart, not {len(catalogue)}")
        self.engine, self.prompts, self.catalogue = engine, prompts, catalogue
        self.size, self.most, self.threshold = size, most, threshold
        self.calibration: dict[str, Any] | None = dict(calibration) if calibration else None

    def state(self) -> dict[str, Any]:
        return {"calibration": self.calibration} if self.calibration else {}

    def fit(self, known: Sequence[Known]) -> None:
        """Fit the posterior on the windows of texts whose heuristic is known."""
        slugs, rows = list(self.catalogue), []
        for (question, _, own), means in zip(known, self._means((q, t) for q, t, _ in known), strict=True):
            first = slugs.index(own)
            order = [first, *(i for i in range(len(slugs)) if i != first)]
            rows += [(question.id, [slugs[i] for i in order], row[order]) for row in means]
        self.calibration = calibrate(rows)

    def label(self, items: Iterable[Text]) -> Iterator[list[str] | None]:
        slugs, stream = list(self.catalogue), iter(items)
        while batch := list(islice(stream, BATCH)):
            for (question, _), means in zip(batch, self._means(batch), strict=True):
                used: dict[str, None] = {}
                for row in means:
                    p = posterior(logits(self.calibration, question.id, slugs, row))
                    if p.max() >= self.threshold:
                        used.setdefault(slugs[int(p.argmax())])
                yield list(used)

    def _means(self, items: Iterable[Text]) -> Iterator[np.ndarray[Any, np.dtype[np.float64]]]:
        """Yield for each text the mean log-probability per token of its windows under each heuristic's prompt, (windows, heuristics)."""
        asked = [(question, windows(text, self.size, self.most)) for question, text in items]
        ways = list(self.catalogue.values())

        def pairs() -> Iterator[tuple[Prompt, str]]:
            for question, cut in asked:
                prompts = [self.prompts(question, way) for way in ways] if cut else []
                yield from ((prompt, window) for window in cut for prompt in prompts)

        answers = self.engine.logprobs(pairs())
        for _, cut in asked:
            told = [next(answers) for _ in range(len(cut) * len(ways))]
            yield np.array([total / max(count, 1) for total, count in told]).reshape(len(cut), len(ways))


class JudgeWays:
    """Labels by a language model that is shown every way; see the module. `chat` is whether its engine takes messages."""

    name = "judge"

    def __init__(self, engine: Engine, catalogue: Mapping[str, Heuristic], *, chat: bool = True) -> None:
        if len(catalogue) < 2:
            raise ValueError(f"a judge of ways needs at least two heuristics to choose from, not {len(catalogue)}")
        self.engine, self.catalogue, self.chat = engine, catalogue, chat
        self._counts = {"judgements": 0, "unreadable": 0, "failed": 0}

    def state(self) -> dict[str, Any]:
        return dict(self._counts)

    def fit(self, known: Sequence[Known]) -> None:
        """A judge learns nothing."""

    def label(self, items: Iterable[Text]) -> Iterator[list[str] | None]:
        stream = iter(items)
        while batch := list(islice(stream, BATCH)):
            asked = {}
            for index, (question, text) in enumerate(batch):
                if steps(text):
                    prompt = self._prompt(question, text)
                    id_ = content_id("ways", self.engine.model_key, prompt.key(), index)
                    asked[id_] = (index, Request(id_, prompt, SAMPLING, question.id))
            found: dict[int, list[str] | None] = {i: [] for i in range(len(batch))}
            for reply in self.engine.generate([request for _, request in asked.values()]):
                found[asked[reply.id][0]] = self._read(reply.text, reply.finish)
            yield from (found[i] for i in range(len(batch)))

    def _read(self, reply: str, finish: Finish) -> list[str] | None:
        self._counts["judgements"] += 1
        if finish is Finish.ERROR:
            self._counts["failed"] += 1
            return None
        lines, slugs = _LISTED.findall(reply), list(self.catalogue)
        chosen = [int(n) - 1 for n in re.findall(r"\d+", lines[-1])] if lines else []
        if not lines or not all(0 <= n < len(slugs) for n in chosen):
            self._counts["unreadable"] += 1
            return None
        return [slugs[n] for n in dict.fromkeys(chosen)]

    def _prompt(self, question: Question, text: str) -> Prompt:
        ways = "\n".join(
            f"{n}. {h.title}. {h.description}".strip() for n, h in enumerate(self.catalogue.values(), start=1)
        )
        asked = "\n".join([question.text, *(f"({chr(65 + i)}) {c}" for i, c in enumerate(question.choices))])
        whole = RUBRIC.format(ways=ways, question=asked, solution=text)
        return Prompt(messages=({"role": "user", "content": whole},)) if self.chat else Prompt(text=f"{whole}\n\n")


def spliced(known: Sequence[Known], halves: bool) -> list[tuple[Question, str, tuple[str, str]]]:
    """Return texts of two ways: one text and then another of the same question and another heuristic, or the first half of the one and the
    second half of the other.

    Every text serves at most once; texts of fewer than two steps do not serve.
    """
    of: dict[str, list[Known]] = {}
    for item in known:
        if len(steps(item[1])) >= 2:
            of.setdefault(item[0].id, []).append(item)
    out = []
    for texts in of.values():
        # sorted by a hash: which two ways meet, and which comes first, is chance
        left = sorted(texts, key=lambda k: content_id("splice", k[0].id, k[2], k[1]))
        while left:
            question, first, one = left.pop(0)
            partner = next((k for k in left if k[2] != one), None)
            if partner is None:
                continue
            left.remove(partner)
            a, b = steps(first), steps(partner[1])
            joint = "\n" if "\n" in first.strip() else " "
            parts = a[: (len(a) + 1) // 2] + b[len(b) // 2 :] if halves else a + b
            out.append((question, joint.join(parts), (one, partner[2])))
    return out


def measure(labeller: WaysLabeller, known: Sequence[Known]) -> dict[str, Any]:
    """Return how often the labels are right, on texts of one known way and on `spliced` ones of two.

    Keys: `name`; for "uses two or more ways" `hits` of `positives` and `rejections` of `negatives`, where the positives are those of
    `whole` and `halves` together, which have `hits` and `positives` of their own; `ways`: the four numbers for each heuristic ("uses this
    way"),
    on texts of one way; `unlabelled`: texts without a label, which are in no count.
    """
    one = list(labeller.label((q, t) for q, t, _ in known))
    kinds: dict[str, dict[str, int]] = {}
    tried = len(known)
    for kind in ("whole", "halves"):
        both = spliced(known, kind == "halves")
        tried += len(both)
        found = [set(ways) for ways in labeller.label((q, t) for q, t, _ in both) if ways is not None]
        kinds[kind] = {"hits": sum(len(ways) >= 2 for ways in found), "positives": len(found)}
    positives = sum(kind["positives"] for kind in kinds.values())
    single = [(slug, set(ways)) for (_, _, slug), ways in zip(known, one, strict=True) if ways is not None]
    slugs = sorted({slug for _, _, slug in known})
    return {
        "name": labeller.name,
        "hits": sum(kind["hits"] for kind in kinds.values()),
        "positives": positives,
        **kinds,
        "rejections": sum(len(found) < 2 for _, found in single),
        "negatives": len(single),
        "ways": {
            slug: {
                "hits": sum(slug in found for own, found in single if own == slug),
                "positives": sum(own == slug for own, _ in single),
                "rejections": sum(slug not in found for own, found in single if own != slug),
                "negatives": sum(own != slug for own, _ in single),
            }
            for slug in slugs
        },
        "unlabelled": tried - len(single) - positives,
    }


def compared(labels: Sequence[Sequence[str] | None], truth: Sequence[Sequence[str] | None]) -> dict[str, Any]:
    """Return how labels agree with those of a program, over the samples that have both: `samples`; `same`, with exactly the same ways;
    `share` and `true_share` of two or more ways; and for that the `hits`, `positives`, `rejections` and `negatives` of `measure`."""
    both = [(set(a), set(b)) for a, b in zip(labels, truth, strict=True) if a is not None and b is not None]
    positive = [len(a) >= 2 for a, b in both if len(b) >= 2]
    negative = [len(a) < 2 for a, b in both if len(b) < 2]
    return {
        "samples": len(both),
        "same": sum(a == b for a, b in both),
        "share": (sum(positive) + len(negative) - sum(negative)) / len(both) if both else None,
        "true_share": len(positive) / len(both) if both else None,
        "hits": sum(positive),
        "positives": len(positive),
        "rejections": sum(negative),
        "negatives": len(negative),
    }
