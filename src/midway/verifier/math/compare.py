"""Compares two mathematical answers by their structure: lists, tuples, intervals, sets, unions, matrices, relations,
words.

Promises: `equal` answers True, False or None (cannot tell) in bounded time, never raises, and knows nothing but the
two strings. Leaves are decided by `evaluate.same`. What it takes for granted (each is a common convention, none names
a row):

- a lead-in such as `x =`, `f(x) =` or `x \\in` may be missing on either side; so may a unit, but two different units
  differ;
- `10\\%` equals 10 as well as 1/10, since published answers drop the sign;
- several answers (`1, -2`; `x = 1 or x = -2`; `1 \\pm 2`; `{1, -2}`) are a set: their order does not matter; in
  brackets it does;
- an interval may be written as an inequality;
- a decimal of six significant digits or more equals the exact number that it rounds or cuts; a shorter one does not.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import Any

from midway.verifier import rules
from midway.verifier.math import evaluate, moments, numbers
from midway.verifier.math.expression import Node, Unreadable, parse, symbols
from midway.verifier.math.normalise import Answer, normalise

MAX_PARTS = 60

_TAIL = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_LONG = re.compile(r"-?[\d,]{300,}")
_INNER_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_AND = re.compile(r"\\t\{\s*,?\s*(?:and|or)\s*,?\s*\}|(?<![a-zA-Z\\])(?:and|or)(?![a-z])")
_RELATION = re.compile(r"\\(?:ne|le|ge|approx|in|equiv)(?![a-zA-Z])|:=|[=<>]")
_MATRIX = re.compile(r"^\(?\s*\\begin\{([pbvBV]?matrix|array)\}(?:\{[^{}]*\})?(.*)\\end\{\1\}\s*\)?$", re.DOTALL)
_TEXT = re.compile(r"^\\t\{([^{}]*)\}$")
_NAME = re.compile(r"[A-Za-z\\{}()_|:/'\s,0-9]+")
_BASE = re.compile(r"([0-9A-F]+)_\{?(\d+)\}?")
_FLIP = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le"}
_ARTICLES = {"a", "an", "the"}


def equal(gold: str, given: str, tolerance: float = 0.0) -> bool | None:
    """Return whether `given` is the same answer as `gold`; None when that cannot be told here."""
    if gold.isdecimal() and given.isdecimal() and len(gold) < 300 and len(given) < 300:
        return gold == given or int(gold) == int(given) or bool(tolerance and abs(int(gold) - int(given)) <= tolerance)
    if re.sub(r"\s+", "", gold) == re.sub(r"\s+", "", given) and not re.search(r"\d\s+\d", gold + given):
        return True
    moment = moments.same(gold, given)
    if moment is not None:
        return moment
    if rules.on("unit") and numbers.SIDE.search(gold) and numbers.opposed(gold, given):
        return False
    try:
        return _equal(_gold(gold), _normal(given), tolerance)
    except RecursionError:
        return None


@rules.remembered(8192)
def _normal(text: str) -> Answer:
    return normalise(text)


@rules.remembered(8192)
def _gold(text: str) -> Answer:
    """The gold: `5m` is algebra there, `5 m` five metres."""
    answer = normalise(text)
    if answer.tight:
        return Answer(answer.algebra, answer.percent, "", "", False, re.sub(r"\s+", "", answer.algebra))
    return answer


def forms(gold: str, given: str) -> tuple[Answer, Answer]:
    """Return the one spelling of the gold and of what was given, as they are compared."""
    return _gold(gold), _normal(given)


def why(gold: str, given: str, tolerance: float = 0.0) -> str:
    """Return in words what decides whether the two are equal."""
    result = equal(gold, given, tolerance)
    said = {True: "equal", False: "not equal", None: "undecided"}[result]
    g, c = forms(gold, given)
    if moments.same(gold, given) is not None:
        return f"{said}: compared as times or dates"
    if g.unit and c.unit and g.unit != c.unit and not result:
        return f"{said}: the units differ, {g.unit} and {c.unit}"
    if g.key == c.key:
        return f"{said}: the same text"
    x, y = numbers.number(g.text), numbers.number(numbers.as_number(g.text, c.text))
    if x is not None and y is not None:
        return f"{said}: the numbers {x} and {y}" + (f", {tolerance} apart at most" if tolerance else "")
    parts = len(_split(g.text)), len(_split(c.text))
    if max(parts) > 1:
        return f"{said}: compared part by part, {parts[0]} and {parts[1]} of them"
    if _words(g.text) is not None or _words(c.text) is not None:
        return f"{said}: compared as words"
    if tree(g.text) is not None and tree(c.text) is not None:
        return f"{said}: compared as formulas, at several values of their symbols"
    return f"{said}: " + ("compared by their structure" if result is not None else "left to math-verify")


def _equal(g: Answer, c: Answer, tolerance: float) -> bool | None:
    if g.unit and c.unit and g.unit != c.unit and "%" not in (g.unit, c.unit):
        return False
    if g.things and c.things and not g.things & c.things and not (g.unit and c.unit) and rules.on("unit"):
        return False  # 5 apples, 5 oranges
    if g.key and g.key == c.key:
        return True
    if g.unit and c.unit and " " in g.text and " " in c.text:
        measures = numbers.measures(f"{g.text} {g.unit}"), numbers.measures(f"{c.text} {c.unit}")
        if measures[0] and measures[1]:
            return measures[0] == measures[1]
    answer = _compare(g.text, numbers.as_number(g.text, c.text), tolerance, 0)
    if not answer and (g.algebra or c.algebra):
        answer = _compare(g.algebra or g.text, c.algebra or c.text, tolerance, 0) or answer
    if not answer:
        meant = numbers.without_noise(g.text), numbers.without_noise(c.text)
        if any(meant):
            answer = _compare(meant[0] or g.text, meant[1] or c.text, tolerance, 0) or answer
        answer = answer or numbers.same_single(g.text, c.text) or answer
    if g.percent != c.percent and answer is False:
        scaled = Answer(f"({(g if g.percent else c).text})/100")
        pair = (scaled.text, c.text) if g.percent else (g.text, scaled.text)
        return _compare(*pair, tolerance, 0) or False
    return answer


def _key(text: str) -> str:
    return re.sub(r"\s+", "", text)


def _compare(g: str, c: str, tolerance: float, depth: int) -> bool | None:
    g, c = (_TEXT.sub(r"\1", t.strip()).strip() for t in (g, c))
    if not g or not c:
        return None
    if _key(g) == _key(c):
        return True
    if depth > 6:
        return None
    if (r"\dots" in g) != (r"\dots" in c):
        return False  # one goes on, the other ends
    if "\\dots" in (g, c) or re.search(r"[-+*/^]$", g) or re.search(r"[-+*/^]$", c):
        return False  # a sign without its second side: `5+` is five or more
    depth += 1
    if _LONG.search(g) or _LONG.search(c):
        digits = [t.lstrip("+0").replace(",", "") if _LONG.fullmatch(t) else "" for t in (g, c)]
        return digits[0] == digits[1] if any(digits) else None
    x, y = numbers.number(g), numbers.number(c)
    if x is not None and y is not None:
        return numbers.same_number(g, c, x, y, tolerance)
    named = numbers.NAMED.fullmatch(g), numbers.NAMED.fullmatch(c)
    if named[0] and named[1]:  # Room 12
        return named[0][1].lower().split() == named[1][1].lower().split() and int(named[0][2]) == int(named[1][2])
    in_words = _words(g), _words(c)
    if in_words[0] is not None or in_words[1] is not None:
        return _compare_words(*in_words)
    g, c = _AND.sub(",", g), _AND.sub(",", c)
    if "\\pm" in g or "\\pm" in c or "\\mp" in g or "\\mp" in c:
        g, c = _plus_minus(g), _plus_minus(c)
    parts_g, parts_c = _split(g), _split(c)
    if rules.on("tight-comma") and (len(parts_g) > 1) != (len(parts_c) > 1):
        parts_g, parts_c = (_split(g, whole=False), parts_c) if len(parts_c) > 1 else (parts_g, _split(c, whole=False))
    if len(parts_g) > 1 or len(parts_c) > 1:
        return _compare_lists(g, c, parts_g, parts_c, tolerance, depth)
    related = _compare_relations(g, c, tolerance, depth)
    if related is not NotImplemented:
        return related
    for structure in (_compare_unions, _compare_brackets, _compare_matrices, _compare_ratios):
        found = structure(g, c, tolerance, depth)
        if found is not NotImplemented:
            return found
    return _compare_leaves(g, c, tolerance)


# numbers ----------------------------------------------------------------------------------------------------------


def _compare_leaves(g: str, c: str, tolerance: float) -> bool | None:
    bases = _BASE.fullmatch(_key(g)), _BASE.fullmatch(_key(c))
    if any(bases):
        stems = [b[1] if b else _key(t) for b, t in zip(bases, (g, c), strict=True)]
        same_base = not all(bases) or bases[0][2] == bases[1][2]  # type: ignore[index]
        return stems[0] == stems[1] and same_base
    a, b = tree(g), tree(c)
    if a is None or b is None:
        return None
    answer = evaluate.same(a, b)
    if answer is False and not symbols(a) and not symbols(b):
        return _close(a, b, g, c, tolerance)
    return answer


def _close(a: Node, b: Node, g: str, c: str, tolerance: float) -> bool:
    x, y = evaluate.sample(a, [])[0], evaluate.sample(b, [])[0]
    if x is None or y is None or x.imag or y.imag or abs(x) > 1e30 or abs(y) > 1e30:
        return False
    x, y = (Fraction(*_ratio(v.real)) for v in (x, y))
    return bool(tolerance and abs(x - y) <= Fraction(tolerance)) or numbers.rounds(_key(g), _key(c), x, y)


def _ratio(value: Any) -> tuple[int, int]:
    return int(value * 10**40), 10**40


@lru_cache(maxsize=8192)
def tree(text: str) -> Node | None:
    """The formula that `text` is, or None."""
    try:
        return parse(_INNER_THOUSANDS.sub("", text) if "," in text else text)
    except Unreadable:
        return None


# words ------------------------------------------------------------------------------------------------------------


def _words(text: str) -> list[str] | None:
    """The words of an answer that is words, lower case and without articles; None if it is a formula."""
    bare = re.sub(r"\\t\{([^{}]*)\}", r" \1 ", text)
    bare = re.sub(r"^\((.*)\)$", r"\1", bare.strip()).strip(" .,'\"")
    if re.search(r"[\d\\=<>^_+*/|]", bare) or not re.search(r"[^\W\d_]{3,}|[^\W\d_]{2,}\s", bare + " "):
        return None
    if _RELATION.search(bare) or re.search(r"[()\[\]{},;]", bare):
        return None
    words = re.findall(r"[^\W_]+", bare.lower())
    if "\\t{" not in text and all(len(w) <= 2 for w in words):
        return None
    return [w for w in words if w not in _ARTICLES] or words


def _compare_words(g: list[str] | None, c: list[str] | None) -> bool | None:
    if g is not None and c is not None:
        return g == c
    if g is not None:
        return False  # the answer is a word, a formula was given
    return None


# several answers --------------------------------------------------------------------------------------------------


def _plus_minus(text: str) -> str:
    if not re.search(r"\\[pm][pm](?![a-z])", text):
        return text
    parts = []
    for part in _split(text):
        if re.search(r"\\(?:pm|mp)(?![a-z])", part):
            for upper, lower in (("+", "-"), ("-", "+")):
                sign = re.sub(r"\\mp(?![a-z])", f" {lower} ", re.sub(r"\\pm(?![a-z])", f" {upper} ", part))
                parts.append(re.sub(r"^\s*\+", "", sign))
        else:
            parts.append(part)
    return ", ".join(parts)


def _split(text: str, *, whole: bool = True) -> list[str]:
    """Split at top-level commas and semicolons. A number with thousands separators stays whole: where it is all there is (unless `whole`
    is false), or where other commas have a space after them."""
    if "," not in text and ";" not in text:
        return [text]
    if whole and (numbers.THOUSANDS if rules.on("spaced-comma") else numbers.SPACED_THOUSANDS).fullmatch(text.strip()):
        return [text]
    spaced = bool(_TAIL.search(text)) and bool(re.search(r"[,;]\s", text))
    parts, depth, start = [], 0, 0
    for position, character in enumerate(text):
        if character in "({[":
            depth += 1
        elif character in ")}]":
            depth -= 1
        elif depth <= 0 and character in ",;" and not (spaced and _TAIL.match(text, position)):
            parts.append(text[start:position])
            start = position + 1
    parts.append(text[start:])
    kept = [p.strip() for p in parts if p.strip()]
    return kept if 0 < len(kept) <= MAX_PARTS else [text]


def _formula(text: str) -> bool:
    """Whether `text` is something that this module reads, so that a difference is a difference."""
    return bool(_relation(text)[1] or _brackets(text) or "\\cup" in text or tree(text) is not None or _words(text))


def _compare_lists(g: str, c: str, parts_g: list[str], parts_c: list[str], tolerance: float, depth: int) -> bool | None:
    joined = [_INNER_THOUSANDS.sub("", t) for t in (g, c)]
    if joined != [g, c] and tree(joined[0]) is not None and tree(joined[1]) is not None:
        return _compare_leaves(joined[0], joined[1], tolerance)
    if "\\dots" in parts_g + parts_c:
        return _same_tuple(parts_g, parts_c, tolerance, depth)
    if len(parts_g) > 1 and len(parts_c) > 1:
        return _same_set(parts_g, parts_c, tolerance, depth)
    several, single, single_text = (parts_g, parts_c, c) if len(parts_g) > 1 else (parts_c, parts_g, g)
    if "\\cup" in single_text and (union := _union_of(several)):
        return _compare(*((union, single_text) if several is parts_g else (single_text, union)), tolerance, depth)
    inner = _brackets(single[0])
    if inner is None:
        lead, found, rest = single_text.partition("=")
        inner = _brackets(rest.strip()) if found and _is_name(lead) else None
    if inner is None:
        lead, found, rest = several[0].partition("=")
        bare = several if not found else [rest, *several[1:]]
        if len(bare) == 2 and not rules.on("spaced-comma") and numbers.DECIMAL_COMMA.fullmatch(_key(",".join(bare))):
            return _compare(*((_key(",".join(bare)), single_text)), tolerance, depth)
        answers = [
            _compare(*((p, single_text) if several is parts_g else (single_text, p)), tolerance, depth) for p in several
        ]
        if all(answers):  # one answer, given in several forms
            return True
        return False if all(_formula(part) for part in (*several, *single)) else None
    left, parts, _ = inner
    if left == "{":
        return _same_set(*((several, parts) if several is parts_g else (parts, several)), tolerance, depth, marked=True)
    return _same_tuple(several, parts, tolerance, depth) if left == "(" else False


def _union_of(parts: list[str]) -> str:
    """The union of intervals that `x < 1, x > 3` describes; empty where a part is no inequality."""
    intervals = [_interval(*_relation(part)) for part in parts]
    return " \\cup ".join(i for i in intervals if i) if all(intervals) else ""


def _same_set(g: list[str], c: list[str], tolerance: float, depth: int, *, marked: bool = False) -> bool | None:
    """Whether every element has its equal on the other side. A repeated element counts once in a set that is `marked` by braces; in a
    mere list only what is given may repeat itself, where the gold does not."""
    repeats = rules.on("set-repeats") and (marked or len(c) > len(g))
    if len(g) != len(c) and not repeats:
        return False
    left, unknown = list(range(len(c))), False
    for part in g:
        for k in list(range(len(c))) if repeats else left:
            answer = _compare(part, c[k], tolerance, depth)
            if answer:
                if k in left:
                    left.remove(k)
                break
            unknown = unknown or answer is None
        else:
            return None if unknown else False
    for k in left:
        answers = [_compare(part, c[k], tolerance, depth) for part in g]
        if True not in answers:
            return None if None in answers else False
    if repeats and not marked:  # a list whose own elements repeat means them
        return not any(_compare(a, b, tolerance, depth) for n, a in enumerate(g) for b in g[:n])
    return True


def _same_tuple(g: list[str], c: list[str], tolerance: float, depth: int) -> bool | None:
    if len(g) != len(c):
        return False
    answers = [_compare(a, b, tolerance, depth) for a, b in zip(g, c, strict=True)]
    return False if False in answers else None if None in answers else True


def _brackets(text: str) -> tuple[str, list[str], str] | None:
    """`(left, parts, right)` of a bracketed text with two parts or more; braces may have any number of parts."""
    text = text.strip()
    left, right = text[:1], text[-1:]
    if text.startswith("\\{") and text.endswith("\\}"):
        return "{", _split(text[2:-2], whole=not rules.on("tight-comma")), "}"
    if text.startswith("\\langle") and text.endswith("\\rangle"):
        return "(", _split(text[7:-7]), ")"
    if left not in "([{" or right not in ")]}" or not left or not right or not _one_group(text):
        return None
    parts = _split(text[1:-1], whole=not rules.on("tight-comma"))
    return (left, parts, right) if len(parts) > 1 or left == "{" else None


def _one_group(text: str) -> bool:
    depth = 0
    for position, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if depth == 0:
            return position == len(text) - 1
    return False


def _compare_brackets(g: str, c: str, tolerance: float, depth: int) -> bool | None:
    a, b = _brackets(g), _brackets(c)
    if a is None and b is None:
        return NotImplemented
    if a is None or b is None:
        group = a or b
        assert group is not None
        if group[0] == "{" and len(group[1]) == 1:
            return _compare(group[1][0], c if a else g, tolerance, depth)
        return False if tree(g) is not None or tree(c) is not None else None
    if a[0] == b[0] == "{":
        return _same_set(a[1], b[1], tolerance, depth, marked=True)
    if (a[0], a[2]) != (b[0], b[2]):
        return False
    return _same_tuple(a[1], b[1], tolerance, depth)


def _compare_unions(g: str, c: str, tolerance: float, depth: int) -> bool | None:
    if "\\cup" not in g and "\\cup" not in c:
        return NotImplemented
    parts = [re.split(r"\\cup(?![a-z])", t) for t in (g, c)]
    if len(parts[0]) != len(parts[1]):
        return None
    return _same_set(parts[0], parts[1], tolerance, depth)


def _compare_matrices(g: str, c: str, tolerance: float, depth: int) -> bool | None:
    a, b = _MATRIX.match(g), _MATRIX.match(c)
    if not a and not b:
        return NotImplemented
    if not a or not b:
        return None
    rows = [[r.split("&") for r in re.split(r"\\\\", m[2]) if r.strip()] for m in (a, b)]
    if [len(r) for r in rows[0]] != [len(r) for r in rows[1]]:
        return False
    cells = [[cell for row in matrix for cell in row] for matrix in rows]
    return _same_tuple(cells[0], cells[1], tolerance, depth)


def _compare_ratios(g: str, c: str, tolerance: float, depth: int) -> bool | None:
    if ":" not in g + c:
        return NotImplemented
    parts = [re.split(r":|(?<=\d)\s+to\s+(?=\d)", t) for t in (g, c)]
    if len(parts[0]) == 1 or len(parts[1]) == 1:
        return NotImplemented
    return _same_tuple(parts[0], parts[1], tolerance, depth)


# relations --------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=8192)
def _relation(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sides and signs of `a = b < c` at the top level; what follows an `approx` is left out if something precedes."""
    sides, signs, start, depth = [], [], 0, 0
    marks = {m.start(): m for m in _RELATION.finditer(text)}
    skip = 0
    for position, character in enumerate(text):
        depth += (character in "({[") - (character in ")}]")
        if depth == 0 and position in marks and position >= skip:
            mark = marks[position]
            sides.append(text[start:position].strip())
            signs.append("=" if mark.group() == ":=" else mark.group())
            start = skip = mark.end()
    sides.append(text[start:].strip())
    if "\\approx" in signs:
        k = signs.index("\\approx")
        if sides[k] and not (k == 0 and _is_name(sides[0])):
            sides, signs = sides[: k + 1], signs[:k]
        else:
            signs = ["=" if s == "\\approx" else s for s in signs]
    while signs and not sides[0] and signs[0] in ("=", "\\approx", "\\equiv", "\\in"):
        sides, signs = sides[1:], signs[1:]
    return tuple(sides), tuple(signs)


