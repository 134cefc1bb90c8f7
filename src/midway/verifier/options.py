"""Which option of a multiple-choice question some words name: by the option's own content, signs and all.

Promises: pure, linear in the text for a given question. `at_start` tells `-3` from `3`, `1/2` from `1.2`, `10` from `10%` and `C` from
`C++`; of several options that fit, the longest wins. `by_value` compares as mathematics, for what is written another way.
"""

from __future__ import annotations

import re
from functools import lru_cache

from midway.verifier import rules
from midway.verifier.math import compare

_LATEX = (
    (re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}"), r"\1/\2"),
    (re.compile(r"\\(?:text\w*|mathrm|mathbf|mbox|operatorname)\s*\{([^{}]*)\}"), r"\1"),
    (re.compile(r"\\(?:left|right|displaystyle|[,;:! ])|[${}]|\\\(|\\\)"), " "),
    (re.compile(r"\\(?:leq?|leqslant)(?![a-z])|<="), "≤"),
    (re.compile(r"\\(?:geq?|geqslant)(?![a-z])|>="), "≥"),
    (re.compile(r"\\lt(?![a-z])"), "<"),
    (re.compile(r"\\gt(?![a-z])"), ">"),
    (re.compile(r"\\%"), "%"),
    (re.compile(r"[−–]"), "-"),
    (re.compile(r"\\sqrt\s*"), "√"),
    (re.compile(r"(?<![\w.])\.(?=\d)"), "0."),
    (re.compile(r"(?<=\d),(?=\d{3}(?!\d))"), ""),
)
_TOKEN = re.compile(
    r"(?:(?<![\w)\]%])[-+])?\d+(?:\.\d+)?(?:/\d+)?%?|[^\W\d_]+(?:['’][^\W\d_]+)*(?:\+\+|#)?|\\[a-zA-Z]+|[-+*/^<>=≤≥≠±√∞π|°()\[\]]|[^\w\s.,;:!?\"'`*]"
)
_BRACKETS = frozenset("()[]")
_ARTICLES = ("the", "a", "an")


def content(text: str) -> str:
    """`text` without LaTeX layout and thousands separators."""
    for pattern, replacement in _LATEX:
        text = pattern.sub(replacement, text)
    return text


@lru_cache(maxsize=8192)
def tokens(option: str) -> tuple[str, ...]:
    """What an option is compared by: its words in lower case, its numbers with their signs, its operators."""
    return tuple(t.lower() for t in _TOKEN.findall(content(option.replace("’", "'"))))


def plain(text: str) -> str:
    """The words and digits of a text, nothing else."""
    return " ".join(re.findall(r"\w+", text.lower().replace("’", "'")))


@rules.remembered(8192)
def _plain_of(choices: tuple[str, ...]) -> tuple[str, ...]:
    """Every option as its words; empty where words alone do not say what it is, or where two options have the same."""
    if not rules.on("choice-signs"):
        return tuple(map(plain, choices))
    words = [
        "" if re.search(r"[-+/^<>=%#]|\d", content(c)) and not re.search(r"[^\W\d_]{3}.*[^\W\d_]{3}", c) else plain(c)
        for c in choices
    ]
    words = ["" if re.search(r"\d", w) else w for w in words]
    return tuple(w if words.count(w) == 1 else "" for w in words)


def at_start(head: str, choices: tuple[str, ...], *, words: bool = True) -> list[tuple[int, str]]:
    """`(option, what follows)` of the options that `head` begins with: the longest, or several of one length. With `words`, also
    by the words alone, where those say what the option is."""
    head = head[:600].lstrip()
    head = head if head.startswith(("(", "[")) else re.sub(r"^[\s\"'`*_{]+(?=[^\s\"'`*_{])", "", head)
    found: list[tuple[int, int, str]] = []
    if rules.on("choice-signs"):
        text = content(head).replace("’", "'")
        given = [(m.group().lower(), m.end()) for m in _TOKEN.finditer(text)]
        first = given[0][0] if given else ""
        for k, choice in enumerate(choices):
            wanted = tokens(choice)
            start = int(first in _ARTICLES and wanted[:1] != (first,))
            if wanted[:1] and wanted[0] in _ARTICLES and len(wanted) > 1 and first not in _ARTICLES:
                wanted = wanted[1:]
            part = given[start : start + len(wanted)]
            fits = bool(wanted) and tuple(t for t, _ in part) == wanted
            if fits and not _goes_on(text[part[-1][1] :], given[start + len(wanted) :], part[-1][1], wanted):
                found.append((len(wanted), k, text[part[-1][1] :]))
    if not found and (words or not rules.on("choice-signs")):
        given_words = plain(head)
        bare = given_words.removeprefix("the ")
        for k, choice in enumerate(_plain_of(choices)):
            if choice and (choice in (given_words, bare) or given_words.startswith(choice + " ")):
                skipped = int(bare == choice != given_words)
                found.append((len(choice.split()), k, head[_end(head, len(choice.split()) + skipped) :]))
    longest = max((n for n, _, _ in found), default=0)
    return [(k, rest) for n, k, rest in found if n == longest]


def _goes_on(rest: str, after: list[tuple[str, int]], end: int, wanted: tuple[str, ...]) -> bool:
    """Whether what follows an option makes it another thing: 10 of `10%` or `10/3`, x of `x^2`."""
    if not after:
        return False
    symbol, following = after[0][0], rest[: after[0][1] - end]
    if symbol in _BRACKETS:
        return symbol in "([" and not following.startswith(" ") and not wanted[-1].isalpha()
    mathematical = bool(re.fullmatch(r"[-+*/^<>=≤≥≠±√π°%]|\\[a-z]+", symbol))
    return mathematical and not re.search(r"[.,;:!?]\s", following)


def _end(text: str, count: int) -> int:
    """Where the first `count` words of a text end."""
    ends = [m.end() for m in re.finditer(r"\w+", text)]
    return ends[min(count, len(ends)) - 1] if ends else 0


def by_value(value: str, choices: tuple[str, ...]) -> list[int]:
    """The options that are the same as `value` as mathematics, unit and sign included where both have them."""
    if len(value) > 120 or not re.search(r"\d|\\", value):
        return []
    exact = [
        k for k, c in enumerate(choices) if re.search(r"\d|\\", c) and len(c) <= 120 and compare.equal(c, value) is True
    ]
    if "%" in value and not any("%" in choices[k] for k in exact) and rules.on("choice-signs"):
        return []  # 10% is not the option 10
    alike = [k for k in exact if ("%" in choices[k]) == ("%" in value)]
    return alike or exact
