"""Brings the many spellings of one answer to one spelling: LaTeX layout, Unicode signs, units, money, percent,
separators.

Promises: pure string work in linear time, for strings up to MAX_LENGTH characters; no rule looks at what the answer
should be. What a rule cannot read it leaves as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from midway.verifier import rules
from midway.verifier.math.units import LETTERS, unit_of
from midway.verifier.math.words import NUMBERS

MAX_LENGTH = 4000
"""Characters of one answer. Nothing that long is a final answer; it is compared as text only."""

MAX_UNIT = 60
"""Characters of a unit."""

_UNICODE = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "×": "\\times ", "·": "\\cdot ", "⋅": "\\cdot ", "÷": "/",
    "∗": "*", "⁄": "/",
    "π": "\\pi ", "∞": "\\infty ", "≤": "\\le ", "≥": "\\ge ", "≠": "\\ne ", "°": "^\\circ ", "∪": "\\cup ",
    "∩": "\\cap ",
    "∈": "\\in ", "±": "\\pm ", "≈": "\\approx ", "θ": "\\theta ", "α": "\\alpha ", "β": "\\beta ", "λ": "\\lambda ",
    "φ": "\\phi ", "⟨": "\\langle ", "⟩": "\\rangle ", "½": "\\frac{1}{2}", "¼": "\\frac{1}{4}", "¾": "\\frac{3}{4}",
    "⅓": "\\frac{1}{3}", "⅔": "\\frac{2}{3}", "²": "^2", "³": "^3", "⁴": "^4", "\u00a0": " ", "\u202f": " ", "，": ", ",
    "（": "(", "）": ")", "：": ":", "∅": "\\emptyset ", "ℝ": "\\mathbb{R}", "％": "%", "’": "'", "′": "'",
}  # fmt: skip
_UNICODE_TABLE = str.maketrans(_UNICODE)
_FULL_WIDTH = str.maketrans(
    {**{chr(k): chr(k - 0xFEE0) for k in range(0xFF01, 0xFF5F)}, "，": ",", "　": " ", "、": ", "}
)

_LAYOUT = re.compile(
    r"\\(?:left|right|bigl|bigr|Bigl|Bigr|biggl|biggr|Biggl|Biggr|big|Big|bigg|Bigg|displaystyle|textstyle|limits|nolimits"
    r"|mathopen|mathclose)(?![a-zA-Z])\.?"
    r"|\\(?:[,;:>]|hspace\*?\{[^{}]*\}|q?quad|phantom\{[^{}]*\})"
)
_SPACE = re.compile(r"(?<!\\)\\ ")
_TIGHT = re.compile(r"\\!")
_SEPARATOR = re.compile(r"(?<=\d)(?:\{,\}|,\\!|\\,|\\!,)\s*(?=\d{3}(?!\d))")
_COMMANDS = (
    (re.compile(r"\\[dtc]frac(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"\\(?:leqslant|leq|le|leqq)(?![a-zA-Z])"), r"\\le "),
    (re.compile(r"\\(?:geqslant|geq|ge|geqq)(?![a-zA-Z])"), r"\\ge "),
    (re.compile(r"<="), r"\\le "),
    (re.compile(r">="), r"\\ge "),
    (re.compile(r"!=|\\neq(?![a-zA-Z])|\\not\s*="), r"\\ne "),
    (re.compile(r"\\lt(?![a-zA-Z])"), "<"),
    (re.compile(r"\\gt(?![a-zA-Z])"), ">"),
    (re.compile(r"\\(?:lbrace|\{)"), r"\\{"),
    (re.compile(r"\\(?:rbrace|\})"), r"\\}"),
    (re.compile(r"\\lbrack(?![a-zA-Z])"), "["),
    (re.compile(r"\\rbrack(?![a-zA-Z])"), "]"),
    (re.compile(r"\\(?:mathbb|mathbf)\s*\{?([RNZQC])\}?"), r"\\mathbb{\1}"),
    (re.compile(r"\\(?:bmod|operatorname\{mod\})"), r"\\bmod "),
    (re.compile(r"\\(?:varnothing|O)(?![a-zA-Z])"), r"\\emptyset "),
    (re.compile(r"\\(?:approxeq|simeq)(?![a-zA-Z])|~="), r"\\approx "),
    (re.compile(r"\\infin(?![a-zA-Z])|(?<![a-zA-Z\\])(?:infinity|inf|oo)(?![a-zA-Z])"), r"\\infty "),
    (re.compile(r"(?<![a-zA-Z\\])(?:sqrt|√)\s*\(?(?=\()"), r"\\sqrt"),
    (re.compile(r"√\s*(\d+)"), r"\\sqrt{\1}"),
    (re.compile(r"√"), r"\\sqrt "),
    (re.compile(r"(?<!\\)\\operatorname\*?\{([a-zA-Z]+)\}"), r"\\\1 "),
    (re.compile(r"\\mathrm\{e\}|\\text\{e\}"), "e"),
    (re.compile(r"\\(?:mathrm|text)\{i\}"), "i"),
    (re.compile(r"\\arc(sin|cos|tan)"), r"\\arc\1"),
    (re.compile(r"\\langle(?![a-zA-Z])"), "("),
    (re.compile(r"\\rangle(?![a-zA-Z])"), ")"),
)
_FRAC = re.compile(r"\\frac\s*(?![\s{])(\\[a-zA-Z]+|.)\s*(?=(\{|\\[a-zA-Z]+|.))")
_FRAC_TAIL = re.compile(r"(\\frac\s*(?:\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}))\s*(?![\s{])(\\[a-zA-Z]+|.)")
_SQRT = re.compile(r"\\sqrt\s*(\[[^\[\]]*\])?\s*(?![\s{\[(])(\\[a-zA-Z]+|\d|[a-zA-Z])")
_TEXT = re.compile(
    r"\\(?:text(?:normal|bf|it|rm|sf|tt)?|mbox|hbox|mathrm|mathit|mathbf|mathsf|bold|rm|it|bf|emph)\s*\{([^{}]*)\}"
)
_DOUBLE = re.compile(r"\\\\(?=[a-zA-Z(){}\[\]])")
_MIXED = re.compile(r"(?<![\d./^_{])(\d+)\s+(\d+)/(\d+)(?![\d.])")
_WORD_PERCENT = re.compile(r"\\?%|(?<![a-zA-Z])(?:per ?cent(?:age)?|pct)(?![a-zA-Z])(?:\s+points?)?", re.IGNORECASE)

_WORD_TAIL = re.compile(
    r"(?:[^\W\d_]{2,}\.?|[^\W\d_a-zA-Z]|(?<![a-zA-Z])[a-zA-Z]\.[a-zA-Z]\.|[¢€])(?:\^\{?[23]\}?)?[\s/,.-]*$"
)
_TEXT_TAIL = re.compile(r"(?:\\?\s*\\t\{[^{}]*\}(?:\s*\^\s*\{?\s*-?[1-4]\s*\}?)?|\s)+$")
_TEXT_ONLY = re.compile(r"\\t\{([^{}]*)\}")
_MONEY = re.compile(r"(?:(?:USD|US|EUR|GBP|Rs\.?)\s*)?(?:\\\$|[$€£¥₹])\s*(?=[-\d.(\\])|(?<=\d)\s*(?:\\\$|[$€£¥₹])")
_CURRENCY = {"$": "$", "€": "euro", "¥": "yen"}
_SIGN = re.compile(r"^\s*(?:negative|minus)\s+(?=[\d.\\])", re.IGNORECASE)
_DELIMITED = re.compile(r"(?<!\\)\$\$?((?:[^$\\]|\\.)*?)(?<!\\)\$\$?")
_SCIENTIFIC = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)[eE]([-+]?\d{1,3})(?![\w.])")
_REPEATING = re.compile(r"(?<![\d.])(\d{1,30})\.(\d{0,30})\\overline\s*\{(\d{1,30})\}")
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_SCALE = re.compile(
    r"(?<![\w.])(\d+(?:\.\d+)?)\s*(?:\\t\{\s*)?(hundred|thousand|million|billion|trillion)(?:\s*\})?(?![a-zA-Z])", re.I
)
_DOTS = re.compile(r"\\[lc]?dots[a-z]?(?![a-zA-Z])|\.\s?\.\s?\.|…|⋯")
_PLUS_INFINITY = re.compile(r"(^|[\[(,{=<>;]|\\(?:in|to|le|ge))\s*\+\s*(?=\\infty)")
_REPEATS = re.compile(r"(?<![\d.])(\d{1,30})\.(\d{0,30}?)(\d{1,6}?)\3+\s*\\dots\s*$")
_NUMERIC = re.compile(
    r"\s*[-+]?(?:(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:\s\d{3}(?!\d))*(?:\s*(?:\*|\\times|\\cdot)\s*10\^\{?-?\d+\}?)?(?:\s*/\s*\d+)?"
    r"|\(\d+\+\d+/\d+\)|\d*\s*\\frac\s*\{-?[\d.]+\}\s*\{[\d.]+\})(?:\s*\\pi(?![a-z])|\s*\\sqrt\{\d+\})?"
)
_DEGREES = re.compile(r"\s*\^\s*\{?\s*\\circ\s*\}?\s*(?:\\t\{\s*)?([CF])\s*\}?\.?$")
_DECIMAL_COMMA = re.compile(r"[-+]?(?:0,\d+|\d+,(?:\d{1,2}|\d{4,}))")
_FILLERS = frozenset(
    [
        *("in", "total", "altogether", "left", "each", "of", "the", "all", "remaining", "more", "per"),
        *("about", "only", "approximately", "exactly", "now", "and", "or", "a", "an", "for", "every", "long"),
        *("tall", "wide", "high", "old", "away", "later", "ago", "overall", "combined", "so", "far"),
        *("together", "is", "are", "was", "be", "on", "at", "by", "to", "from", "with", "than", "that"),
        *("this", "it", "its", "his", "her", "their", "answer", "final", "result"),
    ]
)
"""Words behind a number that do not say what it counts."""
_KEEP_WORDS = {"sin", "cos", "tan", "log", "ln", "sqrt", "pi", "and", "or", "exp", "cup", "infty"}


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer in one spelling. `text` is LaTeX without layout and without units; words are kept as `\\t{...}`."""

    text: str
    percent: bool = False
    unit: str = ""
    """The unit in canonical form such as `cm^2`; empty when there is none or it is not in the table."""
    algebra: str = ""
    """`text` with its unit, where the unit is one letter that may as well be a symbol: `5 m`."""
    tight: bool = False
    """Whether nothing stands between the number and that letter: `5m`."""
    key: str = ""
    """`text` without any space except between digits: equal keys are equal answers."""
    things: frozenset[str] = frozenset()
    """What a number counts, where it says so: `apple` of `5 red apples` is one of them."""