def _is_name(text: str) -> bool:
    """Whether `text` can be the left side of a lead-in: a name, a call, a tuple or a ratio of names."""
    text = text.strip()
    if not text or len(text) > 40 or not _NAME.fullmatch(text) or not re.search(r"[A-Za-z]", text):
        return False
    outside = re.sub(r"_(?:\{[^{}]*\}|\w)|\([^()]*\)", "", text)
    return not re.search(r"\d", outside)


def _unwrap(text: str) -> str:
    """Without brackets around a whole relation: `(35 + 70 = 105)`."""
    if text[:1] in "([" and text[-1:] in ")]" and "=" in text and _one_group(text) and len(_split(text[1:-1])) == 1:
        return text[1:-1].strip()
    return text


def _compare_relations(g: str, c: str, tolerance: float, depth: int) -> bool | None:
    g, c = _unwrap(g), _unwrap(c)
    (sides_g, signs_g), (sides_c, signs_c) = _relation(g), _relation(c)
    if not signs_g and not signs_c:
        return (
            NotImplemented if (sides_g[0], sides_c[0]) == (g, c) else _compare(sides_g[0], sides_c[0], tolerance, depth)
        )
    if signs_g[:1] == ("\\in",):
        return _compare(g.split("\\in", 1)[1], c, tolerance, depth)
    if signs_c[:1] == ("\\in",):
        return _compare(g, c.split("\\in", 1)[1], tolerance, depth)
    if not signs_g or not signs_c:
        return _one_relation(sides_g, signs_g, sides_c, signs_c, tolerance, depth)
    if set(signs_g) == {"="} == set(signs_c):
        return _compare_equations(sides_g, sides_c, tolerance, depth)
    if "=" in signs_g or "=" in signs_c or "\\equiv" in signs_g + signs_c or "\\in" in signs_g + signs_c:
        return None
    return _compare_inequalities(sides_g, signs_g, sides_c, signs_c, tolerance, depth)


