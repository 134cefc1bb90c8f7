"""Judges generated reasoning that ends in a choice: a letter, a number, or the words of the choice.

Promises: pure, linear in the length of the text. An explicit final choice (`\\boxed{B}`, "the answer is (B)", "ANSWER:
2") wins over a mention; the last explicit one wins over earlier ones; a choice that is only denied ("not A", "rules
out B") is no answer. Where several choices are mentioned at the end and none is said to be the answer, there is
`no-answer`.

Two choices where one is asked for (`A or B`) are no answer. A choice's own content comes before its position: `The answer is 2` names the
option `2`; where one option begins with that number and another stands at that place, it is `ambiguous`.

Reasons: correct: `letter`, `number`, `text` or `mention`; wrong: `wrong-answer:RULE`, `no-answer`, `ambiguous`, `truncated`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from midway.records import Judgement, Question, Verdict
from midway.verifier import extract, options, rules
from midway.verifier.math.normalise import full_width
from midway.verifier.stated import readings

HEDGE = (-3, "hedge")
"""Two choices were given where one is asked for."""
AMBIGUOUS = (-2, "ambiguous")
"""What was given fits two choices."""

_LETTERS = "ABCDEFGHIJKLMNOPQRST"
_MARK = re.compile(
    r"\\(?:boxed|fbox)\s*\{|<answer>|####"
    r"|\b(?:final\s+|correct\s+|best\s+|right\s+)?(?:answer|choice|option|conclusion)\b(?:\s+(?:here|to\s+[^.\n]{1,60}?))?"
    r"\s*(?:is|are|would\s+be|should\s+be|must\s+be|:|=)+(?:\s*\*\*)?(?!\s+(?:not|neither)\b)"
    r"|\b(?:which|that|this)\s+leaves(?:\s+us\s+with)?(?:\s+only)?\b"
    rf"|^[ \t]*(?:\*\*)?A(?:nswer)?(?:\*\*)?[ \t]*:|{extract.OTHER_MARKS}",
    re.IGNORECASE | re.MULTILINE,
)
_LETTER_AFTER = re.compile(
    r"[\s*:\"'`(\[{$]*(?:\\t(?:ext)?(?:bf|rm)?\s*\{|\\mathrm\s*\{|\\mathbf\s*\{)?[\s(*]*"
    r"(?:(?:for\s+sure|definitely|clearly|therefore|thus|simply|option|choice|answer|most\s+likely|probably|indeed|is|the)[\s:*(]+)*"
    r"([A-T](?![A-Za-z'’])|[a-t](?=[)\]}`\"'*]*[.:]?[)\]}$*]*\s*(?:$|\n)|\)))",
)
_JOIN = re.compile(
    r"[\s)\]}*\"'`$]*(?:,?\s*\b(?:and/or|or|and|oder|und|ou|et|o|y)\b(?:\s+(?:maybe|possibly|perhaps|even|also|else))?"
    r"|\\text\s*\{\s*(?:and|or)\s*\}|\\?[,;/|&+]|(?=\()|\?\s*)"
    r"\s*(?:(?:option|choice|maybe|possibly|perhaps|the|or|and)\s+)*[\s(*\[{\"'`$]*(?:\\(?:text\w*|mathrm)\s*\{)?",
    re.IGNORECASE,
)
_TWO_LETTERS = re.compile(r"[)\]}.]?\s+\(?([A-T])(?=[\s)}\].,]*(?:$|\n|[)}\]]))")
_LETTER = re.compile(r"([A-T])(?![\w'’+#])")
_VERBS = (
    r"(?:is|was|are|were|isn't|wasn't|can|can't|could|cannot|must|has|had|fails|works|fits|seems|and|or|nor|but|because"
    r"|since|as|than|rather|instead|it)\b"
)
_CONCLUSION = re.compile(
    r"[,;:]?\s+(?:so|hence|therefore|thus)\b,?\s*(?!that\b)"
    r"|[,;]?\s+but\s+(?=(?:i(?:'d)?\s+(?:would\s+)?(?:choose|pick|go|say|think|select)|it\s+(?:is|must)|it's|the\s+answer)\b"
    r"|(?-i:\(?[A-T]\)?)\s+(?:is|seems|looks)\s+(?:better|best|right|correct|more|the)\b)",
    re.IGNORECASE,
)
_ARTICLE = re.compile(rf"\s+(?!{_VERBS})[a-z]")
_LETTER_ALONE = re.compile(
    r"(?<![\w'’.-])(?:\(([A-T])\)|(?:[Oo]ption|[Cc]hoice)\s+\(?([A-T])\b\)?|([A-T])\b(?![.'’-]\w|\+|#))"
)
_YES_NO = frozenset({"yes", "no", "true", "false", "correct", "incorrect", "valid", "invalid"})
_DETERMINER = re.compile(r"\s+(?!(?:because|since|it|they|he|she|this|that|there|as|so|and|or|but|is|was)\b)[a-z]")
_ALONE = re.compile(r"\s*(?:[)\].,:;*}\"'$]|$|\n|(?:is|because|since|as)\b)")
_CUE = re.compile(
    r"\b(?:so|therefore|hence|thus|option|choice|answer|choose|pick|select|go\s+with|it's|it’s|it\s+is|(?:must|has\s+to|should|would)\s+be|correct|right|better|best)\b",
    re.IGNORECASE,
)
_CORRECTION = re.compile(
    r"\b(?:actually|wait|correction|on\s+second\s+thoughts?|scratch\s+that|sorry|i\s+mean)\b", re.IGNORECASE
)
_LEAD = re.compile(
    r"^(?:[\s*:\"'{$]|\[(?!\s*[-\d\\]))*(?:\\(?:text\w*|mathrm|mathbf|mbox)\s*\{)?(?:(?:that|the|most\s+likely|is)\s+)*"
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
    """Return the letter that `text` gives as its final choice; empty when there is none, or more than one."""
    for mark in reversed(list(_MARK.finditer(text))):
        match = _LETTER_AFTER.match(text, mark.end())
        if not match or not match[1].isupper():
            continue
        if _is_word(match[1], text[match.end(1) :]) or _denied_after(text[match.end() :]):
            left = _letters(text[mark.end() : mark.end() + 300].split("\n")[0], ("",) * len(_LETTERS))
            if len(left) == 1:
                return _LETTERS[left.pop()]
            continue
        return "" if _another(text[match.end() :], (), _LETTERS.index(match[1])) else match[1]
    start = re.match(r"\s*\(?([A-T])(?:[).:,]|\s*$)", text)
    if start:
        return "" if _another(text[start.end(1) :], (), _LETTERS.index(start[1])) else start[1]
    lines = [line for line in text.strip().split("\n") if line.strip()]
    last = re.fullmatch(r"[\s*(]*([A-T])[)*.:]*(?:\s.*)?", lines[-1]) if lines else None
    if not last or re.match(r"[\s*(]*(?:A|I)\s+[a-z]", lines[-1]):
        return ""
    return "" if _another(lines[-1][last.end(1) :], (), _LETTERS.index(last[1])) else last[1]


def judge(question: Question, text: str, truncated: bool = False) -> Verdict:
    """Judge the final choice of `text`; see the module's docstring for the rules."""
    gold = question.answer_index
    if gold is None or not 0 <= gold < len(question.choices):
        return Verdict(Judgement.UNJUDGED, None, "no-gold")
    try:
        text = full_width(extract.answer_part(text)).strip()
    except extract.Truncated:
        return Verdict(Judgement.WRONG, None, "truncated")
    found = named(text, question.choices, truncated)
    if found is None or found == HEDGE:
        return Verdict(Judgement.WRONG, None, "truncated" if truncated and found is None else "no-answer")
    index, rule = found
    if found == AMBIGUOUS:
        return Verdict(Judgement.WRONG, None, "ambiguous")
    if index == gold:
        return Verdict(Judgement.CORRECT, question.choices[index], rule)
    return Verdict(Judgement.WRONG, question.choices[index] if index >= 0 else None, f"wrong-answer:{rule}")


