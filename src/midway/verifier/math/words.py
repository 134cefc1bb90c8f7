"""Numbers in words: `twenty-four`, `six birds`, `a dozen`, `three quarters`.

Promises: pure and linear in the length of the text; a text that is no number in words gives None.
"""

from __future__ import annotations

import re

_UNITS = [
    *(
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
    ),
    *("fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_VALUES = {word: k for k, word in enumerate(_UNITS)} | {word: 10 * k for k, word in enumerate(_TENS, 2)}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_PARTS = {
    "half": 2, "halves": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4, "fourth": 4, "fourths": 4, "fifth": 5, "fifths": 5,
    "sixth": 6, "sixths": 6, "eighth": 8, "eighths": 8, "tenth": 10, "tenths": 10,
}  # fmt: skip
NUMBERS = {word: str(k) for word, k in _VALUES.items() if k <= 12}
"""Words that are a number on either side, also as the whole of a gold."""
_ANY = re.compile(rf"\b(?:{'|'.join([*_VALUES, *_SCALES, 'dozen'])})\b", re.IGNORECASE)


def number(text: str, rest: int = 3) -> str | None:
    """Return the number that the words of `text` begin with, as digits; after it at most `rest` other words may stand (its unit)."""
    if re.search(r"\d", text) or len(text) > 200:
        return None
    words = re.findall(r"[a-z]+|[^\sa-z-]", re.sub(r"\\t(?:ext)?\{|\}", " ", text.lower()))
    while words and words[-1] in (".", "!"):
        words.pop()
    total, group, used, known = 0, 0, 0, False
    for k, word in enumerate(words):
        if word in _VALUES:
            if known and (group % 10 or _VALUES[word] >= 10) and group % 100:
                return None  # two numbers side by side
            group, known = group + _VALUES[word], True
        elif word in _SCALES and (known or (k == 1 and words[0] == "a")):
            group = max(group, 1) * _SCALES[word] if word == "hundred" else group
            if word != "hundred":
                total, group = total + max(group, 1) * _SCALES[word], 0
            known = True
        elif word == "dozen" and (known or words[:1] == ["a"] or k == 0):
            group, known = max(group, 1) * 12, True
        elif (
            word in _PARTS
            and (known or words[:k] in (["a"], []))
            and total == 0
            and (known or word == "half" or k == 1)
        ):
            return f"{max(group, 1)}/{_PARTS[word]}" if len(words) - k - 1 <= rest else None
        elif (
            word in ("a", "and")
            and (known or k == 0)
            and k + 1 < len(words)
            and words[k + 1] in {*_VALUES, *_SCALES, "dozen", *_PARTS}
        ):
            continue
        else:
            break
        used = k + 1
    left = words[used:]
    if (
        not known
        or len(left) > rest
        or any(not w.isalpha() for w in left)
        or {"of", "or", "and", "more", "less"} & set(left)
    ):
        return None
    return None if any(_ANY.fullmatch(w) for w in left) else str(total + group)


def last_number(sentence: str) -> str | None:
    """Return the one number in words of a sentence that has no digits; None where there is none, or several. `one` is a pronoun too."""
    if re.search(r"\d", sentence):
        return None
    runs = re.findall(rf"{_ANY.pattern}(?:[\s-]+(?:and\s+)?{_ANY.pattern})*", sentence[:500], re.IGNORECASE)
    runs = [r for r in runs if r.lower() != "one"]
    return number(runs[0], 0) if len(runs) == 1 else None