def clean(text: str) -> str:
    """Return `text` with layout commands, Unicode signs and short forms (`\\frac12`) brought to one LaTeX spelling."""
    text = text.translate(_UNICODE_TABLE) if not text.isascii() else text
    if ("..." in text or "dots" in text or ". ." in text or "…" in text) and rules.on("dots"):
        text = _DOTS.sub(r"\\dots ", text)
    if "\\" not in text and "$" not in text:
        text = _SEPARATOR.sub("", text) if "{,}" in text else text
        for pattern, replacement in _COMMANDS[3:6] + _COMMANDS[16:20]:
            text = pattern.sub(replacement, text)
        return _infinity(_MIXED.sub(r"(\1+\2/\3)", text)).strip()
    text = _DOUBLE.sub(r"\\", text) if "\\begin" not in text else text
    text = _SEPARATOR.sub("", text)
    text = _TIGHT.sub("", text)
    text = _LAYOUT.sub(" ", text).replace("~", " ")
    text = _SPACE.sub(" ", text)
    text = text.replace("\\%", "%")
    for pattern, replacement in _COMMANDS:
        text = pattern.sub(replacement, text)
    for _ in range(3):  # \text{\mathrm{...}}
        shorter = _TEXT.sub(r"\\t{\1}", text)
        if shorter == text:
            break
        text = shorter
    if "\\frac" in text:
        text = _FRAC.sub(_first_of_frac, text)
        text = _FRAC_TAIL.sub(r"\1{\2}", text)
    if "\\sqrt" in text:
        text = _SQRT.sub(lambda m: f"\\sqrt{m[1] or ''}{{{m[2]}}}", text)
    return _infinity(_MIXED.sub(r"(\1+\2/\3)", text)).strip()