def named(text: str, choices: tuple[str, ...], truncated: bool = False) -> tuple[int, str] | None:
    """Return `(choice, rule)` for the final choice of `text` (-1: a number that is none), HEDGE, AMBIGUOUS, or None."""
    return _explicit(text, choices) or (None if truncated else _mention(text, choices))


def candidates(text: str, choices: tuple[str, ...]) -> Iterator[tuple[str, str, tuple[int, str] | None]]:
    """Yield `(mark, what follows, what it names)` for everything that says what the answer is, the last first; then the text as a whole."""
    for mark in reversed(list(_MARK.finditer(text))):
        rest = text[mark.end() : mark.end() + 300]
        rest = _inside(rest) if mark.group().rstrip().endswith("{") else rest
        if rest.strip(" *\n"):
            yield mark.group().strip(), rest.strip().split("\n")[0], _read(rest, choices)
    yield "", text[-300:], _bare(text, choices) or _mention(text, choices)


def _explicit(text: str, choices: tuple[str, ...]) -> tuple[int, str] | None:
    for mark in reversed(list(_MARK.finditer(text))):
        rest = text[mark.end() : mark.end() + 300]
        if mark.group().rstrip().endswith("{"):
            rest = _inside(rest)
            boxed = extract.boxed(text)
            rest = boxed if boxed.endswith(rest.strip()) else rest  # several boxes that are one answer
        if not rest.strip(" *\n"):
            continue
        found = _read(rest, choices)
        if found is not None:
            return _corrected(text[mark.end() :], choices) or found
    return _bare(text, choices)


