r"""How the gold answer is cut out of what a publisher wrote: after `####`, the last `\boxed{}`, plain numbers, options.

Promises: pure functions on strings. What cannot be cut out raises RowError (NoGold where the publisher left it out); nothing is
guessed.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from midway.questions.base import NoGold, RowError

_MARKS = re.compile(r"<<[^<>\n]*=[^<>\n]*>>")
_LAST_LINE = re.compile(r"(^|\n)####([^\n]*)\s*\Z")
_NUMBER = re.compile(r"[-+]?(\d{1,3}(,\d{3})+|\d+)?(\.\d*)?([eE][-+]?\d+)?")


def after_hashes(text: str) -> str:
    """Return what follows the last `####`, commas between digits removed: GSM8K's answer (Cobbe et al. 2021)."""
    _, mark, tail = text.rpartition("####")
    answer = tail.strip().removeprefix("$").strip()
    if not mark or not answer:
        raise RowError("no answer: nothing stands after `####`")
    return re.sub(r"(?<=\d),(?=\d{3})", "", answer)


def in_words(solution: str) -> str:
    """Return a GSM8K solution as a person would write it: calculator marks `<<3*4=12>>` removed, the last line `#### 12` put as
    `The answer is $\\boxed{12}$.`, so that a model fine-tuned on it learns the answer format that prompts ask for.

    Any other text comes back as it is.
    """
    if "####" not in solution and "<<" not in solution:
        return solution
    words = _MARKS.sub("", solution)
    last = _LAST_LINE.search(words)
    if not last or not last.group(2).strip():
        return words
    return f"{words[: last.start()].rstrip()}\nThe answer is $\\boxed{{{after_hashes(last.group())}}}$.".lstrip()


def last_boxed(text: str) -> str:
    r"""Return the content of the last `\boxed{...}` (or `\fbox{...}`, or `\boxed 5`): MATH's answer (Hendrycks et al. 2021)."""
    start = max(text.rfind("\\boxed"), text.rfind("\\fbox"))
    if start < 0:
        raise RowError("no answer: the solution has no \\boxed{}")
    rest = text[start:].removeprefix("\\boxed").removeprefix("\\fbox")
    if not rest.lstrip().startswith("{"):
        word = re.match(r"\s*([^\s$}]+)", rest)
        if not word:
            raise RowError("no answer: nothing stands after the last \\boxed")
        return word.group(1)
    rest, depth = rest.lstrip(), 0
    for i, char in enumerate(rest):
        escaped = i > 0 and rest[i - 1] == "\\" and not rest[:i].endswith("\\\\")
        if char in "{}" and not escaped:
            depth += 1 if char == "{" else -1
            if depth == 0:
                inside = rest[1:i].strip()
                if not inside:
                    raise NoGold("published with an empty \\boxed{}")
                return inside
    raise RowError("no answer: the last \\boxed{ is never closed")


def number_text(value: Any) -> str:
    """Return a number without needless digits (`145.0` -> `145`, `1e3` -> `1000`), other text as it is, stripped.

    The noise of a float is rounded away (`0.30000000000000004` -> `0.3`). Raises RowError for what is empty or not finite.
    """
    if isinstance(value, float):
        if not math.isfinite(value):
            raise RowError(f"no answer: {value} is not finite; write \\infty if that is the answer")
        if (
            len(repr(value).strip("-0.").replace(".", "")) >= 15
            and len(short := repr(float(f"{value:.14g}"))) <= len(repr(value)) - 3
        ):
            value = float(short)
    text = str(value).strip()
    if not text:
        raise RowError("no answer: it is empty")
    if not any(c.isdigit() for c in text) or not _NUMBER.fullmatch(text):
        return text
    try:
        number = Decimal(text.replace(",", ""))
    except InvalidOperation:
        return text
    plain = format(number, "f")
    return (plain.rstrip("0").rstrip(".") if "." in plain else plain) or "0"