def _infinity(text: str) -> str:
    return _PLUS_INFINITY.sub(r"\1 ", text) if "\\infty" in text and rules.on("plus-infinity") else text


def full_width(text: str) -> str:
    """Return `text` with full-width digits, letters and signs as the usual ones."""
    return text.translate(_FULL_WIDTH) if not text.isascii() and rules.on("full-width") else text


def _first_of_frac(match: re.Match[str]) -> str:
    return f"\\frac{{{match[1]}}}"


def _is_prose(text: str) -> bool:
    return not re.search(r"\d|\\(?!t\{)", text)


def normalise(raw: str) -> Answer:
    """Return the one spelling of an answer. The text of an answer that is too long is only stripped."""
    if len(raw) > MAX_LENGTH:
        return Answer(raw.strip(), key=raw.strip())
    text = _DELIMITED.sub(r" \1 ", full_width(raw)).strip()
    text = _SIGN.sub("-", text.strip("`")) if text[:1].lower() in ("n", "m", "`") else text
    text = text[2:-2] if len(text) > 4 and text.startswith("__") and text.endswith("__") else text
    money = _MONEY.search(text)
    text = clean(text)
    text = _MONEY.sub("", text)
    text = _SCIENTIFIC.sub(r"\1*10^{\2}", text)
    text = _REPEATING.sub(_repeating, text) if "\\overline" in text else text
    text = _SCALE.sub(lambda m: f"{m[1]}*10^{{{_SCALES[m[2].lower()]}}}", text)
    text = (
        text.replace("$", " ").replace("\\(", " ").replace("\\)", " ").replace("\\[", " ").replace("\\]", " ").strip()
    )
    text = text.replace("**", "^") if re.search(r"\d\*\*\d|[a-z]\*\*\d", text) else text.replace("**", "")
    text = _trim(text)
    if "\\dots" in text:
        text = _dotted(text)
    unit, percent = (_CURRENCY.get(money.group().strip()[-1:], "") if money else ""), False
    if "%" in text or "er" in text or "pct" in text:
        shorter = _WORD_PERCENT.sub(" ", text)
        if shorter != text and re.search(r"[\d})]\s*$", _drop_braces(shorter)):
            text, percent = _trim(_drop_braces(shorter)), True
    if "circ" in text:
        if (scale := _DEGREES.search(text)) and rules.on("unit"):
            text, unit = text[: scale.start()], unit_of("°" + scale[1])
        text, count = re.subn(r"\s*\^\s*(?:\{\s*\\circ\s*\}|\\circ)", "", text)
        unit = unit or ("degree" if count else "")
    algebra, tight, bare = "", False, text
    number = _NUMERIC.match(text) if text[-1:].isalnum() or text[-1:] in "}%²³" else None
    tail = text[number.end() :] if number else ""
    if 0 < len(tail) <= MAX_UNIT and rules.on("unit") and (found := unit_of(tail)) and tail not in ("t", "T"):
        if not tail.lstrip().startswith("\\t") and any(w in LETTERS for w in re.findall(r"[^\W\d_]+", tail)):
            algebra, tight = text, not tail[0].isspace() and len(re.sub(r"\^.*", "", tail)) == 1
        text, unit = text[: number.end()], found  # type: ignore[union-attr]
    elif "\\t{" in text or text[-1:].isalpha() or text[-1:] in "}.":
        text, found = _without_unit(text)
        unit = found or unit
    text = _trim(text)
    counted = things(bare[len(text) :]) if text and text != bare and bare.startswith(text) else frozenset()
    if (text != bare or money or unit) and _DECIMAL_COMMA.fullmatch(text) and rules.on("decimal-comma"):
        text = text.replace(",", ".")
    text = NUMBERS.get(text.removeprefix("\\t{").removesuffix("}").strip().lower(), text)
    return Answer(text, percent, unit, algebra, tight, _key(text), counted)