def _inside(rest: str) -> str:
    """What stands before the brace that closes a box."""
    depth = 0
    for position, character in enumerate(rest):
        depth += (character == "{") - (character == "}")
        if depth < 0:
            return rest[:position]
    return rest


def _is_word(letter: str, after: str) -> bool:
    """Whether `A` is the article here, or `I` the pronoun."""
    return letter in "AI" and bool(_ARTICLE.match(after)) and rules.on("article")


def _denied_after(after: str) -> bool:
    return bool(_DENIED_AFTER.match(after)) and rules.on("denied-letter")


def _another(after: str, choices: tuple[str, ...], taken: int) -> bool:
    """Whether another choice follows at once (`or B`, `; B`, `(B)`, `or blue`), so that none is the answer."""
    if not rules.on("hedge"):
        return False
    own = options.at_start(after.lstrip(" ).:*-"), choices, words=False) if choices else []
    if own and own[0][0] == taken:
        after = own[0][1]
    elif choices and (match := re.match(r"\s*\(([A-T])\)", after)) and _LETTERS.index(match[1]) == taken:
        after = after[match.end() :]
    if (two := _TWO_LETTERS.match(after)) and _in_range(two[1], choices) and _LETTERS.index(two[1]) != taken:
        return True
    join = _JOIN.match(after)
    if not join or (not join.group().strip(" )]}*\"'`$\n") and "(" not in join.group()):
        return False
    rest = after[join.end() :]
    letter = _LETTER.match(rest)
    if letter and _in_range(letter[1], choices) and _LETTERS.index(letter[1]) != taken:
        return not _is_word(letter[1], rest[1:]) and not _DENIED_AFTER.match(rest[1:])
    for k, behind in options.at_start(rest, choices, words=False) if choices else []:
        if k != taken and not _DENIED_AFTER.match(behind) and not _is_determiner(choices[k], behind):
            return True
    return False


def _in_range(letter: str, choices: tuple[str, ...]) -> bool:
    return not choices or _LETTERS.index(letter) < len(choices)


def _is_determiner(choice: str, after: str) -> bool:
    """Whether the word `no` is not the option No but stands before a noun: `no doubt`."""
    return choice.strip().lower() == "no" and bool(_DETERMINER.match(after)) and rules.on("yes-first")


