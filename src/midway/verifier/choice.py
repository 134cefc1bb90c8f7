"""Judges generated reasoning that ends in a choice: a letter, a number, or the words of the choice.

Promises: pure, linear in the length of the text. An explicit final choice (`\\boxed{B}`, "the answer is (B)", "ANSWER:
2") wins over a mention; the last explicit one wins over earlier ones; a choice that is only denied ("not A", "rules
out B") is no answer. Where several choices are mentioned at the end and none is said to be the answer, there is
`no-answer`.

Reasons: correct: `letter`, `number`, `text` or `mention`; wrong: `wrong-answer:RULE`, `no-answer`, `truncated`.
"""

from __future__ import annotations

import re

from midway.records import Judgement, Question, Verdict
from midway.verifier import extract

_LETTERS = "ABCDEFGHIJKLMNOPQRST"
_MARK = re.compile(
    r"\\(?:boxed|fbox)\s*\{|<answer>|####"
    r"|\b(?:final\s+|correct\s+|best\s+|right\s+)?(?:answer|choice|option|conclusion)\b(?:\s+(?:here|to\s+[^.\n]{1,60}?))?"
    r"\s*(?:is|are|would\s+be|should\s+be|must\s+be|:|=)+(?:\s*\*\*)?(?!\s+(?:not|neither)\b)"
    r"|^[ \t]*(?:\*\*)?A(?:nswer)?(?:\*\*)?[ \t]*:|r[ée]ponse\s*(?:est|:)|respuesta\s*(?:es|:)"
    r"|Antwort\s*(?:ist|:)|答案\s*(?:是|为|：|:)",
    re.IGNORECASE | re.MULTILINE,
)
_LETTER_AFTER = re.compile(
    r"[\s*:\"'`(\[{$]*(?:\\t(?:ext)?(?:bf|rm)?\s*\{|\\mathrm\s*\{|\\mathbf\s*\{)?[\s(*]*"
    r"(?:(?:for\s+sure|definitely|clearly|therefore|thus|simply|option|choice|answer|most\s+likely|probably|indeed|is|the)[\s:*(]+)*"
    r"([A-T](?![A-Za-z'’])|[a-t](?=[)\]}`\"'*]*[.:]?[)\]}$*]*\s*(?:$|\n)|\)))",
)
_AND_ANOTHER = re.compile(r"[)\]}*.\"'`]*\s*(?:or|and|/|&)\s*(?:option\s+|choice\s+)?[\"'*`(\[]*([A-T])(?![A-Za-z'’])")
_LETTER_ALONE = re.compile(
    r"(?<![\w'’.-])(?:\(([A-T])\)|(?:[Oo]ption|[Cc]hoice)\s+\(?([A-T])\b\)?|([A-T])\b(?![.'’-]\w)"
    r"(?!\s+(?!(?:is|was|are|were|isn't|wasn't|can|can't|could|cannot|must|has|had|fails|works|fits|seems|and|or|nor|but|because"
    r"|since|as|than|rather|instead)\b)[a-z]))"
)
_CUE = re.compile(
    r"\b(?:so|therefore|hence|thus|option|choice|answer|choose|pick|select|go\s+with|it's|it’s|it\s+is|must\s+be|correct|right)\b",
    re.IGNORECASE,
)
_CORRECTION = re.compile(
    r"\b(?:actually|wait|correction|on\s+second\s+thoughts?|scratch\s+that|sorry|i\s+mean)\b", re.IGNORECASE
)
_BETWEEN = re.compile(r"\b[Bb]etween\b[^,.;\n]*,")
_NUMBER_AFTER = re.compile(
    r"[\s*:\"'(\[{$#]*(?:(?:option|choice|number|no\.)\s*)?(\d{1,2})(?![\d.]\d|\d)", re.IGNORECASE
)
_DENIED = re.compile(
    r"(?:\b(?:not|isn't|isn’t|wasn't|neither|nor|never|cannot\s+be|can't\s+be|can’t\s+be|rather\s+than|instead\s+of|rules?\s+out"
    r"|ruled\s+out|eliminates?|eliminated?|excludes?|excluded?|unlike|except|than|non|nicht|no)\b[\s\"'*(]*(?:(?!but\b)(?-i:[a-z])\w*\s+){0,2})$",
    re.IGNORECASE,
)
_DENIED_AFTER = re.compile(
    r"^[\s\"'*).,]*(?:(?:is|are|was|were|seems?|looks?|appears?)\s+(?:\w+\s+)?(?:not\b|unlikely|wrong|incorrect|false|less\s+likely|innocent)"
    r"|(?:isn't|isn’t|wasn't|can't|cannot|could\s+not|couldn't|can\s+be\s+(?:ruled|eliminated|excluded))\b)",
    re.IGNORECASE,
)


