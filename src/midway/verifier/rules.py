"""The rules by which a text is read, by name: what each says, with an example, and whether it is on.

Promises: every rule that decides a kind of fault has one entry in RULES, which `docs/verify.md` and `midway verify --explain` show.
In normal work all rules are on. `without` switches some off, in this process and for a test only: it shows that the tests notice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `example` is what is written, `then` what follows from it, both in words for the table."""

    name: str
    kind: int
    says: str
    example: str
    then: str


KINDS = {
    1: "Tests that assert nothing",
    2: "Numbers and signs among choices",
    3: "Hedges",
    4: "Lists and numbers",
    5: "Times and dates",
    6: "The value that is stated",
    7: "Words that look like letters or like No",
    8: "Spellings of one answer",
    9: "Programs as models write them",
    10: "Golds that are missing",
}

_TABLE: tuple[tuple[str, int, str, str, str], ...] = (
    ("tests-assert", 1, "A test set that cannot fail is refused.", "`add(1, 2) == 3`; `assert (x, 'message')`; an empty `check`", "unjudged, `no-tests: ...`"),
    ("tests-as-text", 1, "A list of tests that arrives as text is read as the list.", '`"[\\"assert add(1, 2) == 3\\"]"`', "one assert, which can fail"),
    ("choice-content", 2, "An option's own words or number come before its position.", "choices 0, 1, 2, 3: `The answer is 2.`", "the option 2, not the second one"),
    ("choice-ambiguous", 2, "A number that is the start of one option and the position of another is no answer.", "choices 3 apples, 5 apples, 2 apples: `The answer is 2.`", "wrong, `ambiguous`"),
    ("choice-signs", 2, "Signs belong to an option.", "choices -3, 3; 1/2, 1.2; 10, 10%; C, C++", "all told apart"),
    ("hedge", 3, "Two options are no answer, nor are two letters where one is asked for.", "`\\boxed{A, B}`; `(A) (B)`; `red or blue`", "wrong, `no-answer`"),
    ("spaced-comma", 4, "A comma with a space, or in a gold without a unit, separates answers.", "gold `2, 100` or `1,2`: `2100`, `1.2`", "wrong"),
    ("tight-comma", 4, "`5,125` is a number or a list, as what it is compared with.", "gold `5,125`: `125, 5` and `5125`", "both correct"),
    ("set-repeats", 4, "A repeated element of a set counts once; an unmarked list may repeat itself.", "gold `\\{1,2\\}`: `\\{1,1,2\\}`", "correct"),
    ("clock", 5, "A time of day has hours, minutes and a half of the day; the half may be missing, but not be the other one.", "gold `7:30 PM`: `7:30 p.m.`; `7:30 AM`", "correct; wrong"),
    ("date", 5, "A date is a date, not a subtraction or a division; a month is not a unit.", "gold `2024-03-01`: `2020`; gold `12 June`: `June 12`; `12 July`", "wrong; correct; wrong"),
    ("stated-value", 6, "The value that a sentence states comes before other formulas in it; a reason that follows is not read.", "`The answer is 12, since $k$ divides $24$.`", "12, and not 24"),
    ("article", 7, "`A` before a word and `I` before a verb are words, not letters.", "`Answer: A noble gas, so neon`; `I think B`", "neon; B"),
    ("denied-letter", 7, "A letter that is denied is no answer.", "`Answer: A is wrong, so B.`", "B"),
    ("yes-first", 7, "A text that begins with an option and a stop has answered; `no` before a noun is not the option No.", "`Yes. There is no doubt.`", "Yes"),
    ("unit", 8, "A unit may stand without `\\text`, where a number stands before it.", "gold `9.8`: `9.8 m/s^2`; gold `5 N`: `5 kg`", "correct; wrong"),
    ("decimal-comma", 8, "A comma is a decimal point where a unit follows or the gold is a decimal.", "gold `2.5`: `2,5 m`", "correct"),
    ("plus-infinity", 8, "`+\\infty` is `\\infty`.", "gold `[2,+\\infty)`: `[2,\\infty)`", "correct"),
    ("dots", 8, "Dots are one sign in every spelling, and at the end of a list they mean that it goes on.", "gold `1, 2, \\ldots, n`: `1,2,...,n`; gold `2, 4, 6`: `2, 4, 6, ...`", "correct; wrong"),
    ("float-noise", 8, "A gold that shows the noise of a float is the number that was meant.", "gold `0.30000000000000004`: `0.3`", "correct"),
    ("joined-boxes", 8, "Boxes with nothing, `and`, commas or `for (a)` between them are one answer.", "`\\boxed{1}\\boxed{2}`", "the list 1, 2"),
    ("placeholder", 8, "A box that holds nothing or `?` is not the answer when one follows.", "`\\boxed{?} ... The answer is 5.`", "5"),
    ("languages", 8, "Marks of an answer are known in nine more languages, and units in any script.", "`答案是 5 米`; `La respuesta es 5 metros.`", "5"),
    ("full-width", 8, "Full-width digits and signs are the usual ones.", "`\\boxed{１２．５}`", "12.5"),
    ("number-words", 8, "A number in words is the number, where the gold is a number.", "gold `6`: `Six birds.`", "correct"),
    ("usual-imports", 9, "Names that public graders import, `exit` and `quit` among them, are known to a program that runs as they run it.", "`class Solution` with `List[int]`; `exit()`", "as if imported"),
    ("program-marks", 9, "Marks around a program may be `[BEGIN]` and `[DONE]` or tags, also on one line.", "`[BEGIN] def f(x): return x [DONE]`", "the function"),
    ("inner-fence", 9, "A fence inside a docstring does not end the program.", "a docstring with ```` ``` ```` lines", "the whole program"),
    ("python-values", 9, "Arguments and expected values may be Python's as well as JSON's, or plain text.", "`output: \"(1, None)\"`; `output: \"cba\"`", "a tuple; the text"),
    ("missing-gold", 10, "A gold that is null, empty, NaN or the text `nan` or `null` is missing.", "gold `nan`", "unjudged, `no-gold`"),
)  # fmt: skip

RULES: dict[str, Rule] = {row[0]: Rule(*row) for row in _TABLE}
"""All rules, in the order of the table."""

_off: frozenset[str] = frozenset()
_caches: list[Any] = []


def on(name: str) -> bool:
    """Whether the rule applies. It does, outside of `without`."""
    return name not in _off


def remembered(size: int) -> Callable[[F], F]:
    """`lru_cache` for what depends on rules: it forgets when one is switched."""

    def made(function: F) -> F:
        cached = lru_cache(maxsize=size)(function)
        _caches.append(cached)
        return cached  # type: ignore[return-value]

    return made


@contextlib.contextmanager
def without(*names: str) -> Iterator[None]:
    """Switch rules off, for a test. Raises KeyError for a name that is none; does not reach worker processes."""
    global _off
    before, _off = _off, _off | {RULES[name].name for name in names}
    try:
        for cache in _caches:
            cache.cache_clear()
        yield
    finally:
        _off = before
        for cache in _caches:
            cache.cache_clear()
