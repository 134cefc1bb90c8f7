"""Reads the value that a line states: `12, since $k$ divides $24$` states 12; `the minimum of $f$ is 7` states 7.

Promises: `readings` gives what the line may mean, best first, in time linear in its length. A value at the start of the line wins; else
the last one that stands after `is`, `equals` or `=`; else the last formula, the sentence, its first number. What follows `since`,
`because`, `which` and the like is a reason, and no value is taken from it.
"""

from __future__ import annotations

import re

from midway.verifier import rules
from midway.verifier.math.units import unit_of

MATH = re.compile(
    r"\$\$(.+?)\$\$|\\\[(.+?)\\\]|\\\((.+?)\\\)|(?<![\\$\d])\$((?:\\\$|[^$\n])+?)(?<!\\)\$(?!\d)", re.DOTALL
)
SENTENCE = re.compile(r"(?<=[^\d\s.])(?<!\bi\.e)(?<!\be\.g)[.!?](?=\s|$)|(?<=\d)[.!?](?=\s|$)|[。！？]")
CJK = re.compile(r"[\u0900-\u0dff\u0600-\u06ff\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]")
_NUMBER = re.compile(
    r"(?<![\w.])(?:[-−]\s?)?(?:[$€£¥]\s?)?(?:\d{1,3}(?:[, ]\d{3})+(?!\d)|\d+)?(?:\.\d+|(?<=\d)(?!\d))"
    r"(?:[eE][-+]?\d{1,3})?(?:\s*/\s*\d+(?:\.\d+)?)?\s*(?:\\?%|percent)?"
)
_NUMBER_CJK = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?(?:/\d+)?%?")
_DECIMAL_COMMA = re.compile(r"(?<![\w.,])-?\d+,\d{1,2}(?![\d,])")
_MOMENT = re.compile(
    r"(?<![\w:.])\d{1,2}:\d{2}(?::\d{2})?(?!\d)(?:(?:\s|\\text\s*\{)*[apAP]\.?\s?[mM]\b\.?)?|(?<![\w:.])\d{1,2}\s*[apAP]\.?[mM]\b\.?"
    r"|(?<![\w-])\d{4}-\d{1,2}-\d{1,2}(?![\w-])"
    r"|\b(?:\d{1,2}(?:st|nd|rd|th)?\s+)?(?:January|February|March|April|May|June|July|August|September|October|November|December)\b"
    r"(?:\s+\d{1,2}(?:st|nd|rd|th)?)?(?:,?\s+\d{4})?"
)
_COMPUTATION = re.compile(r"[\d\s.,+\-−*/×÷()$€£¥%]*\d[\d\s.,+\-−*/×÷()$€£¥%]*=\s*([-−]?[$€£¥]?\d[\d,]*(?:\.\d+)?%?)")
"""A sum and its result: digits and signs only, so that it holds no unknown."""
_AND = re.compile(r"\s*(?:,|;|and|or|,\s*and|,\s*or|\\text\{\s*(?:and|or)\s*\})\s*", re.IGNORECASE)
_FILLER = re.compile(
    r"[\s*:=_`]+|\b(?:the|is|are|was|about|approximately|exactly|only|just|simply|therefore|thus|indeed|either|probably|likely)\b",
    re.IGNORECASE,
)
_VALUE = r"(?:[-−+±]?\s?(?:[$€£¥₹]|\\\$)?\s?[-−]?\.?\d|\$|\\\(|\\\[)"
_COPULA = re.compile(
    r"(?:\b(?:is|are|was|were|be|equals?|becomes|gives|totals?|makes|being|namely|that\s+is,?)\b|\bi\.\s?e\.,?|(?<![<>=!:])=|≈)"
    rf"[\s*_]*(?:(?:equal\s+to|exactly|about|approximately|only|just|therefore|thus|then|simply|indeed|also|at\s+(?:most|least))[\s*_]+)*(?={_VALUE})",
    re.IGNORECASE,
)
_UNKNOWN = re.compile(r"[-+*/^×]\s*[\w()^]*\s*$|\d\s*[a-zA-Z]\s*$")
"""The end of the left side of an equation, which states no value: `y + 2x` in `y + 2x = 12`."""
_REASON = re.compile(
    r"\s*[,;:(–—]*\s*\b(?:since|because|as(?!\s+(?:much|many|well))|where|whereas|while|when|if|given|due\s+to|thanks\s+to|so\s+that|i\.e\."
    r"|e\.g\.|namely|not|rather\s+than|instead\s+of|but|weil|denn|porque|ya\s+que|parce\s+que|car|puisque)\b"
    r"|[,，;]?\s*(?:因为|因此|由于|потому\s+что|так\s+как)",
    re.IGNORECASE,
)
_ASIDE = re.compile(
    r",?\s+which\b|\s+(?:for|with|at|in|on|by|from|of|to|over)\s+(?=\$|\\\()|\s+(?:is|are|was|were)\s+(?:the|a|an|our|my|what|how|also|indeed|correct|right)\b"
    r"|,\s+(?!(?:and|or|sqrt|sin|cos|tan|log|ln|pi|und|et|y|o|ou|oder|x|y|z)\b)[a-z]{2,}|\s+\((?=[a-z])",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"[ \t*]*(-?\$?\d+(?:\.\d+)?%?)\.?[ \t*]*")
