"""Plain numbers: what a text such as `1,234.5`, `2,5` or `3/4` comes to, and when two of them are one.

Promises: pure, exact (fractions), in time linear in the length of the text; what is no plain number gives None or an empty result.
"""

from __future__ import annotations

import re
import struct
from fractions import Fraction
from functools import lru_cache

from midway.verifier import rules
from midway.verifier.math import words
from midway.verifier.math.units import unit_of

SIGNIFICANT = 6
THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?")
SPACED_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(?:,\s?\d{3})+(?:\.\d+)?")
_MEASURES = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Z\\{}]+)\.?\s*,?\s*(?:and\s+)?(?=\d|$)")
NAMED = re.compile(r"((?:[A-Za-z]{3,}\s+)+)(\d{1,12})")
_SIDES = {
    word: (number, k)
    for number, group in enumerate(
        (
            *("bc bce|ad ce", "north|south", "east|west", "left|right", "up|down", "increase increased|decrease decreased", "above|below"),
            *("profit gain|loss", "ahead|behind", "clockwise|counterclockwise anticlockwise", "before|after", "more|less fewer"),
        )
    )
    for k, words_ in enumerate(group.split("|"))
    for word in words_.split()
}  # fmt: skip
SIDE = re.compile(rf"\b(?:{'|'.join(_SIDES)})\b", re.IGNORECASE)
_SPACE_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(?: \d{3})+(?:\.\d+)?")
_LEADING_ZERO = re.compile(r"[-+]?0,\d{3,}")
"""No list, and no number with separators: a decimal."""
_NO_LIST = re.compile(r"[-+]?\d+,(?:0\d+|\d{4,})")
"""No unit says that this is a decimal, but no list is written so: 2,00625."""
DECIMAL_COMMA = re.compile(r"[-+]?(?:0,\d+|\d+,(?:\d{1,2}|\d{4,}))")
_DECIMAL = re.compile(r"-?(\d*)\.(\d+)")


def opposed(gold: str, given: str) -> bool:
    """Whether both name a side, and not the same one: `44 BC` and `44 AD`, `3 left` and `3 right`."""
    sides = [{_SIDES[w] for w in map(str.lower, SIDE.findall(text))} for text in (gold, given)]
    return any(a[0] == b[0] and a != b for a in sides[0] for b in sides[1]) and not sides[0] & sides[1]


def as_number(gold: str, given: str) -> str:
    """What is given, where the gold is a number and it is one in words, or has a decimal comma: as digits, with a point."""
    if not re.search(r"\d", given):
        if rules.on("number-words") and re.search(r"[a-zA-Z]{3}", given) and number(gold) is not None:
            return words.number(given) or given
        return given
    if not rules.on("decimal-comma"):
        return given
    if re.fullmatch(r"[-+]?[1-9]\d{0,2}(?:\.\d{3})+,\d+", given) and number(gold) is not None:
        return given.replace(".", "").replace(",", ".")
    if _NO_LIST.fullmatch(given) and re.fullmatch(r"[-+]?\d*\.\d+", gold):
        return given.replace(",", ".")
    return given


@rules.remembered(4096)
def without_noise(text: str) -> str:
    """The short number that a gold with the noise of a float was meant to be; empty if it shows none."""
    digits = re.sub(r"^[-+]?0*\.?0*|\.", "", text)
    if len(digits) < 9 or not re.fullmatch(r"[-+]?\d*\.\d+", text) or not rules.on("float-noise"):
        return ""
    value = float(text)
    short = f"{value:.14g}"
    if (
        len(digits) >= 15
        and len(re.sub(r"\D", "", short).lstrip("0")) <= 11
        and len(short) <= len(text) - 3
        and "e" not in short
    ):
        return short
    single = _single(value)
    if single and abs(single - value) <= abs(value) * 1e-9:
        for places in range(1, 8):
            short = f"{value:.{places}g}"
            if _single(float(short)) == single and "e" not in short:
                return short if len(short) <= len(text) - 3 else ""
    return ""


def _single(value: float) -> float:
    """The value as a float of 32 bits keeps it; 0 for what it could not hold."""
    kept: float = struct.unpack("f", struct.pack("f", value))[0] if abs(value) < 1e30 else 0.0
    return kept


def same_single(gold: str, given: str) -> bool:
    """Whether the gold is what a float of 32 bits keeps of the number given: 0.3333333432674408 of 1/3."""
    value = number(given) if len(gold) >= 10 and rules.on("float-noise") else None
    if value is None or abs(value) > 10**30 or not re.fullmatch(r"[-+]?\d*\.\d{8,}", gold):
        return False
    return abs(_single(float(value)) - float(gold)) <= abs(float(gold)) * 1e-12


@lru_cache(maxsize=4096)
def measures(text: str) -> tuple[tuple[Fraction, str], ...]:
    """`5 ft 6 in` as pairs of number and unit; empty unless there are at least two, all in known units."""
    if len(text) > 80 or len(re.findall(r"\d+", text)) < 2:
        return ()
    found = list(_MEASURES.finditer(text))
    if len(found) < 2 or "".join(m.group() for m in found).strip() != text.strip():
        return ()
    pairs = tuple((Fraction(m[1]), unit_of(m[2])) for m in found)
    return pairs if all(unit for _, unit in pairs) else ()


@rules.remembered(8192)
def number(text: str) -> Fraction | None:
    """The value of a plain number: sign, digits, separators, decimals, fraction a/b; None for anything else."""
    if " " in text and not _SPACE_THOUSANDS.fullmatch(text) and re.search(r"\d \d", text):
        return None
    apart = rules.on("spaced-comma")
    if (THOUSANDS if apart else SPACED_THOUSANDS).fullmatch(text):
        text = text.replace(",", "")
    elif _LEADING_ZERO.fullmatch(text) or (not apart and DECIMAL_COMMA.fullmatch(text.replace(" ", ""))):
        text = text.replace(",", ".")
    text = text.replace(" ", "")
    whole, point, decimals = text.partition(".")
    if len(decimals) > 300:
        text = whole + point + decimals[:300]
    match = re.fullmatch(r"([-+]?(?:\d+\.?\d*|\.\d+))(?:/(-?\d+(?:\.\d+)?))?", text)
    if not match:
        return None
    value = Fraction(match[1].rstrip(".") if match[1][-1:] == "." else match[1])
    if match[2]:
        below = Fraction(match[2])
        return value / below if below else None
    return value


def same_number(g: str, c: str, x: Fraction, y: Fraction, tolerance: float) -> bool:
    if x == y or (tolerance and abs(x - y) <= Fraction(tolerance)):
        return True
    return rounds(g, c, x, y)


def rounds(g: str, c: str, x: Fraction, y: Fraction) -> bool:
    """Whether the one is a decimal of at least SIGNIFICANT digits that the other rounds (or is cut) to."""
    decimals = _DECIMAL.fullmatch(g.replace(",", ".")), _DECIMAL.fullmatch(c.replace(",", "."))
    for mine, other in (decimals, decimals[::-1]):
        if mine and not (other and len(other[2]) < len(mine[2]) and other[2]):
            digits = (mine[1] + mine[2]).lstrip("0")
            if len(digits) >= SIGNIFICANT and abs(x - y) <= Fraction(1, 10 ** len(mine[2])):
                return True
    return False