def _corrected(rest: str, choices: tuple[str, ...]) -> tuple[int, str] | None:
    """The one choice named after an explicit answer was taken back (`Actually, it is B`)."""
    cues = list(_CORRECTION.finditer(rest))
    return _mention(rest[cues[-1].end() :], choices) if cues else None


def _bare(text: str, choices: tuple[str, ...]) -> tuple[int, str] | None:
    """The choice where the whole text is one: its words, its letter, its number, or `B) words`; or a text that begins with Yes or No."""
    head = text.removeprefix("(") if re.fullmatch(r"\([^()]*\)\W*", text) else text
    whole = [k for k, rest in options.at_start(head, choices) if not rest.strip(" .!)}\"'`*$\\\n")]
    if len(whole) == 1:
        return AMBIGUOUS if _is_place_of_another(whole[0], choices) else (whole[0], "text")
    letter = re.fullmatch(
        r"\W*(?:(?:option|choice|answer)\s+\W*)?(?-i:(?:([A-Ta-t])\W*|([A-T])(?:[).:,]|\s+(?:because|since)\b).{0,200}))",
        text,
        re.IGNORECASE,
    )
    given = (letter[1] or letter[2]).upper() if letter else ""
    if given and letter and _LETTERS.index(given) < len(choices):
        after = text[letter.end(2) :] if letter[2] else ""
        return HEDGE if _another(after, choices, _LETTERS.index(given)) else (_LETTERS.index(given), "letter")
    numbered = re.fullmatch(r"[^\w]*(?:(?:option|choice|number|no\.)\s*)?\d[^\n]{0,40}", text, re.IGNORECASE)
    if numbered and (found := _number(text, text.strip(" .!*$"), choices)):
        return found
    opening = re.match(r"\W*([^\W\d_]+)\s*(?:[.!;:,]|\n|$)", text)
    if opening and opening[1].lower() in _YES_NO and rules.on("yes-first"):
        fits = [k for k, c in enumerate(choices) if c.strip().lower() == opening[1].lower()]
        if len(fits) == 1 and not _CORRECTION.search(text[opening.end() :]):
            return HEDGE if _another(text[opening.end(1) :], choices, fits[0]) else (fits[0], "text")
    return None


def _number(line: str, head: str, choices: tuple[str, ...]) -> tuple[int, str] | None:
    """The choice that a number names: by its content, where only one has it, else by its place."""
    number = _NUMBER_AFTER.match(line)
    place = int(number[1]) - 1 if number else -1
    valid = bool(number) and 0 <= place < len(choices)
    if number and valid and (more := _JOIN.match(line[number.end() :])):
        second = _NUMBER_AFTER.match(line[number.end() + more.end() :])
        if (
            second
            and second[1] != number[1]
            and 1 <= int(second[1]) <= len(choices)
            and not options.by_value(head, choices)
        ):
            return HEDGE
    by_place = bool(number and re.match(r"[\s*:\"'(\[{$#]*(?:option|choice|number|no\.)", line, re.IGNORECASE))
    fits: list[int] = []
    if rules.on("choice-content") and not by_place:
        for value in readings(head)[:2]:
            fits = options.by_value(value, choices)
            if fits:
                break
    if fits:
        elsewhere = valid and number and _ALONE.match(line[number.end() :]) and fits != [place]
        if len(fits) > 1 or (elsewhere and rules.on("choice-ambiguous")):
            return AMBIGUOUS
        return fits[0], "text"
    if not number:
        return None
    return (place, "number") if valid else (-1, "number")


def _is_place_of_another(index: int, choices: tuple[str, ...]) -> bool:
    """Whether an option is a single letter that is the place of another option: C among C, C++ and Java."""
    alone = choices[index].strip()
    letter = len(alone) == 1 and alone in _LETTERS
    return letter and index != _LETTERS.index(alone) < len(choices) and rules.on("choice-ambiguous")


