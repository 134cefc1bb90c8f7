"""The domain `text`: exact, folded, one of several, a regular expression, JSON; what hangs is unjudged."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midway.domains import Verifier, check_gold, verify
from midway.domains.text import TEXT, final_answer, fold
from midway.heuristics import build_prompt
from midway.questions import QuestionError, from_frame, load, to_frame
from midway.recipe import SourceConfig
from midway.records import Judgement, Question


def asked(*accept: str, match: str = "folded") -> Question:
    return Question("text", "?", gold={"accept": list(accept), "match": match})


@pytest.mark.parametrize(
    ("question", "text", "right"),
    [
        (asked("Paris"), "It is the capital.\nAnswer: paris.", True),
        (asked("Paris"), "Answer: London", False),
        (asked("Paris"), "Answer: London\nNo, wait.\nAnswer: Paris", True),
        (asked("Paris"), "**Answer:** Paris", True),
        (asked("Paris"), "Paris", True),
        (asked("Paris"), "I think that it is Paris", False),
        (asked("Paris", "City of Light"), "Answer: the city  of light", False),
        (asked("Paris", "City of Light"), "Answer: city  of light", True),
        (asked("Paris"), "so \\boxed{Paris}", True),
        (asked("iOS", match="exact"), "Answer: ios", False),
        (asked("iOS", match="exact"), "Answer: iOS", True),
        (asked(r"\d{4}-\d\d-\d\d", match="regex"), "Answer: 2024-03-01", True),
        (asked(r"\d{4}-\d\d-\d\d", match="regex"), "Answer: on 2024-03-01", False),
        (asked('{"a": [1, 2.0], "b": null}', match="json"), 'Answer: {"b": null, "a": [1.0, 2]}', True),
        (asked('{"a": 1}', match="json"), 'Answer: {"a": true}', False),
        (asked('{"a": 1}', match="json"), 'Answer:\n```json\n{"a": 1}\n```', True),
        (asked('{"a": 1}', match="json"), "Answer: {a: 1}", False),
    ],
)
def test_what_is_right(question: Question, text: str, right: bool) -> None:
    assert verify(question, text).correct is right


@given(st.text(alphabet="abcdefgXYZ .", min_size=1).filter(lambda s: fold(s)), st.sampled_from(["x", " y", "z "]))
def test_case_and_space_do_not_matter_and_another_word_does(answer: str, more: str) -> None:
    question = asked(answer)
    assert verify(question, f"Answer:  {answer.upper().replace(' ', '   ')} ").correct
    assert not verify(question, f"Answer: {answer}{more}q").correct


def test_a_text_that_was_cut_off_is_right_only_if_it_says_answer() -> None:
    assert verify(asked("Paris"), "Paris", truncated=True).reason == "truncated"
    assert verify(asked("Paris"), "Answer: Paris", truncated=True).correct
    assert verify(asked("Paris"), "").reason == "no-answer"
    assert verify(Question("text", "?"), "Paris").judgement is Judgement.UNJUDGED


def test_a_pattern_that_runs_for_ever_is_unjudged() -> None:
    question = asked("(a+)+b", match="regex")
    with Verifier(1, cpu_seconds=0.5) as verifier:
        assert verifier.verify(question, f"Answer: {'a' * 60}").reason == "deadline"
        assert verifier.verify(question, "Answer: aab").correct


def test_the_final_answer() -> None:
    assert final_answer("a\nFinal answer: b\n\nmore") == ("b", True)
    assert final_answer("only words") == ("only words", False)
    assert final_answer("\\boxed{a {b} c} end") == ("a {b} c", True)


def test_from_a_file_to_verdicts(tmp_path: Path) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text(
        '{"question": "Capital?", "answer": ["Paris", "Lutetia"]}\n{"question": "OS?", "answer": "iOS", "match": "exact"}\n'
    )
    questions = load(SourceConfig(source=str(file), domain="text"))
    assert from_frame(to_frame(questions)) == questions
    assert [q.gold["match"] for q in questions] == ["folded", "exact"]
    assert not list(check_gold(questions))
    prompt = build_prompt(questions[0], None, chat=False)
    assert TEXT.answer_form in prompt.text and "Capital?" in prompt.text
    assert len({q.id for q in questions} | {questions[0].id}) == 2


@pytest.mark.parametrize(
    ("row", "options", "said"),
    [
        ('{"question": "?", "answer": "(", "match": "regex"}', {}, "is no regular expression"),
        ('{"question": "?", "answer": "{", "match": "json"}', {}, "is no JSON"),
        ('{"question": "?", "answer": "a", "match": "fold"}', {}, "did you mean folded"),
        ('{"question": "?", "answer": []}', {}, "no answer"),
        ('{"question": "?", "answer": "a"}', {"match": "exat"}, "did you mean exact"),
        ('{"question": "?", "answer": "a"}', {"gold": "boxed"}, "options.gold is for math questions, these are text"),
    ],
)
def test_rows_and_options_that_cannot_be_used(row: str, options: dict[str, str], said: str, tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text(row + "\n")
    with pytest.raises(QuestionError, match=said):
        load(SourceConfig(source=str(tmp_path / "q.jsonl"), domain="text", options=options))
