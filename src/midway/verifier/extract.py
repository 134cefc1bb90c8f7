"""Finds the final answer in what a model wrote, and says which rule found it.

Promises: linear in the length of the text, of which at most MAX_TEXT characters at the end are read. Explicit final
answers win over guesses: `boxed`, `tag` (`<answer>`), `hashes` (`####`), `statement` ("the answer is", "Answer:",
"A:"). Only where there is none: `bare` (the text is nothing but an answer), `math` (the last formula) and `number`
(the last number). Reasoning inside `<think>` is never an answer; reasoning that does not end is a truncated text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from midway.verifier import rules, stated
from midway.verifier.math import words
from midway.verifier.math.normalise import full_width
from midway.verifier.stated import CJK, MATH, numbers, readings, span

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
_BETWEEN_PARTS = re.compile(
    r"(?:[\s$.,;:]|\\[()\[\],;!]|\\q?quad|and|for|in|part|case|question|\(?(?:[a-h]|i{1,3}|iv|v|\d)\))*"
)
_PLACEHOLDER = re.compile(
    r"(?:\s|\?|\.\.\.|_|…|\\(?:[lcd]?dots|square|cdot|quad|,|;|!| )|(?:\\text\s*\{|\\mathrm\s*\{)?[<\[(]?\s*(?:(?:your|the|final)\s+)*"
    r"(?:answer|result|number|here)(?:\s+here)?\s*[>\])]?\}?)*",
    re.IGNORECASE,
)
_TAG = re.compile(r"<answer>(.*?)(?:</answer>|$)", re.DOTALL | re.IGNORECASE)
_HASHES = re.compile(r"####[ \t]*(\S[^\n]*)")
_ANSWER_IS = (
    r"(?:\b(?:final\s+)?answers?\b(?:\s+to\s+[^.\n]{1,60}?)?(?:\s+here)?\s*(?:is|are|was|=|:|would\s+be|should\s+be|equals)"
    r"(?:\s*\*\*)?(?:\s+(?:that|therefore|thus|simply|just|exactly|indeed|hence)\b)?[ \t]*[:=]?"
    r"|\banswer(?=\s+(?:\$|\\\(|\\\[|-?\d)))[ \t]*(?:\*\*)?"
)
_STATEMENT = re.compile(_ANSWER_IS, re.IGNORECASE)
OTHER_MARKS = (
    r"(?:r[ée]ponse(?:\s+(?:finale|correcte))?\s*(?:est|:)|r[ée]sultat(?:\s+final)?\s*(?:est|:)|la\s+solution\s+est"
    r"|respuesta(?:\s+(?:final|correcta))?\s*(?:es|:)|(?:soluci[óo]n|resultado)(?:\s+final)?\s*(?:es|:)"
    r"|(?:Antwort|L[öo]sung|Ergebnis)\s*(?:ist|lautet|beträgt|:)|resposta(?:\s+final)?\s*(?:é|:)|risposta(?:\s+finale)?\s*(?:è|:)"
    r"|ответ(?:\s*(?::|—|–|-)|\s+(?:равен|равна|равно|составляет|это|будет)|(?=\s+[-−]?\d))"
    r"|(?:答案|答|结果|答え)\s*(?:应该|应当)?(?:是|为|等于|は|：|:)+|(?:정답|답)\s*(?:은|는|:|：)|الجواب\s*(?:هو|:))[ \t]*(?:\*\*)?"
)
"""What stands before an answer in other languages, as a pattern."""
_OTHER_STATEMENT = re.compile(OTHER_MARKS, re.IGNORECASE)
_FOUR_MORE = re.compile(
    r"(?:r[ée]ponse(?:\s+finale)?\s*(?:est|:)|respuesta(?:\s+final)?\s*(?:es|:)|(?:Antwort|L[öo]sung)\s*(?:ist|lautet|:)"
    r"|答案\s*(?:是|为|：|:)|الجواب\s*(?:هو|:))[ \t]*(?:\*\*)?",
    re.IGNORECASE,
)
"""The languages of before the rule `languages`."""
_OTHER_WORDS = (
    "ponse", "sultat", "la solution", "respuesta", "soluci", "resultado", "antwort", "sung", "ergebnis", "resposta", "risposta",
)  # fmt: skip
_OTHER_SCRIPTS = ("答", "结果", "답", "ответ", "الجواب")
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
_LEAD_IN = re.compile(
    r"^(?:(?:so|therefore|thus|hence|it\s+is|it['’]s|we\s+(?:get|have)|i\s+get|this\s+(?:is|gives))\b[,:]?\s+)+(?=[^\n]{1,60}$)",
    re.IGNORECASE,
)
_LAST_REASON = re.compile(r",?\s+(?:since|because)\b[^.\n]*(?:\.\d[^.\n]*)*\.?\s*\Z", re.IGNORECASE)
_WORD = re.compile(r"(?<![\\a-zA-Z{])[^\W\d_]{2,}")


def find(text: str) -> Found | None:
    """Return the final answer of `text`, or None when it has none. Raises Truncated when it breaks off before it."""
    text = full_width(answer_part(text))
    if "\\boxed" in text or "\\fbox" in text:
        boxed, text = _boxed(text)
        if boxed is not None:
            return Found(boxed, "boxed") if boxed else None
    if "<answer>" in text:
        tags = [t.strip() for t in _TAG.findall(text) if t.strip()]
        if tags:
            return Found(tags[-1], "tag", readings(tags[-1][:2000]))
    hashes = _HASHES.findall(text) if "####" in text else None
    if hashes:
        return Found(hashes[-1].strip(), "hashes", readings(hashes[-1][:2000]))
    statement = _statement(text)
    if statement:
        return statement
    return _guess(_after_denial(text))


def candidates(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield `(rule, readings)` of everything in `text` that may be its final answer, in the order in which rules are asked."""
    text = full_width(answer_part(text))
    inside = boxed(text) if "\\boxed" in text or "\\fbox" in text else ""
    if inside:
        yield "boxed", (inside,)
    for tag in _TAG.findall(text):
        yield "tag", (tag.strip(), *readings(tag[:2000]))
    for line in _HASHES.findall(text):
        yield "hashes", (line.strip(), *readings(line[:2000]))
    for mark in reversed(_marks(text)):
        rest = text[mark : mark + 2000].strip()
        found = None if _DENIED.match(rest) else _stated(rest)
        if found:
            yield "statement", (found.answer, *found.also)
    if guess := _guess(_after_denial(text)):
        yield guess.rule, (guess.answer, *guess.also)


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


