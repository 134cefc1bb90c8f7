"""Integers, decimals, fractions and percentages."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import inf, nextafter
from random import Random
from struct import pack, unpack

from rewritings.saying import FULL_WIDTH, PLAIN, Case, math, said

_WORDS = [
    *(
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
    ),
    *("fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
]
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
        return math(
            str(n),
            text.format(words.capitalize() if text.startswith("{") else words, thing).replace(" .", "."),
            right,
            "number-words",
        )
    if r.random() < 0.06:
        missing = r.choice(("nan", "NaN", "null", " "))
        return math(missing, r.choice(PLAIN).format(missing.strip() or n), False, "missing-gold")
    spellings = [
        str(n),
        f"{n:,}",
        f"{n}.0",
        f"x = {n}",
        f"{2 * n}/2",
        f"\\frac{{{3 * n}}}{{3}}",
        f"\\${n}" if n > 0 else str(n),
    ]
    plain = r.random() < 0.6
    return said(
        r,
        str(n),
        str(n) if plain else r.choice(spellings),
        str(miss) if plain else r.choice((str(miss), f"{miss:,}")),
        number=plain,
    )


def decimal(r: Random) -> Case:
    places = r.randint(1, 4)
    n = 10 * r.randint(0, 10**4) + r.randint(1, 9)
    gold = format(Fraction(n, 10**places) * 1.0, f".{places}f")
    miss = format(Fraction(n + r.choice((1, -1, 10)), 10**places) * 1.0, f".{places}f")
    kind = r.randrange(5)
    if kind == 0:
        right, value = r.random() < 0.5, float(gold)
        noisy = r.choice((nextafter(value, inf), nextafter(value, -inf), unpack("f", pack("f", value))[0]))
        return math(
            format(Decimal(repr(noisy)), "f"), r.choice(PLAIN[:5]).format(gold if right else miss), right, "float-noise"
        )
    if kind == 1 and places != 3:  # 69,517 km may be thousands
        right = r.random() < 0.5
        unit = r.choice(("m", "kg", "km", "Meter", "metros", "€", "рублей"))
        return math(
            gold,
            r.choice(PLAIN[:5]).format(f"{(gold if right else miss).replace('.', ',')} {unit}"),
            right,
            "decimal-comma",
        )
    if kind == 2:
        right = r.random() < 0.5
        return math(gold, f"\\boxed{{{(gold if right else miss).translate(FULL_WIDTH)}}}", right, "full-width")
    if kind == 3:
        whole, point = gold.split(".")
        return math(
            f"{whole},{point}" if len(point) < 3 else f"{whole}, {point}", f"\\boxed{{{gold}}}", False, "spaced-comma"
        )
    return said(r, gold, r.choice((gold, gold + "0")), miss, number=True)


def fraction(r: Random) -> Case:
    below = r.randint(2, 30)
    x = r.randint(-3, 4) + Fraction(r.randint(1, below - 1), below)
    a, b = x.numerator, x.denominator
    k = r.randint(2, 5)
    whole, part = divmod(abs(a), b)
    sign = "-" if a < 0 else ""
    spellings = [
        f"{a}/{b}",
        f"\\frac{{{a}}}{{{b}}}",
        f"\\dfrac{{{k * a}}}{{{k * b}}}",
        f"{sign}\\frac{{{abs(a)}}}{{{b}}}",
        f"{k * a}/{k * b}",
    ]
    if whole:
        spellings.append(f"{sign}{whole}\\frac{{{part}}}{{{b}}}")
    misses = [
        f"{a + 1}/{b}",
        f"\\frac{{{-a}}}{{{b}}}",
        f"{a}/{b + 1}",
        f"{float(x):.2f}" if Fraction(f"{float(x):.2f}") != x else f"{a + b}/{b}",
    ]
    if a not in (b, -b):
        misses.append(f"\\frac{{{b}}}{{{a}}}")
    return said(r, f"\\frac{{{a}}}{{{b}}}", r.choice(spellings), r.choice(misses))


def percent(r: Random) -> Case:
    n = r.randint(1, 99)
    spellings = [f"{n}\\%", f"{n} percent", f"{n}/100", str(Fraction(n, 100)), f"{n / 100:.2f}", str(n), f"{n} \\%"]
    misses = [f"{n + 1}\\%", f"{n + 1} percent", f"{n * 10}\\%", f"{n + 1}/100", f"-{n}\\%", f"{n}0"]
    return said(r, f"{n}\\%", r.choice(spellings), r.choice(misses))
