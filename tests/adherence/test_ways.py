"""Labels of ways: what a step and a window are, planted likelihoods are read back, judges' replies, the measured error."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

import pytest

from midway.adherence import JudgeWays, LikelihoodWays, compared, measure
from midway.adherence.ways import Known, spliced, steps, windows
from midway.records import PHASES, Completion, Finish, Heuristic, Prompt, Question, Request

WAYS = {
    s: Heuristic(s, s.title(), f"Do it by {s}.", dict.fromkeys(PHASES, "")) for s in ("forward", "backward", "guess")
}
WORDS = {"forward": "add", "backward": "undo", "guess": "try"}


def question(n: int) -> Question:
    return Question("math", f"Problem {n}?", answer="1")


def text(*ways: str, each: int = 3) -> str:
    body = [f"We {WORDS[w]} {i} here." for w in ways for i in range(each)]
    return " ".join([*body, "#### 4"])


class Planted:
    """An engine that gives a window a higher log-probability the more of its steps hold the prompt's word; noise besides."""

    model_key = "planted"

    def __init__(self, noise: float = 0.3) -> None:
        self.rng, self.noise, self.asked = random.Random(0), noise, 0

    def logprobs(self, items: Iterable[tuple[Prompt, str]]) -> Iterator[tuple[float, int]]:
        for prompt, window in items:
            self.asked += 1
            count = len(window.split())
            hits = window.count(WORDS[prompt.text])
            yield count * (-3 + 0.5 * hits + self.rng.gauss(0, self.noise)), count


def prompt_of(_: Question, heuristic: Heuristic | None) -> Prompt:
    assert heuristic is not None
    return Prompt(text=heuristic.slug)


def known(n: int) -> list[Known]:
    return [(question(i), text(slug), slug) for i in range(n) for slug in WAYS]


def test_steps_and_windows() -> None:
    assert steps("Add 3. Then 4.5 more!\n\n**\nSo 7.5.\nThe answer is $\\boxed{7.5}$.") == [
        "Add 3.",
        "Then 4.5 more!",
        "So 7.5.",
    ]
    assert steps("#### 12") == [] == windows("#### 12", 2, 12)
    assert windows("A. B. C.", 2, 12) == ["A. B.", "B. C."]
    assert windows("A\nB", 3, 12) == ["A\nB"]
    many = windows(" ".join(f"S{i}." for i in range(100)), 2, 5)
    assert len(many) == 5 and many[0].startswith("S0.") and many[-1].endswith("S99.")


def test_planted_ways_are_read_back() -> None:
    labeller = LikelihoodWays(Planted(noise=0.05), prompt_of, WAYS)  # type: ignore[arg-type]
    labeller.fit(known(40))
    items = [(question(100), text("backward")), (question(101), text("forward", "guess")), (question(102), "#### 3")]
    assert list(labeller.label(items)) == [["backward"], ["forward", "guess"], []]
    again = LikelihoodWays(Planted(noise=0.05), prompt_of, WAYS, calibration=labeller.state()["calibration"])  # type: ignore[arg-type]
    assert list(again.label(items)) == [["backward"], ["forward", "guess"], []]


def test_measured_error_is_that_of_fresh_texts() -> None:
    """The rates that `measure` gives on the known texts are those on other texts of the same kind."""
    labeller = LikelihoodWays(Planted(noise=0.8), prompt_of, WAYS)  # type: ignore[arg-type]
    labeller.fit(known(150))
    error = measure(labeller, known(150))
    assert error["negatives"] == 450 and error["positives"] == 300 and error["halves"]["positives"] == 150
    fresh = [(question(i + 1000), t, s) for i, (_, t, s) in enumerate(known(150))]
    rest = list(labeller.label((q, t) for q, t, _ in fresh))
    rate = sum(len(found or []) < 2 for found in rest) / len(rest)
    assert abs(error["rejections"] / error["negatives"] - rate) < 0.08
    assert 0.05 < 1 - rate < 0.95  # there is an error to measure
    way = error["ways"]["guess"]
    assert way["positives"] == 150 and way["negatives"] == 300 and way["hits"] / 150 > way["rejections"] / 300 - 1


def test_a_model_that_ignores_its_prompts_is_seen_to_know_nothing() -> None:
    blind = Planted(noise=1.0)
    blind.logprobs = lambda items: ((-3.0 * len(w.split()), len(w.split())) for _, w in items)  # type: ignore[method-assign, assignment]
    labeller = LikelihoodWays(blind, prompt_of, WAYS)  # type: ignore[arg-type]
    labeller.fit(known(30))
    error = measure(labeller, known(30))
    assert error["hits"] / error["positives"] + error["rejections"] / error["negatives"] == pytest.approx(1)


def test_splices_hold_two_ways_of_one_question_and_each_text_once() -> None:
    texts = known(20)
    both = spliced(texts, halves=True)
    assert len(both) == 20
    for q, body, (a, b) in both:
        assert a != b and body.count(WORDS[a]) == 2 and body.count(WORDS[b]) == 2
        assert q.id in {k[0].id for k in texts}
    assert spliced([(question(0), "one step.", s) for s in WAYS], halves=True) == []


class Says:
    model_key = "says"

    def __init__(self, replies: list[tuple[str, Finish]]) -> None:
        self.replies = replies

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        asked = list(requests)
        for request, (reply, finish) in reversed(list(zip(asked, self.replies, strict=True))):
            yield Completion(request.id, request.question_id, "", 0, reply, finish)


def test_judges_replies() -> None:
    replies = [
        ("USED: 2", Finish.STOP),
        ("Maybe USED: 1, but no.\nUSED: 3 and 1", Finish.STOP),
        ("used = none", Finish.STOP),
        ("USED: 4", Finish.STOP),
        ("approach two", Finish.STOP),
        ("USED: 1", Finish.ERROR),
    ]
    judge = JudgeWays(Says(replies), WAYS)  # type: ignore[arg-type]
    items = [(question(i), text("forward")) for i in range(6)]
    empty = (question(9), "#### 2")
    assert list(judge.label([*items[:3], empty, *items[3:]])) == [
        ["backward"], ["guess", "forward"], [], [], None, None, None,
    ]  # fmt: skip
    assert judge.state() == {"judgements": 6, "unreadable": 2, "failed": 1}


def test_compared() -> None:
    found = compared([["a"], ["a", "b"], [], None, ["a", "b"]], [["a"], ["b", "a"], ["a", "b"], ["a"], ["a"]])
    assert found["samples"] == 4 and found["same"] == 2
    assert (found["hits"], found["positives"], found["rejections"], found["negatives"]) == (1, 2, 1, 2)
    assert found["share"] == found["true_share"] == 0.5
    assert compared([], [])["share"] is None