def boxed(text: str) -> str:
    """Return what stands in the last box, several boxes that are one answer joined by commas; empty where there is none."""
    try:
        return _boxed(text)[0] or ""
    except Truncated:
        return ""


def _boxed(text: str) -> tuple[str | None, str]:
    """The last box, and the text to read where there is none: several boxes are joined by commas when only `and`, `or`, commas or names
    stand between them; placeholders (`\\boxed{?}`) are left out where something follows."""
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
    if rules.on("placeholder"):
        blank = [b for b in outer if b[2] is not None and _PLACEHOLDER.fullmatch(b[2])]
        if blank:
            if (
                not blank[-1][2]
                and len(outer) > 1
                and outer[-1] == blank[-1]
                and not text[blank[-1][1] :].strip(" $.\n)]\\")
            ):
                return "", text  # a final box with nothing in it: what was boxed before it no longer stands
            outer = [b for b in outer if b not in blank]
            if not outer:
                left = text[blank[-1][1] :].strip(" $.\n)]\\")
                return (None, text[blank[-1][1] :]) if left else ("", text)
    if not outer:
        return None, text
    if outer[-1][2] is None:
        # an unclosed box at the very end is a text that breaks off; after a complete answer it is a slip
        if len(outer) == 1 and len(text) - outer[0][0] > 400:
            return None, text
        unclosed = text[outer[-1][0] :]
        inner = _BOX.sub("", unclosed, count=1).strip().rstrip("$.").rstrip()
        if inner and text.rstrip()[-1:] in "$]).":
            return inner, text
        raise Truncated("box")
    parts = [outer[-1]]
    for box in reversed(outer[:-1]):
        gap = text[box[1] : parts[0][0]]
        if box[2] and len(gap) < 60 and _joined(gap):
            parts.insert(0, box)
        else:
            break
    answers = list(dict.fromkeys(p[2] for p in parts if p[2]))
    return ", ".join(answers), text