def letter_of(text: str) -> str:
    """Return the letter that `text` gives as its final choice; empty when there is none."""
    for mark in reversed(list(_MARK.finditer(text))):
        match = _LETTER_AFTER.match(text, mark.end())
        if match and match[1].isupper():
            return match[1]
    start = re.match(r"\s*\(?([A-T])(?:[).:,]|\s*$)", text)
    if start:
        return start[1]
    lines = [line for line in text.strip().split("\n") if line.strip()]
    last = re.fullmatch(r"[\s*(]*([A-T])[)*.:]*(?:\s.*)?", lines[-1]) if lines else None
    return last[1] if last and not re.match(r"[\s*(]*(?:A|I)\s+[a-z]", lines[-1]) else ""


def judge(question: Question, text: str, truncated: bool = False) -> Verdict:
    """Judge the final choice of `text`; see the module's docstring for the rules."""
    gold = question.answer_index
    if gold is None or not 0 <= gold < len(question.choices):
        return Verdict(Judgement.UNJUDGED, None, "no-gold")
    try:
        text = extract.answer_part(text).strip()
    except extract.Truncated:
        return Verdict(Judgement.WRONG, None, "truncated")
    found = _explicit(text, question.choices) or (None if truncated else _mention(text, question.choices))
    if found is None:
        return Verdict(Judgement.WRONG, None, "truncated" if truncated else "no-answer")
    index, rule = found
    if index == gold:
        return Verdict(Judgement.CORRECT, question.choices[index], rule)
    return Verdict(Judgement.WRONG, question.choices[index] if index >= 0 else None, f"wrong-answer:{rule}")


def _explicit(text: str, choices: tuple[str, ...]) -> tuple[int, str] | None:
    for mark in reversed(list(_MARK.finditer(text))):
        rest = text[mark.end() : mark.end() + 300]
        if not rest.strip(" *\n"):
            continue
        found = _read(rest, choices)
        if found is not None:
            return _corrected(text[mark.end() :], choices) or found
        if _several_letters(rest):
            return None
    return _bare(text, choices)


def _several_letters(rest: str) -> bool:
    """Whether it goes on `A or B`."""
    letter = _LETTER_AFTER.match(rest)
    return bool(letter and _AND_ANOTHER.match(rest, letter.end()))


def _corrected(rest: str, choices: tuple[str, ...]) -> tuple[int, str] | None:
    """The one choice named after an explicit answer was taken back (`Actually, it is B`)."""
    cues = list(_CORRECTION.finditer(rest))
    return _mention(rest[cues[-1].end() :], choices) if cues else None


def _bare(text: str, choices: tuple[str, ...]) -> tuple[int, str] | None:
    """The choice where the whole text is one: its words, its letter, its number, or `B) words`."""
    words = [k for k, c in enumerate(choices) if _plain(c) and _plain(text).removeprefix("the ") == _plain(c)]
    if len(words) == 1:
        return words[0], "text"
    letter = re.fullmatch(r"\W*(?:([A-Ta-t])\W*|([A-T])[).:,].{0,200})", text)
    given = (letter[1] or letter[2]).upper() if letter else ""
    if given and _LETTERS.index(given) < len(choices):
        return _LETTERS.index(given), "letter"
    number = re.fullmatch(r"\W*(\d{1,2})\W*", text)
    if number and 1 <= int(number[1]) <= len(choices):
        return int(number[1]) - 1, "number"
    return None