def _one_relation(
    sides_g: tuple[str, ...], signs_g: tuple[str, ...], sides_c: tuple[str, ...], signs_c: tuple[str, ...],
    tolerance: float, depth: int,
) -> bool | None:  # fmt: skip
    signs, sides = (signs_g, sides_g) if signs_g else (signs_c, sides_c)
    value = sides_c[0] if signs_g else sides_g[0]
    if set(signs) == {"="}:
        closed = tree(sides[0])
        defines = _is_name(sides[0]) or not (_free(sides[-1]) or (closed and symbols(closed)) or signs_g)
        if not defines:
            return False
        pair = (sides[-1], value) if signs_g else (value, sides[-1])
        return _compare(*pair, tolerance, depth)
    interval = _interval(sides, signs)
    if interval and _brackets(value):
        return _compare(*((interval, value) if signs_g else (value, interval)), tolerance, depth)
    return None if "\\cup" in value else False


def _free(text: str) -> bool:
    node = tree(text)
    return node is not None and bool(symbols(node))


def _interval(sides: tuple[str, ...], signs: tuple[str, ...]) -> str | None:
    """The interval that `x >= 5` or `1 < x <= 2` describes, as text."""
    if len(signs) == 1 and signs[0] in _FLIP:
        left, sign, right = sides[0], signs[0], sides[1]
        if not _is_name(left):
            left, sign, right = right, _FLIP[sign], left
        if not _is_name(left):
            return None
        closed = sign in ("\\le", "\\ge")
        if sign in (">", "\\ge"):
            return f"{'[' if closed else '('}{right}, \\infty)"
        return f"(-\\infty, {right}{']' if closed else ')'}"
    if len(signs) == 2 and _is_name(sides[1]):
        if set(signs) <= {"<", "\\le"}:
            return f"{'(' if signs[0] == '<' else '['}{sides[0]}, {sides[2]}{')' if signs[1] == '<' else ']'}"
        if set(signs) <= {">", "\\ge"}:
            return f"{'(' if signs[1] == '>' else '['}{sides[2]}, {sides[0]}{')' if signs[0] == '>' else ']'}"
    return None


