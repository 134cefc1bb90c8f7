"""Entropies, places of tokens, mixes of ways, and the change of success taken apart: against closed forms, and on random input."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midway.evidence.branch import FIRST, INSIDE, STEP, change, entropy_of_logits, mean_change, mix, places, step_starts


@pytest.mark.parametrize("n", [1, 2, 16])
def test_equal_logits_have_the_entropy_log_n(n: int) -> None:
    assert entropy_of_logits(np.full((3, n), 7.0)) == pytest.approx([math.log(n)] * 3)


def test_entropy_of_two_tokens_and_of_a_masked_one() -> None:
    p = 0.2
    closed = -p * math.log(p) - (1 - p) * math.log(1 - p)
    assert entropy_of_logits([math.log(p), math.log(1 - p), -math.inf]) == pytest.approx(closed)
    assert entropy_of_logits([0.0, -math.inf]) == pytest.approx(0.0)
    assert entropy_of_logits([[1e4, 0.0]]) == pytest.approx([0.0])


def test_steps_begin_after_sentences_and_lines() -> None:
    text = "Work back. 7 - 2 = 5.\n\n  Then 3.5 is left. #### 5"
    assert [text[i:][:4] for i in step_starts(text)] == ["Work", "7 - ", "Then", "####"]
    assert step_starts("") == [] == step_starts(" \n ")


def test_tokens_know_where_they_stand() -> None:
    text = "Let x. Try 3. Yes"
    spans = [(0, 3), (3, 5), (5, 6), (6, 10), (10, 12), (12, 13), (13, 14), (14, 17)]
    # " Try" holds its step's first letter; "Yes" comes after a token that is the space alone
    assert places(spans, text) == [FIRST, INSIDE, INSIDE, STEP, INSIDE, INSIDE, INSIDE, STEP]
    assert places([], "") == []
    assert places([(0, 17)], text) == [FIRST]


@given(st.text("ab .\n", max_size=60), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_every_step_but_the_first_has_one_token_where_tokens_are_short(text: str, size: int) -> None:
    spans = [(i, min(i + size, len(text))) for i in range(0, len(text), size)]
    found = places(spans, text)
    assert len(found) == len(spans)
    later = len(step_starts(text)[1:])
    assert found.count(STEP) <= later
    if size == 1 and step_starts(text):
        assert found.count(STEP) == later


def test_a_mix_counts_and_knows_its_effective_number() -> None:
    found = mix(["a", "b", "a", "b"], [True, True, False, True], ["c", "a"])
    assert found.ways == ("c", "a", "b")
    assert found.share_W == pytest.approx([0, 0.5, 0.5])
    assert found.success_W == pytest.approx([math.nan, 0.5, 1.0], nan_ok=True)
    assert found.success == 0.75
    many = mix(["a", "b"] * 5_000, [True] * 10_000)
    assert many.effective == pytest.approx(2.0, abs=1e-3)
    assert mix(["a"] * 3, [True] * 3).effective == 1.0
    assert mix([], []).effective != mix([], []).effective  # NaN
    with pytest.raises(ValueError, match="2 labels and 1 verdicts"):
        mix(["a", "b"], [True])


def test_choice_alone_and_skill_alone() -> None:
    before = mix(["a"] * 8 + ["b"] * 2, [True] * 4 + [False] * 4 + [True, True])
    chosen = mix(["a"] * 2 + ["b"] * 8, [True, False] + [True] * 8)  # the same success of each way
    found = change(before, chosen)
    assert (found.choice, found.skill) == (pytest.approx(0.3), pytest.approx(0.0))
    better = mix(["a"] * 8 + ["b"] * 2, [True] * 6 + [False] * 2 + [True, True])
    found = change(before, better)
    assert (found.choice, found.skill) == (pytest.approx(0.0), pytest.approx(0.2))
    with pytest.raises(ValueError, match="same ways"):
        change(before, mix(["c"], [True]))


def test_a_way_that_appears_is_choice() -> None:
    before, after = mix(["a"] * 4, [False] * 4, ["a", "b"]), mix(["b"] * 4, [True] * 4, ["a", "b"])
    assert change(before, after).choice == 1.0
    assert change(before, after).skill == 0.0


counts = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=3, max_size=3).filter(
    lambda rows: any(n for n, _ in rows)
)


@given(counts, counts)
def test_choice_and_skill_add_up_to_the_change(old: list[tuple[int, int]], new: list[tuple[int, int]]) -> None:
    def made(rows: list[tuple[int, int]]) -> list[object]:
        labels = [w for w, (n, _) in zip("abc", rows, strict=True) for _ in range(n)]
        right = [i < min(r, n) for n, r in rows for i in range(n)]
        return [labels, right]

    a, b = (mix(*made(rows), ["a", "b", "c"]) for rows in (old, new))  # type: ignore[arg-type]
    assert change(a, b).total == pytest.approx(b.success - a.success)
    assert mean_change([(a, b), (a, b)]).total == pytest.approx(b.success - a.success)
