"""Where in a text the answer was read, for a person who looks at it.

Promises: pure; a span is (start, end) in characters, None where the answer does not stand in the text as it was read (a number in words, an
option named by its content, two boxes joined). It is looked for after the mark that the verdict's reason names, else at its last place. It
decides nothing: the verdict is made without it.
"""

from __future__ import annotations

import re

MARKS = {
    "hashes": re.compile(r"####"),
    "boxed": re.compile(r"\\f?box(?:ed)?\b"),
    "tag": re.compile(r"<answer[^>]*>", re.IGNORECASE),
    "statement": re.compile(r"answer|solution|result|therefore|thus|hence|so\b", re.IGNORECASE),
}
"""What stands before an answer, by the rule that found it (`verifier.extract`)."""


def answer_span(text: str, extracted: str | None, reason: str | None) -> tuple[int, int] | None:
    """Return where `extracted` stands in `text`; `reason` is the verdict's, such as `hashes:exact` or `wrong-answer:boxed`.

    Where it does not stand there as it was read, the rest of the line after the last mark, if there is one.
    """
    rules = (reason or "").split(":")
    mark = next((MARKS[rule] for rule in rules if rule in MARKS), None)
    after = max((found.end() for found in mark.finditer(text)), default=-1) if mark else -1
    if extracted:
        if after >= 0 and (found := _place(text, extracted, after)):
            return found
        if found := _place(text, extracted, 0):
            return found
    if after < 0:
        return None
    line = text.find("\n", after)
    end = len(text) if line < 0 else line
    return (after, end) if text[after:end].strip() else None


def _place(text: str, answer: str, start: int) -> tuple[int, int] | None:
    """Return the first place from `start` > 0, else the last one, at which `answer` stands and is not a part of a word or number."""
    at = text.find(answer, start) if start else text.rfind(answer)
    while at >= 0:
        end = at + len(answer)
        before, behind = text[at - 1 : at], text[end : end + 1]
        if not (before.isalnum() and answer[0].isalnum()) and not (behind.isalnum() and answer[-1].isalnum()):
            return at, end
        at = text.find(answer, end) if start else text.rfind(answer, 0, at)
    return None