def things(tail: str) -> frozenset[str]:
    """Return the words behind a number that say what it counts: units in canonical form, other words without their plural."""
    found = (w.lower() if len(w) > 1 else w for w in re.findall(r"[^\W\d_]+", tail.replace("\\t{", " ")))
    return frozenset(unit_of(w) or (w.rstrip("s") if len(w) > 3 else w) for w in found if w not in _FILLERS)


def _dotted(text: str) -> str:
    """A list that goes on keeps its dots as an element; after a single value they say nothing, or that its digits repeat."""
    if re.search(r"[,;]", text):
        return re.sub(r"(?<=[\w})])\s*(?=\\dots)", ", ", text)
    repeats = _REPEATS.search(text)
    if repeats and len(repeats.group().split("\\")[0].split(".")[1]) >= 2:
        decimals = repeats.group().split("\\")[0].split(".")[1].strip()
        fixed = repeats[2]
        period = repeats[3]
        if len(decimals) >= 2 * len(period) and (len(decimals) - len(fixed)) >= 2:
            return text[: repeats.start()] + _fraction(repeats[1], fixed, period)
    return re.sub(r"(\d\.\d+)\s*\\dots\s*$", r"\1", text)  # a decimal may be cut short, a whole number may not


def _repeating(match: re.Match[str]) -> str:
    """`0.1\\overline{6}` as the fraction that it is."""
    return _fraction(match[1], match[2], match[3])


