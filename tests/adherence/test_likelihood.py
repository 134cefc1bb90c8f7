"""The likelihood scorer on a model whose probabilities are known exactly."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import pytest

from midway.adherence import discrimination, label_auc, open_scorer
from midway.adherence.base import rivals_of
from midway.adherence.likelihood import CALIBRATION, LikelihoodScorer
from midway.recipe.schema import AdherenceConfig
from midway.records import UNGUIDED, Prompt

_spec = importlib.util.spec_from_file_location("tiny", Path(__file__).with_name("tiny.py"))
assert _spec and _spec.loader
tiny = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tiny)

CONFIG = AdherenceConfig(scorer="likelihood", rivals=3)


def test_tells_heuristics_apart_and_its_posterior_is_calibrated() -> None:
    engine = tiny.TinyLM(0.4)
    items, _ = tiny.pool(engine, 120)
    scorer = open_scorer(CONFIG, engine, tiny.prompts, tiny.CATALOGUE)
    scores = {a.completion_id: a.score for a in scorer.score(items)}
    assert len(scores) == len(items) and all(a is not None and 0 <= a <= 1 for a in scores.values())
    fit = scorer.state()["calibration"]
    assert fit["log_loss"] < 0.8 * fit["log_loss_chance"] and fit["ece"] < 0.08
    assert fit["accuracy"] > fit["accuracy_chance"] + 0.2
    found = discrimination(scorer, items, tiny.CATALOGUE)
    assert found.tells_apart and found.auc.low > 0.7 and "WARNING" not in found.sentence()
    assert set(found.per_heuristic) == set(tiny.SLUGS) and found.chance == pytest.approx(0.25)


def test_score_is_the_posterior_that_is_documented() -> None:
    engine = tiny.TinyLM(0.5)
    items, _ = tiny.pool(engine, 6)
    fit = {"fits": [{"beta": b, "drift": 0.1, "offsets": {"analogy": 0.3, "draw": -0.2}} for b in (3.0, 3.0)]}
    scorer = open_scorer(CONFIG, engine, tiny.prompts, tiny.CATALOGUE, state={"calibration": fit})
    for (question, completion), got in zip(items, scorer.score(items), strict=True):
        slugs = [completion.heuristic, *rivals_of(question.id, completion.heuristic, tiny.CATALOGUE, 3)]
        weights = []
        for slug in slugs:
            total, n = next(engine.logprobs([(tiny.prompts(question, tiny.CATALOGUE[slug]), completion.text)]))
            weights.append(math.exp(3.0 * total / n + fit["fits"][0]["offsets"].get(slug, 0.0)))
        assert got.score == pytest.approx(weights[0] / sum(weights))
        assert got.completion_id == completion.id and got.scorer == "likelihood"


def test_a_stopped_stage_goes_on_with_the_same_calibration() -> None:
    engine = tiny.TinyLM(0.4)
    items, _ = tiny.pool(engine, 20)
    first = open_scorer(CONFIG, engine, tiny.prompts, tiny.CATALOGUE)
    whole = list(first.score(items))
    second = open_scorer(CONFIG, engine, tiny.prompts, tiny.CATALOGUE, state=first.state())
    assert list(second.score(items[70:])) == whole[70:]
    third = open_scorer(CONFIG, engine, tiny.prompts, tiny.CATALOGUE)
    assert list(third.score(items[70:])) != whole[70:]  # another calibration: this is why the state is kept


def test_scores_find_the_completions_that_drifted() -> None:
    engine = tiny.TinyLM(0.5)
    items, followed = tiny.pool(engine, 60, drift=0.4)
    scores = [a.score for a in open_scorer(CONFIG, engine, tiny.prompts, tiny.CATALOGUE).score(items)]
    auc = label_auc(scores, followed, [q.id for q, _ in items])
    assert auc.low > 0.75 and auc.low < auc.value < auc.high


def test_drift_is_estimated_and_does_not_flatten_the_posterior() -> None:
    engine = tiny.TinyLM(0.8)
    items, followed = tiny.pool(engine, 80, drift=0.4)
    scorer = open_scorer(CONFIG, engine, tiny.prompts, tiny.CATALOGUE)
    scores = np.array([a.score for a in scorer.score(items)])
    fit = scorer.state()["calibration"]
    # of those that drifted, some took a way that is not among the rivals
    assert all(0.25 < f["drift"] < 0.6 for f in fit["fits"]) and fit["ece"] < 0.1
    assert np.median(scores[np.array(followed)]) > 0.9 and np.median(scores[~np.array(followed)]) < 0.25


def test_the_fit_is_at_a_minimum() -> None:
    """The gradient is that of the loss: without it the optimiser would stop anywhere."""
    from midway.adherence.likelihood import _fit

    rng = np.random.default_rng(0)
    rows = []
    for q in range(200):
        slugs = [tiny.SLUGS[q % 6], *rivals_of(str(q), tiny.SLUGS[q % 6], tiny.CATALOGUE, 3)]
        rows.append((str(q), slugs, rng.normal(size=4) * 0.5 + np.array([1.0, 0, 0, 0])))
    fit = _fit(rows)

    def loss(beta: float, drift: float, offsets: dict[str, float]) -> float:
        total = sum(o**2 for o in offsets.values()) - math.log1p(-drift)
        for _, slugs, means in rows:
            w = 200 / 6 / sum(r[1][0] == slugs[0] for r in rows)
            weights = [math.exp(beta * m + offsets[s]) for s, m in zip(slugs, means, strict=True)]
            total -= w * math.log((1 - drift) * weights[0] / sum(weights) + drift / 4)
        return total

    best = loss(**fit)
    for change in (
        {"beta": fit["beta"] * 1.1},
        {"beta": fit["beta"] / 1.1},
        {"drift": fit["drift"] + 0.02},
        {"offsets": {**fit["offsets"], "draw": fit["offsets"]["draw"] + 0.1}},
        {"offsets": {**fit["offsets"], "draw": fit["offsets"]["draw"] - 0.1}},
    ):
        assert loss(**{**fit, **change}) > best


def test_a_model_that_ignores_its_prompts_is_reported_as_such() -> None:
    engine = tiny.TinyLM(0.0)
    items, _ = tiny.pool(engine, 60)
    scorer = open_scorer(CONFIG, engine, tiny.prompts, tiny.CATALOGUE)
    scores = [a.score for a in scorer.score(items)]
    assert max(abs(s - 0.25) for s in scores) < 0.1
    found = discrimination(scorer, items, tiny.CATALOGUE)
    assert not found.tells_apart and "WARNING: likelihood CANNOT tell heuristics apart" in found.sentence()
    assert found.record()["tells_apart"] is False


@pytest.mark.parametrize("unequal", [False, True])
def test_noise_is_seldom_taken_for_a_signal_even_on_the_calibration_rows(unequal: bool) -> None:
    """Probabilities that do not depend on what was asked for, but differ by prompt, and pools with more of some heuristics."""
    rng = np.random.default_rng(1)
    alarms, trials = 0, 25
    for _ in range(trials):
        engine = Noise(dict(zip(tiny.SLUGS, rng.normal(size=6), strict=True)), rng)
        items = [i for i in NOISE_ITEMS if not unequal or rng.random() < 0.15 * (1 + tiny.SLUGS.index(i[1].heuristic))]
        scorer = open_scorer(CONFIG, engine, lambda q, h: Prompt(text=h.slug), tiny.CATALOGUE)
        list(scorer.score(items))
        alarms += discrimination(scorer, items, tiny.CATALOGUE).tells_apart
    assert alarms <= 3  # 2.5 % are expected, 0.6 of 25; more than 3 has a chance of 0.3 %


NOISE_ITEMS = tiny.pool(tiny.TinyLM(0.0), 40)[0]


class Noise(tiny.TinyLM):  # type: ignore[misc, name-defined]
    """Mean log-probabilities of a prompt's own level and noise."""

    def __init__(self, level: dict[str, float], rng: np.random.Generator) -> None:
        super().__init__(0.0)
        self.level, self.rng = level, rng

    def logprobs(self, items):  # type: ignore[no-untyped-def]
        for prompt, _ in items:
            yield float(self.level[prompt.text] + self.rng.normal()), 1


