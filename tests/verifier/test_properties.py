"""For a gold of every family, random true rewritings are judged correct and random near-misses are not; without any one rule some are."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from rewritings import FAMILIES, Case

from midway.verifier import rules

OFTEN = 200
"""Cases of a family in the suite; `benchmarks/near_misses.py` does 10,000."""

WHERE = {
    "tests-assert": "program", "tests-as-text": "program", "usual-imports": "program", "program-marks": "program", "inner-fence": "program",
    "python-values": "program", "choice-content": "choice by number", "choice-ambiguous": "choice by number",
    "choice-signs": "choice by number", "hedge": "choice by letter", "article": "choice by letter", "denied-letter": "choice by letter",
    "yes-first": "choice by text", "spaced-comma": "set", "tight-comma": "set", "set-repeats": "set", "dots": "set", "joined-boxes": "set",
    "clock": "time", "date": "date", "stated-value": "integer", "unit": "unit", "decimal-comma": "decimal", "float-noise": "decimal",
    "full-width": "decimal", "plus-infinity": "interval", "placeholder": "integer", "languages": "integer", "number-words": "integer",
    "missing-gold": "integer",
}  # fmt: skip
"""The family whose cases notice that a rule is off."""


def holds(family: str, *, phases: tuple[Phase, ...] = tuple(Phase)) -> None:
    """Raise AssertionError for a case of the family that is not judged as it must be."""

    @settings(
        max_examples=OFTEN, deadline=None, derandomize=True, database=None, phases=phases,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )  # fmt: skip
    @given(st.randoms(use_true_random=False))
    def judged_right(random: st.DrawFn) -> None:
        case: Case = FAMILIES[family](random)  # type: ignore[arg-type]
        note(str(case))
        assert case.holds(), str(case)

    judged_right()


@pytest.mark.parametrize("family", FAMILIES)
def test_rewritings_are_right_and_near_misses_are_not(family: str) -> None:
    holds(family)


@pytest.mark.parametrize("rule", rules.RULES)
def test_without_a_rule_the_property_fails(rule: str) -> None:
    with rules.without(rule), pytest.raises(AssertionError, match=r"rewriting|near-miss"):
        holds(WHERE[rule], phases=(Phase.generate,))


def test_rules_are_on_again_and_named() -> None:
    with rules.without("clock"):
        assert not rules.on("clock") and rules.on("date")
    assert all(map(rules.on, rules.RULES))
    with pytest.raises(KeyError), rules.without("no such rule"):
        pass
    assert {rule.kind for rule in rules.RULES.values()} == set(rules.KINDS) == set(range(1, 11))
