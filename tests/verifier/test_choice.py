"""A final choice in generated reasoning: letters, numbers, words, denials, several mentions, shuffled order."""

from __future__ import annotations

import pytest

from midway.domains import verify
from midway.records import Judgement, Question, shuffled

SUSPECTS = Question("choice", "Who did it?", choices=("Mackenzie", "Ana"), answer_index=1)
PLACES = Question("choice", "Where?", choices=("producer's desk", "recording booth", "desk", "piano"), answer_index=1)
TRUTH = Question("choice", "Is it so?", choices=("True", "False", "Uncertain"), answer_index=2)


@pytest.mark.parametrize(
    ("question", "text", "reason"),
    [
        (SUSPECTS, "ANSWER: 2", "number"),
        (SUSPECTS, "ANSWER: B", "letter"),
        (SUSPECTS, "The answer is (B).", "letter"),
        (SUSPECTS, "Thus \\boxed{B}", "letter"),
        (SUSPECTS, "Thus \\boxed{\\text{Ana}}", "text"),
        (SUSPECTS, "**Answer:** Ana", "text"),
        (SUSPECTS, "B", "letter"),
        (SUSPECTS, "B) Ana", "letter"),
        (SUSPECTS, "Mackenzie had a motive. In the end, the murderer is Ana.", "mention"),
        (SUSPECTS, "Mackenzie has an alibi. Therefore it was not Mackenzie but Ana.", "mention"),
        (SUSPECTS, "It cannot be Mackenzie. So Ana did it.", "mention"),
        (SUSPECTS, "The answer is A. Wait, no. The answer is B.", "letter"),
        (SUSPECTS, "I rule out Mackenzie. The answer is for sure B, it can't be A.", "letter"),
        (SUSPECTS, "<think>The answer is A</think> Answer: B", "letter"),
        (SUSPECTS, "Option 1 fails.\n#### 2", "number"),
        (PLACES, "Answer: the recording booth", "text"),
        (PLACES, "She would look in the recording booth.", "mention"),
        (PLACES, "The answer is 2. recording booth", "number"),
        (TRUTH, "The conclusion is Uncertain.", "text"),
        (TRUTH, "Answer: C) Uncertain", "letter"),
        (SUSPECTS, "(b)", "letter"),
        (SUSPECTS, "the answer is b", "letter"),
        (SUSPECTS, "Answer: `B`", "letter"),
        (SUSPECTS, "I would go with B.", "mention"),
        (SUSPECTS, "A had an alibi. B had none. So B.", "mention"),
        (SUSPECTS, "Option A is incorrect. Option B is correct.", "mention"),
        (SUSPECTS, "A is wrong, B is right.", "mention"),
        (SUSPECTS, "The answer is not A, it is B.", "mention"),
        (SUSPECTS, "The answer is A. Actually, no: it's B.", "mention"),
        (SUSPECTS, "Answer: Mackenzie is innocent, so Ana", "text"),
        (SUSPECTS, "Ana is a likelier murderer than Mackenzie.", "mention"),
        (SUSPECTS, "Between Mackenzie and Ana, the evidence points to Ana.", "mention"),
    ],
)
def test_right(question: Question, text: str, reason: str) -> None:
    verdict = verify(question, text)
    assert (verdict.judgement, verdict.reason) == (Judgement.CORRECT, reason)
    assert verdict.extracted == question.choices[question.answer_index or 0]


@pytest.mark.parametrize(
    ("question", "text", "reason"),
    [
        (SUSPECTS, "The answer is A.", "wrong-answer:letter"),
        (SUSPECTS, "Answer: Mackenzie", "wrong-answer:text"),
        (SUSPECTS, "Ana is innocent. The murderer is Mackenzie.", "wrong-answer:mention"),
        (SUSPECTS, "ANSWER: 3", "wrong-answer:number"),
        (SUSPECTS, "Mackenzie and Ana both had motives.", "no-answer"),
        (SUSPECTS, "It was neither Mackenzie nor Ana.", "no-answer"),
        (SUSPECTS, "I cannot tell.", "no-answer"),
        (SUSPECTS, "The answer is A or B.", "no-answer"),
        (SUSPECTS, "So it is A and B.", "no-answer"),
        (SUSPECTS, "The answer is not B.", "no-answer"),
        (SUSPECTS, "A cat would have known. I would too.", "no-answer"),
        (SUSPECTS, "The answer is B. Wait, Ana was away. So it is Mackenzie.", "wrong-answer:mention"),
        (SUSPECTS, "", "no-answer"),
        (SUSPECTS, "<think>Ana", "truncated"),
        (PLACES, "Answer: the producer's desk", "wrong-answer:text"),
        (PLACES, "Answer: desk", "wrong-answer:text"),
        (TRUTH, "Answer: False", "wrong-answer:text"),
    ],
)
def test_wrong(question: Question, text: str, reason: str) -> None:
    verdict = verify(question, text)
    assert (verdict.judgement, verdict.reason) == (Judgement.WRONG, reason)


def test_truncated_mention_does_not_count() -> None:
    assert verify(SUSPECTS, "So far it seems that Ana", truncated=True).reason == "truncated"
    assert verify(SUSPECTS, "The answer is Ana. Furth", truncated=True).correct


def test_shuffle_is_stable_recorded_and_judged_alike() -> None:
    seen = set()
    for seed in range(20):
        question = shuffled(PLACES, seed)
        assert question == shuffled(PLACES, seed)
        assert question.meta["unshuffled"] == PLACES.id != question.id or question.choices == PLACES.choices
        assert [PLACES.choices[k] for k in question.meta["order"]] == list(question.choices)
        assert question.choices[question.answer_index or 0] == "recording booth"
        assert verify(question, f"The answer is ({'ABCD'[question.answer_index or 0]}).").correct
        assert verify(question, "Answer: recording booth").correct
        again = shuffled(question, 7)
        assert [PLACES.choices[k] for k in again.meta["order"]] == list(again.choices)
        assert again.meta["unshuffled"] == PLACES.id
        seen.add(question.choices)
    assert len(seen) > 5


def test_unusable_gold() -> None:
    assert verify(Question("choice", "", choices=("a", "b")), "A").reason == "no-gold"
    plain = Question("math", "", answer="1")
    assert shuffled(plain) is plain
