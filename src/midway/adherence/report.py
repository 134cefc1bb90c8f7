"""Can a scorer tell heuristics apart, does it agree with another, does it agree with known labels? Each answer with an interval.

Assumptions: completions of one question depend on each other, questions do not. Intervals are 95 % and of questions: a percentile
bootstrap of whole questions (2000 draws, seed 0) for means, the clustered DeLong variance on the logit scale for areas under the curve.
With fewer than 5 questions there is no interval (NaN), and nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from midway.adherence.base import Item, Scorer, own, rivals_of
from midway.records import Heuristic
from midway.wording import plural

F64 = npt.NDArray[np.float64]
DRAWS = 2000
Z = float(stats.norm.ppf(0.975))
FEWEST = 5


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Discrimination:
    """Does a completion score higher under the heuristic that it was asked for than under another?

    - `auc`: chance that it does, ties counting half, over (completion, rival) pairs, each heuristic with the same weight (so that a
      scorer that likes one heuristic, or knows which is frequent, gains nothing); 0.5 is guessing.
    - `accuracy`: share of completions whose own heuristic scores highest of 1 + rivals (a tie shares it), and `chance` of that.
    - `per_heuristic`: auc of each heuristic's completions.
    - `unscored`: completions without a score.
    - `tells_apart`: the interval of `auc` lies above 0.5. If not, the scores say nothing about heuristics: do not select by them.
    """

    scorer: str
    completions: int
    questions: int
    unscored: int
    auc: Estimate
    accuracy: Estimate
    chance: float
    per_heuristic: Mapping[str, float]
    tells_apart: bool

    def sentence(self) -> str:
        """Return the finding in one sentence, for people."""
        auc = f"AUC {self.auc.value:.2f} [{self.auc.low:.2f}, {self.auc.high:.2f}]"
        accuracy = f"accuracy {self.accuracy.value:.2f} against {self.chance:.2f} by chance"
        if self.tells_apart:
            return f"{self.scorer} tells heuristics apart: {auc}, {accuracy} ({plural(self.completions, 'completion')})"
        return (
            f"WARNING: {self.scorer} CANNOT tell heuristics apart: {auc}, {accuracy} ({plural(self.completions, 'completion')}); "
            "choosing by this score is choosing by something else"
        )

    def record(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {**asdict(self), "sentence": self.sentence()}


def discrimination(
    scorer: Scorer, items: Iterable[Item], catalogue: Mapping[str, Heuristic], *, rivals: int = 3
) -> Discrimination:
    """Score each completion under its own and under `rivals` other heuristics, and say whether its own wins.

    The label is the heuristic that was *asked for*; whether it was followed is not known here (see `label_auc` for that).
    """
    kept = list(items)
    slugs = [[c.heuristic, *rivals_of(f"{q.id}/{c.id}", own(c, catalogue).slug, catalogue, rivals)] for q, c in kept]
    wins, hits, questions, names = [], [], [], []
    for (q, c), scores in zip(
        kept, scorer.compare((q, c, s) for (q, c), s in zip(kept, slugs, strict=True)), strict=True
    ):
        if any(s is None for s in scores) or len(scores) < 2:
            continue
        mine, others = scores[0], np.array(scores[1:], dtype=float)
        wins.append(float(np.mean((mine > others) + 0.5 * (mine == others))))
        best = max(scores)  # type: ignore[type-var]
        hits.append((mine == best) / sum(s == best for s in scores))
        questions.append(q.id)
        names.append(c.heuristic)
    weights = [1 / names.count(n) for n in names]
    auc, accuracy = _mean_by_question(wins, weights, questions), _mean_by_question(hits, weights, questions)
    return Discrimination(
        scorer=scorer.name,
        completions=len(wins),
        questions=len(set(questions)),
        unscored=len(kept) - len(wins),
        auc=auc,
        accuracy=accuracy,
        chance=float(np.mean([1 / len(s) for s in slugs])) if slugs else float("nan"),
        per_heuristic={
            n: float(np.mean([w for w, m in zip(wins, names, strict=True) if m == n])) for n in sorted(set(names))
        },
        tells_apart=bool(auc.low > 0.5),
    )


def label_auc(scores: Sequence[float], followed: Sequence[bool], questions: Sequence[str]) -> Estimate:
    """Return the area under the ROC curve of `scores` against known labels: the chance that a completion that followed its heuristic
    scores higher than one that did not, ties counting half. NaN when one of the two kinds is missing.

    Variance: Obuchowski (1997), DeLong's for clustered data. Raises ValueError for a score that is NaN.
    """
    score, positive = np.asarray(scores, dtype=float), np.asarray(followed, dtype=bool)
    if np.isnan(score).any():
        raise ValueError("scores hold NaN: leave out what was not scored and say how many")
    p, n = int(positive.sum()), int((~positive).sum())
    if not p or not n:
        return Estimate(float("nan"), float("nan"), float("nan"))
    ranks, among = stats.rankdata(score), np.empty(len(score))
    among[positive], among[~positive] = stats.rankdata(score[positive]), stats.rankdata(score[~positive])
    beaten = (ranks - among) / np.where(positive, n, p)  # share of the other kind below each score, ties half
    area = float(beaten[positive].mean())
    worth = np.where(positive, beaten, 1 - beaten)
    members = _members(questions)
    if len(members) < FEWEST:
        return Estimate(area, float("nan"), float("nan"))
    sums = np.array([[(worth[m][k] - area).sum() for k in (positive[m], ~positive[m])] for m in members])
    deviation = sums[:, 0] / p + sums[:, 1] / n
    variance = float((deviation**2).sum()) * len(members) / (len(members) - 1)
    return Estimate(area, *_logit_interval(area, variance))


def _logit_interval(area: float, variance: float) -> tuple[float, float]:
    if not 0 < area < 1:
        return area, area
    half = Z * np.sqrt(variance) / (area * (1 - area))
    centre = np.log(area / (1 - area))
    low, high = (float(1 / (1 + np.exp(-(centre + s * half)))) for s in (-1, 1))
    return low, high


def agreement(one: Mapping[str, float | None], two: Mapping[str, float | None]) -> dict[str, float]:
    """Return how far two scorers agree on the completions that both scored (id -> score): `n`, `spearman` with `low` and `high`
    (Fisher's z with the variance of Bonett and Wright 2000), and `kappa`, Cohen's, of being above the median of one's own scores."""
    shared = sorted(i for i in one.keys() & two.keys() if one[i] is not None and two[i] is not None)
    nothing = {"n": float(len(shared)), **dict.fromkeys(("spearman", "low", "high", "kappa"), float("nan"))}
    if len(shared) < FEWEST:
        return nothing
    a, b = (np.array([m[i] for i in shared], dtype=float) for m in (one, two))
    if a.std() == 0 or b.std() == 0:
        return nothing
    rho = float(stats.spearmanr(a, b).statistic)
    half = Z * np.sqrt((1 + rho**2 / 2) / (len(shared) - 3))
    low, high = (float(np.tanh(np.arctanh(np.clip(rho, -1 + 1e-12, 1 - 1e-12)) + s * half)) for s in (-1, 1))
    x, y = a > np.median(a), b > np.median(b)
    expected = x.mean() * y.mean() + (1 - x.mean()) * (1 - y.mean())
    kappa = float(((x == y).mean() - expected) / (1 - expected)) if expected < 1 else float("nan")
    return {"n": float(len(shared)), "spearman": rho, "low": low, "high": high, "kappa": kappa}


def _members(questions: Sequence[str]) -> list[npt.NDArray[np.int64]]:
    _, inverse = np.unique(np.array(questions, dtype=object).astype(str), return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    return np.split(order, np.cumsum(np.bincount(inverse))[:-1]) if len(questions) else []


def _mean_by_question(values: Sequence[float], weights: Sequence[float], questions: Sequence[str]) -> Estimate:
    """The weighted mean, with whole questions resampled."""
    if not values:
        return Estimate(float("nan"), float("nan"), float("nan"))
    weight, members = np.asarray(weights, dtype=float), _members(questions)
    total = np.asarray(values, dtype=float) * weight
    sums, sizes = (np.array([x[m].sum() for m in members]) for x in (total, weight))
    low = high = float("nan")
    if len(members) >= FEWEST:
        rows = np.random.default_rng(0).integers(0, len(members), (DRAWS, len(members)))
        low, high = np.percentile(sums[rows].sum(axis=1) / sizes[rows].sum(axis=1), [2.5, 97.5]).tolist()
    return Estimate(float(total.sum() / weight.sum()), low, high)