def test_a_liking_for_frequent_heuristics_is_no_signal() -> None:
    """A scorer that always prefers one heuristic, in a pool that is mostly of that one."""

    class Partial(tiny.TinyLM):  # type: ignore[misc, name-defined]
        def logprobs(self, items):  # type: ignore[no-untyped-def]
            for prompt, _ in items:
                yield (0.0 if prompt.text == "draw" else -1.0), 1

    items = [i for k, i in enumerate(NOISE_ITEMS) if i[1].heuristic == "draw" or k % 7 == 0]
    scorer = open_scorer(CONFIG, Partial(), lambda q, h: Prompt(text=h.slug), tiny.CATALOGUE)
    assert not discrimination(scorer, items, tiny.CATALOGUE).tells_apart
    list(scorer.score(items))
    assert not discrimination(scorer, items, tiny.CATALOGUE).tells_apart


def test_reads_lazily_and_asks_only_for_the_rivals_that_were_allowed() -> None:
    engine = tiny.TinyLM(0.4)
    items, _ = tiny.pool(engine, 10)
    scorer = open_scorer(CONFIG, engine, tiny.prompts, tiny.CATALOGUE)
    assert len(list(islice(scorer.score(cycle(items)), 3))) == 3
    assert engine.asked <= 4 * (CALIBRATION + 1)
    for n in (2, 4, 99):
        pairs = {(slug, r) for slug in tiny.SLUGS for r in rivals_of("q", slug, tiny.CATALOGUE, n)}
        assert len(pairs) == 6 * min(n, 5) and all((b, a) in pairs and a != b for a, b in pairs)
    used = {r for q in range(100) for r in rivals_of(f"q{q}", "draw", tiny.CATALOGUE, 2)}
    assert used == set(tiny.SLUGS) - {"draw"}