def _fraction(whole: str, fixed: str, repeated: str) -> str:
    scale = 10 ** len(fixed)
    below = scale * (10 ** len(repeated) - 1)
    above = int(whole + fixed + repeated) - int(whole + fixed)
    return f"\\frac{{{above}}}{{{below}}}"


def _drop_braces(text: str) -> str:
    return re.sub(r"\\t\{\s*\}", " ", text)


def _without_unit(text: str) -> tuple[str, str]:
    if _is_prose(text):
        return text, ""
    tail = _TEXT_TAIL.search(text)
    if tail and tail.start() > 0 and tail.group().strip():
        words = " ".join(_TEXT_ONLY.findall(tail.group()))
        if not re.search(r"(?<![a-z])(?:and|or)(?![a-z])", words.lower()) or not text[: tail.start()].strip():
            raised = re.search(r"\^\s*\{?\s*-?\d", tail.group())
            return text[: tail.start()], unit_of(words + (raised.group() if raised else ""))
    if "\\" not in text or "\\t{" not in text:
        cut = len(text)
        for _ in range(8):
            tail = _WORD_TAIL.search(text[max(0, cut - 40) : cut])
            if not tail:
                break
            cut = max(0, cut - 40) + tail.start()
        tail_words = set(re.findall(r"[a-z]+", text[cut:].lower()))
        if 0 < cut < len(text) and not tail_words & _KEEP_WORDS and re.search(r"[\d)}\]!.%\s]\s*$", text[:cut]):
            return text[:cut], unit_of(text[cut:])
    return text, ""


def _trim(text: str) -> str:
    text = text.strip()
    while text and text[-1] in ".,;:。" and not text.endswith("\\;"):
        text = text[:-1].rstrip()
    if text.endswith("\\") and not text.endswith("\\\\"):
        text = text[:-1].rstrip()
    while text[:1] == "{" and text[-1:] == "}" and _matches(text) and not re.search(r"(?<!\\),|;", text):
        text = text[1:-1].strip()
    if text.startswith("\\t{") and text.endswith("}") and text.find("}") == len(text) - 1 and re.search(r"\d", text):
        text = text[3:-1].strip()
    return text


def _matches(text: str) -> bool:
    """Whether the first bracket of `text` closes at its last character."""
    depth = 0
    for position, character in enumerate(text):
        if character in "({[":
            depth += 1
        elif character in ")}]":
            depth -= 1
            if depth == 0:
                return position == len(text) - 1
    return False


def _key(text: str) -> str:
    text = re.sub(r"(?<=\d)\s+(?=\d)", "\x00", text)
    text = re.sub(r"\s+", "", text).replace("\x00", " ")
    text = re.sub(r"\\t\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"(?<![\d])\.(?=\d)", "0.", text)
    return text.replace("\\cdot", "*").replace("\\times", "*")
