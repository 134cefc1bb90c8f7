"""Golds of every family with true rewritings, which must be judged correct, and near-misses, which must not.

Promises: `FAMILIES[name](random)` makes one `Case`; the same state of `random` makes the same case. Every case is tagged with what it is
written in the style of: a rule of `midway.verifier.rules` (then switching that rule off makes some of these cases come out wrong), or a plain
name. Used by `test_properties.py` (200 a family) and `benchmarks/near_misses.py` (10,000 a family).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import inf, nextafter
from random import Random
from struct import pack, unpack

from midway.domains import verify
from midway.records import CodeTests, Question


@dataclass(frozen=True)
class Case:
    """A text and whether it must be paid; `style` says what it is written in the style of."""

    question: Question
    text: str
    right: bool
    style: str

    def holds(self) -> bool:
        """Whether it is judged as it must be: a rewriting correct, a near-miss anything but correct."""
        return verify(self.question, self.text).correct == self.right

    def __str__(self) -> str:
        q = self.question
        gold = q.answer if q.domain == "math" else (q.choices, q.answer_index) if q.domain == "choice" else q.tests
        return f"{self.style} ({'rewriting' if self.right else 'near-miss'}): gold {gold!r}, text {self.text!r}"


Family = Callable[[Random], Case]

# how an answer is said -----------------------------------------------------------------------------------------------

PLAIN = (
    "\\boxed{{{}}}", "So it is \\boxed{{{}}}.", "The answer is {}.", "**Answer:** {}", "#### {}", "<answer>{}</answer>", "Final answer: ${}$",
    "The final answer is $\\boxed{{{}}}$.", "We find $x + 1$ first. The answer is ${}$.", "A: {}",
)  # fmt: skip
OTHER_LANGUAGES = (
    "Ответ: {}", "Ответ — {}.", "Das Ergebnis ist {}.", "El resultado es {}.", "La solution est {}.", "A resposta é {}.", "La risposta è {}.",
    "正确答案应该是{}。", "答え：{}", "정답: {}",
)  # fmt: skip
STATED = (
    "The answer is {0}, since $k$ must divide ${1}$.",
    "The answer is {0} because ${1}$ is too large.",
    "Answer: the largest $n$ is {0}.",
    "Answer: {0} is the smallest value of $k$.",
    "The answer is the value of $f({1})$, which is {0}.",
    "**Answer:** The minimum of $|x-{1}|$ is **{0}**.",
    "Answer: $f({1})$ equals {0}",
    "The answer is {0}, where $m = {1}$.",
    "The answer is {0} for $n = {1}$.",
)
FULL_WIDTH = str.maketrans("0123456789.,-+%/()", "０１２３４５６７８９．，－＋％／（）")


def math(gold: str, text: str, right: bool, style: str) -> Case:
    return Case(Question("math", "", answer=gold), text, right, style)


def said(r: Random, gold: str, value: str, miss: str, *, number: bool = False) -> Case:
    """The gold in one of its spellings (`value`) or a near-miss in one of its (`miss`), said in one of many ways."""
    right = r.random() < 0.5
    shown, other = (value, miss) if right else (miss, value)
    ways: list[Callable[[], tuple[str, str]]] = [
        lambda: (r.choice(PLAIN).format(shown), "plain"),
        lambda: (f"\\boxed{{?}} is what we look for.\n\n{r.choice(('The answer is', 'Answer:'))} {shown}", "placeholder"),
    ]
    if number:
        ways += [
            lambda: (r.choice(STATED).format(shown, other), "stated-value"),
            lambda: (f"{r.choice(OTHER_LANGUAGES).format(shown)}\n({other} - 1)", "languages"),
            lambda: (f"\\boxed{{{shown.translate(FULL_WIDTH)}}}", "full-width"),
        ]
    hedges = [
        f"\\boxed{{{value}, {miss}}}", f"The answer is {value} or {miss}.", f"\\boxed{{{miss}}}\\boxed{{{value}}}", f"\\boxed{{{value} \\text{{ or }} {miss}}}",
        f"\\boxed{{{miss}}} for (a) and \\boxed{{{value}}} for (b)",
    ]  # fmt: skip
    if not right and r.random() < 0.25:
        return math(gold, r.choice(hedges), False, "joined-boxes")
    text, style = r.choice(ways)()
    return math(gold, text, right, style)


# numbers ----------------------------------------------------------------------------------------------------------------

_WORDS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()  # noqa: SIM905
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()  # noqa: SIM905
THINGS = ("birds", "apples", "red balloons", "")


def in_words(n: int) -> str:
    if n < 20:
        return _WORDS[n]
    if n < 100:
        return _TENS[n // 10 - 2] + (f"-{_WORDS[n % 10]}" if n % 10 else "")
    return f"{in_words(n // 100)} hundred" + (f" and {in_words(n % 100)}" if n % 100 else "")


def near(r: Random, n: int) -> int:
    """Another number that is easily mistaken for it."""
    others = [n + 1, n - 1, -n, n * 10, n + 10]
    return r.choice([m for m in others if m != n])


def integer(r: Random) -> Case:
    n = r.choice((r.randint(2, 99), r.randint(-50, 50), r.randint(1000, 10**6)))
    miss = near(r, n)
    if n >= 0 and miss >= 0 and max(n, miss) < 1000 and r.random() < 0.2:
        right = r.random() < 0.5
        words, thing = in_words(n if right else miss), r.choice(THINGS)
        text = r.choice(("{} {}.", "The answer is {} {}.", "\\boxed{{\\text{{{} {}}}}}", "So there are {} {} left."))
        if n == 1 or miss == 1:  # `one` is a pronoun too
            text = "\\boxed{{\\text{{{} {}}}}}"
        return math(str(n), text.format(words.capitalize() if text.startswith("{") else words, thing).replace(" .", "."), right, "number-words")
    if r.random() < 0.06:
        missing = r.choice(("nan", "NaN", "null", " "))
        return math(missing, r.choice(PLAIN).format(missing.strip() or n), False, "missing-gold")
    spellings = [str(n), f"{n:,}", f"{n}.0", f"x = {n}", f"{2 * n}/2", f"\\frac{{{3 * n}}}{{3}}", f"\\${n}" if n > 0 else str(n)]
    plain = r.random() < 0.6
    return said(r, str(n), str(n) if plain else r.choice(spellings), str(miss) if plain else r.choice((str(miss), f"{miss:,}")), number=plain)


def decimal(r: Random) -> Case:
    places = r.randint(1, 4)
    n = 10 * r.randint(0, 10**4) + r.randint(1, 9)
    gold = format(Fraction(n, 10**places) * 1.0, f".{places}f")
    miss = format(Fraction(n + r.choice((1, -1, 10)), 10**places) * 1.0, f".{places}f")
    kind = r.randrange(5)
    if kind == 0:
        right, value = r.random() < 0.5, float(gold)
        noisy = r.choice((nextafter(value, inf), nextafter(value, -inf), unpack("f", pack("f", value))[0]))
        return math(format(Decimal(repr(noisy)), "f"), r.choice(PLAIN[:5]).format(gold if right else miss), right, "float-noise")
    if kind == 1 and places != 3:  # 69,517 km may be thousands
        right = r.random() < 0.5
        unit = r.choice(("m", "kg", "km", "Meter", "metros", "€", "рублей"))
        return math(gold, r.choice(PLAIN[:5]).format(f"{(gold if right else miss).replace('.', ',')} {unit}"), right, "decimal-comma")
    if kind == 2:
        right = r.random() < 0.5
        return math(gold, f"\\boxed{{{(gold if right else miss).translate(FULL_WIDTH)}}}", right, "full-width")
    if kind == 3:
        whole, point = gold.split(".")
        return math(f"{whole},{point}" if len(point) < 3 else f"{whole}, {point}", f"\\boxed{{{gold}}}", False, "spaced-comma")
    return said(r, gold, r.choice((gold, gold + "0")), miss, number=True)


def fraction(r: Random) -> Case:
    below = r.randint(2, 30)
    x = r.randint(-3, 4) + Fraction(r.randint(1, below - 1), below)
    a, b = x.numerator, x.denominator
    k = r.randint(2, 5)
    whole, part = divmod(abs(a), b)
    sign = "-" if a < 0 else ""
    spellings = [f"{a}/{b}", f"\\frac{{{a}}}{{{b}}}", f"\\dfrac{{{k * a}}}{{{k * b}}}", f"{sign}\\frac{{{abs(a)}}}{{{b}}}", f"{k * a}/{k * b}"]
    if whole:
        spellings.append(f"{sign}{whole}\\frac{{{part}}}{{{b}}}")
    misses = [f"{a + 1}/{b}", f"\\frac{{{-a}}}{{{b}}}", f"{a}/{b + 1}", f"{float(x):.2f}" if Fraction(f"{float(x):.2f}") != x else f"{a + b}/{b}"]
    if a not in (b, -b):
        misses.append(f"\\frac{{{b}}}{{{a}}}")
    return said(r, f"\\frac{{{a}}}{{{b}}}", r.choice(spellings), r.choice(misses))


def percent(r: Random) -> Case:
    n = r.randint(1, 99)
    spellings = [f"{n}\\%", f"{n} percent", f"{n}/100", str(Fraction(n, 100)), f"{n / 100:.2f}", str(n), f"{n} \\%"]
    misses = [f"{n + 1}\\%", f"{n + 1} percent", f"{n * 10}\\%", f"{n + 1}/100", f"-{n}\\%", f"{n}0"]
    return said(r, f"{n}\\%", r.choice(spellings), r.choice(misses))


# several numbers ------------------------------------------------------------------------------------------------------


def distinct(r: Random, count: int, low: int = -20, high: int = 20) -> list[int]:
    return r.sample(range(low, high), count)


def pair_text(r: Random, values: list[int], left: str = "(", right: str = ")") -> str:
    return left + r.choice((",", ", ", " , ")).join(map(str, values)) + right


def tuple_(r: Random) -> Case:
    values = distinct(r, r.randint(2, 4))
    miss = list(values)
    if r.random() < 0.5:
        miss[0], miss[1] = miss[1], miss[0]
    else:
        k = r.randrange(len(miss))
        miss[k] = near(r, miss[k])
    gold = pair_text(r, values)
    spellings = [pair_text(r, values), pair_text(r, values, "\\left(", "\\right)"), f"(x, y) = {gold}" if len(values) == 2 else gold]
    misses = [pair_text(r, miss), pair_text(r, values[:-1] + [values[-1] + 1]), pair_text(r, values, "\\{", "\\}"), pair_text(r, [*values, 7])]
    return said(r, gold, r.choice(spellings), r.choice(misses))


def set_(r: Random) -> Case:
    kind = r.randrange(7)
    right = r.random() < 0.5
    if kind == 0:  # small, large: might be one number with a separator
        a, b = r.randint(2, 99), r.randint(100, 999)
        if r.random() < 0.5:
            return math(f"{a}, {b}", r.choice(PLAIN[:5]).format(f"{b}, {a}" if right else f"{a}{b}"), right, "spaced-comma")
        return math(f"{a}{b}", r.choice(PLAIN[:5]).format(f"{a},{b}" if right else f"{a}, {b}"), right, "spaced-comma")
    if kind == 1:
        a, b = r.randint(2, 99), r.randint(100, 999)
        gold = r.choice((f"{a},{b}", f"\\{{{a},{b}\\}}"))
        return math(gold, r.choice(PLAIN[:2]).format(f"{b}, {a}" if right else f"{b}, {a + 1}"), right, "tight-comma")
    values = distinct(r, r.randint(2, 5))
    mixed = r.sample(values, len(values))
    if kind == 2:
        repeated = [*mixed, r.choice(values)] if right else [*mixed[:-1], near_other(r, values)]
        return math(pair_text(r, values, "\\{", "\\}"), f"\\boxed{{{pair_text(r, repeated, chr(92) + '{', chr(92) + '}')}}}", right, "set-repeats")
    if kind == 3:
        start, step = r.randint(1, 9), r.randint(2, 5)
        shown = f"{start}, {start + step}, {start + 2 * step}"
        if r.random() < 0.5:
            text = f"{shown}, {r.choice(('...', chr(92) + 'ldots', chr(92) + 'dots', chr(92) + 'cdots', '…'))}"
            return math(f"{shown}, \\ldots" if right else shown, r.choice(PLAIN[:2]).format(text), right, "dots")
        gold = f"{start}, {start + step}, \\ldots, n"
        last = "n" if right else "n+1"
        return math(gold, f"\\boxed{{{start},{start + step},{r.choice(('...', chr(92) + 'dots'))},{last}}}", right, "dots")
    if kind == 4 and len(values) == 2:
        a, b = values if right else (values[0], near_other(r, values))
        text = r.choice(("\\boxed{{{}}}\\boxed{{{}}}", "\\boxed{{{}}} for (a) and \\boxed{{{}}} for (b)", "$\\boxed{{{}}}$ and $\\boxed{{{}}}$"))
        return math(f"{values[0]}, {values[1]}", text.format(a, b), right, "joined-boxes")
    gold = r.choice((pair_text(r, values, "\\{", "\\}"), pair_text(r, values, "", "").replace(",", ", ")))
    spellings = [pair_text(r, mixed, "\\{", "\\}"), ", ".join(map(str, mixed)), " and ".join(map(str, mixed)), "x = " + " \\text{ or } ".join(map(str, mixed))]
    misses = [", ".join(map(str, mixed[:-1])), ", ".join(map(str, [*mixed, near_other(r, values)])), ", ".join(map(str, [*mixed[:-1], near_other(r, values)]))]
    return math(gold, r.choice(PLAIN[:5]).format(r.choice(spellings if right else misses)), right, "list")


def near_other(r: Random, values: list[int]) -> int:
    return next(v for v in (values[-1] + k for k in (1, -1, 2, -2, 3, 4, 5, 6)) if v not in values)


def interval(r: Random) -> Case:
    a = r.randint(-9, 9)
    b = a + r.randint(1, 9)
    left, right_ = r.choice("[("), r.choice("])")
    other_left, other_right = {"[": "(", "(": "["}[left], {"]": ")", ")": "]"}[right_]
    if r.random() < 0.3:
        gold = r.choice((f"{left}{a},+\\infty)", f"x \\in {left}{a}, +\\infty)"))
        sign, other = (("\\ge", ">") if left == "[" else (">", "\\ge"))
        spellings = [f"x {sign} {a}", f"{left}{a},\\infty)", f"{left}{a}, ∞)", f"x \\in {left}{a}, \\infty)"]
        misses = [f"x {other} {a}", f"{other_left}{a},+\\infty)", f"x {sign} {a + 1}", f"(-\\infty,{a}]", f"{left}{a},-\\infty)"]
        right = r.random() < 0.5
        return math(gold, r.choice(PLAIN[:2]).format(r.choice(spellings if right else misses)), right, "plus-infinity")
    low, high = ("\\le" if left == "[" else "<"), ("\\le" if right_ == "]" else "<")
    spellings = [f"{left}{a},{b}{right_}", f"\\left{left}{a}, {b}\\right{right_}", f"{a} {low} x {high} {b}", f"x \\in {left}{a}, {b}{right_}"]
    misses = [f"{other_left}{a},{b}{right_}", f"{left}{a},{b}{other_right}", f"{left}{a},{b + 1}{right_}", f"{left}{a - 1},{b}{right_}", f"{left}{b},{a}{right_}"]
    return said(r, f"{left}{a},{b}{right_}", r.choice(spellings), r.choice(misses))


def matrix(r: Random) -> Case:
    rows, columns = r.randint(1, 3), r.randint(2, 3)
    cells = [[r.randint(-9, 9) for _ in range(columns)] for _ in range(rows)]

    def shown(values: list[list[int]], kind: str, halves: bool = False) -> str:
        form = (lambda v: f"\\frac{{{2 * v}}}{{2}}") if halves else str
        return f"\\begin{{{kind}}}" + r.choice((" \\\\ ", "\\\\")).join(r.choice((" & ", "&")).join(map(form, row)) for row in values) + f"\\end{{{kind}}}"

    miss = [list(row) for row in cells]
    i, j = r.randrange(rows), r.randrange(columns)
    miss[i][j] += r.choice((1, -1, 10))
    other = [list(column) for column in zip(*cells, strict=True)] if rows != columns else miss
    kinds = ("pmatrix", "bmatrix")
    wrong = r.choice((miss, other))
    return said(r, shown(cells, "pmatrix"), shown(cells, r.choice(kinds), r.random() < 0.3), shown(wrong, r.choice(kinds)))


def expression(r: Random) -> Case:
    a, b = r.randint(1, 9), r.randint(1, 9)
    x = r.choice("xyn")
    kind = r.randrange(4)
    if kind == 0:
        gold, same = f"({x}+{a})({x}-{b})", [f"{x}^2+{a - b}{x}-{a * b}" if a != b else f"{x}^2-{a * b}", f"({x}-{b})({x}+{a})", f"{x}({x}-{b})+{a}({x}-{b})"]
        miss = [f"({x}+{a})({x}+{b})", f"({x}-{a})({x}-{b})", f"({x}+{a})({x}-{b})+1", f"({x}+{a + 1})({x}-{b})"]
    elif kind == 1:
        gold, same = f"{a}-{b}{x}", [f"-{b}{x}+{a}", f"-({b}{x}-{a})", f"{a} - {b} {x}"]
        miss = [f"{a}+{b}{x}", f"{a}", f"{a - b}", f"{b}-{a}{x}" if a != b else f"{a + 1}-{b}{x}", f"{a}-{b + 1}{x}"]
    elif kind == 2:
        n = r.choice((2, 3, 5, 7))
        gold, same = f"{a}\\sqrt{{{n}}}", [f"\\sqrt{{{a * a * n}}}", f"{a} \\sqrt{n}", f"\\frac{{{a * n}}}{{\\sqrt{{{n}}}}}"]
        miss = [f"{a}{n}", f"{a + 1}\\sqrt{{{n}}}", f"-{a}\\sqrt{{{n}}}", f"{a}\\sqrt{{{n + 4}}}", f"\\sqrt{{{a * a * n + 1}}}"]
    else:
        gold, same = f"\\frac{{{x}+{a}}}{{{b + 1}}}", [f"({x}+{a})/{b + 1}", f"\\frac{{{x}}}{{{b + 1}}}+\\frac{{{a}}}{{{b + 1}}}", f"\\frac{{2{x}+{2 * a}}}{{{2 * b + 2}}}"]
        miss = [f"{x}+\\frac{{{a}}}{{{b + 1}}}", f"\\frac{{{x}-{a}}}{{{b + 1}}}", f"\\frac{{{b + 1}}}{{{x}+{a}}}"]
    return said(r, gold, r.choice(same), r.choice(miss))


# times, dates, units ---------------------------------------------------------------------------------------------------

MONTHS = "January February March April May June July August September October November December".split()  # noqa: SIM905


def time(r: Random) -> Case:
    hour, minute, half = r.randint(1, 12), r.choice((0, 15, 30, 45, r.randint(1, 59))), r.choice(("AM", "PM"))
    other = "PM" if half == "AM" else "AM"

    def forms(h: int, m: int, half: str) -> list[str]:
        dotted = f"{half[0].lower()}.m."
        found = [f"{h}:{m:02d} {half}", f"{h}:{m:02d} {dotted}", f"{h}:{m:02d}{half.lower()}", f"\\text{{{h}:{m:02d} {half}}}", f"{h}:{m:02d}\\text{{ {dotted}}}"]
        return found + ([f"{h} {half}", f"{h} {dotted}"] if m == 0 else [])

    gold = r.choice(forms(hour, minute, half)[:2])
    misses = [*forms(hour, minute, other), *forms(hour % 12 + 1, minute, half), *forms(hour, (minute + r.choice((1, 10, 30))) % 60, half)]
    right = r.random() < 0.5
    shown = r.choice(forms(hour, minute, half) if right else misses)
    return math(gold, r.choice(("\\boxed{{{}}}", "The answer is {}.", "Answer: {}", "The train arrives at {}.", "#### {}")).format(shown), right, "clock")


def date(r: Random) -> Case:
    year, month, day = r.randint(1900, 2050), r.randint(1, 12), r.randint(1, 28)
    right = r.random() < 0.5
    if r.random() < 0.4:
        gold = f"{year}-{month:02d}-{day:02d}"
        misses = [str(year - month - day), f"{year}-{month:02d}-{day % 28 + 1:02d}", f"{year}-{month % 12 + 1:02d}-{day:02d}", str(year), f"{year + 1}-{month - 1:02d}-{day:02d}"]
        return math(gold, r.choice(PLAIN[:2]).format(r.choice([gold, f"{year}-{month}-{day}"] if right else misses)), right, "date")
    name, other = MONTHS[month - 1], MONTHS[month % 12]
    tail = f", {year}" if r.random() < 0.5 else ""
    th = {1: "st", 2: "nd", 3: "rd"}.get(day % 10 if day not in (11, 12, 13) else 0, "th")
    gold = r.choice((f"{name} {day}{tail}", f"{day} {name}{tail.replace(',', '')}"))
    same = [f"{name} {day}{tail}", f"{day} {name}{tail.replace(',', '')}", f"{name} {day}{th}{tail}", f"{day} {name[:3]}{tail.replace(',', '')}", f"\\text{{{name} {day}{tail}}}"]
    misses = [f"{other} {day}{tail}", f"{day} {other}{tail.replace(',', '')}", f"{name} {day + 1}{tail}", f"{day} {other[:3]}{tail.replace(',', '')}", str(day), f"{name} {year + 1}"]
    return math(gold, r.choice(("\\boxed{{{}}}", "Answer: {}", "#### {}")).format(r.choice(same if right else misses)), right, "date")


UNITS = {
    "m": ("m", "meters", "metres"), "s": ("s", "seconds", "sec"), "kg": ("kg", "kilograms"), "g": ("g", "grams"), "L": ("L", "liters"), "N": ("N", "newtons"),
    "W": ("W", "watts"), "J": ("J", "joules"), "K": ("K", "kelvin"), "C": ("C", "degrees Celsius"), "V": ("V", "volts"), "h": ("h", "hours"), "cm": ("cm", "centimeters"),
    "km/h": ("km/h", "kilometers per hour", "kph"), "m/s": ("m/s", "meters per second"), "m/s^2": ("m/s^2", "m s^{-2}", "meters per second squared"),
    "cm^2": ("cm^2", "square centimeters", "cm²"), "m^3": ("m^3", "cubic meters", "m³"), "in": ("in", "inches"), "ft": ("ft", "feet"), "mL": ("mL", "ml"),
}  # fmt: skip


def unit(r: Random) -> Case:
    n = r.choice((str(r.randint(2, 99)), f"{r.randint(1, 9)}.{r.randint(1, 9)}"))
    name = r.choice(list(UNITS))
    other = r.choice([u for u in UNITS if u != name])
    miss = str(Fraction(n) + 1) if "." not in n else f"{float(n) + 1:.1f}"
    word = r.choice(UNITS[name])
    spellings = [f"{n} {word}", f"{n}\\text{{ {word}}}", f"{n}\\ \\mathrm{{{word}}}", n]
    if r.random() < 0.35:  # a number is asked for, and said with a unit
        right = r.random() < 0.5
        return math(n, r.choice(PLAIN[:5]).format(f"{n if right else miss} {word}"), right, "unit")
    if r.random() < 0.1:  # algebra is not a number with a unit
        a, b = r.randint(3, 12), r.randint(2, 9)
        return math(f"{a}-{b}{r.choice('mnsgh')}", r.choice(PLAIN[:2]).format(r.choice((str(a - b), str(a)))), False, "unit")
    misses = [f"{n} {r.choice(UNITS[other])}", f"{n}\\text{{ {r.choice(UNITS[other])}}}", f"{miss} {word}", miss]
    right = r.random() < 0.5
    return math(f"{n} {name}", r.choice(PLAIN[:5]).format(r.choice(spellings if right else misses)), right, "unit")


# choices --------------------------------------------------------------------------------------------------------------

OPTIONS = ("oxygen", "helium", "argon", "neon", "xenon", "red paint", "blue paint", "a steel bridge", "the river Nile", "iron ore", "green tea", "salt")


def choice(options: tuple[str, ...], index: int, text: str, right: bool, style: str) -> Case:
    return Case(Question("choice", "", choices=options, answer_index=index), text, right, style)


def choice_letter(r: Random) -> Case:
    options = tuple(r.sample(OPTIONS, r.randint(3, 5)))
    index = r.randrange(len(options))
    other = r.choice([k for k in range(len(options)) if k != index])
    a, b = "ABCDE"[index], "ABCDE"[other]
    right = r.random() < 0.5
    shown, gold = (a, index) if right else (b, index)
    kind = r.randrange(5)
    if kind == 0:
        hedges = (
            f"\\boxed{{{a}, {b}}}", f"The answer is {a} or {b}.", f"The answer is ({a}) ({b})", f"Answer: {a}; {b}", f"The answer is {a}/{b}.", f"{a} and {b}",
            f"The answer is either {a} or {b}.", f"\\boxed{{{a}}}\\boxed{{{b}}}", f"Answer: {a} or maybe {b}", f"({a}) {options[index]} or ({b}) {options[other]}",
        )  # fmt: skip
        return choice(options, index, r.choice(hedges), False, "hedge")
    if kind == 1:
        others = [k for k in range(len(options)) if "ABCDE"[k] != shown]
        denied = "ABCDE"[r.choice(others)]
        text = r.choice((f"Answer: {denied} is wrong, so {shown}.", f"Answer: {denied} can't be right, so {shown}.", f"{denied} is wrong, so {shown}."))
        if r.random() < 0.3:
            return choice(options, "ABCDE".index(denied), text, False, "denied-letter")
        return choice(options, gold, text, right, "denied-letter")
    if kind == 2 and shown != "A":
        text = r.choice((f"Answer: A good guess would be wrong, so {shown}.", f"The answer is A thing we can see: {shown}."))
        return choice(options, gold, text, right, "article") if r.random() < 0.5 else choice(options, 0, text, False, "article")
    if kind == 3:
        text = r.choice(OTHER_LANGUAGES[:2] + OTHER_LANGUAGES[7:]).format(shown)
        return choice(options, gold, text, right, "languages")
    ways = ("The answer is {}.", "\\boxed{{{}}}", "Answer: ({})", "**{}**", "I think the answer is {}", "Only {} fits.", "So {}.", "<answer>{}</answer>", "\\boxed{{\\text{{{}}}}}", "{}")
    return choice(options, gold, r.choice(ways).format(shown), right, "plain")


def choice_text(r: Random) -> Case:
    right = r.random() < 0.5
    if r.random() < 0.25:
        options = r.choice((("Yes", "No"), ("No", "Yes")))
        yes = options.index("Yes")
        text = r.choice(("Yes. There is no doubt.", "Yes, because there is no other way.", "Yes, there is no reason against it.", "There is no doubt: yes."))
        return choice(options, yes if right else 1 - yes, text, right, "yes-first")
    options = tuple(r.sample(OPTIONS, r.randint(3, 5)))
    index = r.randrange(len(options))
    other = r.choice([k for k in range(len(options)) if k != index])
    if r.random() < 0.25:
        a, b = options[index], options[other]
        hedges = (f"The answer is {a} or {b}.", f"\\boxed{{{a}, {b}}}", f"{a} or {b}", f"Answer: {a}; {b}", f"Answer: {a}/{b}", f"{a} and {b}")
        return choice(options, index, r.choice(hedges), False, "hedge")
    ways = ("The answer is {}.", "\\boxed{{{}}}", "Answer: {}", "\\boxed{{\\text{{{}}}}}", "{}", "It must be {}.", 'The answer is "{}".')
    return choice(options, index, r.choice(ways).format(options[index if right else other]), right, "plain")


def choice_number(r: Random) -> Case:
    kind = r.randrange(6)
    right = r.random() < 0.5
    ways = ("The answer is {}.", "\\boxed{{{}}}", "Answer: {}", "{}", "#### {}")
    if kind == 0:  # small numbers, mixed: their own content, not their place
        options = tuple(map(str, r.sample(range(0, 6), r.randint(3, 5))))
        index = r.randrange(len(options))
        shown = options[index]
        gold = index if right else r.choice([k for k in range(len(options)) if k != index])
        return choice(options, gold, r.choice(ways).format(shown), right, "choice-content")
    if kind == 1:  # the number of one, the place of another
        thing = r.choice(("apples", "birds", "km", "cups"))
        numbers = r.sample(range(2, 9), 4)
        options = tuple(f"{n} {thing}" for n in numbers)
        clash = [k for k, n in enumerate(numbers) if n <= len(numbers) and n - 1 != k]
        if clash:
            return choice(options, r.choice((clash[0], numbers[clash[0]] - 1)), r.choice(ways[:4]).format(numbers[clash[0]]), False, "choice-ambiguous")
        k = r.randrange(4)
        return choice(options, k, f"The answer is {numbers[k]} {thing}.", True, "choice-content")
    if kind == 2:
        n, m = r.randint(2, 9), r.randint(2, 9)
        pairs = [(f"-{n}", f"{n}"), (f"1/{n}", f"1.{n}"), (f"{n}0", f"{n}0%"), ("C", "C++"), (f"{n}:{m + 9}", f"{m + 9}:{n}"), ("x+1", "x-1"), (f"[0,{n})", f"(0,{n})"), ("<", ">")]
        a, b = r.choice(pairs)
        options = r.choice(((a, b), (b, a)))
        shown = b if "C" in (a, b) else r.choice(options)  # the letter C is a place too
        index = options.index(shown)
        return choice(options, index if right else 1 - index, r.choice(ways).format(shown), right, "choice-signs")
    if kind == 3:  # with units, said without
        unit_ = r.choice(("km/h", "dollars", "%", "cm"))
        numbers = r.sample(range(10, 99), 4)
        options = tuple(f"{n} {unit_}" if unit_ != "%" else f"{n}%" for n in numbers)
        k = r.randrange(4)
        gold = k if right else (k + 1) % 4
        return choice(options, gold, r.choice(ways[:3]).format(numbers[k]), right, "choice-content")
    if kind == 4:
        numbers = r.sample(range(90000, 99999), 4)
        options = tuple(map(str, numbers))
        return choice(options, 0, r.choice((f"the answer is {numbers[0]} or {numbers[1]}", f"\\boxed{{{numbers[0]}, {numbers[1]}}}")), False, "hedge")
    options = tuple(r.sample(OPTIONS, 4))
    k = r.randrange(4)
    gold = k if right else (k + 1) % 4
    return choice(options, gold, r.choice(("ANSWER: {}", "The answer is {}.", "#### {}", "Option {}")).format(k + 1), right, "place")


# programs --------------------------------------------------------------------------------------------------------------


def program(r: Random) -> Case:
    k, m = r.randint(2, 9), r.randint(1, 9)
    right = r.random() < 0.5
    wrong = r.choice((f"{k} * a + b + 1", f"{k} * a - b", f"{k + 1} * a + b", "None", "0"))
    body = f"{k} * a + b" if right else wrong
    value = k * m + k
    source = f"def f(a, b):\n    return {body}"
    line = f"def f(a, b): return {body}"
    test = f"assert f({m}, {k}) == {value}"
    more = f"assert f(0, 1) == 1 and f(2, 3) == {2 * k + 3}"

    def asked(text: str, style: str, tests: CodeTests | None = None, right: bool = right) -> Case:
        return Case(Question("code", "", tests=tests or CodeTests(test_list=(test, more))), text, right, style)

    def columns(text: str, style: str, right: bool = right, **named: object) -> Case:
        from midway.domains import question_of

        return Case(question_of({"domain": "code", **named}), text, right, style)

    fenced = f"```python\n{source}\n```"
    kind = r.randrange(8)
    if kind == 0:
        empty = r.choice(
            ((f"f({m}, {k}) == {value}",), ("# " + test,), (f"assert (f({m}, {k}) == 0, 'wrong')",), ("assert True",), (f"print(f({m}, {k}))",), ("pass", ""))
        )
        check = r.choice(("def check(candidate):\n    pass\n", f"def check(candidate):\n    candidate({m}, {k}) == {value}\n"))
        tests = CodeTests(test_list=empty) if r.random() < 0.6 else CodeTests(entry_point="f", test=check)
        return asked(fenced, "tests-assert", tests, False)
    if kind == 1:
        listed = r.choice((json.dumps([test, more]), str([test, more])))
        return columns(fenced, "tests-as-text", test_list=listed)
    if kind == 2:
        end = r.choice(("exit()", "quit()", "exit(0)", "sys.exit()"))
        script = f"a, b = map(int, input().split())\nprint({body})\n{end}"
        return columns(f"```python\n{script}\n```", "usual-imports", tests=[{"input": f"{m} {k}\n", "output": f"{value}\n"}, {"input": "2 3\n", "output": f"{2 * k + 3}"}])
    if kind == 3:
        method = f"class Solution:\n    def f(self, a: Optional[int], b: int) -> List[int]:\n        return [{body}]"
        cases = [{"input": f"{m}\n{k}", "output": f"[{value}]"}, {"input": "2\n3", "output": f"[{2 * k + 3}]"}]
        return columns(f"```python\n{method}\n```", "usual-imports", tests=cases, entry_point="f")
    if kind == 4:
        marks = r.choice(("[BEGIN]\n{}\n[DONE]", "<answer>\n{}\n</answer>", "[BEGIN] {} [DONE]", "<answer>{}</answer>", "```python {}```", "<solution>{}</solution>"))
        return asked(marks.format(source if "\n" in marks else line), "program-marks")
    if kind == 5:
        fence = r.choice(("    ```\n    >>> f(1, 2)\n    ```", "    ```python\n    f(1, 2)\n    ```"))
        long = f'def f(a, b):\n    """Add.\n\n{fence}\n    """\n    return {body}'
        return asked(f"```python\n{long}\n```\nThat is all.", "inner-fence")
    if kind == 6:
        result, shown = r.choice(((f"({body}, None)", f"({value}, None)"), (f"{{'k': ({body})}}", f"{{'k': {value}}}"), (f"(({body}) == {value})", "True")))
        return columns(f"```python\ndef f(a, b):\n    return {result}\n```", "python-values", tests=[{"input": f"{m}\n{k}", "output": shown}], entry_point="f") if (
            right or "==" not in result or body not in ("None", "0")
        ) else asked(fenced, "plain")
    return asked(r.choice((fenced, source, f"Here it is:\n\n{fenced}\n\nIt multiplies.")), "plain")


FAMILIES: dict[str, Family] = {
    "integer": integer, "decimal": decimal, "fraction": fraction, "percent": percent, "tuple": tuple_, "set": set_, "interval": interval, "matrix": matrix,
    "expression": expression, "time": time, "date": date, "unit": unit, "choice by letter": choice_letter, "choice by text": choice_text,
    "choice by number": choice_number, "program": program,
}  # fmt: skip