def test_empty_texts_have_no_score_and_keep_their_place() -> None:
    engine = tiny.TinyLM(0.4)
    items, _ = tiny.pool(engine, 3)
    for empty in ((0, 1, 7), (16, 17), ()):
        mixed = [(q, replace(c, text="") if i in empty else c) for i, (q, c) in enumerate(items)]
        got = list(open_scorer(CONFIG, engine, tiny.prompts, tiny.CATALOGUE).score(mixed))
        assert [a.completion_id for a in got] == [c.id for _, c in items]
        assert [i for i, a in enumerate(got) if a.score is None] == list(empty)


def test_what_cannot_be_scored_is_an_error() -> None:
    engine = tiny.TinyLM(0.4)
    items, _ = tiny.pool(engine, 1)
    question, completion = items[0]
    scorer = LikelihoodScorer(engine, tiny.prompts, tiny.CATALOGUE)
    with pytest.raises(ValueError, match="score guided completions only"):
        list(scorer.score([(question, replace(completion, heuristic=UNGUIDED))]))
    with pytest.raises(ValueError, match="at least two heuristics"):
        LikelihoodScorer(engine, tiny.prompts, {"draw": tiny.CATALOGUE["draw"]})
    with pytest.raises(ValueError, match="needs an engine"):
        open_scorer(CONFIG, None, tiny.prompts, tiny.CATALOGUE)
    with pytest.raises(ValueError, match="no scorer"):
        open_scorer(AdherenceConfig(), engine, tiny.prompts, tiny.CATALOGUE)
    with pytest.raises(ValueError, match="name the reward model"):
        open_scorer(AdherenceConfig(scorer="reward-model"), None, tiny.prompts, tiny.CATALOGUE)