def _joined(gap: str) -> bool:
    """Whether two boxes with this between them are one answer."""
    if gap.strip() and _BETWEEN.fullmatch(gap) and _joins(gap):
        return True
    if not rules.on("joined-boxes") or "\n\n" in gap:
        return False
    return not gap.strip(" $\n") or bool(
        re.search(r"\bfor\b|\bpart\b|\bcase\b|\([a-z\d]+\)|\b[b-h]\)", gap) and _BETWEEN_PARTS.fullmatch(gap)
    )


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
    if any(word in lower for word in _OTHER_WORDS) or (
        not text.isascii() and any(word in lower for word in _OTHER_SCRIPTS)
    ):
        marks = _OTHER_STATEMENT if rules.on("languages") else _FOUR_MORE
        ends |= {m.end() for m in marks.finditer(text)}
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
    return Found(before[-1][1].strip("*"), "statement", readings(before[-1][1])) if before else None


def _after_denial(text: str) -> str:
    """What follows the last denied statement: in `the answer is not 7` there is nothing to guess from."""
    for mark in reversed(_marks(text)):
        rest = text[mark:]
        if _DENIED.match(rest.lstrip()):
            stop = stated.SENTENCE.search(rest)
            return rest[stop.end() :] if stop else ""
    return text


def _stated(rest: str) -> Found | None:
    if not rest.startswith(("\\[", "$$", "\\(", "$")):
        rest = rest.split("\n", 1)[0]
    elif span := MATH.match(rest):
        rest = rest[: span.end()] + rest[span.end() :].split("\n", 1)[0]
    meant = readings(rest)
    return Found(meant[0], "statement", meant[1:]) if meant else None


def _last_sentence(text: str) -> str:
    lines = [s for s in re.split(r"(?<=[.!?])\s+|\n+", text) if s.strip()]
    return lines[-1] if lines else ""


def looks_bare(text: str) -> bool:
    """Whether `text` is nothing but an answer: short, one line or one display, no prose."""
    if len(text) > 300 or text.count("\n") > 4 or CJK.search(text):
        return False
    words = [w for w in _WORD.findall(re.sub(r"\\(?:text\w*|mbox|mathrm)\s*\{[^{}]*\}", " ", text)) if w != "or"]
    return len(words) <= 3 and not re.search(r"(?<!\\)[.?]\s+\S|(?<!\\)!\s+[A-Z]", text)


def _guess(text: str) -> Found | None:
    """The answer of a text that does not say what its answer is: all of it, its last formula, or its last number."""
    stripped = text.strip()
    if rules.on("stated-value"):
        stripped = _LEAD_IN.sub("", stripped)
        stripped = _LAST_REASON.sub("", stripped) or stripped
    if not stripped:
        return None
    also: list[tuple[int, str, str]] = []
    tail = stripped[-4000:]
    for formula in MATH.finditer(tail):
        inner = span(formula)
        if len(_WORD.findall(re.sub(r"\\(?:text\w*|mbox|mathrm)\s*\{[^{}]*\}", " ", inner))) <= 1 and "?" not in inner:
            also.append((formula.end(), "math", inner))
    also = also[-1:]
    line = next((s for s in reversed(tail.split("\n")) if re.search(r"\d", s)), "")
    last = numbers(line)[-1:]
    if last and also and _in_passing(line, also[0][2]):
        also = []
    covered = also[0][0] if also else 0
    if last and tail.rfind(last[0]) + len(last[0]) > covered:
        also.append((tail.rfind(last[0]), "number", last[0]))
    if looks_bare(stripped):
        return Found(stripped, "bare", tuple(a for _, _, a in reversed(also) if a != stripped))
    if not also:
        spelt = words.last_number(_last_sentence(tail)) if rules.on("number-words") else None
        return Found(spelt, "number") if spelt else None
    _, rule, answer = also[-1]
    return Found(answer, rule)


def _in_passing(line: str, formula: str) -> bool:
    """Whether a line that has a number mentions a symbol only in passing: `7 ways to choose $k$ of $n$`."""
    place = line.rfind(f"${formula}$")
    if place < 0 or not re.fullmatch(r"[a-zA-Z]", formula) or not rules.on("stated-value"):
        return False
    return not re.search(r"(?:\bis|\bequals|\bare|=|\bget)\s*$", line[:place])
