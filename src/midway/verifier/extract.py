"""Finds the final answer in what a model wrote, and says which rule found it.

Promises: linear in the length of the text, of which at most MAX_TEXT characters at the end are read. Explicit final
answers win over guesses: `boxed`, `tag` (`<answer>`), `hashes` (`####`), `statement` ("the answer is", "Answer:",
"A:"). Only where there is none: `bare` (the text is nothing but an answer), `math` (the last formula) and `number`
(the last number). Reasoning inside `<think>` is never an answer; reasoning that does not end is a truncated text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_TEXT = 20_000
MAX_BOXES = 64
MAX_STATEMENTS = 64
MAX_BACKWARD = 2000
EXPLICIT = frozenset({"boxed", "tag", "hashes", "statement"})


@dataclass(frozen=True, slots=True)
class Found:
    """`answer` as written; `rule` that found it; `also` further readings of a guess, best first."""

    answer: str
    rule: str
    also: tuple[str, ...] = ()


class Truncated(ValueError):
    """The text ends inside its reasoning or inside its answer."""


_SPECIAL = re.compile(r"<\|(?:im_start|im_end|eot_id|endoftext|end|end_of_text)\|>|<end_of_turn>|</s>")
_THINK_END = re.compile(r"</?(?:think|thinking|thought|reasoning|REASONING_END|reasoning_end)>")
_BOX = re.compile(r"\\(?:boxed|fbox)\s*(\{?)")
_BETWEEN = re.compile(
    r"(?:[\s$.,;]|\\[()\[\];,!]|\\q?quad|\\(?:text|mbox|mathrm)\s*\{\s*(?:and|or|,)\s*\}|and|or|und|et"
    r"|[A-Za-z](?:_\{?\w{1,3}\}?)?(?:\([A-Za-z]\))?\s*=)*"
)
_TAG = re.compile(r"<answer>(.*?)(?:</answer>|$)", re.DOTALL | re.IGNORECASE)
_HASHES = re.compile(r"####[ \t]*(\S[^\n]*)")
_ANSWER_IS = (
    r"(?:\b(?:final\s+)?answer\b(?:\s+to\s+[^.\n]{1,60}?)?(?:\s+here)?\s*(?:is|are|was|=|:|would\s+be|should\s+be|equals)"
    r"(?:\s*\*\*)?(?:\s+(?:that|therefore|thus|simply|just|exactly|indeed|hence)\b)?[ \t]*[:=]?"
    r"|\banswer(?=\s+(?:\$|\\\(|\\\[|-?\d)))[ \t]*(?:\*\*)?"
)
_STATEMENT = re.compile(_ANSWER_IS, re.IGNORECASE)
_OTHER_STATEMENT = re.compile(
    r"(?:r[ée]ponse(?:\s+finale)?\s*(?:est|:)|respuesta(?:\s+final)?\s*(?:es|:)|(?:Antwort|L[öo]sung)\s*(?:ist|lautet|:)"
    r"|答案\s*(?:是|为|：|:)|الجواب\s*(?:هو|:))[ \t]*(?:\*\*)?",
    re.IGNORECASE,
)
_OTHER_WORDS = ("ponse", "respuesta", "antwort", "sung", "答案", "الجواب")
_LINE_MARK = re.compile(r"\n[ \t]*(?:\*\*)?A(?:nswer)?(?:\*\*)?[ \t]*:[ \t]*(?:\*\*)?", re.IGNORECASE)
_DENIED = re.compile(
    r"(?:not|n['’]t|never|neither)\b(?P<instead>[^.\n]{1,60}?(?:,\s*)?\bbut\b(?:\s+(?:rather|instead)\b)?)?",
    re.IGNORECASE,
)
_IS_THE_ANSWER = re.compile(
    r"((?<![\w.$])\$[^$\n]{1,200}\$|(?<![\w.])[-−]?[$€£¥]?\d[\d,]*(?:\.\d+)?(?:\s*/\s*\d+)?(?:\s*\\?%)?)\*{0,2}\s+"
    r"(?:is|are)\s+(?:the|our|my)\s+(?:final\s+|correct\s+|right\s+)?answer\b",
    re.IGNORECASE,
)
_COMPUTATION = re.compile(r"[\d\s.,+\-−*/×÷()$€£¥%]*\d[\d\s.,+\-−*/×÷()$€£¥%]*=\s*([-−]?[$€£¥]?\d[\d,]*(?:\.\d+)?%?)")
"""A sum and its result: digits and signs only, so that it holds no unknown."""
_MATH = re.compile(
    r"\$\$(.+?)\$\$|\\\[(.+?)\\\]|\\\((.+?)\\\)|(?<![\\$\d])\$((?:\\\$|[^$\n])+?)(?<!\\)\$(?!\d)", re.DOTALL
)
_NUMBER = re.compile(
    r"(?<![\w.])(?:[-−]\s?)?(?:[$€£¥]\s?)?(?:\d{1,3}(?:[, ]\d{3})+(?!\d)|\d+)?(?:\.\d+|(?<=\d)(?!\d))"
    r"(?:[eE][-+]?\d{1,3})?(?:\s*/\s*\d+(?:\.\d+)?)?\s*(?:\\?%|percent)?"
)
_NUMBER_CJK = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?(?:/\d+)?%?")
_DECIMAL_COMMA = re.compile(r"(?<![\w.,])-?\d+,\d{1,2}(?![\d,])")
_SENTENCE = re.compile(r"(?<=[^\d\s.])[.!?](?=\s|$)|(?<=\d)[.!?](?=\s|$)|[。！？]")
_AND = re.compile(r"\s*(?:,|;|and|or|,\s*and|,\s*or|\\text\{\s*(?:and|or)\s*\})\s*", re.IGNORECASE)
_CJK = re.compile(r"[\u0900-\u0dff\u0600-\u06ff\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]")
_WORD = re.compile(r"(?<![\\a-zA-Z{])[^\W\d_]{2,}")


def find(text: str) -> Found | None:
    """Return the final answer of `text`, or None when it has none. Raises Truncated when it breaks off before it."""
    text = answer_part(text)
    boxed = _boxed(text)
    if boxed is not None:
        return Found(boxed, "boxed") if boxed else None
    if "<answer>" in text:
        tags = [t.strip() for t in _TAG.findall(text) if t.strip()]
        if tags:
            return Found(tags[-1], "tag", _readings(tags[-1][:2000]))
    hashes = _HASHES.findall(text) if "####" in text else None
    if hashes:
        return Found(hashes[-1].strip(), "hashes", _readings(hashes[-1][:2000]))
    statement = _statement(text)
    if statement:
        return statement
    return _guess(_after_denial(text))


def answer_part(text: str, limit: int = MAX_TEXT) -> str:
    """Return what follows the reasoning (of the last `limit` characters), without chat markers.

    Raises Truncated when the reasoning does not end.
    """
    text = text[-limit:]
    if "<" not in text:
        return text
    special = _SPECIAL.search(text)
    if special and text[: special.start()].strip():
        text = text[: special.start()]
    marks = list(_THINK_END.finditer(text))
    if marks:
        if not marks[-1].group().startswith("</"):
            raise Truncated("reasoning")
        text = text[marks[-1].end() :]
    return text


def _boxed(text: str) -> str | None:
    """The last box; several boxes joined by commas when only `and`, `or`, commas or names stand between them."""
    boxes: list[tuple[int, int, str | None]] = []
    for match in list(_BOX.finditer(text))[-MAX_BOXES:]:
        if match[1]:
            end = _closing(text, match.end())
            if end < 0:
                boxes.append((match.start(), len(text), None))
            else:
                boxes.append((match.start(), end + 1, text[match.end() : end].strip()))
        else:
            bare = re.match(r"\s*(-?[\d.]+|\\[a-zA-Z]+|[a-zA-Z])", text[match.end() :])
            if bare:
                boxes.append((match.start(), match.end() + bare.end(), bare[1]))
    outer = [b for i, b in enumerate(boxes) if i == 0 or b[0] >= max(x[1] for x in boxes[:i])]
    if not outer:
        return None
    if outer[-1][2] is None:
        # an unclosed box at the very end is a text that breaks off; after a complete answer it is a slip
        if len(outer) == 1 and len(text) - outer[0][0] > 400:
            return None
        unclosed = text[outer[-1][0] :]
        inner = _BOX.sub("", unclosed, count=1).strip().rstrip("$.").rstrip()
        if inner and text.rstrip()[-1:] in "$]).":
            return inner
        raise Truncated("box")
    parts = [outer[-1]]
    for box in reversed(outer[:-1]):
        gap = text[box[1] : parts[0][0]]
        if box[2] and len(gap) < 60 and gap.strip() and _BETWEEN.fullmatch(gap) and _joins(gap):
            parts.insert(0, box)
        else:
            break
    answers = list(dict.fromkeys(p[2] for p in parts if p[2]))
    return ", ".join(answers)


def _joins(gap: str) -> bool:
    return bool(re.search(r"and|or|,|;|und|et", gap))


def _closing(text: str, start: int) -> int:
    depth = 1
    for position in range(start, min(len(text), start + 5000)):
        character = text[position]
        if character == "{" and text[position - 1] != "\\":
            depth += 1
        elif character == "}" and text[position - 1] != "\\":
            depth -= 1
            if depth == 0:
                return position
    return -1


def _marks(text: str) -> list[int]:
    """Where the last statements of an answer begin to say it. Cheap tests go first: this is the way of most texts."""
    ends = {m.end() - 1 for m in _LINE_MARK.finditer("\n" + text)}
    lower = text.lower()
    if "answer" in lower:
        ends |= {m.end() for m in _STATEMENT.finditer(text)}
    if any(word in lower for word in _OTHER_WORDS):
        ends |= {m.end() for m in _OTHER_STATEMENT.finditer(text)}
    return sorted(ends)[-MAX_STATEMENTS:]


def _statement(text: str) -> Found | None:
    """The last statement that is not a denial; what is denied (`the answer is not 7`) is no answer."""
    for mark in reversed(_marks(text)):
        rest = text[mark : mark + 2000].strip()
        denied = _DENIED.match(rest)
        if denied and not denied["instead"]:
            continue
        return _stated(rest[denied.end() :].strip() if denied else rest)
    before = list(_IS_THE_ANSWER.finditer(text[-MAX_BACKWARD:]))
    return Found(before[-1][1].strip("*"), "statement", _readings(before[-1][1])) if before else None


def _after_denial(text: str) -> str:
    """What follows the last denied statement: in `the answer is not 7` there is nothing to guess from."""
    for mark in reversed(_marks(text)):
        rest = text[mark:]
        if _DENIED.match(rest.lstrip()):
            stop = _SENTENCE.search(rest)
            return rest[stop.end() :] if stop else ""
    return text


def _stated(rest: str) -> Found | None:
    if not rest.startswith(("\\[", "$$", "\\(", "$")):
        rest = rest.split("\n", 1)[0]
    elif span := _MATH.match(rest):
        rest = rest[: span.end()] + rest[span.end() :].split("\n", 1)[0]
    readings = _readings(rest)
    return Found(readings[0], "statement", readings[1:]) if readings else None


def _readings(rest: str) -> tuple[str, ...]:
    """Readings of a line that holds an answer: its formula, the whole sentence, its first number."""
    found = []
    spans = list(_MATH.finditer(rest))
    if spans:
        head = re.sub(
            r"[\s*:=]+|\b(?:the|is|are|about|approximately|exactly)\b", "", rest[: spans[0].start()], flags=re.I
        )
        if not head:
            parts, end = [_span(spans[0])], spans[0].end()
            for span in spans[1:]:
                if not _AND.fullmatch(rest[end : span.start()]):
                    break
                parts.append(_span(span))
                end = span.end()
            tail = re.match(r"\s*(?:\\?%|percent)", rest[end:])
            found.append(", ".join(parts) + ("\\%" if tail else ""))
        elif len(head) < 60:
            found.append(_span(spans[-1]))
    stop = _SENTENCE.search(rest)
    sentence = rest[: stop.start()] if stop else rest
    sentence = sentence.strip().strip("*").strip()
    if sentence:
        found.append(sentence)
        computed = _COMPUTATION.fullmatch(re.sub(r"(?<=\d) ?[xX] ?(?=[$€£¥]?\d)", "*", sentence[:300]))
        if computed:
            found.insert(0, computed[1].strip())
    numbers = _numbers(sentence)
    if numbers:
        found.append(numbers[0])
    return tuple(dict.fromkeys(found))


def _span(match: re.Match[str]) -> str:
    return next(g for g in match.groups() if g is not None).strip()


def _numbers(text: str) -> list[str]:
    if _CJK.search(text):
        return [m.group() for m in _NUMBER_CJK.finditer(text)]
    commas = list(_DECIMAL_COMMA.finditer(text))
    plain = [m for m in _NUMBER.finditer(text) if re.search(r"\d", m.group())]
    plain = [m for m in plain if not any(c.start() < m.end() and m.start() < c.end() for c in commas)]
    numbers = [m.group().strip() for m in sorted(commas + plain, key=lambda m: m.start())]
    return numbers


def looks_bare(text: str) -> bool:
    """Whether `text` is nothing but an answer: short, one line or one display, no prose."""
    if len(text) > 300 or text.count("\n") > 4 or _CJK.search(text):
        return False
    words = [w for w in _WORD.findall(re.sub(r"\\(?:text\w*|mbox|mathrm)\s*\{[^{}]*\}", " ", text)) if w != "or"]
    return len(words) <= 3 and not re.search(r"(?<!\\)[.?]\s+\S|(?<!\\)!\s+[A-Z]", text)


def _guess(text: str) -> Found | None:
    stripped = text.strip()
    if not stripped:
        return None
    also: list[tuple[int, str, str]] = []
    tail = stripped[-4000:]
    for span in _MATH.finditer(tail):
        inner = _span(span)
        if len(_WORD.findall(re.sub(r"\\(?:text\w*|mbox|mathrm)\s*\{[^{}]*\}", " ", inner))) <= 1 and "?" not in inner:
            also.append((span.end(), "math", inner))
    also = also[-1:]
    covered = also[0][0] if also else 0
    line = next((s for s in reversed(tail.split("\n")) if re.search(r"\d", s)), "")
    numbers = _numbers(line)
    if numbers and tail.rfind(numbers[-1]) + len(numbers[-1]) > covered:
        also.append((tail.rfind(numbers[-1]), "number", numbers[-1]))
    if looks_bare(stripped):
        return Found(stripped, "bare", tuple(a for _, _, a in reversed(also) if a != stripped))
    if not also:
        return None
    _, rule, answer = also[-1]
    return Found(answer, rule)