def _compare_equations(g: tuple[str, ...], c: tuple[str, ...], tolerance: float, depth: int) -> bool | None:
    if _is_name(g[0]) and _is_name(c[0]):
        same_name = _key(g[0]) == _key(c[0]) or (
            "(" in g[0] and _key(g[0]).split("(")[0] == _key(c[0]).split("(")[0] != ""
        )
        if same_name:
            return _compare(g[-1], c[-1], tolerance, depth)
    if len(g) == len(c) == 2:
        answers = [_compare(a, b, tolerance, depth) for a, b in zip(g, c, strict=True)]
        if answers == [True, True] or [
            _compare(g[0], c[1], tolerance, depth),
            _compare(g[1], c[0], tolerance, depth),
        ] == [
            True,
            True,
        ]:
            return True
        trees = [tree(f"({side[0]})-({side[1]})") for side in (g, c)]
        if trees[0] is not None and trees[1] is not None:
            ratio = evaluate.same_ratio(trees[0], trees[1])
            return True if ratio else None
    return None


def _compare_inequalities(
    sides_g: tuple[str, ...], signs_g: tuple[str, ...], sides_c: tuple[str, ...], signs_c: tuple[str, ...],
    tolerance: float, depth: int,
) -> bool | None:  # fmt: skip
    intervals = _interval(sides_g, signs_g), _interval(sides_c, signs_c)
    if intervals[0] and intervals[1] and len(signs_g) == len(signs_c) == 2:
        if _key(sides_g[1]) != _key(sides_c[1]):
            return False
        return _compare(intervals[0], intervals[1], tolerance, depth)
    if len(signs_g) == len(signs_c) == 1:
        trees = [tree(f"({s[0]})-({s[1]})") for s in (sides_g, sides_c)]
        if trees[0] is None or trees[1] is None:
            return None
        ratio = evaluate.same_ratio(trees[0], trees[1])
        if ratio is None or ratio == 0:
            return None if ratio is None else False
        if signs_g[0] == "\\ne" or signs_c[0] == "\\ne":
            return signs_g[0] == signs_c[0]
        return signs_g[0] == (signs_c[0] if ratio > 0 else _FLIP[signs_c[0]])
    if len(signs_g) == len(signs_c):
        flipped = tuple(_FLIP.get(s, s) for s in reversed(signs_c))
        if signs_g == signs_c:
            return _same_tuple(list(sides_g), list(sides_c), tolerance, depth)
        if signs_g == flipped:
            return _same_tuple(list(sides_g), list(reversed(sides_c)), tolerance, depth)
    return False