_STARTS = re.compile(rf"[\s*_`]*(?={_VALUE})")


def span(match: re.Match[str]) -> str:
    """The formula inside its dollars or brackets."""
    return next(g for g in match.groups() if g is not None).strip()


def numbers(text: str) -> list[str]:
    """All numbers of a text in their order, as written; a time of day or a date counts as one."""
    if CJK.search(text):
        return [m.group() for m in _NUMBER_CJK.finditer(text)]
    found = [m for m in _NUMBER.finditer(text) if re.search(r"\d", m.group())]
    wholes = list(_DECIMAL_COMMA.finditer(text)) if "," in text else []
    wholes += (
        [m for m in _MOMENT.finditer(text) if re.search(r"\d", m.group())]
        if rules.on("clock") and rules.on("date")
        else []
    )
    found = [m for m in found if not any(w.start() < m.end() and m.start() < w.end() for w in wholes)]
    return [m.group().strip() for m in sorted(wholes + found, key=lambda m: m.start())]


def readings(rest: str) -> tuple[str, ...]:
    """What a line that states an answer may mean, best first."""
    plain = _PLAIN.fullmatch(rest)
    if plain:
        return (plain[1],)
    if not rules.on("stated-value"):
        return _formula_first(rest)
    stop = SENTENCE.search(rest)
    sentence = _bare(rest[: stop.start()] if stop else rest)
    return tuple(dict.fromkeys(_stated(rest, 0) or ([sentence] if sentence else [])))


def _bare(text: str) -> str:
    return text.strip().strip("*").strip()


def _result(sentence: str) -> list[str]:
    computed = _COMPUTATION.fullmatch(re.sub(r"(?<=\d) ?[xX] ?(?=[$€£¥]?\d)", "*", sentence[:300]))
    return [computed[1].strip()] if computed else []


def _stated(rest: str, depth: int) -> list[str]:
    spans = list(MATH.finditer(rest[:2000]))
    if spans and not _FILLER.sub("", rest[: spans[0].start()]):
        return _formulas(rest, spans, depth)
    stop = next((s for s in SENTENCE.finditer(rest) if not any(m.start() < s.start() < m.end() for m in spans)), None)
    sentence = rest[: stop.start()] if stop else rest
    begins = _STARTS.match(_FILLER.sub(" ", sentence)) if sentence else None
    if begins:
        return _number_first(sentence)
    reason = next((m for m in _REASON.finditer(sentence) if not _COPULA.match(sentence, m.end() - len(_word(m)))), None)
    said = sentence[: reason.start()] if reason and reason.start() > 2 else sentence
    masked = MATH.sub(lambda m: m.group()[0] + "\x01" * (len(m.group()) - 2) + m.group()[-1], said)
    copulas = [
        m for m in _COPULA.finditer(masked) if not m.group().startswith("=") or not _UNKNOWN.search(masked[: m.start()])
    ]
    if copulas and depth < 2:
        return [*_stated(rest[copulas[-1].end() :], depth + 1)]
    inside = [m for m in spans if m.end() <= len(said)]
    if inside and len(_FILLER.sub("", rest[: inside[0].start()])) < 60:
        return [span(inside[-1])]
    parts = dict.fromkeys([_bare(said), _bare(sentence)])
    return [*filter(None, parts), *numbers(said)[:1]]


