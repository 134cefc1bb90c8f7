"""Times of day and dates: what a text such as `7:30 p.m.` or `12 June` names, and whether two name the same.

Promises: pure and linear; `same` answers True, False, or None where neither text is a time or a date. Nothing is converted: `19:30` is
another notation than `7:30 PM`, `2024-03-01` another than `March 1, 2024`, and a different notation is a different answer. What may be
missing from one side is the half of the day, and from the gold the year.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from midway.verifier import rules

_MONTHS = "january february march april may june july august september october november december".split()  # noqa: SIM905
_MONTH = {m: k for k, name in enumerate(_MONTHS, 1) for m in (name, name[:3])} | {"sept": 9}
_DAYS = "monday tuesday wednesday thursday friday saturday sunday".split()  # noqa: SIM905
_NAMES = "|".join(sorted(_MONTH, key=len, reverse=True))
_MAYBE = re.compile(
    rf":\s?\d\d|\d\s*(?:\\[a-z]+\s*\{{|[\\~ {{])*\s*[ap]\.?\s?m\b|\d[-/.]\d{{1,2}}[-/.]\d|\b(?:{_NAMES})[a-z]*\b|noon|midnight|o['’]clock",
    re.IGNORECASE,
)
_DAY = rf"(?:(?:{'|'.join(_DAYS)}),?\s+)?"
_TH = r"(?:st|nd|rd|th)?"
_NAMED = (
    re.compile(
        rf"{_DAY}(?:the\s+)?(?P<d>\d{{1,2}}){_TH}(?:\s+of)?\s+(?P<m>{_NAMES})\.?(?:,?\s+(?P<y>\d{{4}}))?", re.IGNORECASE
    ),
    re.compile(rf"{_DAY}(?P<m>{_NAMES})\.?\s+(?:the\s+)?(?P<d>\d{{1,2}}){_TH}(?:,?\s+(?P<y>\d{{4}}))?", re.IGNORECASE),
    re.compile(rf"(?P<m>{_NAMES})\.?,?\s+(?P<d>)(?P<y>\d{{4}})", re.IGNORECASE),
)
_FIGURES = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})|(\d{1,2})([-/.])(\d{1,2})\6(\d{4})")
_CLOCK = re.compile(
    r"(?P<h>\d{1,2})(?:\s*[:.]\s*(?P<m>\d{2}))?(?:\s*:\s*(?P<s>\d{2}))?\s*(?P<half>[ap])\.?\s?m\.?"
    r"|(?P<h2>\d{1,2})\s*:\s*(?P<m2>\d{2})(?:\s*:\s*(?P<s2>\d{2}))?(?:\s*(?:h|hrs|hours|o['’]clock|uhr))?"
    r"|(?P<h3>\d{1,2})\s*o['’]clock(?:\s*(?P<half3>[ap])\.?\s?m\.?)?|(?:12\s+)?(?P<word>noon|midnight)",
    re.IGNORECASE,
)
_SPAN = re.compile(r"\s*\$?\s*(\d+)\s*(?:-|–|—|--|\bto\b)\s*(\d+)\s*\$?\s*\.?")
"""`12-15`, which as a gold is no difference."""
_WRAP = re.compile(r"\\(?:text\w*|mbox|mathrm|mathbf)(?=\s*\{)|\\[ ,;:!]|[$~*{}]|\\\(|\\\)")


@dataclass(frozen=True, slots=True)
class Moment:
    """`kind` is `clock`, `named` or `figures`; `parts` what it says, None where it does not say."""

    kind: str
    parts: tuple[int | str | None, ...]


@lru_cache(maxsize=8192)
def read(text: str) -> Moment | None:
    """Return the time or date that the whole of `text` names, or None."""
    text = " ".join(_WRAP.sub(" ", text[:120]).split()).strip(" .,;")
    text = re.sub(
        r"^(?:at|on|by|around)\s+|\s+(?:at|in\s+the)\s+(?:night|morning|afternoon|evening)$",
        "",
        text,
        flags=re.IGNORECASE,
    )
    text = re.sub(r"^[a-zA-Z]\w?\s*=\s*", "", text)
    text = re.sub(r"([ap]) \. ?m", r"\1.m", text, flags=re.IGNORECASE)
    for pattern in _NAMED:
        if match := pattern.fullmatch(text):
            return Moment(
                "named",
                (
                    _MONTH[match["m"].lower()],
                    int(match["d"]) if match["d"] else None,
                    int(match["y"]) if match["y"] else None,
                ),
            )
    if match := _FIGURES.fullmatch(text):
        return Moment(
            "figures", tuple(int(part) if part.isdigit() else part for part in match.groups() if part is not None)
        )
    match = _CLOCK.fullmatch(text)
    if not match:
        return None
    if match["word"]:
        return Moment("clock", (12, 0, 0, "p" if match["word"].lower() == "noon" else "a"))
    hour = int(match["h"] or match["h2"] or match["h3"])
    minute, second = (int(match[x] or match[x + "2"] or 0) for x in ("m", "s"))
    half = (match["half"] or match["half3"] or ("o" if match["h3"] else "")).lower()
    if hour > 24 or minute > 59 or second > 59 or (half in ("a", "p") and hour > 12):
        return None
    return Moment("clock", (hour, minute, second, half or None))


def same(gold: str, given: str) -> bool | None:
    """Return whether two texts name the same moment; None where neither names one, or a rule leaves it to the others."""
    if (span := _SPAN.fullmatch(gold)) and rules.on("date"):
        given_span = _SPAN.fullmatch(given)
        return given_span is not None and span.groups() == given_span.groups()
    if not _MAYBE.search(gold) and not _MAYBE.search(given):
        return None
    a, b = read(gold), read(given)
    for moment, other, text in ((a, b, given), (b, a, gold)):
        if moment is not None and not rules.on("clock" if moment.kind == "clock" else "date"):
            return None
        if moment is not None and other is None:
            return _beside(moment, text)
    if a is None or b is None:
        return None
    if a.kind != b.kind:
        return False
    if a.kind == "clock":
        return a.parts[:3] == b.parts[:3] and (a.parts[3] == b.parts[3] or not {a.parts[3], b.parts[3]} <= {"a", "p"})
    if a.kind == "named":
        return a.parts[:2] == b.parts[:2] and a.parts[2] in (None, b.parts[2])
    return a.parts == b.parts


def _beside(moment: Moment, text: str) -> bool | None:
    """Whether a time agrees with something that is none: `3 a.m.` with 3. A ratio such as 12:30 is left to the others."""
    number = re.fullmatch(r"\s*\$?\s*(\d+)\s*\$?\.?\s*", text)
    if moment.kind != "clock":
        return False
    if moment.parts[3] is None:
        return False if re.fullmatch(r"[\s$\d.,/+-]+", text) else None
    return bool(number) and moment.parts[1:3] == (0, 0) and int(number[1]) == moment.parts[0]  # type: ignore[index]