def _read(rest: str, choices: tuple[str, ...]) -> tuple[int, str] | None:
    """The choice named at the start of `rest`: its content, else its letter, else its number; HEDGE or AMBIGUOUS."""
    line = rest.strip().split("\n", 1)[0]
    mentions = _mentions(re.split(r"(?<=[a-z)])[.!?](?:\s|$)", line)[0], choices)
    head = _LEAD.sub("", line)
    head = head.removeprefix("(") if re.match(r"\([^(),]*\)", head) else head
    starts = options.at_start(head, choices)
    if not rules.on("choice-content") and _NUMBER_AFTER.match(line):
        starts = []
    if len(starts) > 1:
        return AMBIGUOUS
    if starts and not _DENIED_AFTER.match(starts[0][1]) and not _is_determiner(choices[starts[0][0]], starts[0][1]):
        index, behind = starts[0]
        if _is_place_of_another(index, choices):
            return AMBIGUOUS
        return HEDGE if _another(behind, choices, index) else (index, "text")
    letter = _LETTER_AFTER.match(line)
    denied = bool(letter and _denied_after(line[letter.end() :]))
    word = bool(letter and _is_word(letter[1], line[letter.end(1) :]))
    if letter and not denied and not word and _in_range(letter[1].upper(), choices):
        index = _LETTERS.index(letter[1].upper())
        return HEDGE if _another(line[letter.end(1) :], choices, index) else (index, "letter")
    if not starts and (found := _number(line, head, choices)):
        return found
    if len({k for k, _ in mentions}) == 1:
        return mentions[0][0], "text"
    if denied or word:
        left = _letters(line, choices)
        return (left.pop(), "letter") if len(left) == 1 else None
    return None


def _mentions(text: str, choices: tuple[str, ...]) -> list[tuple[int, int]]:
    """`(choice, position)` of every mention that is not denied; a longer choice hides a shorter one inside it."""
    found: list[tuple[int, int, int]] = []
    for k, choice in enumerate(choices):
        pattern = _pattern(choice)
        for match in re.finditer(pattern, text, re.IGNORECASE) if pattern else ():
            if not _is_determiner(choice, text[match.end() :]):
                found.append((match.start(), match.end(), k))
    kept = []
    for start, end, k in sorted(found):
        if any(s <= start and end <= e and (s, e) != (start, end) for s, e, _ in found):
            continue
        if _DENIED.search(text[max(0, start - 40) : start]) or _DENIED_AFTER.match(text[end : end + 40]):
            continue
        kept.append((k, start))
    return kept


def _pattern(choice: str) -> str:
    """What a mention of a choice looks like: its words; where signs belong to it, its whole content."""
    words = re.findall(r"\w+", choice)
    if not words:
        return ""
    text = options.content(choice).strip()
    if rules.on("choice-signs") and re.search(r"[-+/^<>=%#]|\d\.\d", text) and not re.search(r"[^\W\d_]{3}", text):
        return r"(?<![\w/.+-])" + r"\s*".join(map(re.escape, text.split())) + r"(?![\w/%+^]|\.\d)"
    if text.replace(".", "").isdigit():
        return rf"(?<![\w/.+-]){re.escape(text)}(?![\w/%^]|\.\d)"
    return r"\b" + r"\W+".join(map(re.escape, words)) + r"\b"


def _letters(text: str, choices: tuple[str, ...]) -> set[int]:
    """The choices whose letters stand alone in `text` and are not denied; the articles `A` and `I` are no letters."""
    found = set()
    for match in _LETTER_ALONE.finditer(text):
        letter = match[1] or match[2] or match[3]
        before, after = text[max(0, match.start() - 40) : match.start()], text[match.end() : match.end() + 40]
        if _LETTERS.index(letter) >= len(choices) or (letter == "I" and match[3]):
            continue
        if match[3] and _is_word(letter, text[match.end() :]):
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
        if len(named) > 1 and len(clauses := _CONCLUSION.split(sentence)) > 1:
            named = _named("so " + clauses[-1], choices) or named
        if len(named) == 1:
            return named.pop(), "mention"
        if named:
            return None
    letter = letter_of(text)
    if letter and _LETTERS.index(letter) < len(choices):
        return _LETTERS.index(letter), "letter"
    return None