def _word(match: re.Match[str]) -> str:
    """The word of a reason, without what separates it."""
    return match.group().lstrip(" ,;:(–—\t")


def _formulas(rest: str, spans: list[re.Match[str]], depth: int) -> list[str]:
    """The line begins with formulas: these, joined by commas and `and`; or what the first one is said to be."""
    parts, end = [span(spans[0])], spans[0].end()
    for other in spans[1:]:
        if not _AND.fullmatch(rest[end : other.start()]):
            break
        parts.append(span(other))
        end = other.end()
    tail = rest[end:]
    said = re.match(
        rf"[\s*]*(?:=|≈|is|are|equals?|is\s+equal\s+to|(?:must|has\s+to|should|can\s+only|will)\s+be)[\s*]*(?={_VALUE})",
        tail,
        re.IGNORECASE,
    )
    if said and depth < 2 and len(parts) == 1 and not re.fullmatch(r"[-+−]?[\d.,\s/]+", parts[0]):
        return _stated(tail[said.end() :], depth + 1)
    joined = ", ".join(parts)
    if re.match(r"\s*(?:\\?%|percent)", tail):
        return [joined + "\\%"]
    behind = re.match(
        r"[\s~]*([a-zA-ZµμΩ°][\w/^²³ .-]{0,30}?)[\s*]*(?=[,;.!?()]|$|\s(?:since|because|as|so|which|and)\b)", tail
    )
    if behind and len(parts) == 1 and (unit_of(behind[1]) or re.fullmatch(r"[ap]\.?\s?m\.?", behind[1], re.IGNORECASE)):
        return [f"{joined} \\text{{{behind[1]}}}", joined]
    return [joined]


def _number_first(sentence: str) -> list[str]:
    """The line begins with a number: it, with what belongs to it (its unit, more numbers), up to a reason or an aside."""
    start = _FILLER.match(sentence)
    while start and start.end():
        sentence = sentence[start.end() :]
        start = _FILLER.match(sentence)
    cuts = [m.start() for m in (_REASON.search(sentence), _ASIDE.search(sentence)) if m and m.start() > 0]
    words = _bare(sentence[: min(cuts)] if cuts else sentence)
    said = [m for m in _COPULA.finditer(words) if not m.group().startswith("=")]
    if said and not _result(words):
        return _number_first(words[said[-1].end() :])
    found = numbers(words)
    if not found:
        return [words]
    rest = words[words.find(found[0]) + len(found[0]) :]
    alone = (
        not rest.strip()
        or re.search(r"(?<!\\)\b[a-zA-Z]{4,}", rest)  # prose, whatever it computes
        or (re.match(r"\s*[^\W\d_(]|\s*\(", rest) and not re.search(r"[=^\\]|\d\s*[-+*/x×]\s*\d|\s[-+*/]\s", rest))
    )
    return [*_result(words), words, *(found[:1] if alone else [])]


def _formula_first(rest: str) -> tuple[str, ...]:
    """As it was before the rule `stated-value`: the formulas at the start or the last formula, the sentence, its first number."""
    found = []
    spans = list(MATH.finditer(rest))
    if spans:
        head = _FILLER.sub("", rest[: spans[0].start()])
        if not head:
            parts, end = [span(spans[0])], spans[0].end()
            for other in spans[1:]:
                if not _AND.fullmatch(rest[end : other.start()]):
                    break
                parts.append(span(other))
                end = other.end()
            tail = re.match(r"\s*(?:\\?%|percent)", rest[end:])
            found.append(", ".join(parts) + ("\\%" if tail else ""))
        elif len(head) < 60:
            found.append(span(spans[-1]))
    stop = SENTENCE.search(rest)
    sentence = _bare(rest[: stop.start()] if stop else rest)
    found += [*_result(sentence), *([sentence] if sentence else []), *numbers(sentence)[:1]]
    return tuple(dict.fromkeys(found))
