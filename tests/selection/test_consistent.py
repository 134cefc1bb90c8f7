"""Solutions that are right and not sound: false arithmetic, an answer from nowhere or not worked out, loops, two answers; and answer rules
that count."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from midway.recipe import DataConfig, SelectionConfig
from midway.selection import select
from midway.selection.consistent import faults, rounding, value

SOUND = [
    ("He has 3 + 4 = 7 pens, then 7 * 2 = 14. \\boxed{14}", "14"),
    ("Each gets 10 / 4 = 2.5 apples. The answer is 2.5.", "2.5"),
    ("1/3 = 0.33, so about a third: \\boxed{0.33}", "0.33"),
    ("20% of 50 is 20% * 50 = 10. \\boxed{10}", "10"),
    ("(2 + 3) * 4 = 20. \\boxed{20} That is \\boxed{20.0}.", "20"),
    ("There is nothing to compute. \\boxed{12}", "12"),
    ("x = 5, so 2x = 10 and x + 1 = 6. \\boxed{6}", "6"),
    ("1,000 + 500 = 1,500 dollars. \\boxed{1500}", "1,500"),
    ("Yes. Yes. Yes. 2 + 2 = 4. \\boxed{4}", "4"),
    ("One in four of three: \\boxed{3/4}", "3/4"),
    ("Pages 3-5. \\boxed{3-5}", "3-5"),
    ("The roots are \\boxed{2 + 3i}", "2 + 3i"),
    ("About \\boxed{3 \\times 10^{5}}", "3 \\times 10^{5}"),
    ("So \\boxed{-4} it is.", "-4"),
]
UNSOUND = [
    ("He has 3 + 4 = 8 pens. \\boxed{8}", "8", "false-arithmetic: 3+4=8"),
    ("10 / 4 = 2.6. \\boxed{2.6}", "2.6", "false-arithmetic"),
    ("3 + 4 = 7 and 7 * 2 = 14. \\boxed{15}", "15", "no-computation-gives: 15"),
    ("6 + 5 is not in the answer 6 + 5.", "6 + 5", "not-worked-out: 6 + 5"),
    ("So \\boxed{6 \\times 5}", "6 \\times 5", "not-worked-out: 6 \\times 5"),
    ("So there are \\boxed{6 - 5 apples}", "6 - 5 apples", "not-worked-out: 6 - 5 apples"),
    ("The answer is 6 + 5 = ?", "6 + 5 = ?", "not-worked-out"),
    ("We add the numbers again.\n" * 4 + "\\boxed{4}", "4", "loop: We add the numbers again."),
    ("It is \\boxed{3}. No, \\boxed{4}.", "4", "two-answers: 3 and 4"),
    ("The answer is 3. The answer is 4.", "4", "two-answers: 3 and 4"),
]


@pytest.mark.parametrize(("text", "answer"), SOUND)
def test_a_sound_solution_has_no_fault(text: str, answer: str) -> None:
    assert faults(text, answer) == ()


@pytest.mark.parametrize(("text", "answer", "fault"), UNSOUND)
def test_faults_are_told(text: str, answer: str, fault: str) -> None:
    found = faults(text, answer)
    assert found and found[0].startswith(fault), found


@given(st.integers(0, 500), st.integers(1, 500), st.sampled_from("+-*"), st.integers(1, 50))
def test_true_sums_pass_and_false_ones_do_not(a: int, b: int, sign: str, off: int) -> None:
    true = eval(f"{a}{sign}{b}")
    text = "We take {0} {1} {2} = {3}, so \\boxed{{{3}}}."
    if true < 0:
        return
    assert faults(text.format(a, sign, b, true), str(true)) == ()
    assert any(f.startswith("false-arithmetic") for f in faults(text.format(a, sign, b, true + off), str(true + off)))


def test_values() -> None:
    assert value("(1+2)*3") == 9 and value("-4/8") == -0.5 and value("50%") == 0.5 and value("007+1") == 8
    for text in ("9**9", "1/0", "x+1", "__import__('os')", "1+" * 300 + "1", ""):
        assert value(text) is None
    assert rounding("2.50") == 0.005 and rounding("3") == 0


@pytest.mark.parametrize("text", ["(" * 20_000, "1 + " * 20_000 + "1 = 2", "\\boxed{" * 5_000, "a. " * 20_000])
def test_hostile_texts_end(text: str) -> None:
    assert isinstance(faults(text, "1"), tuple)


QUESTIONS = pl.DataFrame({"id": ["q"], "text": ["?"]})
TEXTS = {"a": SOUND[0][0], "b": UNSOUND[0][0], "c": "It must be 14", "d": "So 7 * 2 = 14, and that is it. \\boxed{14}"}


def selected(**config: object) -> tuple[set[str], dict[str, int], pl.DataFrame]:
    completions = pl.DataFrame(
        {"id": list(TEXTS), "question_id": "q", "heuristic": "analogy", "text": list(TEXTS.values()), "finish": "stop"}
    )
    verdicts = pl.DataFrame(
        {
            "id": list(TEXTS),
            "judgement": "correct",
            "reason": ["boxed:exact", "boxed:exact", "last-number:exact", "boxed:exact"],
            "extracted": ["14", "8", "14", "14"],
        }
    )
    settings = SelectionConfig(near_copy=1.0, per_heuristic=9, per_question=9, decontaminate=False, **config)
    found = select(completions, verdicts, None, QUESTIONS, settings, DataConfig(pool="p"), seed=0)
    funnel = dict(found.funnel.group_by("step", maintain_order=True).agg(pl.col("count").sum()).iter_rows())
    return set(found.solutions["completion_id"]), funnel, found.removed


def test_both_are_steps_of_the_funnel_and_only_where_asked_for() -> None:
    kept, funnel, removed = selected()
    assert kept == set(TEXTS) and "accepted" not in funnel and "consistent" not in funnel and removed.is_empty()
    kept, funnel, removed = selected(accept=["boxed"], consistent=True)
    assert kept == {"a", "d"}
    assert (funnel["correct"], funnel["accepted"], funnel["consistent"], funnel["kept"]) == (4, 3, 2, 2)
    told = {row["completion_id"]: row["reason"] for row in removed.to_dicts()}
    assert told == {"b": "false-arithmetic: 3+4=8", "c": "answer found by: last-number:exact"}


def test_at_their_defaults_they_enter_no_digest() -> None:
    assert "accept" not in SelectionConfig().identity() and "consistent" not in SelectionConfig().identity()
    assert SelectionConfig(consistent=True).identity()["consistent"] is True