def without_dollars(text: str) -> str:
    """Return the text without one outer pair of `$`, if there is just that pair."""
    text = text.strip()
    if len(text) > 2 and text[0] == text[-1] == "$" and "$" not in text[1:-1]:
        return text[1:-1].strip()
    return text


def without_unit(text: str) -> str:
    """Return ASDiv's `9 (apples)` without the unit in brackets at the end."""
    return re.sub(r"\s*\([^()]*\)\s*$", "", text).strip() or text.strip()


def option_list(value: Any) -> tuple[str, ...]:
    """Return options given as a list or as the text of a Python or JSON list (as MuSR has them).

    Letters in front of all of them (`A) red`, `B) blue`) are taken off. Raises RowError for an option that is missing or empty.
    """
    if isinstance(value, str):
        if re.match(r"\[\s*(['\"]).*?\1\s+\1", value):
            raise RowError(f"no choices: a printed NumPy array has no commas: {value[:60]!r}; store a list")
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            raise RowError(f"no choices: not a list: {value[:60]!r}") from None
    if not isinstance(value, list | tuple):
        raise RowError(f"no choices: a list is needed, not {type(value).__name__}")
    if len(value) < 2:
        raise RowError(f"no choices: {len(value)} given, at least two are needed")
    for number, option in enumerate(value, 1):
        if option is None or option != option or not str(option).strip():
            raise RowError(f"no choices: option {number} is {'empty' if isinstance(option, str) else 'null'}")
    return without_letters(tuple(str(v) for v in value))


def without_letters(options: tuple[str, ...]) -> tuple[str, ...]:
    """Return options without the letters `A)`, `(A)`, `A.` or `A:` in front, where all of them have theirs."""
    found = [re.match(r"\s*(?:\(([A-Z])\)|([A-Z])[).:])\s*(?=\S)", option) for option in options]
    letters = [(m[1] or m[2]) if m else "" for m in found]
    if letters != [chr(65 + k) for k in range(len(options))]:
        return options
    return tuple(option[m.end() :] for option, m in zip(options, found, strict=True) if m)


def option_index(value: Any, choices: Sequence[str], *, place: bool = True) -> int:
    """Return the index from 0 of the right option, given as an index, a letter (`B`) or the option's own text.

    Unless the column says that it holds a place, a number that is one option's text and another one's index is refused.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str):
        text = value.strip()
        number = text.lstrip("-").isdigit()
        if text in choices and not (place and number):
            index = list(choices).index(text)
            if number and 0 <= int(text) < len(choices) and int(text) != index:
                raise _ambiguous(text, choices)
            return index
        if number:
            value = int(text)
        elif len(text.strip("().")) == 1 and text.strip("().").isalpha():
            value = ord(text.strip("().").upper()) - ord("A")
        elif re.match(r"\(?[A-Z][).:]\s*\S", text) and (rest := re.sub(r"^\(?[A-Z][).:]\s*", "", text)) in choices:
            return list(choices).index(rest)  # `B) blue`
        else:
            raise RowError(f"answer {text!r} is none of the {len(choices)} choices, no letter and no index")
    if isinstance(value, bool) or not isinstance(value, int):
        raise RowError(f"answer {value!r} is no index of a choice")
    if not place and str(value) in choices:
        index = list(choices).index(str(value))
        if 0 <= value < len(choices) and value != index:
            raise _ambiguous(str(value), choices)
        return index
    if not 0 <= value < len(choices):
        raise RowError(f"answer index {value} is outside of 0 to {len(choices) - 1}")
    return value


def _ambiguous(text: str, choices: Sequence[str]) -> RowError:
    place, index = int(text), list(choices).index(text)
    return RowError(
        f"answer {text} is ambiguous: the text of option {chr(65 + index)}, and the index of option {chr(65 + place)}; "
        "write the letter, or name the column `answer_index` if it counts from 0"
    )
