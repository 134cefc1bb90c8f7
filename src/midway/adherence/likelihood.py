"""Adherence by likelihood: under whose prompt is the text most probable? Needs no model but the one that wrote it.

For a completion y of heuristic h with rivals k the mean log-probability per token, l_k = log p(y | prompt_k) / tokens(y), is taken under
h's own prompt and under each rival's. The score is the posterior of h,

    p(h | y) = exp(beta l_h + b_h) / sum_k exp(beta l_k + b_k),   k in {h} and its rivals, prior uniform.

beta >= 0 (a temperature: per-token means are far too flat as they are) and the offsets b_k (some prompts make any text less probable) are
fitted by maximum likelihood of the heuristic that was asked for: a conditional logit with a ridge on b (McFadden 1974; temperature scaling
as in Guo et al. 2017), on the first CALIBRATION completions, in which each heuristic counts alike. A share `drift` of them may have been
written in any way, whatever was asked: p(asked h) = (1 - drift) p(h | y) + drift / (1 + rivals), fitted too with a weak prior for little
drift; without it the few that drifted far would flatten all the others. Everything is fitted twice, on two halves of the questions, and a
question is scored with the fit that did not see it. `state()["calibration"]` tells how good that is: log-loss and accuracy against those
of guessing, and the expected calibration error.

What the score means. Text that was sampled from prompt h is on average more probable under h than under k whatever it says (Gibbs'
inequality), so a high posterior shows that the prompt left its mark, not by itself that the approach was followed. When the model ignores
its prompts, beta goes to 0 and every score to chance, 1 / (1 + rivals): `discrimination` tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from midway.adherence.base import Comparison, Item, own, rivals_of
from midway.engines.base import Engine
from midway.records import Adherence, Completion, Heuristic, Prompt, Question, seed_of

F64 = npt.NDArray[np.float64]
CALIBRATION = 512
"""Completions on which the posterior is calibrated."""
RIDGE = 1.0
"""Weight of the squared offsets against the summed log-likelihood."""


class LikelihoodScorer:
    """Posterior of the heuristic over a bounded number of rivals; see the module."""

    name = "likelihood"

    def __init__(
        self,
        engine: Engine,
        prompts: Callable[[Question, Heuristic | None], Prompt],
        catalogue: Mapping[str, Heuristic],
        *,
        rivals: int = 4,
        calibration: Mapping[str, Any] | None = None,
    ) -> None:
        if len(catalogue) < 2:
            raise ValueError(f"likelihood needs at least two heuristics to tell apart, not {len(catalogue)}")
        self.engine, self.prompts, self.catalogue, self.rivals = engine, prompts, catalogue, rivals
        self.calibration: dict[str, Any] | None = dict(calibration) if calibration else None

    def state(self) -> dict[str, Any]:
        return {"calibration": self.calibration} if self.calibration else {}

    def score(self, items: Iterable[Item]) -> Iterator[Adherence]:
        """Yield posteriors in the order of `items`; None for an empty text. Calibrates on the first items if it has not been."""
        rows = self._means((q, c, self._slugs(q, c)) for q, c in items)
        if self.calibration is None:
            head = list(islice(rows, CALIBRATION))
            if not head:
                return
            self.calibration = calibrate([(q.id, slugs, means) for q, _, slugs, means in head if means is not None])
            rows = chain(head, rows)
        for question, completion, slugs, means in rows:
            score = None if means is None else float(posterior(logits(self.calibration, question.id, slugs, means))[0])
            yield Adherence(completion.id, score, self.name)

    def compare(self, items: Iterable[Comparison]) -> Iterator[list[float | None]]:
        """Yield beta l_k + b_k (l_k alone before calibration) for each heuristic k."""
        for question, _, slugs, means in self._means(items):
            yield [None] * len(slugs) if means is None else logits(self.calibration, question.id, slugs, means).tolist()

    def _slugs(self, question: Question, completion: Completion) -> list[str]:
        slug = own(completion, self.catalogue).slug
        return [completion.heuristic, *rivals_of(question.id, slug, self.catalogue, self.rivals)]

    def _means(self, items: Iterable[Comparison]) -> Iterator[tuple[Question, Completion, Sequence[str], F64 | None]]:
        """Yield each item with its mean log-probability under each prompt, or None for an empty text. Order is kept."""
        waiting: list[Comparison] = []

        def asked() -> Iterator[tuple[Prompt, str]]:
            for question, completion, slugs in items:
                waiting.append((question, completion, slugs))
                if completion.text:
                    for slug in slugs:
                        yield self.prompts(question, self.catalogue[slug]), completion.text

        answers: list[float] = []
        for total, count in self.engine.logprobs(asked()):
            answers.append(total / count if count else float("nan"))
            while waiting and (not waiting[0][1].text or len(answers) >= len(waiting[0][2])):
                yield self._row(waiting.pop(0), answers)
        while waiting:
            yield self._row(waiting.pop(0), answers)

    @staticmethod
    def _row(item: Comparison, answers: list[float]) -> tuple[Question, Completion, Sequence[str], F64 | None]:
        question, completion, slugs = item
        if not completion.text:
            return question, completion, slugs, None
        means = np.array(answers[: len(slugs)])
        if len(means) < len(slugs):
            raise RuntimeError(
                f"the engine gave fewer log-probabilities than it was asked for, first at completion {completion.id}"
            )
        del answers[: len(slugs)]
        return question, completion, slugs, None if np.isnan(means).any() else means


def posterior(logits: F64) -> F64:
    """Return the softmax of one row of logits."""
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def logits(calibration: Mapping[str, Any] | None, question_id: str, slugs: Sequence[str], means: F64) -> F64:
    """Return beta l_k + b_k by the fit that did not see the question; `means` as they are without a calibration."""
    if calibration is None:
        return means
    fit = calibration["fits"][_half(question_id)]
    return fit["beta"] * means + np.array([fit["offsets"].get(s, 0.0) for s in slugs])


def _half(question_id: str) -> int:
    return seed_of(question_id) % 2


Row = tuple[str, Sequence[str], F64]
"""Question id, heuristics (the own one first), mean log-probability under each."""


def calibrate(rows: Sequence[Row]) -> dict[str, Any]:
    """Fit beta and the offsets on each half of the questions, for use on the other.

    Keys: `fits`, one for each half to be used on (beta, drift, offsets: slug -> b); `n`; and over all rows, each scored by the fit that
    did not see its question: `log_loss` and `log_loss_chance` (nats), `accuracy` and `accuracy_chance`, `ece` (ten bins of equal width).
    With questions in one half only, both fits are of all rows and the measures are None. Without rows beta is 1.
    """
    halves = [[r for r in rows if _half(r[0]) == k] for k in (0, 1)]
    split = all(halves)
    fits = [_fit(halves[1 - k] if split else rows) for k in (0, 1)]
    out: dict[str, Any] = {"n": len(rows), "fits": fits}
    measures: dict[str, float | None] = dict.fromkeys(
        ("log_loss", "log_loss_chance", "accuracy", "accuracy_chance", "ece")
    )
    if split:
        own_p, top, chance = [], [], []
        for question, slugs, means in rows:
            drift = fits[_half(question)]["drift"]
            p = (1 - drift) * posterior(logits(out, question, slugs, means)) + drift / len(slugs)
            own_p.append(p[0])
            top.append((p.max(), float(p.argmax() == 0)))
            chance.append(1 / len(slugs))
        measures = {
            "log_loss": float(-np.log(np.maximum(own_p, 1e-300)).mean()),
            "log_loss_chance": float(-np.log(chance).mean()),
            "accuracy": float(np.mean([hit for _, hit in top])),
            "accuracy_chance": float(np.mean(chance)),
            "ece": _calibration_error(np.array(top)),
        }
    return out | measures


def _fit(rows: Sequence[Row]) -> dict[str, Any]:
    if not rows:
        return {"beta": 1.0, "drift": 0.0, "offsets": {}}
    slugs = sorted({s for _, names, _ in rows for s in names})
    width = max(len(names) for _, names, _ in rows)
    column = np.zeros((len(rows), width), dtype=np.int64)
    mean = np.zeros((len(rows), width))
    there = np.zeros((len(rows), width), dtype=bool)
    for i, (_, names, means) in enumerate(rows):
        column[i, : len(names)] = [slugs.index(s) for s in names]
        mean[i, : len(names)], there[i, : len(names)] = means, True
    own = column[:, 0]
    weight = (len(rows) / np.bincount(own, minlength=len(slugs)).clip(1))[
        own
    ]  # each heuristic counts alike, however many it has
    weight *= len(rows) / weight.sum()
    scale = float((mean - mean[:, :1])[there].std()) or 1.0  # so that both kinds of parameters are of order one

    count = there.sum(axis=1)

    def loss(parameters: F64) -> tuple[float, F64]:
        beta, drift, offsets = np.exp(parameters[0]) / scale, 1 / (1 + np.exp(-parameters[1])), parameters[2:]
        z = np.where(there, beta * mean + offsets[column], -np.inf)
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        asked = (1 - drift) * p[:, 0] + drift / count
        value = -(weight * np.log(asked)).sum() + RIDGE * (offsets**2).sum() - np.log1p(-drift)
        residual = p.copy()
        residual[:, 0] -= 1
        residual *= (weight * (1 - drift) * p[:, 0] / asked)[:, None]
        by_offset = np.bincount(column[there], weights=residual[there], minlength=len(slugs))
        by_beta = (residual * np.where(there, mean, 0)).sum() * beta
        by_drift = (weight * (p[:, 0] - 1 / count) / asked).sum() * drift * (1 - drift) + drift
        return float(value), np.concatenate([[by_beta, by_drift], by_offset + 2 * RIDGE * offsets])

    limits: list[tuple[float | None, float | None]] = [(-9.0, 9.0), (-7.0, 3.0)] + [(None, None)] * len(slugs)
    starts = [np.concatenate([start, np.zeros(len(slugs))]) for start in ((0.0, -5.0), (2.0, 0.0))]
    found = [minimize(loss, start, jac=True, method="L-BFGS-B", bounds=limits) for start in starts]
    best = min(found, key=lambda result: float(result.fun)).x
    return {
        "beta": float(np.exp(best[0]) / scale),
        "drift": float(1 / (1 + np.exp(-best[1]))),
        "offsets": {s: float(b) for s, b in zip(slugs, best[2:], strict=True)},
    }


def _calibration_error(top: F64) -> float:
    """Expected calibration error of the winner's posterior, shape (n, 2): (posterior, 1 if it is the heuristic asked for)."""
    bins = np.minimum((top[:, 0] * 10).astype(int), 9)
    error = 0.0
    for b in np.unique(bins):
        inside = top[bins == b]
        error += len(inside) / len(top) * abs(inside[:, 0].mean() - inside[:, 1].mean())
    return float(error)