def _read(rest: str, choices: tuple[str, ...]) -> tuple[int, str] | None:
    """The choice named at the start of `rest`: its words, else its letter, else its number."""
    line = rest.strip().split("\n", 1)[0]
    mentions = _mentions(re.split(r"(?<=[a-z)])[.!?](?:\s|$)", line)[0], choices)
    head = re.sub(r"^[\s*:\"'(\[{$]*(?:\\t?\w*\{)?(?:(?:that|the|most\s+likely|is)\s+)*", "", line)
    starts = [k for k, c in enumerate(choices) if _same_start(head, c)]
    if len(starts) == 1 and not _denied_start(head, choices[starts[0]]):
        return starts[0], "text"
    letter = _LETTER_AFTER.match(line)
    if letter and _LETTERS.index(letter[1].upper()) < len(choices):
        return None if _several_letters(line) else (_LETTERS.index(letter[1].upper()), "letter")
    number = _NUMBER_AFTER.match(line)
    if number and not starts:
        index = int(number[1]) - 1
        return (index, "number") if 0 <= index < len(choices) else (-1, "number")
    if len({k for k, _ in mentions}) == 1:
        return mentions[0][0], "text"
    return None


def _denied_start(head: str, choice: str) -> bool:
    """Whether what stands after the choice at the start of `head` denies it (`Ana is innocent, so ...`)."""
    match = re.match(r"\W*(?:the\W+)?" + r"\W+".join(map(re.escape, re.findall(r"\w+", choice))), head, re.IGNORECASE)
    return bool(match and _DENIED_AFTER.match(head[match.end() :]))


def _same_start(text: str, choice: str) -> bool:
    choice = _plain(choice)
    text = _plain(text)
    return bool(choice) and (text == choice or text.startswith(choice + " ") or text.removeprefix("the ") == choice)


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower().replace("’", "'")))


def _mentions(text: str, choices: tuple[str, ...]) -> list[tuple[int, int]]:
    """`(choice, position)` of every mention that is not denied; a longer choice hides a shorter one inside it."""
    found: list[tuple[int, int, int]] = []
    for k, choice in enumerate(choices):
        words = re.findall(r"\w+", choice)
        if not words:
            continue
        pattern = r"\b" + r"\W+".join(map(re.escape, words)) + r"\b"
        for match in re.finditer(pattern, text, re.IGNORECASE):
            found.append((match.start(), match.end(), k))
    kept = []
    for start, end, k in sorted(found):
        if any(s <= start and end <= e and (s, e) != (start, end) for s, e, _ in found):
            continue
        if _DENIED.search(text[max(0, start - 40) : start]) or _DENIED_AFTER.match(text[end : end + 40]):
            continue
        kept.append((k, start))
    return kept


def _letters(text: str, choices: tuple[str, ...]) -> set[int]:
    """The choices whose letters stand alone in `text` and are not denied; the articles `A` and `I` are no letters."""
    found = set()
    for match in _LETTER_ALONE.finditer(text):
        letter = match[1] or match[2] or match[3]
        before, after = text[max(0, match.start() - 40) : match.start()], text[match.end() : match.end() + 40]
        if _LETTERS.index(letter) >= len(choices) or (letter == "I" and match[3]):
            continue
        if not _DENIED.search(before) and not _DENIED_AFTER.match(after):
            found.add(_LETTERS.index(letter))
    return found


def _named(sentence: str, choices: tuple[str, ...]) -> set[int]:
    """The choices that a sentence names and does not deny: by their words, else by their letters."""
    sentence = _BETWEEN.sub("", sentence)
    named = {k for k, _ in _mentions(sentence, choices)}
    if not named and (_CUE.search(sentence) or len(sentence.split()) <= 4 or _CORRECTION.search(sentence)):
        named = _letters(sentence, choices)
    return named


def _mention(text: str, choices: tuple[str, ...]) -> tuple[int, str] | None:
    """The one choice named in the last sentence that names any; else a letter on the last line, or the only one."""
    sentences = [s for s in re.split(r"(?<=[.!?])\s+|\n+", text[-3000:]) if s.strip()]
    for sentence in reversed(sentences[-6:]):
        named = _named(sentence, choices)
        if len(named) == 1:
            return named.pop(), "mention"
        if named:
            return None
    letter = letter_of(text)
    if letter and _LETTERS.index(letter) < len(choices):
        return _LETTERS.index(letter), "letter"
    return None
