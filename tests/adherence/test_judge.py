"""The judge scorer with judges that follow rules: a careful one, one that likes a place, one that talks too much."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from midway.adherence import discrimination, open_scorer
from midway.recipe.schema import AdherenceConfig
from midway.records import Completion, Finish, Prompt, Request

_spec = importlib.util.spec_from_file_location("tiny", Path(__file__).with_name("tiny.py"))
assert _spec and _spec.loader
tiny = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tiny)


class RuleJudge(tiny.TinyLM):  # type: ignore[misc, name-defined]
    """Rates an approach by the words that the solution shares with its description."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.prompts = kind, []

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        held: list[Completion] = []
        for request in requests:
            text = request.prompt.messages[0]["content"] if request.prompt.messages else request.prompt.text
            self.prompts.append(text)
            solution, a, b = (
                re.search(rf"### {h}\n(.*?)\n", text)[1].split() for h in ("Solution", "Approach A", "Approach B")
            )
            rate = [min(4, sum(w in solution for w in approach)) for approach in (a, b)]
            finish = Finish.STOP
            if self.kind == "likes-a":
                rate[0] = min(4, rate[0] + 1)
            reply = f"A={rate[0]} B={rate[1]}"
            if self.kind == "chatty":
                reply = f"Let me think. A=4 B=0? No.\nSo: {reply}"
            if self.kind == "unreadable" or (self.kind == "sometimes" and request.seed % 3 == 0):
                reply = "Both approaches are used, I would say 7/10. A=9 B=12"
            if self.kind == "cut":
                reply, finish = "A=1 B=3 hm, rather A=3 B=", Finish.LENGTH
            if self.kind == "fails":
                reply, finish = "", Finish.ERROR
            held.append(Completion(request.id, request.question_id, request.heuristic, 0, reply, finish))
            if len(held) == 5:  # any order
                yield from reversed(held)
                held = []
        yield from reversed(held)


def scored(
    kind: str, repeats: int = 2, questions: int = 15, chat: bool = True
) -> tuple[dict[str, float | None], dict, RuleJudge, list]:  # type: ignore[type-arg]
    engine = RuleJudge(kind)
    items, _ = tiny.pool(tiny.TinyLM(0.6), questions)
    config = AdherenceConfig(scorer="judge", repeats=repeats)
    scorer = open_scorer(config, engine, tiny.prompts, tiny.CATALOGUE, chat=chat)
    got = list(scorer.score(items))
    assert sorted(a.completion_id for a in got) == sorted(c.id for _, c in items)
    return {a.completion_id: a.score for a in got}, scorer.state(), engine, items


def test_a_careful_judge_is_consistent_and_tells_apart() -> None:
    scores, state, engine, items = scored("careful")
    assert all(s is not None and 0 <= s <= 1 for s in scores.values())
    assert state["judgements"] == 2 * len(items) == len(engine.prompts)
    assert (
        state["consistency"] == 1.0
        and state["difference"] == 0.0
        and abs(state["place_bias"]) < 0.1
        and state["unreadable"] == 0
    )
    scorer = open_scorer(AdherenceConfig(scorer="judge"), engine, tiny.prompts, tiny.CATALOGUE)
    found = discrimination(scorer, items, tiny.CATALOGUE)
    assert found.tells_apart and found.auc.low > 0.7
    own = {c.id: len(set(c.text.split()) & set(tiny.CATALOGUE[c.heuristic].description.split())) for _, c in items}
    assert all(scores[i] == min(4, n) / 4 for i, n in own.items())


def test_a_liking_for_a_place_is_measured_and_averages_out() -> None:
    scores, state, _, items = scored("likes-a")
    assert 0.5 < state["place_bias"] <= 1.0 and state["consistency"] < 0.5
    fair, *_ = scored("careful")
    assert all(
        0 <= scores[i] - fair[i] <= 0.125 + 1e-9 for i in fair
    )  # half a step of four, as one of two judgements is too high
    single, *_ = scored("likes-a", repeats=1)
    high = [c.id for _, c in items if single[c.id] > fair[c.id]]
    assert (
        0.2 < len(high) / sum(s < 1 for s in fair.values()) < 0.8
    )  # a single judgement is not always for the first place


@pytest.mark.parametrize("kind", ["unreadable", "cut", "fails"])
def test_what_is_no_rating_gives_no_score(kind: str) -> None:
    scores, state, _, items = scored(kind, questions=2)
    if kind == "cut":  # one rating before the cut, and no other: it counts
        assert all(s is not None for s in scores.values())
        return
    assert set(scores.values()) == {None} and state["unreadable"] == state["judgements"] == 2 * len(items)
    assert state["failed"] == (state["judgements"] if kind == "fails" else 0)
    assert state["consistency"] is None


def test_some_unreadable_replies_leave_the_others() -> None:
    scores, state, *_ = scored("sometimes")
    fair, *_ = scored("careful")
    assert 0 < state["unreadable"] < state["judgements"]
    assert all(s is None or s == fair[i] for i, s in scores.items())
    assert any(s is not None for s in scores.values())


def test_the_last_rating_of_a_reply_counts() -> None:
    assert scored("chatty")[0] == scored("careful")[0]


def test_plain_text_for_a_base_model_and_choices_are_shown() -> None:
    from midway.records import Question

    _, _, engine, items = scored("careful", questions=1, chat=False)
    assert engine.prompts[0].endswith("A=<0 to 4> B=<0 to 4>\n\n")
    question = Question(domain="choice", text="Who?", choices=("Ann", "Bo"), answer_index=0)
    scorer = open_scorer(AdherenceConfig(scorer="judge"), engine, lambda q, h: Prompt(), tiny.CATALOGUE)
    list(scorer.score([(question, items[0][1])]))
    assert "Who?\n(A) Ann\n(B) Bo" in engine.prompts[-1]
